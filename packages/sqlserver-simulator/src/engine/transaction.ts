import type { Blocked } from './locks.ts'
import { release } from './locks.ts'
import type { Row } from './row.ts'

/** A change that can be taken back, and what remains to be done when it is committed. */
export interface Step {
  undo(): void
  commit(): void
}
const nothing = () => {}

let latest = 0

/** What one transaction has done and holds. Statements are atomic: `undoTo` takes back what the last one did. */
export class Transaction {
  /** Grows with time: the youngest has the highest. */
  readonly id = ++latest
  readonly session: number
  priority = 0
  readonly locks: Row[] = []
  waiting: { readonly blocked: Blocked; readonly fail: (error: Error) => void } | null = null
  readonly savepoints = new Map<string, { readonly mark: number; readonly locks: number }>()
  readonly #atEnd = new Map<object, () => void>()
  #log: Step[] = []

  constructor(session: number) {
    this.session = session
  }

  get mark(): number {
    return this.#log.length
  }
  /** Notes a change: how to take it back, and what remains to be done when it is committed. */
  did(undo: () => void, commit: () => void = nothing): void {
    this.#log.push({ undo, commit })
  }
  note(step: Step): void {
    this.#log.push(step)
  }
  undoTo(mark: number): void {
    for (const entry of this.#log.splice(mark).reverse()) entry.undo()
  }
  save(name: string): void {
    this.savepoints.set(name, { mark: this.mark, locks: this.locks.length })
  }
  /** Takes back what was done since then, and gives back the locks taken since, as SQL Server does; false: no such savepoint. */
  backTo(savepoint: string): boolean {
    const found = this.savepoints.get(savepoint)
    if (found === undefined) return false
    this.undoTo(found.mark)
    release(this, this.locks.splice(found.locks))
    return true
  }
  /** For `commit` handlers: something to be done once all locks are gone, once for each `what`. */
  atEnd(what: object, action: () => void): void {
    this.#atEnd.set(what, action)
  }
  commit(): void {
    const log = this.#log
    this.#log = []
    for (const step of log) step.commit()
    release(this, this.locks.splice(0))
    const last = [...this.#atEnd.values()]
    this.#atEnd.clear()
    for (const action of last) action()
  }
  rollback(): void {
    this.undoTo(0)
    release(this, this.locks.splice(0))
  }
}
