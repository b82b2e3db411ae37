import { sharedColumns, tableNamed } from '../tables/index.ts'
import type { Column, Table } from '../types.ts'
import { isText, readRow, typed, variable, type VariablePrefix, variableType } from './applying-column.ts'
import { wrap } from './row.ts'
import { literal } from './text.ts'

/** The table variable of a table's part of the batch. */
export const batchOf = (table: Table) => `@${table.name}`

/** The columns of a new row, key first; the clinic computes the others. */
export const insertedColumns = (table: Table) => [table.key, ...table.columns.filter(({ computed }) => !computed)]

/** A new row's references, with the tables that they refer to. */
export const referencesOf = (table: Table) =>
  table.parents.map(({ column: reference, table: parent }) => {
    const column = table.columns.find((candidate) => candidate.name === reference)
    if (column === undefined || column.owner === 'shared') {
      throw new Error(`${table.name}.${reference}: a reference that doctors may change is not generated yet`)
    }
    return { column, parent: tableNamed(parent) }
  })

/** Columns whose value the event may bring into the clinic: all of a new row, or the shared ones. */
const broughtColumns = (table: Table) =>
  table.portalInserts ? insertedColumns(table).filter((column) => column !== table.key) : sharedColumns(table)

/** Items joined by commas, a line each. */
export const lines = (items: readonly string[], blanks = 2) => items.join(`,\n${' '.repeat(blanks)}`)

/** Declares the table variable of a table's part of the batch. It survives a rollback. */
export function declareBatch(table: Table): string {
  const declared = (prefix: VariablePrefix, columns: readonly Column[], type: (column: Column) => string) =>
    columns.map((column) => `${variable(prefix, column)} ${type(column)} NULL`)
  const shared = sharedColumns(table)
  const typedOnly = (columns: readonly Column[]) => columns.filter((column) => !isText(column))
  const groups = [
    ['RecordID int NOT NULL PRIMARY KEY'],
    ['HasRow bit NOT NULL', 'HasBase bit NOT NULL', 'IsFirst bit NOT NULL', 'Inexact bit NOT NULL'],
    ['Found', 'IsShared', 'IsSame'].map((flag) => `${flag} bit NOT NULL DEFAULT (0)`),
    ['Action nvarchar(10) NULL', 'Outcome nvarchar(20) NULL', 'Code nvarchar(64) NULL', 'Reason nvarchar(1000) NULL'],
    declared('e', table.columns, () => 'nvarchar(max)'),
    declared('ev', typedOnly(broughtColumns(table)), variableType),
    declared('b', shared, () => 'nvarchar(max)'),
    declared('bv', typedOnly(shared), variableType),
    declared('c', shared, variableType),
    declared('r', shared, () => 'tinyint'),
    ...(table.portalInserts
      ? [
          declared(
            'p',
            referencesOf(table).map(({ column }) => column),
            () => 'bit',
          ),
        ]
      : []),
    ...(table.deletes.portal === 'propagate' ? [['ClinicRow nvarchar(max) NULL']] : []),
  ]
  return `DECLARE ${batchOf(table)} TABLE (\n  ${lines(groups.filter((group) => group.length > 0).map((group) => wrap(group)))}\n)`
}

/** Reads the events of the table that are still to be ruled on. */
export function fillBatch(table: Table): string {
  const shared = sharedColumns(table)
  const event = readRow('c.RowData', 'e', table.columns)
  const base = readRow('c.Base', 'b', shared)
  const raw = (prefix: VariablePrefix, columns: readonly Column[], { value }: typeof event) =>
    columns.map((column) => [variable(prefix, column), value(column)] as const)
  const values = [...raw('e', table.columns, event), ...raw('b', shared, base)]
  const converted = (into: VariablePrefix, columns: readonly Column[], from: VariablePrefix) =>
    columns
      .filter((column) => !isText(column))
      .map((column) => `${variable(into, column)} = ${typed(column, `x.${variable(from, column)}`)}`)
  const conversions = [...converted('ev', broughtColumns(table), 'e'), ...converted('bv', shared, 'b')]
  const into = values.map(([column]) => column)
  return `INSERT INTO ${batchOf(table)} (RecordID, HasRow, HasBase, IsFirst, Inexact,
  ${wrap(into, 2)})
SELECT c.RecordID, CASE WHEN c.RowData IS NULL THEN 0 ELSE 1 END, CASE WHEN c.Base IS NULL THEN 0 ELSE 1 END,
  CASE WHEN c.Seen = 0 THEN 1 ELSE 0 END, c.Inexact,
  ${wrap(
    values.map(([, value]) => value),
    2,
  )}
FROM @change c${event.apply}${base.apply}
WHERE c.TableName = ${literal(table.name)} AND c.Outcome IS NULL${
    conversions.length === 0 ? '' : `\nUPDATE x SET\n  ${lines(conversions)}\nFROM ${batchOf(table)} x`
  }`
}
