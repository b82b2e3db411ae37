/** Both in milliseconds. */
export interface Delays {
  readonly min: number
  readonly max: number
}

const DEFAULT: Delays = { min: 100, max: 30_000 }

/**
 * The pause before attempt `attempt` + 1, in milliseconds: `min`, doubling to `max`, ±20 % so that several services do not
 * knock in step. `attempt` counts the failures before this one, from 0.
 */
export function backoffMs(attempt: number, { min, max }: Delays = DEFAULT): number {
  return Math.min(max, min * 2 ** Math.min(attempt, 20)) * (0.8 + Math.random() * 0.4)
}

/** Counts the attempts for {@link backoffMs}. */
export class Backoff {
  readonly #delays: Delays
  #attempt = 0

  constructor(delays: Delays = DEFAULT) {
    this.#delays = delays
  }

  /** The next pause, in milliseconds. */
  next(): number {
    return backoffMs(this.#attempt++, this.#delays)
  }

  /** It went well: the next failure begins with the shortest pause. */
  reset(): void {
    this.#attempt = 0
  }
}
