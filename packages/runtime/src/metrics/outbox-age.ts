import type { Side } from '@clinic-sync/contracts'
import type { Taken } from '@clinic-sync/sync'

/** Instants in milliseconds. */
interface Known {
  /** Capture of the oldest change that was taken and is not known to be published; or when a look failed. */
  readonly oldest: number | null
  /** Since when open transactions hold records. */
  readonly held: number | null
}

/**
 * How long the oldest change has waited in each outbox, by what the drain's looks have found: a run ends with a look that finds
 * nothing, and one that fails leaves what the last look found.
 */
export class OutboxAge {
  readonly #known = new Map<Side, Known>()
  readonly #now: () => number

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** @param taken null: the look failed */
  taken(side: Side, taken: Pick<Taken, 'changes' | 'locked'> | null): void {
    const { oldest, held } = this.#known.get(side) ?? { oldest: null, held: null }
    if (taken === null) {
      this.#known.set(side, { oldest: oldest ?? this.#now(), held })
      return
    }
    const captured = taken.changes.flatMap(({ capturedAt }) => {
      const ms = Date.parse(capturedAt)
      return Number.isNaN(ms) ? [] : [ms]
    })
    this.#known.set(side, {
      oldest: captured.length > 0 ? captured.reduce((first, ms) => Math.min(first, ms)) : null,
      held: taken.locked > 0 ? (held ?? this.#now()) : null,
    })
  }

  /** Seconds; 0: nothing waits; null: nobody has looked yet. */
  secondsOf(side: Side): number | null {
    const known = this.#known.get(side)
    if (known === undefined) return null
    const since = [known.oldest, known.held].filter((ms) => ms !== null)
    return since.length === 0 ? 0 : Math.max(0, (this.#now() - Math.min(...since)) / 1000)
  }

  forget(): void {
    this.#known.clear()
  }
}
