import type { RecordSight } from '@clinic-sync/broker'
import type { Direction, Outcome, Version } from '@clinic-sync/contracts'

interface Seen {
  readonly sight: RecordSight
  readonly version: bigint
  /** `performance.now()` */
  readonly at: number
}

/** An outcome after which nothing more is to come. */
const isFinal = ({ outcome }: Outcome): boolean => outcome !== 'retry'

/**
 * What was seen of the canary at RabbitMQ, and when. Several may send it at once: what carries a version of one's own or a later one
 * carries one's own change.
 */
export class Sightings {
  readonly #seen: Seen[] = []
  #wake: () => void = () => undefined

  add(sight: RecordSight): void {
    const version = BigInt(sight.kind === 'event' ? sight.version : sight.outcome.version)
    this.#seen.push({ sight, version, at: performance.now() })
    this.#wake()
  }

  /** When an event with that version, or a later one, was published; undefined: none was seen. */
  published(direction: Direction, version: Version): number | undefined {
    return this.#of(direction, version).find(({ sight }) => sight.kind === 'event')?.at
  }

  /** What became of it. Of several outcomes the first that is final, or else the latest. */
  outcome(direction: Direction, version: Version): { readonly outcome: Outcome; readonly at: number } | undefined {
    const outcomes = this.#of(direction, version).flatMap(({ sight, at }) =>
      sight.kind === 'outcome' ? [{ outcome: sight.outcome, at }] : [],
    )
    return outcomes.find(({ outcome }) => isFinal(outcome)) ?? outcomes.at(-1)
  }

  /** Resolves when something is seen, or after that many milliseconds. */
  next(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms)
      this.#wake = () => {
        clearTimeout(timer)
        resolve()
      }
    })
  }

  #of(direction: Direction, version: Version): Seen[] {
    const least = BigInt(version)
    return this.#seen.filter(({ sight, version: seen }) => sight.direction === direction && seen >= least)
  }
}
