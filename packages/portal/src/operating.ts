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
import type { Database } from './pool.ts'

/** Records that one call asks of: each looks through the settled rows once. */
const PORTION = 10_000

/** What an operator asks of the portal's outbox. */
export const operating = (database: Database): Omit<Operable, 'rehearse'> => ({
  outboxStatus: () => outboxStatus(database),

  requeue: (filter) =>
    requeueInPages(filter, async ({ status, after, max, runningMs }) => {
      const [page] = await database.query(
        'SELECT requeued, looked, last_id FROM sync.requeue($1, $2, $3, $4, $5, $6, $7, $8)',
        [
          status,
          filter.table ?? null,
          filter.key ?? null,
          filter.olderThanSeconds ?? null,
          runningMs,
          after,
          max,
          filter.dryRun,
        ],
      )
      return { rows: Number(page?.requeued), looked: Number(page?.looked), last: page?.last_id ?? null }
    }),

  async recordVersions(records) {
    const answers: RecordVersionStatus[] = []
    for (let i = 0; i < records.length; i += PORTION)
      answers.push(...(await recordVersions(database, records.slice(i, i + PORTION))))
    return answers
  },
})

/** As `sync.outbox_status` prints it; statuses without a row are left out. */
interface Figures extends Omit<OutboxStatus, 'rows' | 'failed'> {
  readonly rows: Partial<OutboxStatus['rows']> | null
  readonly failed: readonly { readonly cause: string | null; readonly rows: number }[]
}

async function outboxStatus(database: Database): Promise<OutboxStatus> {
  const [row] = await database.query('SELECT sync.outbox_status() AS status')
  const figures = JSON.parse(row?.status ?? 'null') as Figures
  return {
    ...figures,
    rows: { Pending: 0, Queued: 0, Synced: 0, Failed: 0, ...figures.rows },
    failed: failedByCause(figures.failed),
  }
}

async function recordVersions(database: Database, records: readonly RecordVersion[]): Promise<RecordVersionStatus[]> {
  const asked = records.map(({ table, key, version }) => ({ table, key, version }))
  const rows = await database.query(
    'SELECT ordinal, status, reason, superseded_by FROM sync.record_versions($1) ORDER BY ordinal',
    [JSON.stringify(asked)],
  )
  return asked.map((record, index) => {
    const row = rows[index]
    if (row === undefined) throw new DatabaseError('down', 'sync.record_versions did not answer for every record')
    return {
      ...record,
      status: (row.status ?? null) as OutboxRowStatus | null,
      reason: row.reason ?? null,
      supersededBy: row.superseded_by ?? null,
    }
  })
}
