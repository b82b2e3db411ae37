import type { Key, Version } from '@clinic-sync/contracts'
import { isTableName } from '@clinic-sync/mapping'
import {
  type Bookkeeping,
  type Comparable,
  type Connections,
  DatabaseError,
  type Hold,
  type RecordName,
} from '@clinic-sync/sync'
import sql from './driver.ts'
import type { Pool } from './pool.ts'

/** A record to be sent; `seen`: what the portal has sent of it up to this version is not to be processed any more. */
export interface QueuedRecord extends RecordName {
  readonly seen?: Version
}

/** What after-restore does in the clinic; it needs the login that installs. */
export interface Restorable {
  /**
   * Moves the queue ids above `seen`, the highest version of the clinic's that the portal has had, and sends anew what is not settled.
   *
   * @returns how many rows
   */
  resumeAfterRestore(seen: Version): Promise<number>
  /** Queues records in this order; one that is not here is sent as deleted. Of none: rejects where this login may not. */
  queueRecords(records: readonly QueuedRecord[]): Promise<void>
}

/** Records that one call asks of. */
const PORTION = 1_000

export const comparable = (pool: Pool, connections: Connections): Comparable => ({
  connections: () => connections.counts,

  async bookkeeping(records, newest): Promise<Bookkeeping> {
    const asked = JSON.stringify(records.map(({ table, key }) => ({ table, key })))
    const [[own] = [], latest = [], applied = []] = await pool.execute('sync.Bookkeeping', {
      Records: [sql.NVarChar(sql.MAX), asked],
      Max: [sql.Int, newest],
    })
    if (own === undefined || applied.length !== records.length) throw otherVersion()
    const byOrdinal = new Map(applied.map((row) => [Number(row.Ordinal), row]))
    const answers = records.map((_, i) => byOrdinal.get(i + 1))
    return {
      lastId: own.LastID === null ? null : String(own.LastID),
      seen: String(own.Seen),
      held: own.Held as Hold | null,
      lowestKey: own.LowestKey as Key | null,
      latest: latest.flatMap(({ TableName, RecordID, Version }) => {
        const table = String(TableName)
        return isTableName(table) ? [{ table, key: RecordID as Key, version: String(Version) }] : []
      }),
      applied: answers.map((row) => String(row?.Seen ?? '0')),
      open: answers.map((row) => Boolean(row?.IsOpen)),
      born: answers.map((row) => Boolean(row?.IsNew)),
    }
  },

  async hold(why) {
    await pool.execute('sync.HoldPortalChanges', { Why: [sql.NVarChar(20), why] })
  },
})

export const restorable = (pool: Pool): Restorable => ({
  async resumeAfterRestore(seen) {
    const [[row] = []] = await pool.execute('sync.ResumeAfterRestore', { Seen: [sql.BigInt, seen] })
    return Number(row?.Rows)
  },

  async queueRecords(records) {
    for (let i = 0; i === 0 || i < records.length; i += PORTION) {
      const portion = records
        .slice(i, i + PORTION)
        .map(({ table, key, seen }) => ({ table, key, ...(seen && { seen }) }))
      await pool.execute('sync.QueueRecords', { Records: [sql.NVarChar(sql.MAX), JSON.stringify(portion)] })
    }
  },
})

const otherVersion = () =>
  new DatabaseError('down', "sync.Bookkeeping of the clinic's database is of another version.", {
    code: 'SYNC_NOT_MIGRATED',
  })
