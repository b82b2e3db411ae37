// sync.ApplyPortalChanges: what doctors do all day reaches the clinic. Runs against the simulator, and SQLSERVER_URL when
// it is set.
import t from 'tap'
import { openApplying, sharedOf } from './applying.ts'
import { changeOf, records } from './bench.ts'

const bench = await openApplying(t)
const { run, clinic } = bench
const { set } = await bench.treatment()

t.beforeEach(() => bench.clear())

t.test('a new note has its own key, all its values, and is heard of in the portal', async (t) => {
  const note = bench.born(set, { note_text: 'سن 16 🦷', is_edited: true, edited_at: '2026-01-31T21:30:00.500Z' })
  const { key, row, version } = note.data
  t.equal(await bench.ruling(note), 'applied')
  t.strictSame(await bench.row('aligner_notes', key), row)
  t.equal(
    await bench.value(`SELECT CONVERT(varchar(30), EditedAt, 121) FROM dbo.tblAlignerNotes WHERE NoteID = ${key}`),
    '2026-02-01 00:30:00.500',
  )
  t.match(await bench.state(note), { seen: version })
  t.strictSame(await bench.queue(), [`aligner_notes/${key} INSERT`])
  const { changes } = await clinic.takeChanges(10)
  t.match(changeOf(changes, `aligner_notes/${key}`), { seen: version, row })
})

t.test("an edited text, a read mark and days, each alone; the clinic's other columns stay", async (t) => {
  const [note, batch] = [await bench.note(set, { NoteType: 'Doctor' }), await bench.batch(set, { Days: 7 })]
  await bench.clear()
  const text = await bench.edit('aligner_notes', note, {
    note_text: 'changed',
    is_edited: true,
    edited_at: '2026-02-01T10:00:00.000Z',
  })
  t.equal(await bench.ruling(text), 'applied')
  t.strictSame(await bench.row('aligner_notes', note), text.data.row)
  const read = await bench.edit('aligner_notes', note, { is_read: true })
  t.equal(await bench.ruling(read), 'applied')
  t.strictSame(await bench.row('aligner_notes', note), read.data.row)
  const days = await bench.edit('aligner_batches', batch, { days: 14 })
  t.equal(await bench.ruling(days), 'applied')
  t.match(await bench.row('aligner_batches', batch), { days: 14, batch_sequence: days.data.row?.batch_sequence })
  t.strictSame(await bench.queue(), [
    `aligner_notes/${note} UPDATE`,
    `aligner_notes/${note} UPDATE`,
    `aligner_batches/${batch} UPDATE`,
  ])
  t.strictSame(await bench.conflicts(days), [])
})

t.test('what follows from days comes back to the portal, once', async (t) => {
  const batch = await bench.batch(set, { Days: 7, DeliveredToPatientDate: '2026-02-01' })
  await bench.clear()
  const event = await bench.edit('aligner_batches', batch, { days: 10 })
  await run('DELETE FROM dbo.tblAlignerActivityFlags')
  t.equal(await bench.ruling(event), 'applied')
  const { changes } = await clinic.takeChanges(10)
  t.strictSame(records(changes), [`aligner_batches/${batch}`])
  t.match(changes[0], {
    seen: event.data.version,
    row: { days: 10, validity_period: 30, batch_expiry_date: '2026-03-03' },
  })
  t.strictSame(
    await run('SELECT ActivityType, RelatedRecordID FROM dbo.tblAlignerActivityFlags'),
    [{ ActivityType: 'DaysChanged', RelatedRecordID: batch }],
    "the clinic's own trigger fired as for any edit",
  )
})

t.test('an event that came before is a duplicate, an older one stale; neither does anything', async (t) => {
  const batch = await bench.batch(set, { Days: 7 })
  const [first, second] = [
    await bench.edit('aligner_batches', batch, { days: 8 }),
    await bench.edit('aligner_batches', batch, { days: 9 }),
  ]
  t.equal(await bench.ruling(second), 'applied')
  await bench.clear()
  t.match(await bench.ruling(second), /^duplicate/)
  t.match(await bench.ruling(first), /^stale/)
  t.match(await bench.row('aligner_batches', batch), { days: 9 })
  t.match(await bench.state(second), { seen: second.data.version, values: { days: 9 } })
  t.strictSame(await bench.queue(), [])
})

t.test('a later event of edits that the clinic has had a part of goes by what the portal reported then', async (t) => {
  const batch = await bench.batch(set, { Days: 7 })
  const first = await bench.edit('aligner_batches', batch, { days: 8 })
  const { base, version } = first.data
  t.equal(await bench.ruling(first), 'applied')
  await run(`UPDATE dbo.tblAlignerBatches SET Days = 20 WHERE AlignerBatchID = ${batch}`)
  // The portal has not heard of it; the doctor changed nothing since, or went on to 9.
  const same = await bench.edit('aligner_batches', batch, { days: 8 }, { since: version, base })
  t.equal(await bench.ruling(same), 'unchanged')
  t.match(await bench.row('aligner_batches', batch), { days: 20 })
  const more = await bench.edit('aligner_batches', batch, { days: 9 }, { since: version, base })
  t.equal(await bench.ruling(more), 'conflict: days: portal-wins')
  t.match(await bench.row('aligner_batches', batch), { days: 9 })
})

