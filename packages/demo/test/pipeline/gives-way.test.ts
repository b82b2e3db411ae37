import type mssql from 'mssql'
import type pg from 'pg'
import t from 'tap'
import { compareSides } from '../../src/compare.ts'
import { connectClinic } from '../../src/run/clinic-pool.ts'
import { addCase, preparePipeline } from './pipeline.ts'

// Where the sync and people meet on the same rows, the sync gives way: no edit fails, and none waits noticeably longer.

t.setTimeout(400_000)

const ROWS = 50
const EDITS = 2_000
/** People at work on each side. */
const PEOPLE = 4
const P99_MS = 100

const prepared = await preparePipeline(t)
const { clinic, portal, sides, simulator } = prepared

/** One person's way to change rows: alone, or several in one transaction. Resolves when it is committed. */
type Edit = (keys: readonly number[], value: number) => Promise<void>

function doctor(pool: pg.Pool): Edit {
  return async (keys, value) => {
    const client = await pool.connect()
    try {
      if (keys.length > 1) await client.query('BEGIN')
      for (const key of keys)
        await client.query('UPDATE aligner_batches SET days = $1 WHERE aligner_batch_id = $2', [value, key])
      if (keys.length > 1) await client.query('COMMIT')
    } finally {
      client.release()
    }
  }
}

const staff = (pool: mssql.ConnectionPool): Edit => {
  const update = (key: number, value: number) =>
    `UPDATE dbo.tblAlignerBatches SET ${value % 2 ? `Days = ${value}` : `Notes = N'note ${value}'`} WHERE AlignerBatchID = ${key}`
  return async (keys, value) => {
    const statements = keys.map((key) => update(key, value)).join('; ')
    await pool.request().batch(keys.length > 1 ? `BEGIN TRANSACTION; ${statements}; COMMIT` : statements)
  }
}

/**
 * Makes `EDITS` edits on the same rows, by several people at once, every tenth of three rows in one transaction.
 *
 * @returns how long each took, in ms, sorted
 */
async function work(edit: Edit, seed: number): Promise<number[]> {
  const took: number[] = []
  let next = 0
  const person = async () => {
    for (let number = next++; number < EDITS; number = next++) {
      const first = (number * 7 + seed) % (ROWS - 2)
      const keys = (number % 10 === 0 ? [first, first + 1, first + 2] : [first]).map((row) => row + 1)
      const before = performance.now()
      await edit(keys, 1 + ((number * 13 + seed) % 1_000))
      took.push(performance.now() - before)
    }
  }
  await Promise.all(Array.from({ length: PEOPLE }, person))
  return took.sort((a, b) => a - b)
}

const p99 = (sorted: readonly number[]) => sorted[Math.floor(sorted.length * 0.99)] ?? Number.NaN

t.test(
  '2,000 edits by doctors and 2,000 by staff on 50 rows that are synced meanwhile (the clinic’s locks: the simulator’s)',
  async (t) => {
    const office = await connectClinic(simulator.url, PEOPLE)
    t.teardown(() => office.close())
    await addCase(clinic, 1)
    for (let key = 1; key <= ROWS; key++)
      await clinic
        .request()
        .batch(
          `INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount, Days) VALUES (1, ${key}, 2, 2, 7)`,
        )
    // The portal gets its rows by the sync itself, which then stands still for the first measurement.
    const first = await prepared.start()
    await first.settled()
    await first.stop()

    const [doctorsAlone, staffAlone] = await Promise.all([work(doctor(portal), 1), work(staff(office), 2)])
    const { settled } = await prepared.start()
    await settled()

    const both = Promise.all([work(doctor(portal), 3), work(staff(office), 4)])
    const [doctors, staffs] = await both
    t.equal(doctors.length, EDITS, 'no edit of a doctor failed')
    t.equal(staffs.length, EDITS, 'no edit of the staff failed')
    for (const [who, alone, meanwhile] of [
      ['doctors', doctorsAlone, doctors],
      ['staff', staffAlone, staffs],
    ] as const) {
      t.comment(
        `${who}: 99th percentile ${p99(alone).toFixed(1)} ms alone, ${p99(meanwhile).toFixed(1)} ms with the sync`,
      )
      t.ok(p99(meanwhile) - p99(alone) < P99_MS, `${who} wait less than ${P99_MS} ms longer`)
    }
    await settled()
    const failed = await portal.query(`SELECT count(*)::int AS n FROM sync.queue WHERE status = 'Failed'`)
    t.equal(failed.rows[0]?.n, 0)
    const comparisons = await compareSides(sides.clinic, sides.portal)
    t.same(
      comparisons.flatMap(({ differences }) => differences),
      [],
      'both sides are equal in the end',
    )
  },
)
