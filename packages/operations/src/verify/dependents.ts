import type { Key } from '@clinic-sync/contracts'
import { type Table, tables } from '@clinic-sync/mapping'
import type { KeyedRow } from '@clinic-sync/sync'
import type { Readable } from '../rows.ts'
import type { Patiently } from './patiently.ts'

const PAGE = 500

/** The tables whose rows refer to this one's, and go with them. */
export const dependentTables = (table: Table): Table[] =>
  tables.filter(({ parents }) => parents.some((parent) => parent.table === table.name))

/**
 * The portal's records that go with the deleted ones of a table: its foreign keys cascade, and the apply deletes what refers to a row first.
 * Where only that table was compared, nobody has looked at them, and a doctor's note that was never sent would go without a record.
 *
 * @throws DatabaseError
 */
export async function* dependents(
  portal: Readable,
  table: Table,
  deleted: ReadonlySet<Key>,
  patiently: Patiently,
): AsyncGenerator<readonly [Table, Key], void> {
  for (const child of dependentTables(table)) {
    const columns = child.parents.filter((parent) => parent.table === table.name).map(({ column }) => column)
    for (let after: Key | null = null; ;) {
      const from: Key | null = after
      const page: readonly KeyedRow[] = await patiently(() => portal.readRows(child.name, from, PAGE))
      for (const { key, row } of page)
        if (columns.some((column) => deleted.has(row[column] as Key))) yield [child, key] as const
      const last = page.at(-1)
      if (last === undefined) break
      after = last.key
    }
  }
}
