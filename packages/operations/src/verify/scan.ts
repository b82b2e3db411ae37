import type { Key, Row } from '@clinic-sync/contracts'
import type { Table } from '@clinic-sync/mapping'
import type { Readable } from '../rows.ts'
import { PAGE, Pages } from './pages.ts'
import type { Patiently } from './patiently.ts'
import { differingColumns } from './same.ts'

/** A stretch of a table, compared. */
export interface Scanned {
  readonly clinicRows: number
  readonly portalRows: number
  /** Records that either side has. */
  readonly rows: number
  /** Those that are not equal, or that one side lacks, at the moment at which each was read. */
  readonly unequal: readonly Unequal[]
}

/** A record that is not the same on both sides; null: that side does not have it. */
export interface Unequal {
  readonly key: Key
  readonly clinic: Row | null
  readonly portal: Row | null
}

/** Merges both sides' rows by key, a page at a time: memory does not grow with the table. @throws DatabaseError */
export async function* scan(
  clinic: Readable,
  portal: Readable,
  table: Table,
  patiently: Patiently,
  most = PAGE,
): AsyncGenerator<Scanned, void> {
  const [left, right] = [new Pages(clinic, table, patiently, most), new Pages(portal, table, patiently, most)]
  for (;;) {
    await Promise.all([left.ready(), right.ready()])
    if (left.isOver && right.isOver) return
    yield stretch(table, left, right)
  }
}

/** As far as both pages reach; where one side has no more rows, the other's page. */
function stretch(table: Table, left: Pages, right: Pages): Scanned {
  const counts = { clinicRows: 0, portalRows: 0, rows: 0 }
  const unequal: Unequal[] = []
  for (;;) {
    const [ours, theirs] = [left.row, right.row]
    if ((ours === undefined && !left.isOver) || (theirs === undefined && !right.isOver)) break
    if (ours === undefined && theirs === undefined) break
    counts.rows++
    const isOurs = ours !== undefined && (theirs === undefined || ours.key <= theirs.key)
    const isTheirs = theirs !== undefined && (ours === undefined || theirs.key <= ours.key)
    if (isOurs) {
      counts.clinicRows++
      left.skip()
    }
    if (isTheirs) {
      counts.portalRows++
      right.skip()
    }
    const key = isOurs ? ours.key : (theirs?.key ?? 0)
    const [clinic, portal] = [isOurs ? ours.row : null, isTheirs ? theirs.row : null]
    if (clinic === null || portal === null || differingColumns(table, clinic, portal).length > 0)
      unequal.push({ key, clinic, portal })
  }
  return { ...counts, unequal }
}
