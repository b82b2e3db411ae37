import { Ordered } from '../engine/ordered.ts'
import type { Row } from '../engine/row.ts'
import type { Index } from '../engine/table-index.ts'
import type { Observer, Table } from '../engine/table.ts'
import { fold } from '../values/compare.ts'
import type { SqlValue } from '../values/types.ts'

const LATEST = 2n ** 63n
type Status = 'Pending' | 'Queued' | 'Synced' | 'Failed'
const STATUSES: readonly Status[] = ['Pending', 'Queued', 'Synced', 'Failed']
const BY_TEXT = new Map(STATUSES.flatMap((status) => [status, fold(status)].map((text) => [text, status] as const)))
/** A status as the collation sees it: whoever writes it by hand may write it in capitals. */
const statusOf = (value: SqlValue | undefined): Status | undefined =>
  BY_TEXT.get(value as string) ?? BY_TEXT.get(typeof value === 'string' ? fold(value) : '')

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
  readonly #pending = new Ordered((row) => this.id(row))
  readonly #byRecord: Index
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
    const byRecord = table.index([this.at.TableName, this.at.RecordID])
    if (byRecord === undefined) throw new Error('dbo.SyncQueue has no index on its records')
    this.#byRecord = byRecord
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
    const index = this.#byRecord
    const wanted = index.keyFor([table, key])
    const rows = index.at(wanted)
    const isOf = (row: Row) => !row.deleted && index.keyOf(row.values) === wanted
    return rows.every(isOf) ? rows : rows.filter(isOf)
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
  pending(after: bigint | null = null): Iterable<Row> {
    return this.#pending.above(after)
  }

  #enter(row: Row, values: readonly SqlValue[]): void {
    const status = statusOf(values[this.at.Status])
    if (status === 'Pending') this.#pending.add(row)
    else if (status === 'Synced') {
      if (this.synced.size === 0) this.#oldest = LATEST
      this.synced.add(row)
      this.#aged(values)
    }
  }

  #leave(row: Row, values: readonly SqlValue[]): void {
    const status = statusOf(values[this.at.Status])
    if (status === 'Pending') this.#pending.remove(row)
    else if (status === 'Synced') this.synced.delete(row)
  }
}
