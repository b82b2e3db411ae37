import type { Row, Value } from '@clinic-sync/contracts'
import { allColumns, type Column, type Table } from '@clinic-sync/mapping'
import { DatabaseError } from '@clinic-sync/sync'
import type { Zone } from './zone.ts'

/**
 * `RowData` of the procedures of schema sync to the row as it travels. It is parsed once; instants come as wall clock.
 *
 * @throws DatabaseError SYNC_NOT_MIGRATED where the row is not what this version's mapping says: the procedures were
 * generated from another one.
 */
export function rowFrom(table: Table, rowData: string, zone: Zone): Row {
  const parsed: unknown = JSON.parse(rowData)
  const row: Row = {}
  for (const column of allColumns(table)) row[column.name] = valueOf(table, column, parsed, zone)
  return row
}

function valueOf(table: Table, column: Column, parsed: unknown, zone: Zone): Value {
  const value = (parsed as Record<string, unknown>)[column.name]
  if (value === null) return null
  switch (column.type) {
    case 'int':
      if (Number.isSafeInteger(value)) return value as number
      break
    case 'boolean':
      if (typeof value === 'boolean') return value
      break
    case 'instant':
      if (typeof value === 'string') return instantOf(table, column, value, zone)
      break
    default:
      if (typeof value === 'string') return value
  }
  throw new DatabaseError(
    'down',
    `The clinic's procedures give no ${column.type} for column ${column.name} of ${table.name}: they are of another version.`,
    { code: 'SYNC_NOT_MIGRATED' },
  )
}

function instantOf(table: Table, column: Column, wall: string, zone: Zone): string {
  try {
    return zone.toInstant(wall)
  } catch (cause) {
    throw new DatabaseError('permanent', `Column ${column.name} of ${table.name} holds no time that can be read.`, {
      cause,
    })
  }
}
