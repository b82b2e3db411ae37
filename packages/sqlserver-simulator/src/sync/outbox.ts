import type { Row } from '../engine/row.ts'
import type { Observer, Table } from '../engine/table.ts'
import { fold } from '../values/compare.ts'
import type { SqlValue } from '../values/types.ts'

const LATEST = 2n ** 63n
const isStatus = (value: SqlValue | undefined, status: string) => typeof value === 'string' && fold(value) === status

/** Where dbo.SyncQueue's columns are, and its pending rows in order: a drain must never look through the whole queue. */
export class Outbox {
  readonly table: Table
  readonly at: Readonly<
    Record<
      | 'QueueID'
      | 'TableName'
      | 'RecordID'
      | 'Status'
      | 'CreatedAt'
      | 'Attempts'
      | 'LastAttempt'
      | 'LastError'
      | 'EventVersion'
      | 'SessionID',
      number
    >
  >
  /** Sorted by QueueID; rows that are pending no more leave a hole until it is swept. */
  #pending: (Row | null)[] = []
  #holes = 0
  readonly synced = new Set<Row>()
  #oldest = LATEST

  constructor(table: Table) {
    this.table = table
    const o = (name: string) => table.ordinal(name)
    this.at = {
      QueueID: o('QueueID'),
      TableName: o('TableName'),
      RecordID: o('RecordID'),
      Status: o('Status'),
      CreatedAt: o('CreatedAt'),
      Attempts: o('Attempts'),
      LastAttempt: o('LastAttempt'),
      LastError: o('LastError'),
      EventVersion: o('EventVersion'),
      SessionID: o('SessionID'),
    }
    const observer: Observer = {
      added: (row) => this.#enter(row, row.values),
      removed: (row) => this.#leave(row, row.values),
      changed: (row, before) => {
        if (before[this.at.Status] === row.values[this.at.Status]) {
          if (this.synced.has(row)) this.#aged(row.values)
          return
        }
        this.#leave(row, before)
        this.#enter(row, row.values)
      },
    }
    table.observers.push(observer)
  }

  id(row: Row): bigint {
    return row.values[this.at.QueueID] as bigint
  }
  /** Rows of one record, in no order. */
  ofRecord(table: SqlValue, key: SqlValue): readonly Row[] {
    const index = this.table.index([this.at.TableName, this.at.RecordID])
    return (index?.find([table, key]) ?? []).filter((row) => !row.deleted && index?.matches(row, [table, key]))
  }

  /** When a synced row was settled: the original system may not have noted it. */
  settledAt(values: readonly SqlValue[]): bigint {
    return (values[this.at.LastAttempt] ?? values[this.at.CreatedAt]) as bigint
  }
  /** No synced row was settled before this; it may be too early, never too late. */
  oldestSynced(): bigint {
    return this.#oldest
  }
  #aged(values: readonly SqlValue[]): void {
    const at = this.settledAt(values)
    if (at < this.#oldest) this.#oldest = at
  }

  /** In the order of their ids, those above `after` (null: all). */
  *pending(after: bigint | null = null): Iterable<Row> {
    if (this.#holes > 0) {
      this.#pending = this.#pending.filter((row) => row !== null)
      this.#holes = 0
    }
    const all = this.#pending
    for (let i = after === null ? 0 : this.#place(after + 1n); i < all.length; i++) {
      const row = all[i]
      if (row) yield row
    }
  }

  #enter(row: Row, values: readonly SqlValue[]): void {
    if (isStatus(values[this.at.Status], 'synced')) {
      if (this.synced.size === 0) this.#oldest = LATEST
      this.synced.add(row)
      this.#aged(values)
    }
    if (!isStatus(values[this.at.Status], 'pending')) return
    const last = this.#pending.at(-1)
    if (last === undefined || (last !== null && this.id(last) < this.id(row))) {
      this.#pending.push(row)
      return
    }
    // Out of order (a row made pending again): rare enough to sweep and sort in.
    this.#pending = this.#pending.filter((r) => r !== null)
    this.#holes = 0
    this.#pending.splice(this.#place(this.id(row)), 0, row)
  }

  #leave(row: Row, values: readonly SqlValue[]): void {
    this.synced.delete(row)
    if (!isStatus(values[this.at.Status], 'pending')) return
    const place = this.#find(row)
    if (place < 0) return
    this.#pending[place] = null
    this.#holes++
    while (this.#pending.length > 0 && this.#pending.at(-1) === null) {
      this.#pending.pop()
      this.#holes--
    }
  }

  /** Where a QueueID belongs; there are no holes then. */
  #place(id: bigint): number {
    let [low, high] = [0, this.#pending.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if (this.id(this.#pending[middle] as Row) < id) low = middle + 1
      else high = middle
    }
    return low
  }

  #find(row: Row): number {
    const id = this.id(row)
    let [low, high] = [0, this.#pending.length]
    while (low < high) {
      const middle = (low + high) >> 1
      let probe = middle
      while (probe < high && this.#pending[probe] === null) probe++
      const found = this.#pending[probe]
      if (probe >= high || !found) high = middle
      else if (this.id(found) === id) return probe
      else if (this.id(found) < id) low = probe + 1
      else high = middle
    }
    return -1
  }
}
