// sync.ApplyPortalChanges: texts to the character, whatever their length. Runs against the simulator, and SQLSERVER_URL when
// it is set.
import t from 'tap'
import { openApplying, throughBabelfish } from './applying.ts'
import { literal } from './bench.ts'

const bench = await openApplying(t)
const { set } = await bench.treatment()

const ALL: readonly string[] = [
  '',
  ' ',
  'trailing blanks  ',
  '  leading',
  '\'"\\/ [x] 100% \t\r\n ] }',
  'السيد علي حسن – ملاحظة ١٢٣',
  'mixed العربية and English \u200f\u200e\u061c',
  '😀👩‍👩‍👧‍👦🏳️‍🌈 𝒜',
  '{"json": [1, null], "row": {"note_text": "x"}}',
  '\u0001\u0008\u000b\u000c\u001f\u007f\u0085\u2028\u2029\ufeff\uffff',
  'e\u0301 \u00e9',
  `${'x'.repeat(3999)}🦷`,
  'م'.repeat(4000),
  'م'.repeat(4001),
  `${'ملاحظة 😀 '.repeat(15_000)}  `,
]

const TEXTS = bench.babelfish ? ALL.filter(throughBabelfish) : ALL

t.test('of new notes, of edits, and in what is remembered', async (t) => {
  const born = TEXTS.map((note_text) => bench.born(set, { note_text }))
  for (const [i, outcome] of (await bench.apply(...born)).entries()) t.equal(outcome.outcome, 'applied', `text ${i}`)
  for (const [i, { data }] of born.entries()) {
    const row = await bench.row('aligner_notes', data.key)
    t.ok(row?.note_text === TEXTS[i], `new, text ${i}`)
  }
  const turned = await Promise.all(
    born.map(({ data }, i) => bench.edit('aligner_notes', data.key, { note_text: TEXTS.at(i - 1) ?? null })),
  )
  for (const [i, outcome] of (await bench.apply(...turned)).entries()) t.equal(outcome.outcome, 'applied', `text ${i}`)
  for (const [i, event] of turned.entries()) {
    const row = await bench.row('aligner_notes', event.data.key)
    t.ok(row?.note_text === TEXTS.at(i - 1), `edited, text ${i}`)
    const state = await bench.state(event)
    t.ok(state?.values?.note_text === TEXTS.at(i - 1), `reported, text ${i}`)
  }
})

t.test('case, trailing blanks, accents and emoji are differences', async (t) => {
  const note = await bench.note(set, { NoteType: 'Doctor', NoteText: 'abc' })
  for (const note_text of ['ABC', 'ABC ', 'ABC  ', 'ÁBC', '🦷', '🦴', '', ' ']) {
    t.equal(await bench.ruling(await bench.edit('aligner_notes', note, { note_text })), 'applied')
    t.equal((await bench.row('aligner_notes', note))?.note_text, note_text)
  }
})

t.test('a conflict is on record with both texts and the one before them, whole', async (t) => {
  const [was, clinics, doctors] = ['was '.repeat(1500), 'عيادة 🦷 '.repeat(2000), 'doctor '.repeat(20_000)] as const
  const note = await bench.note(set, { NoteType: 'Doctor', NoteText: was })
  const event = await bench.edit('aligner_notes', note, { note_text: doctors })
  await bench.run(`UPDATE dbo.tblAlignerNotes SET NoteText = ${literal(clinics)} WHERE NoteID = ${note}`)
  await bench.clear()
  t.equal(await bench.ruling(event), 'conflict: note_text: clinic-wins')
  const [entry, ...more] = await bench.conflicts(event)
  t.strictSame(more, [])
  t.match(entry, { ColumnName: 'note_text', Ruling: 'clinic-wins', PortalVersion: event.data.version })
  t.ok(entry?.ClinicValue === clinics && entry.PortalValue === doctors && entry.BaseValue === was)
  t.strictSame(await bench.queue(), [`aligner_notes/${note} UPDATE`])
  t.ok((await bench.row('aligner_notes', note))?.note_text === clinics)
})

t.test('U+0000, which the portal cannot hold, is no difference', async (t) => {
  if (bench.babelfish) return t.pass('Postgres, on which Babelfish stands, stores no U+0000')
  const note = await bench.note(set, { NoteType: 'Doctor' })
  const store = (text: string) => bench.run(`UPDATE dbo.tblAlignerNotes SET NoteText = ${text} WHERE NoteID = ${note}`)
  await store("N'a' + NCHAR(0) + N'b'")
  await bench.clear()
  const portals = { note_text: 'ab', is_edited: false, edited_at: null, is_read: false }
  const read = await bench.edit('aligner_notes', note, { note_text: 'ab', is_read: true }, { base: portals })
  t.equal(await bench.ruling(read), 'applied')
  t.match(await bench.row('aligner_notes', note), { note_text: 'a\0b', is_read: true })
  const event = await bench.edit('aligner_notes', note, { note_text: 'mine' }, { base: { ...portals, is_read: true } })
  t.equal(await bench.ruling(event), 'applied', "the clinic's text is the base")
  t.match(await bench.row('aligner_notes', note), { note_text: 'mine' })
  await store("N'mine' + NCHAR(0)")
  await bench.clear()
  const same = await bench.edit('aligner_notes', note, { note_text: 'mine' }, { base: { ...portals, is_read: true } })
  t.equal(await bench.ruling(same), 'unchanged')
  t.strictSame(await bench.queue(), [], 'and the portal has nothing to hear')
})