t.test("a column that is the clinic's is given back, and nothing else happens", async (t) => {
  const note = await bench.note(set, { NoteType: 'Doctor' })
  const lab = await bench.note(set, { NoteType: 'Lab' })
  const other = await bench.batch(set, { Days: 7 })
  await bench.clear()
  for (const event of [
    await bench.edit('aligner_notes', note, { created_at: '2020-01-01T00:00:00.000Z' }),
    await bench.edit('aligner_notes', note, { aligner_set_id: 999 }),
    await bench.edit('aligner_notes', note, { created_at: '+020000-01-01T00:00:00.000Z' }),
    await bench.edit('aligner_notes', note, { note_type: 'Lab' }),
    await bench.edit('aligner_notes', lab, { note_text: 'not mine' }),
    await bench.edit('aligner_batches', other, { validity_period: 1, notes: 'x'.repeat(300) }),
  ]) {
    const { table, key } = event.data
    const before = await bench.row(table as 'aligner_notes', key)
    await bench.clear()
    t.match(await bench.ruling(event), /^unchanged/)
    t.strictSame(await bench.row(table as 'aligner_notes', key), before)
    t.strictSame(await bench.queue(), [`${table}/${key} UPDATE`])
    t.strictSame(await bench.conflicts(event), [])
  }
})

t.test('what the portal has as the clinic has it is not sent', async (t) => {
  const note = await bench.note(set, { NoteType: 'Doctor' })
  await bench.clear()
  const same = await bench.edit('aligner_notes', note, {})
  t.equal(await bench.ruling(same), 'unchanged')
  t.match(await bench.state(same), { seen: same.data.version })
  t.strictSame(await bench.queue(), [])
})

t.test('datetime rounds to 1/300 s: the portal gets what the clinic kept, and both agree then', async (t) => {
  const note = await bench.note(set, { NoteType: 'Doctor' })
  await bench.clear()
  t.equal(
    await bench.ruling(await bench.edit('aligner_notes', note, { edited_at: '2026-02-01T10:00:00.001Z' })),
    'applied',
  )
  t.match(await bench.row('aligner_notes', note), { edited_at: '2026-02-01T10:00:00.000Z' })
  await bench.clear()
  const again = await bench.edit('aligner_notes', note, { edited_at: '2026-02-01T10:00:00.001Z', is_read: true })
  // Not a change of the time, so no conflict when the clinic's differs from the base by less than that.
  t.equal(await bench.ruling(again), 'applied')
  t.strictSame(await bench.queue(), [`aligner_notes/${note} UPDATE`])
})

t.test("identities: the clinic's next key is the next one, and nobody's @@IDENTITY moves", async (t) => {
  const session = await bench.session()
  const insert = `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES (${set}, 'Lab', N'x')`
  await session.run(insert)
  const before = await bench.note(set)
  t.equal(await bench.ruling(bench.born(set)), 'applied')
  const [last] = await session.run('SELECT CAST(@@IDENTITY AS int) AS id')
  // Babelfish takes the outbox's sequence for an identity.
  if (!bench.babelfish) t.equal(last?.id, before - 1)
  const after = await bench.note(set)
  t.equal(after, before + 1)
  const [own] = await bench.run(
    `${insert}; SELECT CAST(@@IDENTITY AS int) AS every, CAST(SCOPE_IDENTITY() AS int) AS own`,
  )
  t.match(own, bench.babelfish ? { own: after + 1 } : { every: after + 1, own: after + 1 })
})

t.test('a connection that has applied is as it was: IDENTITY_INSERT is off, waiting is allowed', async (t) => {
  const session = await bench.session()
  const { data } = bench.born(set)
  const changes = JSON.stringify([{ ...data, row: { ...data.row, created_at: '2026-01-31T08:15:30.120' } }])
  const [outcome] = await session.run(`EXEC sync.ApplyPortalChanges @Changes = N'${changes}'`)
  t.match(outcome, { Ordinal: 1, Outcome: 'applied', Code: null, Reason: null })
  const [timeout] = await session.run('SELECT @@LOCK_TIMEOUT AS x')
  if (!bench.babelfish) t.equal(timeout?.x, -1)
  await session.run('SET IDENTITY_INSERT dbo.tblAlignerSets ON; SET IDENTITY_INSERT dbo.tblAlignerSets OFF')
  await t.rejects(
    session.run(
      `INSERT INTO dbo.tblAlignerNotes (NoteID, AlignerSetID, NoteType, NoteText) VALUES (-999, ${set}, 'Lab', N'x')`,
    ),
  )
})

t.test('nothing to apply', async (t) => {
  t.strictSame(await bench.apply(), [])
  t.strictSame(await run("EXEC sync.ApplyPortalChanges @Changes = N'[]'"), [])
})

t.test('a record twice in a batch is an error of the caller', async (t) => {
  const event = bench.born(set)
  await t.rejects(bench.apply(event, event), { name: 'TypeError', message: /twice/ })
  t.equal(await bench.row('aligner_notes', event.data.key), null)
  t.strictSame(Object.keys(sharedOf('aligner_notes', event.data.row ?? {})).length, 4)
})
