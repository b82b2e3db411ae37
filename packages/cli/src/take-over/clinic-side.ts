import { openScriptConnection, toDatabaseError } from '@clinic-sync/clinic'
import { type Table, tables } from '@clinic-sync/mapping'
import type { Key } from '@clinic-sync/contracts'
import type { Known } from './judge.ts'

const QUEUES = ['dbo.SyncQueue', 'dbo.SyncQueue_original'] as const

/** What of the clinic only the login that installs may do. */
export interface ClinicSide {
  /** Of each record of which an outbox, the original's or ours, has something unsent, or a delete. */
  known(table: Table): Promise<ReadonlyMap<Key, Known>>
  /** Has the portal's rows of these keys deleted: by way of the outbox, as if they were deleted now. */
  sendDeletes(table: Table, keys: readonly Key[]): Promise<void>
  /** Notes that both sides have been compared: from now on changes are sent. */
  done(): Promise<void>
  close(): Promise<void>
}

/** @param url with the login that installs. Connects at the first use. */
export function openClinicSide(url: string): ClinicSide {
  const connection = openScriptConnection(url)
  const batch = (sql: string) =>
    connection.batch(sql).catch((error: unknown) => {
      throw toDatabaseError(error, 'reading dbo.SyncQueue')
    })
  let queues: readonly string[] | undefined
  return {
    async known({ name }) {
      const [row = {}] = await batch(`SELECT ${QUEUES.map((queue, i) => `OBJECT_ID(N'${queue}') AS q${i}`).join(', ')}`)
      queues ??= QUEUES.filter((_, i) => row[`q${i}`] !== null)
      const records = new Map<Key, Known>()
      for (const queue of queues) {
        // What the original had begun or given up is as unsent as what it had not; in the table set aside only deletes count.
        const unsent = queue === QUEUES[0] ? " OR Status <> N'Synced'" : ''
        const rows = await batch(`SELECT RecordID, Operation, Status FROM ${queue}
          WHERE TableName = N'${name}' AND RecordID IS NOT NULL AND (Operation = N'DELETE'${unsent})`)
        for (const { RecordID, Operation, Status } of rows) {
          const before = records.get(Number(RecordID)) ?? { unsent: false, deleted: false }
          records.set(Number(RecordID), {
            unsent: before.unsent || (queue === QUEUES[0] && Status !== 'Synced'),
            deleted: before.deleted || Operation === 'DELETE',
          })
        }
      }
      return records
    },
    async sendDeletes({ name }, keys) {
      for (let i = 0; i < keys.length; i += 500) {
        const values = keys.slice(i, i + 500).map((key) => `(N'${name}', ${key}, N'DELETE')`)
        await batch(`INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation) VALUES ${values.join(', ')}`)
      }
    },
    async done() {
      await batch(
        "DELETE FROM sync.Settings WHERE Name = N'TakenOver'; INSERT INTO sync.Settings (Name, Value) VALUES (N'TakenOver', N'1')",
      )
    },
    close: () => connection.close(),
  }
}

/** Every synced table, children before parents: a parent's delete takes its children with it, unseen by anybody. */
export const childrenFirst: readonly Table[] = [...tables].toReversed()
