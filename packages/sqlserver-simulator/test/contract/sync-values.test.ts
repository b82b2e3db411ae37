// Values at their edges, through triggers, procedures, driver and conversion. Runs against the simulator, and SQLSERVER_URL when set.
import type { Value } from '@clinic-sync/contracts'
import type { TableName } from '@clinic-sync/mapping'
import t, { type Test } from 'tap'
import { changeOf, literal, openBench } from './bench.ts'

const bench = await openBench(t)
const { run, clinic } = bench
const { set, work, doctor } = await bench.treatment()
const batch = await bench.batch(set)
const note = await bench.note(set)

/** Writes `text` (T-SQL) into a column and gives what the event and the page say of it. */
async function written(
  t: Test,
  table: TableName,
  key: number,
  update: string,
  column: string,
): Promise<Value | undefined> {
  await bench.clear()
  await run(update)
  const { changes } = await clinic.takeChanges(10)
  const event = changeOf(changes, `${table}/${key}`).row?.[column]
  const [page] = await clinic.readRows(table, key - 1, 1)
  t.strictSame(page?.row[column], event, 'a page says the same')
  return event
}
const ofSet = (t: Test, column: string, value: string, name: string) =>
  written(
    t,
    'aligner_sets',
    set,
    `UPDATE dbo.tblAlignerSets SET ${column} = ${value} WHERE AlignerSetID = ${set}`,
    name,
  )
const ofNote = (t: Test, column: string, value: string, name: string) =>
  written(t, 'aligner_notes', note, `UPDATE dbo.tblAlignerNotes SET ${column} = ${value} WHERE NoteID = ${note}`, name)

t.test('dates', async (t) => {
  for (const date of ['0001-01-01', '1752-09-14', '1899-12-31', '2024-02-29', '9999-12-31']) {
    t.equal(await ofSet(t, 'CreationDate', `'${date}'`, 'creation_date'), date)
  }
  t.equal(await ofSet(t, 'CreationDate', 'NULL', 'creation_date'), null)
})

t.test("datetime: 1/300 s, from 1753 to 9999, in the clinic's zone", async (t) => {
  for (const [wall, instant] of [
    ['2026-01-31T08:15:30.000', '2026-01-31T05:15:30.000Z'],
    ['2026-01-31T08:15:30.003', '2026-01-31T05:15:30.003Z'],
    ['2026-01-31T08:15:30.007', '2026-01-31T05:15:30.007Z'],
    ['2026-01-31T23:59:59.997', '2026-01-31T20:59:59.997Z'],
    ['2026-02-01T02:00:00.010', '2026-01-31T23:00:00.010Z'],
    ['9999-12-31T23:59:59.997', '9999-12-31T20:59:59.997Z'],
    ['2007-07-01T12:00:00.000', '2007-07-01T08:00:00.000Z'],
  ] as const) {
    t.equal(await ofNote(t, 'EditedAt', `'${wall}'`, 'edited_at'), instant, wall)
  }
  t.match(await ofNote(t, 'EditedAt', "'1753-01-01T00:00:00.000'", 'edited_at'), /^1752-12-31T21:02:/)
  t.equal(await ofNote(t, 'EditedAt', 'NULL', 'edited_at'), null)
})

t.test('datetime2(0)', async (t) => {
  const update = `UPDATE dbo.tblwork SET AdditionDate = '1850-06-01T10:00:07' WHERE workid = ${work}`
  t.match(await written(t, 'work', work, update, 'addition_date'), /^1850-06-01T07:02:\d\d\.000Z$/)
})

t.test('decimals keep every digit', async (t) => {
  for (const [value, digits] of [
    ['99999999.99', '99999999.99'],
    ['-99999999.99', '-99999999.99'],
    ['0', '0.00'],
    ['0.01', '0.01'],
    ['12.5', '12.50'],
  ] as const) {
    t.equal(await ofSet(t, 'SetCost', value, 'set_cost'), digits)
  }
  t.equal(await ofSet(t, 'SetCost', 'NULL', 'set_cost'), null)
})

