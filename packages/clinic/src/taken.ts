import type { Change, Key } from '@clinic-sync/contracts'
import { isTableName, tableNamed } from '@clinic-sync/mapping'
import { DatabaseError, type Taken } from '@clinic-sync/sync'
import { rowFrom } from './values.ts'
import type { Zone } from './zone.ts'

type Cells = Readonly<Record<string, unknown>>

/**
 * What `sync.TakeChanges` gave: its changes and its one row of totals. Where the database is of the version before, which
 * takes from the start only, there is no `last`.
 *
 * @throws DatabaseError SYNC_NOT_MIGRATED where it is of another version.
 */
export function taken(rows: readonly Cells[], totals: Cells | undefined, zone: Zone): Taken {
  if (totals === undefined) throw otherVersion('sync.TakeChanges')
  const now = Date.now()
  const changes = rows.map((row): Change => {
    const table = String(row.TableName)
    if (!isTableName(table)) throw otherVersion('sync.TakeChanges')
    return {
      table,
      key: row.RecordID as Key,
      version: String(row.Version),
      seen: String(row.Seen),
      since: null,
      base: null,
      row: row.Deleted ? null : rowFrom(tableNamed(table), row.RowData as string, zone),
      // The two clocks may differ: only an age crosses.
      capturedAt: new Date(now - Number(row.AgeMs)).toISOString(),
    }
  })
  const last = totals.Last === undefined ? {} : { last: totals.Last === null ? null : String(totals.Last) }
  return { changes, rows: Number(totals.Rows), locked: Number(totals.Locked), ...last }
}

export function otherVersion(procedure: string): DatabaseError {
  return new DatabaseError('down', `${procedure} of the clinic's database is of another version.`, {
    code: 'SYNC_NOT_MIGRATED',
  })
}
