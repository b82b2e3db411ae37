import type { Key, Row, Value } from '@clinic-sync/contracts'
import { allColumns, type Column, type Table } from '@clinic-sync/mapping'
import { type Readable, rowsOf } from '../rows.ts'

/** A record that is not the same on both sides; null: that side does not have it. */
export interface Differing {
  readonly key: Key
  readonly clinic: Row | null
  readonly portal: Row | null
}

/** The records of a table that differ, in key order. @throws DatabaseError */
export async function* differing(clinic: Readable, portal: Readable, table: Table): AsyncGenerator<Differing, void> {
  const [left, right] = [rowsOf(clinic, table), rowsOf(portal, table)]
  let [ours, theirs] = [await left.next(), await right.next()]
  while (!ours.done || !theirs.done) {
    if (theirs.done || (!ours.done && ours.value.key < theirs.value.key)) {
      if (!ours.done) yield { key: ours.value.key, clinic: ours.value.row, portal: null }
      ours = await left.next()
    } else if (ours.done || theirs.value.key < ours.value.key) {
      yield { key: theirs.value.key, clinic: null, portal: theirs.value.row }
      theirs = await right.next()
    } else {
      const { key, row } = ours.value
      if (!same(allColumns(table), row, theirs.value.row)) yield { key, clinic: row, portal: theirs.value.row }
      ;[ours, theirs] = [await left.next(), await right.next()]
    }
  }
}

/** Whether these columns have the same values. U+0000, which Postgres cannot store, is nothing. */
export const same = (columns: readonly Column[], a: Row, b: Row): boolean =>
  columns.every(({ name }) => withoutNul(a[name]) === withoutNul(b[name]))

const withoutNul = (value: Value | undefined) => (typeof value === 'string' ? value.replaceAll('\u0000', '') : value)
