import type { Row, Value } from '@clinic-sync/contracts'
import { allColumns, type Column, type Table } from '@clinic-sync/mapping'
import { storable } from '@clinic-sync/sync'

/** The columns, by the portal's names, in which two rows differ. */
export function differingColumns(table: Table, clinic: Row, portal: Row): string[] {
  const found: string[] = []
  for (const column of allColumns(table)) {
    const [a, b] = [clinic[column.name], portal[column.name]]
    // Nearly always: both are what readRows gives, which is one form a type.
    if (a === b && a !== undefined) continue
    if (!sameValue(column, a, b)) found.push(column.name)
  }
  return found
}

/** Whether these columns have the same values. */
export const same = (columns: readonly Column[], clinic: Row, portal: Row): boolean =>
  columns.every((column) => sameValue(column, clinic[column.name], portal[column.name]))

/**
 * Exact, but for what the portal cannot hold: U+0000 and half a character, which never get there. A decimal is its number, however many
 * zeros a column's own type writes behind it. A column that a side does not return at all equals nothing, so that a forgotten one is found.
 */
export function sameValue(
  { type }: Pick<Column, 'type'>,
  clinic: Value | undefined,
  portal: Value | undefined,
): boolean {
  if (clinic === undefined || portal === undefined) return false
  if (clinic === portal) return true
  if (typeof clinic !== 'string' || typeof portal !== 'string') return false
  if (type === 'text') return storable(clinic) === storable(portal)
  return type === 'decimal' && numberOf(clinic) === numberOf(portal)
}

/** A decimal without what says nothing: `1.50` and `01.5` are one. What is no decimal stays as it is. */
function numberOf(text: string): string {
  const [, sign = '', whole = '', fraction = ''] = /^([-+]?)0*(\d+)(?:\.(\d*?)0*)?$/.exec(text) ?? []
  if (whole === '') return text
  const number = fraction === '' ? whole : `${whole}.${fraction}`
  return sign === '-' && number !== '0' ? `-${number}` : number
}
