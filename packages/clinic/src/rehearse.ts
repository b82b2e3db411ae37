import type { Key, Row, SyncEvent } from '@clinic-sync/contracts'
import { isTableName, type TableName, tableNamed } from '@clinic-sync/mapping'
import { DatabaseError, type Rehearsal } from '@clinic-sync/sync'
import sql from './driver.ts'
import { toOutcome } from './apply.ts'
import type { Collected, Inputs, Pool } from './pool.ts'
import { type PortalChange, toPortalChange, Unfit } from './portal-changes.ts'
import { rowFrom } from './values.ts'
import type { Zone } from './zone.ts'

/**
 * One batch, so that no lock outlasts it whatever becomes of this process: XACT_ABORT rolls back where the server ends it. The
 * doorbells that call by HTTP do so before the commit; they leave a session alone that says it is quiet (5 s at most).
 * Only procedures that the services' login may execute anyway.
 */
const REHEARSAL = `SET NOCOUNT ON
SET XACT_ABORT ON
DECLARE @quiet datetime2(3) = DATEADD(second, 4, SYSUTCDATETIME())
EXEC sys.sp_set_session_context @key = N'clinic-sync quiet until', @value = @quiet
EXEC sync.ReadRows @Table = @Table, @After = @After, @Max = 1
BEGIN TRANSACTION
EXEC sync.ApplyPortalChanges @Changes = @Changes
EXEC sync.ReadRows @Table = @Table, @After = @After, @Max = 1
IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION
EXEC sys.sp_set_session_context @key = N'clinic-sync quiet until', @value = NULL`
const READ = 'EXEC sync.ReadRows @Table = @Table, @After = @After, @Max = 1'
const DOING = 'sync.ApplyPortalChanges'
/** A procedure that rolled back, and gave its answer nevertheless: sync.ApplyPortalChanges, of an event that a CHECK refuses. */
const ROLLED_BACK = '266'
/** The lowest key there can be: an int's. None is before it. */
const FIRST = -2_147_483_648

/**
 * Applies one event in a transaction that is rolled back.
 *
 * @returns what it would do. An error that blames the event or its surroundings is a part of the answer.
 * @throws DatabaseError where the database cannot be used at all.
 */
export async function rehearse(pool: Pool, zone: Zone, event: SyncEvent): Promise<Rehearsal> {
  const { table, key, version } = event.data
  const none = { before: null, after: null }
  if (!isTableName(table)) {
    return { ...none, error: new DatabaseError('permanent', `${table} is not a synced table`) }
  }
  const record: Inputs = {
    Table: [sql.NVarChar(100), table],
    After: [sql.Int, key === FIRST ? null : key - 1],
  }
  let change: PortalChange
  try {
    change = toPortalChange(event, zone)
  } catch (error) {
    if (!(error instanceof Unfit)) throw error
    const { sets } = await pool.collect(READ, record, 'sync.ReadRows')
    const row = rowOf(sets[0], table, key, zone)
    const outcome = { table, key, version, outcome: 'dead' as const, code: error.code, reason: error.message }
    return { before: row, after: row, outcome }
  }
  const inputs: Inputs = { ...record, Changes: [sql.NVarChar(sql.MAX), JSON.stringify([change])] }
  return answer(await pool.collect(REHEARSAL, inputs, DOING), change, table, zone)
}

function answer({ sets, error }: Collected, change: PortalChange, table: TableName, zone: Zone): Rehearsal {
  // A trigger of the clinic's own may give rows too: each of ours is known by its columns.
  const ruled = sets.findIndex(([row]) => row !== undefined && 'Outcome' in row && 'Ordinal' in row)
  const before = rowOf(sets[0], table, change.key, zone)
  if (error !== null && (ruled === -1 || (error as DatabaseError).number !== ROLLED_BACK)) {
    return { before, after: before, error }
  }
  const outcome = toOutcome(change, sets[ruled]?.[0])
  return { before, after: error === null ? rowOf(sets.at(-1), table, change.key, zone) : before, outcome }
}

function rowOf(
  rows: readonly Record<string, unknown>[] | undefined,
  table: TableName,
  key: Key,
  zone: Zone,
): Row | null {
  const [row] = rows ?? []
  return row?.RecordID === key ? rowFrom(tableNamed(table), String(row.RowData), zone) : null
}
