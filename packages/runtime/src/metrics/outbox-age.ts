import type { Side } from '@clinic-sync/contracts'
import type { Taken } from '@clinic-sync/sync'

/** Instants in milliseconds. */
interface Known {
  /** Capture of the oldest change that was taken and is not known to be published; or when a look failed. */
  readonly oldest: number | null
  /** As `oldest`, of the last look alone. */
  readonly latest: number | null
  /** Since when open transactions hold records. */
  readonly held: number | null
}

const NOTHING: Known = { oldest: null, latest: null, held: null }

/**
 * How long the oldest change has waited in each outbox, by what the drain's looks have found: a run ends with a look from the start
 * that finds nothing, and one that fails leaves what the last look found.
 */
export class OutboxAge {
  readonly #known = new Map<Side, Known>()
  readonly #now: () => number

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /**
   * @param taken null: the look failed
   * @param ahead it began behind what was found before, which is still to be published: that counts as well, and says nothing of
   *   what is held before it.
   */
  taken(side: Side, taken: Pick<Taken, 'changes' | 'locked'> | null, ahead = false): void {
    const { oldest, latest, held } = this.#known.get(side) ?? NOTHING
    if (taken === null) {
      this.#known.set(side, { oldest: oldest ?? this.#now(), latest: latest ?? this.#now(), held })
      return
    }
    const found = oldestOf(taken)
    const since = taken.locked > 0 ? (held ?? this.#now()) : null
    // What was found before the last look is published by now.
    if (ahead) this.#known.set(side, { oldest: earlier(latest, found), latest: found ?? latest, held: since ?? held })
    else this.#known.set(side, { oldest: found, latest: found, held: since })
  }

  /** Seconds; 0: nothing waits; null: nobody has looked yet. */
  secondsOf(side: Side): number | null {
    const known = this.#known.get(side)
    if (known === undefined) return null
    const since = [known.oldest, known.held].filter((ms) => ms !== null)
    return since.length === 0 ? 0 : Math.max(0, (this.#now() - Math.min(...since)) / 1000)
  }

  /** As `secondsOf`, of what nobody holds; and for how long open transactions have held some. */
  partsOf(side: Side): { readonly waiting: number | null; readonly held: number } {
    const known = this.#known.get(side)
    const age = (since: number) => Math.max(0, (this.#now() - since) / 1000)
    if (known === undefined) return { waiting: null, held: 0 }
    return { waiting: known.oldest === null ? 0 : age(known.oldest), held: known.held === null ? 0 : age(known.held) }
  }

  forget(): void {
    this.#known.clear()
  }
}

function oldestOf({ changes }: Pick<Taken, 'changes'>): number | null {
  let first: string | undefined
  // Instants of one form, in UTC: the earlier one comes first as a text as well.
  for (const { capturedAt } of changes) if (first === undefined || capturedAt < first) first = capturedAt
  const ms = first === undefined ? Number.NaN : Date.parse(first)
  return Number.isNaN(ms) ? null : ms
}

const earlier = (a: number | null, b: number | null): number | null =>
  a === null || b === null ? (a ?? b) : Math.min(a, b)
