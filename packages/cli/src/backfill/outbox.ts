import { openScriptConnection, toDatabaseError } from '@clinic-sync/clinic'
import type { Unsettled } from './backfill.ts'

/** The backfill's one look into the outbox itself; needs SELECT on dbo.SyncQueue. */
export interface OutboxReader {
  /** @throws DatabaseError */
  unsettled(): Promise<Unsettled>
  close(): Promise<void>
}

/** Opens it; it connects at the first use. Asked at the end and after a silence only: nothing polls. */
export function openOutboxReader(url: string): OutboxReader {
  const connection = openScriptConnection(url, { requestTimeout: 60_000 })
  return {
    async unsettled() {
      const open = new Set<string>()
      const retrying = new Set<string>()
      try {
        const rows = await connection.batch(
          "SELECT QueueID, LastError FROM dbo.SyncQueue WHERE Status IN ('Pending', 'Queued')",
        )
        for (const { QueueID, LastError } of rows) (LastError === null ? open : retrying).add(String(QueueID))
      } catch (error) {
        throw toDatabaseError(error, 'reading dbo.SyncQueue')
      }
      return { open, retrying }
    },
    close: () => connection.close(),
  }
}
