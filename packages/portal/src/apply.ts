import { setTimeout } from 'node:timers/promises'
import type { Outcome, OutcomeKind, SyncEvent } from '@clinic-sync/contracts'
import { allColumns, isTableName, tableNamed } from '@clinic-sync/mapping'
import { DatabaseError, natureOf } from '@clinic-sync/sync'
import { check } from './check.ts'
import type { Database, Log } from './pool.ts'
import { portalRow } from './wire.ts'

/** Postgres ends one of two transactions that cross; it goes through at the next try. */
const CROSSED = new Set(['40001', '40P01'])
const TRIES = 4
/** Characters of JSON in one call. Postgres' jsonb ends at 256 MB, a JavaScript string at 512 M. */
const MAX_TEXT = 100_000_000

/** Applies events in one transaction and one round trip: `sync.apply_clinic_changes`. */
export async function applyChanges(database: Database, log: Log, events: readonly SyncEvent[]): Promise<Outcome[]> {
  if (events.length === 0) return []
  const changes = toJson(events, log)
  for (let attempt = 1; ; attempt++) {
    try {
      const rows = await database.query('SELECT ordinal, outcome, code, reason FROM sync.apply_clinic_changes($1)', [
        changes,
      ])
      return toOutcomes(events, rows)
    } catch (error) {
      if (!(error instanceof DatabaseError)) throw error
      if (error.failure === 'down' && natureOf(error.number, 'portal') === 'misfit')
        throw named(await blamed(error, database), events)
      if (attempt === TRIES || !CROSSED.has(error.number ?? '')) throw named(error, events)
      // Far enough apart that two batches which crossed do not cross again.
      await setTimeout(Math.random() * 20 * 2 ** attempt)
    }
  }
}

/**
 * Whose fault it is that something is missing. Where all that the sync needs is there, it is a trigger of the portal's own that
 * fails on one of the rows: that must not hold up the others, as a database that is down does.
 */
async function blamed(error: DatabaseError, database: Database): Promise<DatabaseError> {
  await check(database)
  return new DatabaseError('transient', `in a trigger of the portal: ${error.message}`, { number: error.number })
}

export function toJson(events: readonly SyncEvent[], log: Log): string {
  const parts: string[] = []
  let length = 0
  for (const { data } of events) {
    const { table, key, version, seen } = data
    if (!isTableName(table)) throw new DatabaseError('permanent', `${table} is not a synced table`)
    const row = data.row && portalRow(table, key, data.row, log)
    const part = JSON.stringify({ table, key, version, seen, row })
    length += part.length
    if (length > MAX_TEXT) throw new DatabaseError('permanent', 'the batch is too large for one statement')
    parts.push(part)
  }
  return `[${parts.join(',')}]`
}

export function toOutcomes(events: readonly SyncEvent[], rows: readonly Record<string, string | null>[]): Outcome[] {
  const byOrdinal = new Map(rows.map((row) => [Number(row.ordinal), row]))
  return events.map(({ data: { table, key, version } }, index) => {
    const row = byOrdinal.get(index + 1)
    if (!row) throw new DatabaseError('down', 'sync.apply_clinic_changes did not answer for every event')
    const [outcome, code, reason] = [row.outcome as OutcomeKind, row.code, row.reason]
    return { table, key, version, outcome, ...(code && { code }), ...(reason && { reason }) }
  })
}

/** Of a single event's failure, says which record, and for a text too long, which column. */
export function named(error: DatabaseError, events: readonly SyncEvent[]): DatabaseError {
  const [event] = events
  if (event === undefined || events.length > 1 || error.failure === 'down') return error
  const { table, key, row } = event.data
  if (error.message.startsWith(`${table}.`) || !isTableName(table)) return error
  const options = { code: error.code, number: error.number }
  if (error.number === '22001' && row) {
    for (const { name, portalType } of allColumns(tableNamed(table))) {
      const limit = Number(/^varchar\((\d+)\)$/.exec(portalType)?.[1] ?? Number.POSITIVE_INFINITY)
      const value = row[name]
      if (typeof value === 'string' && [...value].length > limit) {
        return new DatabaseError(error.failure, `${table}.${name} is longer than ${limit} characters (22001)`, options)
      }
    }
  }
  return new DatabaseError(error.failure, `${table}/${key}: ${error.message}`, options)
}
