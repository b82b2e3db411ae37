import type { Value } from '@clinic-sync/contracts'
import type { Table as Mapped } from '@clinic-sync/mapping'
import type { Conflict, Values } from '@clinic-sync/sync'
import { acquire } from '../engine/locks.ts'
import type { Row } from '../engine/row.ts'
import type { Table } from '../engine/table.ts'
import type { Work } from '../engine/work.ts'
import { complete, deleteRows, emptyRow, insertRows, updateRows } from '../engine/write.ts'
import type { SqlValue } from '../values/types.ts'
import type { Ruled } from './apply.ts'
import { toColumn } from './apply-types.ts'
import { enqueue } from './capture.ts'

/** Writes what has been ruled: the business rows, a statement a table, in key order; then the bookkeeping. */
export function writeRulings(work: Work, ruled: readonly Ruled[]): void {
  const ordered = [...ruled].sort((a, b) => a.key - b.key)
  for (const table of new Set(ordered.map((each) => each.table))) {
    const own = ordered.filter((each) => each.table === table)
    const those = (write: 'insert' | 'update' | 'delete') => own.filter(({ ruling }) => ruling.write === write)
    const deleted = those('delete').flatMap(({ row }) => row ?? [])
    const inserted = those('insert').map((each) => valuesOf(each, emptyRow(work, table)))
    const updated = those('update').flatMap((each) =>
      each.row === null ? [] : [{ row: each.row, values: valuesOf(each, [...each.row.values]) }],
    )
    // Without rows no statement runs, and no trigger fires.
    if (deleted.length > 0) deleteRows(work, table, deleted)
    if (inserted.length > 0) insertRows(work, table, inserted)
    if (updated.length > 0) updateRows(work, table, updated)
  }
  for (const each of ordered) if (each.ruling.record !== each.before) remember(work, each)
  log(work, ordered)
  for (const { records, key, ruling } of ordered) {
    if (ruling.queue !== null) enqueue(work, [{ table: records.mapped.name, key, operation: ruling.queue }])
  }
}

/** The row with the columns that the ruling writes. */
function valuesOf({ records, table, ruling }: Ruled, values: SqlValue[]): readonly SqlValue[] {
  for (const { column, ordinal } of records.columns) {
    if (!ruling.written.includes(column.name)) continue
    const type = table.columns[ordinal]?.type
    if (type !== undefined) values[ordinal] = toColumn(ruling.record.row?.[column.name] ?? null, type)
  }
  return complete(table, values)
}

function remember(work: Work, { records, key, state, ruling }: Ruled): void {
  const table = work.db.table('sync', 'RowState')
  const { seen, reported } = ruling.record
  const values = filled(work, table, {
    TableName: records.mapped.name,
    RecordID: key,
    SeenPortalVersion: seen,
    PortalValues: reported && JSON.stringify(reported),
  })
  if (state === undefined) insertRows(work, table, [values])
  else write(work, table, state, values)
}

function write(work: Work, table: Table, row: Row, values: readonly SqlValue[]): void {
  acquire(work.tx, row, 'X')
  table.update(work.tx, row, values)
}

function log(work: Work, ordered: readonly Ruled[]): void {
  const table = work.db.table('sync', 'Conflicts')
  const rows = ordered.flatMap(({ records, key, version, ruling }) =>
    ruling.conflicts.map((conflict) =>
      filled(work, table, {
        TableName: records.mapped.name,
        RecordID: key,
        ColumnName: conflict.column,
        ...loggedValues(records.mapped, conflict),
        Ruling: conflict.ruling,
        PortalVersion: version,
      }),
    ),
  )
  if (rows.length > 0) insertRows(work, table, rows)
}

function loggedValues({ columns }: Mapped, { column, clinic, portal, base }: Conflict) {
  const isInstant = columns.some(({ name, type }) => name === column && type === 'instant')
  const values = { ClinicValue: logged(clinic), PortalValue: logged(portal), BaseValue: logged(base) }
  // Wall clocks as an event has them, with a T.
  return isInstant ? { ...values, ClinicValue: values.ClinicValue?.replace(' ', 'T') ?? null } : values
}

/** Text as it is, all else as JSON. */
const logged = (value: Value | Values): string | null =>
  value === null || typeof value === 'string' ? value : JSON.stringify(value)

function filled(work: Work, table: Table, named: Readonly<Record<string, SqlValue>>): readonly SqlValue[] {
  const values = emptyRow(work, table)
  for (const [name, value] of Object.entries(named)) values[table.ordinal(name)] = value
  return complete(table, values)
}
