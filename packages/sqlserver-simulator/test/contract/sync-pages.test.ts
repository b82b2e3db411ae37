// sync.ReadRows and sync.BackfillPage. Runs against the simulator, and SQLSERVER_URL when it is set.
import type { TableName } from '@clinic-sync/mapping'
import t from 'tap'
import { openBench } from './bench.ts'

const bench = await openBench(t)
const { run, clinic } = bench
const { set, patient, work, doctor } = await bench.treatment({ SetCost: 100 })
const free = await bench.patient()
const unpaid = await bench.set(work, doctor)
const notes: number[] = []
for (const text of ['a', 'b', 'c', 'd', 'e']) notes.push(await bench.note(set, { NoteText: text }))
// A note born in the portal has a negative key.
await run(
  `SET IDENTITY_INSERT dbo.tblAlignerNotes ON; INSERT INTO dbo.tblAlignerNotes (NoteID, AlignerSetID, NoteType, NoteText) VALUES (-3, ${set}, 'Doctor', N'z'); SET IDENTITY_INSERT dbo.tblAlignerNotes OFF`,
)
await bench.clear()

const keys = async (table: TableName, after: number | null, max: number) =>
  (await clinic.readRows(table, after, max)).map(({ key }) => key)

t.test('pages in key order, from the start or above a key', async (t) => {
  t.strictSame(await keys('aligner_notes', null, 3), [-3, notes[0], notes[1]])
  t.strictSame(await keys('aligner_notes', notes[1] as number, 2), [notes[2], notes[3]])
  t.strictSame(await keys('aligner_notes', notes[3] as number, 2), [notes[4]])
  t.strictSame(await keys('aligner_notes', notes[4] as number, 2), [])
  t.strictSame(await keys('aligner_notes', -2147483648, 1), [-3])
  t.strictSame(await keys('aligner_notes', 2147483647, 1), [])
})

t.test('somebody’s open transaction on rows below the key is not met: nor is it by the check at a start', async (t) => {
  const other = await bench.session()
  await other.begin()
  await other.run("INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'not committed')")
  await other.run(`UPDATE dbo.tblAlignerNotes SET IsRead = 1 WHERE NoteID = ${notes[0]}`)
  t.strictSame(await keys('aligner_notes', notes[1] as number, 1), [notes[2]])
  // Babelfish lets sync.ApplyPortalChanges wait for that transaction, whatever it is given and whatever LOCK_TIMEOUT is.
  if (!bench.babelfish) await clinic.check()
  await other.rollback()
})

t.test('only what is synced, with the values that an event has', async (t) => {
  t.strictSame(await keys('patients', null, 10), [patient])
  t.strictSame(await keys('work', null, 10), [work])
  t.strictSame(await keys('aligner_set_payments', null, 10), [set])
  t.strictSame((await keys('aligner_sets', null, 10)).length, 2)
  t.ok(free > patient)
  await run(`UPDATE dbo.tblAlignerNotes SET IsRead = 1 WHERE NoteID = ${notes[2]}`)
  const { changes } = await clinic.takeChanges(10)
  const [page] = await clinic.readRows('aligner_notes', notes[1] as number, 1)
  t.strictSame(page, { key: notes[2], row: changes[0]?.row })
  await bench.clear()
})

t.test('a backfill queues page after page, and goes on where it was', async (t) => {
  t.strictSame(await clinic.backfillPage('aligner_notes', 4, true), { queued: 4, done: 4, total: 6, finished: false })
  t.strictSame(
    await bench.queue(),
    [-3, notes[0], notes[1], notes[2]].map((key) => `aligner_notes/${key} UPDATE`),
  )
  await bench.clear()
  t.strictSame(await clinic.backfillPage('aligner_notes', 4, false), { queued: 2, done: 6, total: 6, finished: true })
  t.strictSame(
    await bench.queue(),
    [notes[3], notes[4]].map((key) => `aligner_notes/${key} UPDATE`),
  )
  await bench.clear()
  t.match(await clinic.backfillPage('aligner_notes', 4, false), { queued: 0, done: 6, finished: true })
  t.strictSame(await bench.queue(), [])
  t.strictSame(await clinic.backfillPage('aligner_notes', 9, true), { queued: 6, done: 6, total: 6, finished: true })
  await bench.clear()
})

t.test('a backfill leaves out what is not synced', async (t) => {
  for (const [table, key] of [
    ['patients', patient],
    ['work', work],
    ['aligner_set_payments', set],
  ] as const) {
    t.strictSame(await clinic.backfillPage(table, 100, false), { queued: 1, done: 1, total: 1, finished: true }, table)
    t.strictSame(await bench.queue(), [`${table}/${key} UPDATE`])
    await bench.clear()
  }
  t.ok(unpaid > set)
})

t.test('what a backfill queues is taken like any change', async (t) => {
  await clinic.backfillPage('aligner_doctors', 100, true)
  const { changes } = await clinic.takeChanges(10)
  t.match(changes, [{ table: 'aligner_doctors', key: doctor, row: { doctor_name: 'Dr. Sara' } }])
})
