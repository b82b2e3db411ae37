import type { Key, Version } from '@clinic-sync/contracts'
import {
  DatabaseError,
  failedByCause,
  type Operable,
  type OutboxRowStatus,
  type OutboxStatus,
  type RecordVersion,
  type RecordVersionStatus,
  requeueInPages,
} from '@clinic-sync/sync'
import sql from './driver.ts'
import type { Pool } from './pool.ts'

/** Records that one call asks of. */
const PORTION = 1_000

/** What an operator asks of the clinic's outbox. */
export const operating = (pool: Pool): Omit<Operable, 'rehearse'> => ({
  outboxStatus: () => outboxStatus(pool),

  requeue: (filter) =>
    requeueInPages(filter, async ({ status, after, max, runningMs }) => {
      const [[page] = []] = await pool.execute('sync.Requeue', {
        Status: [sql.NVarChar(20), status],
        Table: [sql.NVarChar(100), filter.table ?? null],
        Key: [sql.Int, filter.key ?? null],
        OlderThanSeconds: [sql.Int, filter.olderThanSeconds ?? null],
        RunningMs: [sql.Int, runningMs],
        After: [sql.BigInt, after],
        Max: [sql.Int, max],
        DryRun: [sql.Bit, filter.dryRun],
      })
      if (page === undefined) throw otherVersion('sync.Requeue')
      return { rows: Number(page.Rows), looked: Number(page.Looked), last: page.LastID as string | null }
    }),

  async recordVersions(records) {
    const answers: RecordVersionStatus[] = []
    for (let i = 0; i < records.length; i += PORTION)
      answers.push(...(await recordVersions(pool, records.slice(i, i + PORTION))))
    return answers
  },
})

async function outboxStatus(pool: Pool): Promise<OutboxStatus> {
  const [[figures] = [], failed = [], [last] = []] = await pool.execute('sync.OutboxStatus', {})
  if (figures === undefined) throw otherVersion('sync.OutboxStatus')
  const now = figures.UtcNow as Date
  // The clinic's clock is on its wall: only ages can be told in UTC.
  const ago = (ms: unknown): string => new Date(now.getTime() - Number(ms)).toISOString()
  const agoOrNull = (ms: unknown): string | null => (ms === null ? null : ago(ms))
  return {
    now: now.toISOString(),
    rows: {
      Pending: Number(figures.Pending),
      Queued: Number(figures.Queued),
      Synced: Number(figures.Synced),
      Failed: Number(figures.Failed),
    },
    oldestPending: agoOrNull(figures.OldestPendingMs),
    oldestQueued: agoOrNull(figures.OldestQueuedMs),
    retrying: Number(figures.Retrying),
    failed: failedByCause(failed.map(({ Cause, Rows }) => ({ cause: Cause as string | null, rows: Number(Rows) }))),
    last:
      last === undefined
        ? null
        : {
            table: String(last.TableName),
            key: last.RecordID as Key,
            capturedAt: ago(last.CapturedMs),
            settledAt: ago(last.SettledMs),
          },
  }
}

async function recordVersions(pool: Pool, records: readonly RecordVersion[]): Promise<RecordVersionStatus[]> {
  const asked = records.map(({ table, key, version }) => ({ table, key, version }))
  const [rows = []] = await pool.execute('sync.RecordVersions', {
    Records: [sql.NVarChar(sql.MAX), JSON.stringify(asked)],
  })
  const found = new Map(rows.map((row) => [Number(row.Ordinal), row]))
  return asked.map((record, index) => {
    const row = found.get(index + 1)
    if (row === undefined) throw otherVersion('sync.RecordVersions')
    return {
      ...record,
      status: row.Status as OutboxRowStatus | null,
      reason: row.LastError as string | null,
      supersededBy: row.SupersededBy as Version | null,
    }
  })
}

const otherVersion = (procedure: string) =>
  new DatabaseError('down', `${procedure} of the clinic's database is of another version.`, {
    code: 'SYNC_NOT_MIGRATED',
  })
