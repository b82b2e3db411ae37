import type { Key, Value } from '@clinic-sync/contracts'
import { allColumns, type Table, type TableName, tables } from '@clinic-sync/mapping'
import type { KeyedRow, SyncDatabase } from '@clinic-sync/sync'

/** The part of a database that comparing needs. */
export type Readable = Pick<SyncDatabase, 'readRows'>

/** Where the two sides differ. Names and keys only: values are patients' data. */
export type Difference =
  | { readonly table: TableName; readonly key: Key; readonly kind: 'missing in the portal' }
  | { readonly table: TableName; readonly key: Key; readonly kind: 'in the portal only' }
  | { readonly table: TableName; readonly key: Key; readonly kind: 'different'; readonly columns: readonly string[] }

export interface TableComparison {
  readonly table: TableName
  /** Rows in scope in the clinic, rows in the portal, and values compared in the rows that both have. */
  readonly clinicRows: number
  readonly portalRows: number
  readonly values: number
  readonly differences: readonly Difference[]
}

/** Rows a read: two pages in memory at a time, whatever the tables hold. */
const PAGE = 1_000

/**
 * Compares every synced row and column of the two sides, table by table, merging two keyset reads. Exact, with one
 * exception: U+0000, which Postgres cannot store, counts as equal to nothing in its place. A portal row whose clinic
 * record is gone or out of scope is a difference.
 *
 * Written apart from the command verify, on purpose: it is the referee of the demo, the proof and the benchmark, and of that command too.
 *
 * @throws DatabaseError if a side cannot be read.
 */
export async function compareSides(clinic: Readable, portal: Readable): Promise<TableComparison[]> {
  const comparisons: TableComparison[] = []
  for (const table of tables) comparisons.push(await compareTable(table, clinic, portal))
  return comparisons
}

async function compareTable(table: Table, clinic: Readable, portal: Readable): Promise<TableComparison> {
  const differences: Difference[] = []
  const columns = allColumns(table).map((column) => column.name)
  const counts = { clinicRows: 0, portalRows: 0, values: 0 }
  const left = rowsOf(clinic, table.name)
  const right = rowsOf(portal, table.name)
  let a = await left.next()
  let b = await right.next()
  while (!a.done || !b.done) {
    if (b.done || (!a.done && a.value.key < b.value.key)) {
      if (!a.done) differences.push({ table: table.name, key: a.value.key, kind: 'missing in the portal' })
      counts.clinicRows++
      a = await left.next()
    } else if (a.done || b.value.key < a.value.key) {
      differences.push({ table: table.name, key: b.value.key, kind: 'in the portal only' })
      counts.portalRows++
      b = await right.next()
    } else {
      const [ours, theirs] = [a.value.row, b.value.row]
      const unequal = columns.filter((column) => !sameValue(ours[column], theirs[column]))
      if (unequal.length > 0)
        differences.push({ table: table.name, key: a.value.key, kind: 'different', columns: unequal })
      counts.values += columns.length
      counts.clinicRows++
      counts.portalRows++
      a = await left.next()
      b = await right.next()
    }
  }
  return { table: table.name, ...counts, differences }
}

async function* rowsOf(database: Readable, table: TableName): AsyncGenerator<KeyedRow, void> {
  let after: Key | null = null
  while (true) {
    const page: readonly KeyedRow[] = await database.readRows(table, after, PAGE)
    yield* page
    const last = page.at(-1)
    if (last === undefined) return
    after = last.key
  }
}

/** A column that a side does not return at all is equal to nothing, so that a forgotten column is found. */
function sameValue(a: Value | undefined, b: Value | undefined): boolean {
  return a !== undefined && b !== undefined && withoutNul(a) === withoutNul(b)
}

const withoutNul = (value: Value): Value => (typeof value === 'string' ? value.replaceAll('\u0000', '') : value)
