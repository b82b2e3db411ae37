import type { Row, Value } from '@clinic-sync/contracts'
import { allColumns, type Column, sharedColumns, type Table } from '@clinic-sync/mapping'
import { sameValue } from '../verify/same.ts'
import { howDiffers } from './shapes.ts'

/** One column of a record, on both sides. */
export interface ColumnStory {
  /** By the portal's name. */
  readonly column: string
  readonly clinicColumn: string
  /** Whose it is, in words. */
  readonly whose: string
  /** By the comparison that `verify` makes; null: a side's row is not known, or there is none. */
  readonly equal: boolean | null
  /** How the values differ, or in what they do that counts for nothing; without values. */
  readonly how: string | null
  /** The values, where they were asked for, of the sides whose row is known. */
  readonly clinic?: Value
  readonly portal?: Value
}

/** The columns of a record of which at least one side's row is known. */
export function columnStories(
  table: Table,
  clinic: Row | null,
  portal: Row | null,
  showValues: boolean,
): ColumnStory[] {
  if (clinic === null && portal === null) return []
  return allColumns(table).map((column) => {
    const both = clinic !== null && portal !== null ? compared(column, clinic, portal) : { equal: null, how: null }
    return {
      column: column.name,
      clinicColumn: column.clinic,
      whose: whose(table, column, clinic ?? portal),
      ...both,
      ...(showValues && clinic !== null && { clinic: clinic[column.name] ?? null }),
      ...(showValues && portal !== null && { portal: portal[column.name] ?? null }),
    }
  })
}

function compared(column: Column, clinic: Row, portal: Row): Pick<ColumnStory, 'equal' | 'how'> {
  const [ours, theirs] = [clinic[column.name], portal[column.name]]
  if (!sameValue(column, ours, theirs)) return { equal: false, how: howDiffers(column, ours ?? null, theirs ?? null) }
  if (ours === theirs) return { equal: true, how: null }
  return {
    equal: true,
    how:
      column.type === 'text'
        ? 'the same but for characters that Postgres cannot store (U+0000), which counts as equal'
        : 'the same number, written otherwise',
  }
}

/** @param row decides where a column is shared in some rows only */
function whose(table: Table, column: Column, row: Row | null): string {
  if (column === table.key) return 'the key'
  if (column.computed) return "the clinic's, computed by SQL Server"
  if (column.owner === 'clinic') return "the clinic's"
  const { sharedWhen } = table
  if (sharedWhen !== null && row !== null && row[sharedWhen.column] !== sharedWhen.equals)
    return "the clinic's in this record"
  return `both sides'; in a conflict the ${column.policy === 'portal-wins' ? "portal's" : "clinic's"} stands`
}

/** The shared columns that a doctor's edits in flight have changed, by name; null: the record was made by them. */
export function editedColumns(table: Table, base: Row | null, portal: Row | null): string[] | null {
  if (base === null || portal === null) return null
  return sharedColumns(table)
    .filter((column) => !sameValue(column, base[column.name], portal[column.name]))
    .map(({ name }) => name)
}
