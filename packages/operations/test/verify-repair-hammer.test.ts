import type { Table } from '@clinic-sync/mapping'
import { setTimeout as sleep } from 'node:timers/promises'
import t from 'tap'
import { type Found, RepairPlan, repairDifferences, verify } from '../src/index.ts'
import { twoSides } from './support/two-sides.ts'

// Staff and doctors edit the very rows that differ and are being repaired, each their own columns, while the sync carries what they do.
// In the end both sides are equal, and what each of them wrote last is what stands: a repair loses nobody's edit.

const both = await twoSides(t)
const { clinic, portal, staff, doctor } = both
const stop = new AbortController()
const BATCHES = 12
const NOTES = 12

await both.treatment()
await staff(`INSERT INTO dbo.tblAlignerSets (WorkID, SetSequence, AlignerDrID) VALUES (1, 1, 1), (1, 2, 1)`)
await staff(
  `INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount, Days, Notes) VALUES ${Array.from({ length: BATCHES }, (_, i) => `(${(i % 2) + 1}, ${i}, 4, 3, 10, N'0')`).join(', ')}`,
)
await staff(
  `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES ${Array.from({ length: NOTES }, (_, i) => `(${(i % 2) + 1}, 'Doctor', N'0')`).join(', ')}`,
)
await both.settle()

const any = (most: number) => 1 + Math.floor(Math.random() * most)
/** What each wrote last, and which notes doctors made. */
const last = { notes: new Map<number, string>(), days: new Map<number, number>(), texts: new Map<number, string>() }
const made = new Map<number, string>()
const count = { staff: 0, doctors: 0, planted: 0, repairs: 0, queued: 0, sent: 0, kept: 0, remaining: 0, refused: 0 }
let n = 100

async function tried(work: () => Promise<void>): Promise<void> {
  try {
    await work()
  } catch (error) {
    count.refused++
    if (!(error instanceof Error) || error instanceof TypeError) throw error
  }
  await sleep(any(6))
}

async function staffWork(): Promise<void> {
  while (!stop.signal.aborted)
    await tried(async () => {
      const [id, value] = [any(BATCHES), String(++n)]
      await staff(`UPDATE dbo.tblAlignerBatches SET Notes = N'${value}' WHERE AlignerBatchID = ${id}`)
      last.notes.set(id, value)
      count.staff++
    })
}

async function doctorsWork(): Promise<void> {
  while (!stop.signal.aborted)
    await tried(async () => {
      const [id, value] = [any(BATCHES), ++n]
      const which = any(3)
      if (which === 1) {
        // It may be away at the moment.
        const [row] = await doctor(
          `UPDATE aligner_batches SET days = ${value} WHERE aligner_batch_id = ${id} RETURNING aligner_batch_id`,
        )
        if (row !== undefined) last.days.set(id, value)
      } else if (which === 2) {
        await doctor(`UPDATE aligner_notes SET note_text = '${value}' WHERE note_id = ${id}`)
        last.texts.set(id, String(value))
      } else {
        const [row] = await doctor(
          `INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES (${any(2)}, 'Doctor', '${value}') RETURNING note_id`,
        )
        made.set(Number(row?.note_id), String(value))
      }
      count.doctors++
    })
}

