import type { Measure } from '../measure.ts'
import { RELAY } from '../report/targets.ts'
import { withChannel } from './connection.ts'
import { consumeAll } from './consuming.ts'
import { eventIn, payloadOf } from './payload.ts'
import { publishRaw } from './publisher.ts'
import { declareRaw } from './raw-queues.ts'
import { BATCH, makeRawTables, rawConnections, upsert } from './upsert.ts'

/** Transactions at a time. */
const CONNECTIONS = 2

/**
 * All three at once: one process publishes, this one consumes, writes, and acknowledges what is written. Nothing is read from the
 * clinic, checked, versioned or reported back: what this machine can do at best where everything shares its processors.
 */
export const rawRelay: Measure = {
  name: 'raw-relay',
  when: 'each',
  async prepare(stage, scale) {
    await payloadOf(stage, scale)
    await makeRawTables(stage)
    await this.run(stage, scale, 0)
  },
  async run(stage, scale) {
    const { messages } = await payloadOf(stage, scale)
    await stage.portal.query('VACUUM (ANALYZE)')
    const pool = rawConnections(stage, CONNECTIONS)
    try {
      return await withChannel(stage, async (channel) => {
        await declareRaw(channel)
        await Promise.all(Array.from({ length: CONNECTIONS }, () => pool.query('SELECT pg_sleep(0.01)')))
        const since = performance.now()
        const write = consumeAll(channel, messages.length, BATCH, (batch) => upsert(pool, batch.map(eventIn)))
        const [until] = await Promise.all([write, publishRaw(stage, scale)])
        return [{ name: RELAY, unit: 'changes/s', better: 'more', value: (messages.length * 1_000) / (until - since) }]
      })
    } finally {
      await pool.end()
    }
  },
}
