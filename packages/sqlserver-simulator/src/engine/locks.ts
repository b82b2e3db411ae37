import { SqlError } from '../values/errors.ts'
import type { Row, RowLock } from './row.ts'
import type { Transaction } from './transaction.ts'

/** Shared (held only above READ COMMITTED), update, exclusive. */
export type Mode = 'S' | 'U' | 'X'

const conflicts = (held: Mode, wanted: Mode) => held === 'X' || wanted === 'X' || (held === 'U' && wanted === 'U')
const stronger = (a: Mode | undefined, b: Mode): Mode =>
  a === 'X' || b === 'X' ? 'X' : a === 'U' || b === 'U' ? 'U' : 'S'

/** Thrown inside a statement that meets another's lock: the statement is undone, waits and runs again. */
export class Blocked extends Error {
  readonly row: Row
  readonly mode: Mode
  constructor(row: Row, mode: Mode) {
    super('blocked by a lock')
    this.row = row
    this.mode = mode
  }
}

export function isBlocked(tx: Transaction, row: Row, mode: Mode): boolean {
  const { lock } = row
  if (lock === undefined) return false
  if (lock.holder !== null && lock.holder !== tx && conflicts(lock.mode, mode)) return true
  if (lock.others !== null)
    for (const [holder, held] of lock.others) if (holder !== tx && conflicts(held, mode)) return true
  return false
}

/** Takes a lock until the transaction's end. @throws Blocked */
export function acquire(tx: Transaction, row: Row, mode: Mode): void {
  const { lock } = row
  if (lock === undefined) {
    row.lock = { holder: tx, mode, others: null, waiters: null }
    tx.locks.push(row)
    return
  }
  if (isBlocked(tx, row, mode)) throw new Blocked(row, mode)
  if (lock.holder === tx) {
    lock.mode = stronger(lock.mode, mode)
    return
  }
  const held = lock.others?.get(tx)
  if (held === undefined) tx.locks.push(row)
  if (lock.holder === null) {
    lock.holder = tx
    lock.mode = mode
  } else {
    lock.others ??= new Map()
    lock.others.set(tx, stronger(held, mode))
  }
}

/** Gives back a transaction's locks on these rows, which are no longer among its own, and wakes whoever waits for one of them. */
export function release(tx: Transaction, rows: Iterable<Row>): void {
  for (const row of rows) {
    const { lock } = row
    if (lock === undefined) continue
    if (lock.holder === tx) {
      lock.holder = null
      for (const [other, held] of lock.others ?? []) {
        lock.others?.delete(other)
        lock.holder = other
        lock.mode = held
        break
      }
    } else lock.others?.delete(tx)
    forgetIfFree(row, lock)
    for (const wake of lock.waiters ?? []) wake()
  }
}

function forgetIfFree(row: Row, lock: RowLock): void {
  if (lock.holder === null && (lock.waiters === null || lock.waiters.size === 0)) row.lock = undefined
}

function* holdersOf(lock: RowLock | undefined): Iterable<readonly [holder: Transaction, held: Mode]> {
  if (lock === undefined) return
  if (lock.holder !== null) yield [lock.holder, lock.mode]
  if (lock.others !== null) yield* lock.others
}

const deadlock = (session: number) =>
  new SqlError(
    1205,
    `Transaction (Process ID ${session}) was deadlocked on lock resources with another process and has been chosen as the deadlock victim. Rerun the transaction.`,
    { severity: 13, abort: 'batch' },
  )

/** The transactions on a circle of waits through `tx`, or none. */
function circle(tx: Transaction): Transaction[] {
  const path: Transaction[] = []
  const seen = new Set<Transaction>()
  const visit = (at: Transaction): boolean => {
    if (at.waiting === null) return false
    path.push(at)
    const { row, mode } = at.waiting.blocked
    for (const [holder, held] of holdersOf(row.lock)) {
      if (holder === at || !conflicts(held, mode)) continue
      if (holder === tx) return true
      if (seen.has(holder)) continue
      seen.add(holder)
      if (visit(holder)) return true
    }
    path.pop()
    return false
  }
  return visit(tx) ? path : []
}

/**
 * Waits until the lock that blocked a statement has changed hands.
 *
 * @param timeout ms, as SET LOCK_TIMEOUT: -1 waits for ever, 0 not at all.
 * @throws SqlError 1222 at the timeout; 1205 for the transaction of the lowest priority, then the youngest, on a circle.
 */
export function waitFor(tx: Transaction, blocked: Blocked, timeout: number, signal: AbortSignal): Promise<void> {
  const timedOut = () => new SqlError(1222, 'Lock request time out period exceeded.')
  if (timeout === 0) return Promise.reject(timedOut())
  return new Promise((resolve, reject) => {
    const lock = blocked.row.lock
    if (lock === undefined || !isBlocked(tx, blocked.row, blocked.mode)) return resolve()
    const end = (settle: () => void) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      lock.waiters?.delete(wake)
      forgetIfFree(blocked.row, lock)
      tx.waiting = null
      settle()
    }
    const wake = () => end(resolve)
    const abort = () => end(() => reject(signal.reason))
    const timer = timeout > 0 ? setTimeout(() => end(() => reject(timedOut())), timeout) : undefined
    lock.waiters ??= new Set()
    lock.waiters.add(wake)
    signal.addEventListener('abort', abort)
    tx.waiting = { blocked, fail: (error) => end(() => reject(error)) }
    if (signal.aborted) return abort()
    const victim = circle(tx).sort((a, b) => a.priority - b.priority || b.id - a.id)[0]
    victim?.waiting?.fail(deadlock(victim.session))
  })
}
