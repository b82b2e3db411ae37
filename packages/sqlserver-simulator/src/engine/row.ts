import type { SqlValue } from '../values/types.ts'
import type { Mode } from './locks.ts'
import type { Transaction } from './transaction.ts'

/** Nearly always one transaction holds a row, and nobody waits: only then is there no Map and no Set. */
export interface RowLock {
  holder: Transaction | null
  mode: Mode
  /** Those that hold it as well. */
  others: Map<Transaction, Mode> | null
  waiters: Set<() => void> | null
}

/** A stored row. A deleted one stays, locked, until its deleter commits: others must wait for the outcome. */
export class Row {
  values: readonly SqlValue[]
  deleted = false
  /** Out of its table for good; its place in the order is swept later. */
  gone = false
  lock: RowLock | undefined = undefined

  constructor(values: readonly SqlValue[]) {
    this.values = values
  }
}