/** Behind the system's back, in columns that nobody here writes: past triggers, in one transaction on a row that others edit. */
const PLANTS: readonly (() => string)[] = [
  () => `UPDATE aligner_batches SET notes = 'planted' WHERE aligner_batch_id = ${any(BATCHES)}`,
  () =>
    `UPDATE aligner_batches SET is_active = NOT coalesce(is_active, false) WHERE aligner_batch_id = ${any(BATCHES)}`,
  () => `UPDATE aligner_notes SET is_read = NOT is_read WHERE note_id = ${any(NOTES)}`,
  () =>
    `DELETE FROM aligner_batches WHERE aligner_batch_id = ${any(BATCHES)} AND aligner_batch_id NOT IN (SELECT record_id FROM sync.row_state WHERE since IS NOT NULL AND table_name = 'aligner_batches')`,
  () =>
    `INSERT INTO aligner_batches (aligner_batch_id, aligner_set_id, batch_sequence, upper_aligner_count, lower_aligner_count) VALUES (${900 + any(50)}, 1, 1, 1, 1) ON CONFLICT DO NOTHING`,
]
/** In the clinic, as where somebody has switched its triggers off. Not the doctors' days: the next of staff's edits would carry these along. */
const CLINIC_PLANTS: readonly (() => string)[] = [
  () => `UPDATE dbo.tblAlignerBatches SET IsActive = ${any(2) - 1} WHERE AlignerBatchID = ${any(BATCHES)}`,
  () => `DELETE FROM dbo.tblAlignerBatches WHERE AlignerBatchID > 900`,
]
async function plantInClinic(): Promise<void> {
  while (!stop.signal.aborted) {
    await tried(async () => {
      const statement = (CLINIC_PLANTS[any(CLINIC_PLANTS.length) - 1] as () => string)()
      await staff(
        `ALTER TABLE dbo.tblAlignerBatches DISABLE TRIGGER ALL; ${statement}; ALTER TABLE dbo.tblAlignerBatches ENABLE TRIGGER ALL`,
      )
      count.planted++
    })
    await sleep(any(60))
  }
}
async function plant(): Promise<void> {
  while (!stop.signal.aborted) {
    await tried(async () => {
      const statement = (PLANTS[any(PLANTS.length) - 1] as () => string)()
      try {
        await doctor(`BEGIN; SET LOCAL session_replication_role = replica; ${statement}; COMMIT`)
      } catch (error) {
        // A statement that failed leaves its transaction open, and what comes next on this connection would be refused.
        await doctor('ROLLBACK')
        throw error
      }
      count.planted++
    })
    await sleep(any(60))
  }
}

async function compareAndRepair(patienceMs: number, ring: () => Promise<void>) {
  const plan = new RepairPlan()
  const found: Found[] = []
  await verify({ clinic, portal }, { patienceMs, found: (each) => (found.push(each), plan.add(each)) })
  const keys: ReadonlyMap<Table, readonly number[]> = plan.keys
  const repaired = await repairDifferences({ clinic, portal, ring, patienceMs: 300 }, keys)
  count.repairs++
  for (const name of ['queued', 'sent', 'kept'] as const) count[name] += repaired[name]
  count.remaining += repaired.remaining.length
  return repaired
}

t.test('repaired again and again while everybody works on these rows', async (t) => {
  const going = [
    staffWork(),
    doctorsWork(),
    doctorsWork(),
    plant(),
    plantInClinic(),
    both.carry('clinic', stop.signal),
    both.carry('portal', stop.signal),
  ]
  const began = performance.now()
  while (performance.now() - began < 10_000) await compareAndRepair(any(2) === 1 ? 0 : 200, async () => undefined)
  stop.abort()
  await Promise.all(going)
  for (const side of [clinic, portal]) await side.requeue({ status: ['Queued'], dryRun: false })
  await both.settle()
  await staff('ALTER TABLE dbo.tblAlignerBatches ENABLE TRIGGER ALL')
  const { remaining } = await compareAndRepair(1_000, both.settle)
  t.strictSame(remaining, [])
  t.match(await verify({ clinic, portal }, { patienceMs: 1_000 }), { differences: 0, inFlight: 0 })
  t.comment(JSON.stringify(count))
  t.ok(count.repairs > 1 && count.queued > 1, JSON.stringify(count))

  const batches = await staff('SELECT AlignerBatchID AS id, Days AS days, Notes AS notes FROM dbo.tblAlignerBatches')
  for (const [id, value] of last.notes)
    t.equal(batches.find((row) => row.id === id)?.notes, value, `staff's notes of ${id}`)
  for (const [id, value] of last.days)
    t.equal(batches.find((row) => row.id === id)?.days, value, `doctors' days of ${id}`)
  const notes = await staff('SELECT NoteID AS id, NoteText AS text FROM dbo.tblAlignerNotes')
  for (const [id, value] of [...last.texts, ...made])
    t.equal(notes.find((row) => row.id === id)?.text, value, `doctors' note ${id}`)
})
