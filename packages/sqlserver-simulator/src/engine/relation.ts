import { type Mode, Blocked, isBlocked } from './locks.ts'
import type { ColumnDefinition } from './definition.ts'
import type { Row } from './row.ts'
import type { Table } from './table.ts'
import type { Transaction } from './transaction.ts'
import type { SqlValue } from '../values/types.ts'

/** How a reader treats rows that another's transaction holds: waits, skips (READPAST), or looks all the same (NOLOCK). */
export interface Access {
  readonly tx: Transaction
  readonly onLocked: 'wait' | 'skip' | 'look'
  readonly mode: Mode
}

/** A row as read; `row` is missing where it is not stored as such (views). */
export interface Found {
  readonly values: readonly SqlValue[]
  readonly row: Row | null
}

/** What can stand after FROM. */
export interface Relation {
  readonly name: string
  readonly columns: readonly ColumnDefinition[]
  /** `sought`: where a key leads to the rows, the others are not met, and so not waited for. It may be given more than it sought. */
  scan(access: Access, sought?: (values: readonly SqlValue[]) => boolean): Iterable<Found>
  /** The rows whose column has that value, if there is a quick way to them. */
  lookup(ordinal: number, access: Access): ((value: SqlValue) => Iterable<Found>) | null
}

/** The values with those columns computed anew that depend on more than the row. */
function refreshed(table: Table, values: readonly SqlValue[]): readonly SqlValue[] {
  const value = (name: string) => values[table.ordinal(name)] ?? null
  return table.columns.map((c, i) => (c.volatile && c.computed ? c.computed(value) : (values[i] ?? null)))
}

/** Whether the reader may have the row. @throws Blocked where it must wait first. */
export function visible(row: Row, access: Access): boolean {
  if (access.onLocked !== 'look' && isBlocked(access.tx, row, access.mode)) {
    if (access.onLocked === 'skip') return false
    throw new Blocked(row, access.mode)
  }
  return !row.deleted && !row.gone
}

export function tableRelation(table: Table): Relation {
  const volatile = table.columns.some((c) => c.volatile)
  const found = (row: Row): Found => ({ values: volatile ? refreshed(table, row.values) : row.values, row })
  return {
    name: table.definition.name,
    columns: table.columns,
    *scan(access, sought = () => true) {
      for (const row of table.scan()) if (!row.gone && sought(row.values) && visible(row, access)) yield found(row)
    },
    lookup(ordinal, access) {
      if (table.key.length === 1 && table.key[0] === ordinal) {
        return function* (value) {
          const row = table.get(table.keyFor([value]))
          if (row !== undefined && visible(row, access)) yield found(row)
        }
      }
      const index = table.index([ordinal])
      if (index === undefined) return null
      return function* (value) {
        const key = index.keyFor([value])
        for (const row of index.at(key)) if (visible(row, access) && index.keyOf(row.values) === key) yield found(row)
      }
    },
  }
}
