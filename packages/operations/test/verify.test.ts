import t from 'tap'
import type { VerifyOptions } from '../src/index.ts'
import { compareSides } from './support/comparing.ts'
import { twoSides } from './support/two-sides.ts'

// Both databases compared: what is planted behind the system's back is found exactly, and what is only late never is.

const both = await twoSides(t)
const { staff, doctor, settle } = both

await both.treatment()
await staff('INSERT INTO dbo.tblAlignerSets (WorkID, SetSequence, AlignerDrID) VALUES (1, 1, 1)')
await staff(`INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount, Days)
  VALUES (1, 1, 4, 3, 10), (1, 2, 4, 3, 10), (1, 3, 4, 3, 10)`)
await staff("INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES (1, 'Doctor', N'as it was')")
await settle()

const look = (options: VerifyOptions = {}) => compareSides(both, options)
t.test('both sides are equal', async (t) => {
  const { result, names } = await look()
  t.strictSame(names, [])
  t.match(result, { complete: true, rows: 8, differences: 0, inFlight: 0 })
})

t.test('a change on its way is no difference, and is waited for', async (t) => {
  await staff("UPDATE dbo.tblpatients SET PatientName = N'Another' WHERE PersonID = 1")
  await doctor('UPDATE aligner_batches SET days = 12 WHERE aligner_batch_id = 1')
  await doctor("INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES (1, 'Doctor', 'new')")
  const late = await look()
  t.strictSame(late.names, [])
  t.match(late.result, { differences: 0, inFlight: 3 })
  for (const side of ['clinic', 'portal'] as const) await both.publish(side)
  t.match((await look()).result, { differences: 0, inFlight: 3 }, 'what RabbitMQ has')
  await both.deliver('clinic')
  t.match((await look()).result, { differences: 0 }, 'what has come, and whose answer has not')
  const waits = look({ patienceMs: 20_000 })
  await settle()
  t.match((await waits).result, { differences: 0, inFlight: 0 })
})

t.test("somebody's open transaction holds a row: it is waited for, and named in the end", async (t) => {
  await staff('BEGIN TRANSACTION')
  await staff("UPDATE dbo.tblpatients SET PatientName = N'held' WHERE PersonID = 1")
  await t.rejects(look({ patienceMs: 100, tables: ['patients'] }), {
    failure: 'transient',
    message: /^patients cannot be read to its end, as where somebody's open transaction holds one of its rows: /,
  })
  t.match((await look({ tables: ['aligner_sets'] })).result, { differences: 0, complete: false }, 'other tables go on')
  const waits = look({ patienceMs: 30_000, tables: ['patients'] })
  await staff('ROLLBACK TRANSACTION')
  t.match((await waits).result, { differences: 0, inFlight: 0 })
})
