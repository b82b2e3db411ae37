import type { Change, Key, Row, Settlement } from '@clinic-sync/contracts'
import type { TableName } from '@clinic-sync/mapping'
import type { KeyedRow, Taken } from '@clinic-sync/sync'
import type { Database } from './pool.ts'

/** `locked`: of the outbox's own rows; of a record's row that somebody holds Postgres reads the last committed state. */
export async function takeChanges(database: Database, max: number, after: string | null = null): Promise<Taken> {
  const [row] = await database.query('SELECT taken, changes, last, locked FROM sync.take_changes($1, $2)', [max, after])
  return {
    // Safe to parse: the function gives bigint and numeric as strings.
    changes: JSON.parse(row?.changes ?? '[]') as Change[],
    rows: Number(row?.taken ?? 0),
    locked: Number(row?.locked ?? 0),
    last: row?.last ?? null,
  }
}

export async function settleChanges(database: Database, settlements: readonly Settlement[]): Promise<void> {
  // An outcome that overtook its own "queued" counts.
  const queued = settlements.filter(({ outcome }) => outcome === 'queued')
  const outcomes = settlements.filter(({ outcome }) => outcome !== 'queued')
  for (const part of [queued, outcomes]) {
    if (part.length > 0) await database.query('SELECT sync.settle_changes($1)', [JSON.stringify(part)])
  }
}

export async function readRows(
  database: Database,
  table: TableName,
  after: Key | null,
  max: number,
): Promise<KeyedRow[]> {
  const rows = await database.query('SELECT record_id, row_data FROM sync.read_rows($1, $2, $3)', [table, after, max])
  return rows.map((row) => ({ key: Number(row.record_id), row: JSON.parse(row.row_data ?? '{}') as Row }))
}
