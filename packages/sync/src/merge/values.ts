import type { Value } from '@clinic-sync/contracts'
import { allColumns, type Column, sharedColumns, type Table } from '@clinic-sync/mapping'

/** Columns (the portal's names) and their values as they travel. */
export type Values = Readonly<Record<string, Value>>

const NOT_STORABLE = /\0|\p{Surrogate}/u

/**
 * A text as Postgres can store it: U+0000 is left out, and half of a surrogate pair (what is left of an emoji that the
 * clinic's column cut in two) becomes U+FFFD. Compare the two sides' texts in this form.
 */
export const storable = (text: string): string =>
  NOT_STORABLE.test(text) ? text.replaceAll('\0', '').replace(/\p{Surrogate}/gu, '\ufffd') : text

/** A column's value; a column that is left out is null. */
export const valueOf = (values: Values, { name }: Column): Value => values[name] ?? null

/** The shared columns of a row. */
export const sharedOf = (table: Table, row: Values | null): Values | null =>
  row && Object.fromEntries(sharedColumns(table).map((column) => [column.name, valueOf(row, column)]))

/** The columns that both sides may edit in this row: all shared ones, or none where the row is the clinic's alone. */
export function sharedIn(table: Table, row: Values): readonly Column[] {
  const only = table.sharedWhen
  return only === null || row[only.column] === only.equals ? sharedColumns(table) : []
}

/** Milliseconds since 1970 of an instant, or of a wall clock's reading as if it were UTC; NaN if it is neither. */
export const momentOf = (text: string): number => Date.parse(text.endsWith('Z') ? text : `${text.replace(' ', 'T')}Z`)

/** Whether two values are the same once they have travelled. */
export function sameOnWire({ type }: Column, a: Value, b: Value): boolean {
  if (a === b || typeof a !== 'string' || typeof b !== 'string') return a === b
  if (type === 'instant') return momentOf(a) === momentOf(b)
  return type === 'text' && storable(a) === storable(b)
}

/** Whether two rows are the same in every mapped column. */
export const sameRow = (table: Table, a: Values | null, b: Values | null): boolean =>
  a === null || b === null
    ? a === b
    : allColumns(table).every((column) => sameOnWire(column, valueOf(a, column), valueOf(b, column)))
