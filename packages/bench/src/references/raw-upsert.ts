import type { SyncEvent } from '@clinic-sync/contracts'
import { tables } from '@clinic-sync/mapping'
import type { Measure } from '../measure.ts'
import { UPSERT } from '../report/targets.ts'
import type { Stage } from '../stage/stage.ts'
import { eventIn, payloadOf } from './payload.ts'
import { BATCH, makeRawTables, rawConnections, upsert } from './upsert.ts'

/** Batches on their way at a time, each on a connection of its own: what one waits for its flush, the other works. */
const CONNECTIONS = 2

/** The rows of a sustained drain written by pg alone: 200 a statement, a transaction each. No versions, no locks, no bookkeeping. */
export const rawUpsert: Measure = {
  name: 'raw-upsert',
  when: 'each',
  async prepare(stage, scale) {
    const { messages } = await payloadOf(stage, scale)
    await makeRawTables(stage)
    // The first time the rows are inserted.
    await writeAll(stage, messages.map(eventIn))
  },
  async run(stage, scale) {
    const { messages } = await payloadOf(stage, scale)
    const events = messages.map(eventIn)
    await stage.portal.query('VACUUM (ANALYZE)')
    const ms = await writeAll(stage, events)
    return [{ name: UPSERT, unit: 'changes/s', better: 'more', value: (events.length * 1_000) / ms }]
  },
}

/** @returns milliseconds */
async function writeAll(stage: Stage, events: readonly SyncEvent[]): Promise<number> {
  const batches = tables.flatMap(({ name }) => {
    const ofTable = events.filter(({ data }) => data.table === name)
    return Array.from({ length: Math.ceil(ofTable.length / BATCH) }, (_, i) =>
      ofTable.slice(i * BATCH, (i + 1) * BATCH),
    )
  })
  const pool = rawConnections(stage, CONNECTIONS)
  try {
    await Promise.all(Array.from({ length: CONNECTIONS }, () => pool.query('SELECT pg_sleep(0.01)')))
    const since = performance.now()
    let next = 0
    const worker = async () => {
      for (let batch = batches[next++]; batch !== undefined; batch = batches[next++]) await upsert(pool, batch)
    }
    await Promise.all(Array.from({ length: CONNECTIONS }, worker))
    return performance.now() - since
  } finally {
    await pool.end()
  }
}
