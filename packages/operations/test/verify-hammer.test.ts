import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type Found, verify } from '../src/index.ts'
import { twoSides } from './support/two-sides.ts'

// People work on both sides, and the sync carries what they do, while both databases are compared again and again: what is only late is
// never a difference. What is not carried any more is none either, as long as an outbox has it.

const both = await twoSides(t)
const { clinic, portal } = both
const stop = new AbortController()
const count = { staff: 0, doctors: 0, refused: 0 }

await both.staff(`SET IDENTITY_INSERT dbo.AlignerDoctors ON;
  INSERT INTO dbo.AlignerDoctors (DrID, DoctorName) VALUES (1, N'Dr Test');
  SET IDENTITY_INSERT dbo.AlignerDoctors OFF`)
for (let id = 1; id <= 20; id++) {
  await both.staff(`SET IDENTITY_INSERT dbo.tblpatients ON;
    INSERT INTO dbo.tblpatients (PersonID, PatientName) VALUES (${id}, N'Patient ${id}');
    SET IDENTITY_INSERT dbo.tblpatients OFF`)
  await both.staff(`SET IDENTITY_INSERT dbo.tblwork ON;
    INSERT INTO dbo.tblwork (workid, PersonID, TotalRequired, Typeofwork, DrID, Status) VALUES (${id}, ${id}, 0, 19, 1, 1);
    SET IDENTITY_INSERT dbo.tblwork OFF`)
}
await both.staff(
  `INSERT INTO dbo.tblAlignerSets (WorkID, SetSequence, AlignerDrID, SetCost, Currency) VALUES ${Array.from({ length: 10 }, (_, i) => `(${i + 1}, 1, 1, 100, N'USD')`).join(', ')}`,
)
await both.staff(
  `INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount, Days) VALUES ${Array.from({ length: 30 }, (_, i) => `(${(i % 10) + 1}, ${i}, 4, 3, 10)`).join(', ')}`,
)
await both.staff(
  `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES ${Array.from({ length: 30 }, (_, i) => `(${(i % 10) + 1}, 'Doctor', N'note ${i}')`).join(', ')}`,
)
await both.settle()

const any = (most: number) => 1 + Math.floor(Math.random() * most)
const pick = <T>(of: readonly T[]): T => of[any(of.length) - 1] as T

const STAFF: readonly (() => string)[] = [
  () => `UPDATE dbo.tblpatients SET PatientName = N'p${Math.random()}' WHERE PersonID = ${any(20)}`,
  () => `UPDATE dbo.tblAlignerBatches SET Days = ${any(30)}, Notes = N'n${any(9)}' WHERE AlignerBatchID = ${any(30)}`,
  () => `UPDATE dbo.tblAlignerNotes SET NoteText = N't${Math.random()}' WHERE NoteID = ${any(30)}`,
  () => `UPDATE dbo.tblAlignerSets SET SetCost = ${any(3) === 1 ? 'NULL' : any(900)} WHERE AlignerSetID = ${any(10)}`,
  () => `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES (${any(10)}, 'Lab', N'new')`,
  () =>
    `DELETE FROM dbo.tblAlignerNotes WHERE NoteID = (SELECT MAX(NoteID) FROM dbo.tblAlignerNotes WHERE NoteID > 30)`,
  // Enters the scope, with its patient; and leaves it.
  () => `INSERT INTO dbo.tblAlignerSets (WorkID, SetSequence, AlignerDrID) VALUES (${10 + any(10)}, ${any(99)}, 1)`,
  () =>
    'DELETE FROM dbo.tblAlignerSets WHERE AlignerSetID = (SELECT MAX(AlignerSetID) FROM dbo.tblAlignerSets WHERE AlignerSetID > 10)',
]
const DOCTORS: readonly (() => string)[] = [
  () => `UPDATE aligner_batches SET days = ${any(30)} WHERE aligner_batch_id = ${any(30)}`,
  () => `UPDATE aligner_notes SET note_text = 'd${Math.random()}', is_read = true WHERE note_id = ${any(30)}`,
  () => `INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES (${any(10)}, 'Doctor', 'of a doctor')`,
  () => 'UPDATE aligner_notes SET note_text = note_text || 1 WHERE note_id = (SELECT min(note_id) FROM aligner_notes)',
  () => `DELETE FROM aligner_notes WHERE note_id = ${any(30)}`,
  () => `UPDATE aligner_batches SET notes = 'not theirs' WHERE aligner_batch_id = ${any(30)}`,
]

async function work(side: 'staff' | 'doctors'): Promise<void> {
  while (!stop.signal.aborted) {
    try {
      await (side === 'staff' ? both.staff(pick(STAFF)()) : both.doctor(pick(DOCTORS)()))
      count[side]++
    } catch {
      count.refused++
    }
    await sleep(any(8))
  }
}

t.test('compared again and again while everybody works', async (t) => {
  const going = [work('staff'), work('doctors'), work('doctors')]
  const carrying = [both.carry('clinic', stop.signal), both.carry('portal', stop.signal)]
  const found: Found[] = []
  let [equal, late] = [0, 0]
  const began = performance.now()
  for (let i = 0; i < 100 && performance.now() - began < 12_000; i++) {
    const result = await verify(
      { clinic, portal },
      { patienceMs: i % 2 === 0 ? 0 : 400, found: (each) => found.push(each) },
    )
    if (result.inFlight === 0) equal++
    else late++
  }
  stop.abort()
  await Promise.all(going)
  const carried = (await Promise.all(carrying)).reduce((sum, each) => sum + each)
  t.strictSame(
    found.map(({ table, key, kind, columns }) => `${table.name}/${key} ${kind} ${columns.join()}`),
    [],
  )
  t.ok(late > 0, 'some were on their way')
  t.ok(count.staff > 50 && count.doctors > 50 && carried > 50, JSON.stringify({ ...count, carried }))
  t.comment(
    `${JSON.stringify({ ...count, carried })}: ${equal} comparisons found nothing on its way at the end, ${late} did`,
  )
  t.end()
})

t.test('and when all has come, both are equal', async (t) => {
  // What was taken when it ended is sent once more.
  for (const side of [clinic, portal]) await side.requeue({ status: ['Queued'], dryRun: false })
  await both.settle()
  t.match(await verify({ clinic, portal }, { patienceMs: 1_000 }), { differences: 0, inFlight: 0 })
})
