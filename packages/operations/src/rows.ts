import type { Key } from '@clinic-sync/contracts'
import type { Table } from '@clinic-sync/mapping'
import type { KeyedRow, SyncDatabase } from '@clinic-sync/sync'

export type Readable = Pick<SyncDatabase, 'readRows'>

/** Rows a read, so in memory at a time. */
const PAGE = 1_000

/** All rows of a table that are in scope, in key order, read in keyset pages. @throws DatabaseError */
export async function* rowsOf(database: Readable, table: Table): AsyncGenerator<KeyedRow, void> {
  let after: Key | null = null
  while (true) {
    const page: readonly KeyedRow[] = await database.readRows(table.name, after, PAGE)
    yield* page
    const last = page.at(-1)
    if (last === undefined) return
    after = last.key
  }
}
