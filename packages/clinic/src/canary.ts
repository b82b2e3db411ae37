import type { Version } from '@clinic-sync/contracts'
import type { CanaryRow, OutboxRowStatus, SentCanary, Traceable } from '@clinic-sync/sync'
import sql from './driver.ts'
import type { Pool } from './pool.ts'
import { otherVersion } from './taken.ts'

/** The canary in the clinic. */
export const traceable = (pool: Pool): Traceable => ({
  async sendCanary(token) {
    const [[sent] = []] = await pool.execute('sync.SendCanary', { Token: [sql.NVarChar(sql.MAX), token] })
    if (sent === undefined) throw otherVersion('sync.SendCanary')
    return { queueId: sent.QueueID as Version | null, trigger: sent.TriggerState as SentCanary['trigger'] }
  },

  async readCanary(queueId) {
    const [[found] = []] = await pool.execute('sync.ReadCanary', { QueueID: [sql.BigInt, queueId] })
    if (found === undefined) throw otherVersion('sync.ReadCanary')
    const row = (id: unknown, status: unknown, reason: unknown): CanaryRow | null =>
      id === null || status === null
        ? null
        : { queueId: String(id), status: status as OutboxRowStatus, reason: reason as string | null }
    return {
      applied: String(found.Seen),
      isHeld: found.Held !== null,
      row: row(queueId, found.Status, found.LastError),
      newest: row(found.LastID, found.LastStatus, found.LastReason),
    }
  },
})
