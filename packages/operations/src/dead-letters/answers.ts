import type { Direction, Outcome } from '@clinic-sync/contracts'

/** A version of a record on its way, as an outcome names it. */
export interface Awaited {
  readonly direction: Direction
  readonly table: string
  readonly key: number
  readonly version: string
}

/**
 * Which of the events on their way consumers have answered for. An answer for a later version of the record answers for an earlier
 * one: both came in the same batch, or the later one was there already.
 */
export class Answers {
  #events: readonly Awaited[] = []
  #expected = new Map<string, bigint>()
  #found = new Map<string, Map<string, Outcome>>()
  #wake: () => void = () => undefined

  /** Forgets what was, and waits for these. */
  expect(events: readonly Awaited[]): void {
    this.#events = events
    this.#expected = new Map()
    this.#found = new Map()
    for (const event of events) {
      const record = recordOf(event)
      const version = BigInt(event.version)
      const lowest = this.#expected.get(record)
      if (lowest === undefined || version < lowest) this.#expected.set(record, version)
      this.#found.set(record, new Map())
    }
  }

  heard(direction: Direction, outcomes: readonly Outcome[]): void {
    for (const outcome of outcomes) {
      const record = recordOf({ ...outcome, direction })
      const lowest = this.#expected.get(record)
      if (lowest === undefined || BigInt(outcome.version) < lowest) continue
      this.#found.get(record)?.set(outcome.version, outcome)
    }
    this.#wake()
  }

  /** Events that nobody has answered for. */
  get open(): number {
    return this.#events.filter((event) => this.of(event) === undefined).length
  }

  /** The answer for an event: its own, or a later version's. */
  of(event: Awaited): Outcome | undefined {
    const found = this.#found.get(recordOf(event))
    if (found === undefined) return undefined
    const own = found.get(event.version)
    if (own !== undefined) return own
    return [...found.values()].find(({ version }) => BigInt(version) > BigInt(event.version))
  }

  /** Resolves when all are answered for, or nothing has been heard for so long, or at an abort. */
  async all(silenceMs: number, onHeard: () => void, signal?: AbortSignal): Promise<void> {
    while (this.open > 0 && signal?.aborted !== true) {
      const heard = await new Promise<boolean>((resolve) => {
        const done = (woken: boolean) => {
          clearTimeout(timer)
          signal?.removeEventListener('abort', onAbort)
          this.#wake = () => undefined
          resolve(woken)
        }
        const onAbort = () => done(false)
        const timer = setTimeout(() => done(false), silenceMs)
        signal?.addEventListener('abort', onAbort, { once: true })
        this.#wake = () => done(true)
      })
      if (!heard) return
      onHeard()
    }
  }
}

const recordOf = ({ direction, table, key }: Omit<Awaited, 'version'>) => `${direction} ${table}/${key}`
