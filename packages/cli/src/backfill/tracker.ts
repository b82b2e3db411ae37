import type { Outcome, OutcomeKind } from '@clinic-sync/contracts'

/** How long the wait below went: `reached`, or `silent` when no outcome at all came for the time given. */
export type Waited = 'reached' | 'silent'

/** Counts, by record, what was queued and what has come back. */
export class Tracker {
  readonly #queued = new Map<string, number>()
  readonly #outcomes = new Map<string, Map<number, OutcomeKind>>()
  #wake: () => void = () => undefined

  /** The backfill has queued `rows` of `table`. */
  queued(table: string, rows: number): void {
    this.#queued.set(table, (this.#queued.get(table) ?? 0) + rows)
  }

  /** Outcomes have arrived; those of other people's edits count as well, since they say the record has arrived. */
  heard(outcomes: readonly Outcome[]): void {
    for (const { table, key, outcome } of outcomes) {
      const records = this.#outcomes.get(table) ?? new Map<number, OutcomeKind>()
      this.#outcomes.set(table, records)
      records.set(key, outcome)
    }
    this.#wake()
  }

  /** Queued rows of one table, or of all, of which nothing has been heard yet. */
  inFlight(table?: string): number {
    const tables = table === undefined ? [...this.#queued.keys()] : [table]
    return tables.reduce((sum, name) => sum + Math.max(0, (this.#queued.get(name) ?? 0) - this.#heardOf(name)), 0)
  }

  /** Nothing more will be heard of what is in flight: the outbox says that it is settled. */
  settle(): void {
    for (const [table, rows] of this.#queued) this.#queued.set(table, Math.min(rows, this.#heardOf(table)))
  }

  /** Records by their latest outcome. */
  summary(): ReadonlyMap<OutcomeKind, number> {
    const counts = new Map<OutcomeKind, number>()
    for (const records of this.#outcomes.values())
      for (const outcome of records.values()) counts.set(outcome, (counts.get(outcome) ?? 0) + 1)
    return counts
  }

  /** Waits until `condition` holds; gives up when no outcome has come for `silenceMs`. */
  async until(condition: () => boolean, silenceMs: number, signal?: AbortSignal): Promise<Waited> {
    while (!condition()) {
      signal?.throwIfAborted()
      if ((await this.#nextOutcome(silenceMs, signal)) === 'silent') return condition() ? 'reached' : 'silent'
    }
    return 'reached'
  }

  #nextOutcome(silenceMs: number, signal?: AbortSignal): Promise<Waited> {
    return new Promise((resolve) => {
      const done = (waited: Waited) => {
        clearTimeout(timer)
        signal?.removeEventListener('abort', onAbort)
        this.#wake = () => undefined
        resolve(waited)
      }
      const onAbort = () => done('reached')
      const timer = setTimeout(() => done('silent'), silenceMs)
      signal?.addEventListener('abort', onAbort, { once: true })
      this.#wake = () => done('reached')
    })
  }

  #heardOf(table: string): number {
    return this.#outcomes.get(table)?.size ?? 0
  }
}
