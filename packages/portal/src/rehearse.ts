import type { Key, Row, SyncEvent } from '@clinic-sync/contracts'
import { isTableName } from '@clinic-sync/mapping'
import { DatabaseError, type Rehearsal } from '@clinic-sync/sync'
import pg from 'pg'
import { named, toJson, toOutcomes } from './apply.ts'
import { readRows } from './outbox.ts'
import type { Database, Log } from './pool.ts'

/** The lowest key there can be: an int's. None is before it. */
const FIRST = -2_147_483_648

/**
 * Applies one event in a transaction that is rolled back, all of it in one message to the server: whatever becomes of this
 * process, no lock stays. Constraints that are checked at the commit are checked before the end.
 *
 * @returns what it would do. An error that blames the event or its surroundings is a part of the answer.
 * @throws DatabaseError where the database cannot be used at all.
 */
export async function rehearse(database: Database, log: Log, event: SyncEvent): Promise<Rehearsal> {
  const { table, key } = event.data
  if (!isTableName(table)) {
    return { before: null, after: null, error: new DatabaseError('permanent', `${table} is not a synced table`) }
  }
  try {
    const read = readStatement(table, key)
    const changes = pg.escapeLiteral(toJson([event], log))
    const sets = await database.script(
      [
        'BEGIN',
        read,
        `SELECT ordinal, outcome, code, reason FROM sync.apply_clinic_changes(${changes}::jsonb)`,
        'SET CONSTRAINTS ALL IMMEDIATE',
        read,
        'ROLLBACK',
      ].join(';\n'),
    )
    const [, was = [], outcomes = [], , is = []] = sets
    const [outcome] = toOutcomes([event], outcomes)
    if (outcome === undefined) throw new DatabaseError('down', 'sync.apply_clinic_changes did not answer')
    return { before: rowOf(was, key), after: rowOf(is, key), outcome }
  } catch (error) {
    if (!(error instanceof DatabaseError) || error.failure === 'down') throw error
    // The transaction went with the connection.
    const [found] = await readRows(database, table, key === FIRST ? null : key - 1, 1)
    const before = found?.key === key ? found.row : null
    return { before, after: before, error: named(error, [event]) }
  }
}

const readStatement = (table: string, key: Key) =>
  `SELECT record_id, row_data FROM sync.read_rows(${pg.escapeLiteral(table)}, ${key === FIRST ? 'NULL' : key - 1}, 1)`

function rowOf(rows: readonly Record<string, string | null>[], key: Key): Row | null {
  const [row] = rows
  return row === undefined || Number(row.record_id) !== key ? null : (JSON.parse(row.row_data ?? '{}') as Row)
}
