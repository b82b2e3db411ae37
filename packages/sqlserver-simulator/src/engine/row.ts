import type { SqlValue } from '../values/types.ts'
import type { Mode } from './locks.ts'
import type { Transaction } from './transaction.ts'

export interface RowLock {
  readonly holders: Map<Transaction, Mode>
  readonly waiters: Set<() => void>
}

/** A stored row. A deleted one stays, locked, until its deleter commits: others must wait for the outcome. */
export class Row {
  values: readonly SqlValue[]
  deleted = false
  /** Out of its table for good; its place in the order is swept later. */
  gone = false
  lock: RowLock | undefined

  constructor(values: readonly SqlValue[]) {
    this.values = values
  }
}