t.test('integers and flags', async (t) => {
  for (const value of [2147483647, -2147483648, 0]) t.equal(await ofSet(t, 'Days', String(value), 'days'), value)
  t.equal(await ofSet(t, 'Days', 'NULL', 'days'), null)
  t.equal(await ofSet(t, 'IsActive', '0', 'is_active'), false)
  t.equal(await ofSet(t, 'IsActive', 'NULL', 'is_active'), null)
  t.equal(await ofSet(t, 'IsActive', '1', 'is_active'), true)
})

t.test('texts, to the character', async (t) => {
  for (const [i, text] of [
    '',
    ' ',
    'trailing blanks  ',
    '  leading',
    'it\'s [quoted] "so" \\ / 100% \t\r\n',
    'السيد علي حسن – ملاحظة ١٢٣',
    'mixed العربية and English \u200f\u200e',
    '😀👩‍👩‍👧‍👦🏳️‍🌈 𝒜',
    '<b>&amp;</b> {"json": [1, null]}',
    '\u0001\u0008\u000b\u000c\u001f\u007f\u0085\u2028\u2029\ufeff\uffff',
  ].entries()) {
    t.equal(await ofNote(t, 'NoteText', literal(text), 'note_text'), text, `text ${i}`)
  }
})

t.test('what is not well-formed Unicode, where the engine can store it', async (t) => {
  for (const [i, text] of ['a\u0000b', '\u0000', 'a\ud83d', '\ude00b'].entries()) {
    const units = [...Array(text.length).keys()].map((at) => `NCHAR(${text.charCodeAt(at)})`)
    await bench.clear()
    try {
      await run(`UPDATE dbo.tblAlignerNotes SET NoteText = ${units.join(' + ')} WHERE NoteID = ${note}`)
    } catch {
      t.strictSame(await bench.queue(), [], `text ${i} is refused, and nothing captured`)
      continue
    }
    const stored = await bench.value(`SELECT NoteText FROM dbo.tblAlignerNotes WHERE NoteID = ${note}`)
    const { changes } = await clinic.takeChanges(10)
    t.equal(changeOf(changes, `aligner_notes/${note}`).row?.note_text, stored, `text ${i} as stored`)
  }
})

t.test("a text in the clinic's code page, and a very long one", async (t) => {
  t.equal(await ofNote(t, 'NoteType', "'Doctor'", 'note_type'), 'Doctor')
  const long = 'ملاحظة 😀 '.repeat(110_000).slice(0, 1_000_000)
  t.equal(await ofNote(t, 'NoteText', literal(long), 'note_text'), long, '2 MB')
  t.equal(await ofSet(t, 'SetUrl', literal('x'.repeat(2000)), 'set_url'), 'x'.repeat(2000))
})

t.test('computed columns as they stand', async (t) => {
  const columns = ['upper_aligner_end_sequence', 'lower_aligner_end_sequence', 'validity_period', 'batch_expiry_date']
  const of = async (update: string) => {
    await bench.clear()
    await run(`UPDATE dbo.tblAlignerBatches SET ${update} WHERE AlignerBatchID = ${batch}`)
    const { changes } = await clinic.takeChanges(10)
    return columns.map((column) => changeOf(changes, `aligner_batches/${batch}`).row?.[column])
  }
  t.strictSame(await of('UpperAlignerStartSequence = 4'), [6, null, null, null])
  t.strictSame(await of("Days = 10, DeliveredToPatientDate = '2026-02-01'"), [6, null, 30, '2026-03-03'])
  t.strictSame(await of('HasUpperTemplate = 1, LowerAlignerStartSequence = 1'), [6, 2, 20, '2026-02-21'])
})

t.test('every column of every record is there, with its own type', async (t) => {
  await run(`UPDATE dbo.tblAlignerSets SET SetCost = 100 WHERE AlignerSetID = ${set}`)
  await bench.clear()
  await bench.invoice(set, 25)
  const { changes } = await clinic.takeChanges(10)
  t.strictSame(changeOf(changes, `aligner_set_payments/${set}`).row, {
    aligner_set_id: set,
    total_paid: '25.00',
    balance: '75.00',
    payment_status: 'Partial',
  })
  const [row] = await clinic.readRows('aligner_doctors', doctor - 1, 1)
  t.strictSame(row, {
    key: doctor,
    row: { dr_id: doctor, doctor_name: 'Dr. Sara', doctor_email: null, logo_path: null },
  })
})
