import { openScriptConnection, toDatabaseError } from '@clinic-sync/clinic'
import type { Side } from '@clinic-sync/contracts'
import { isTableName } from '@clinic-sync/mapping'
import { spread } from '@clinic-sync/operations'
import { portalAddress } from '@clinic-sync/portal'
import type { Environment } from '@clinic-sync/runtime'
import { DatabaseError, type OutboxRowStatus } from '@clinic-sync/sync'
import pg from 'pg'
import { adminUrl, portalAdminUrl } from '../admin-url.ts'

/** An outbox row that is not done. Ages are by the clock of its database. */
export interface OpenRow {
  readonly side: Side
  readonly queueId: string
  /** `other`: none of the synced tables. */
  readonly table: string
  readonly key: number
  readonly operation: string
  readonly status: Exclude<OutboxRowStatus, 'Synced'>
  readonly ageSeconds: number
  readonly attempts: number
  readonly lastAttemptSecondsAgo: number | null
  /** What LastError begins with; null: there is none. `other`: it is not in our words. */
  readonly code: string | null
  /** LastError, where it is in our words and an operator has not given the row up: his reason is free text. */
  readonly reason: string | null
}

const STATUSES = ['Failed', 'Queued', 'Pending'] as const
/** Rows that are looked at of each status, the oldest first; and those of them that are told, some of each cause. */
const LOOKED_AT = 1_000
const EACH = 50
const WAIT_MS = 8_000

/**
 * The oldest rows of a side's outbox that are not done. The services' login may not read it row by row: it takes the one that installs.
 *
 * @throws DatabaseError, SyncError SYNC_CONFIG
 */
export async function openRows(side: Side, environment: Environment): Promise<OpenRow[]> {
  const rows =
    side === 'clinic' ? await clinicRows(adminUrl(environment)) : await portalRows(portalAdminUrl(environment))
  const open = rows.map((row) => toOpenRow(side, row))
  return STATUSES.flatMap((status) =>
    spread(
      open.filter((row) => row.status === status),
      ({ code }) => code ?? '',
      EACH,
    ),
  )
}

type Raw = Readonly<Record<'id' | 'tbl' | 'rec' | 'op' | 'st' | 'age' | 'tries' | 'tried' | 'err', unknown>>

async function clinicRows(url: string): Promise<Raw[]> {
  const connection = openScriptConnection(url, { requestTimeout: WAIT_MS })
  try {
    const rows: Raw[] = []
    for (const status of STATUSES) {
      // Waits for nobody's open transaction; a row that is then rolled back does no harm here.
      const found = await connection.batch(
        `SELECT TOP (${LOOKED_AT}) QueueID AS id, TableName AS tbl, RecordID AS rec, Operation AS op, Status AS st,
           DATEDIFF(second, CreatedAt, SYSDATETIME()) AS age, Attempts AS tries,
           DATEDIFF(second, LastAttempt, SYSDATETIME()) AS tried, LastError AS err
         FROM dbo.SyncQueue WITH (NOLOCK) WHERE Status = N'${status}' ORDER BY QueueID`,
      )
      rows.push(...(found as unknown as Raw[]))
    }
    return rows
  } catch (error) {
    throw toDatabaseError(error, 'reading dbo.SyncQueue')
  } finally {
    connection.close().catch(() => undefined)
  }
}

async function portalRows(url: string): Promise<Raw[]> {
  const client = new pg.Client({
    ...portalAddress(url, 'POSTGRES_ADMIN_URL'),
    application_name: 'clinic-sync support-bundle',
    connectionTimeoutMillis: WAIT_MS,
    query_timeout: WAIT_MS,
  })
  client.on('error', () => undefined)
  try {
    await client.connect()
    const rows: Raw[] = []
    for (const status of STATUSES) {
      const found = await client.query<Raw>(
        `SELECT queue_id AS id, table_name AS tbl, record_id AS rec, operation AS op, status AS st,
           extract(epoch FROM clock_timestamp() - created_at)::bigint AS age, attempts AS tries,
           extract(epoch FROM clock_timestamp() - last_attempt)::bigint AS tried, last_error AS err
         FROM sync.queue WHERE status = $1 ORDER BY queue_id LIMIT ${LOOKED_AT}`,
        [status],
      )
      rows.push(...found.rows)
    }
    return rows
  } catch (error) {
    // A server's message may quote what it was given: its code is enough.
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'no answer'
    throw new DatabaseError('permanent', `sync.queue cannot be read row by row with this login (${code})`, {
      number: code,
    })
  } finally {
    client.end().catch(() => undefined)
  }
}

function toOpenRow(side: Side, row: Raw): OpenRow {
  const error = typeof row.err === 'string' && row.err !== '' ? row.err : null
  const code = error === null ? null : (/^(\w{1,64})(?=:|$)/.exec(error)?.[1] ?? 'other')
  const isOurs = code !== null && code !== 'other' && code !== 'SYNC_DISCARDED'
  return {
    side,
    queueId: String(row.id),
    table: isTableName(String(row.tbl)) ? String(row.tbl) : 'other',
    key: Number(row.rec),
    operation: String(row.op),
    status: String(row.st) as OpenRow['status'],
    ageSeconds: Number(row.age),
    attempts: Number(row.tries),
    lastAttemptSecondsAgo: row.tried === null ? null : Number(row.tried),
    code,
    reason: isOurs ? error : null,
  }
}
