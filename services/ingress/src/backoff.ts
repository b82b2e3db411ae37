/** Both in milliseconds. */
export interface Delays {
  readonly min: number
  readonly max: number
}

/** Delays that double from `min` to `max`. Jitter (half to whole) keeps several services from knocking in step. */
export class Backoff {
  readonly #delays: Delays
  #attempt = 0

  constructor(delays: Delays) {
    this.#delays = delays
  }

  /** The next delay, in milliseconds. */
  next(): number {
    const { min, max } = this.#delays
    const delay = Math.min(max, min * 2 ** this.#attempt)
    if (delay < max) this.#attempt++
    return delay * (0.5 + Math.random() / 2)
  }

  reset(): void {
    this.#attempt = 0
  }
}
