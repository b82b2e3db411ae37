import { comes, patiently } from '../ground/patience.ts'
import type { Ground } from '../ground/ground.ts'
import { type Marks, NO_MARKS } from '../people/canaries.ts'

/** How long it took until all was well again, in milliseconds; or what was not. */
export type Recovery = { readonly ms: number } | { readonly stuck: string }

/**
 * Measures how long it takes until everything that is committed by now has arrived, and both directions pass on what is new.
 *
 * What was stuck once is not waited for again: `from` says up to where.
 */
export class Recoveries {
  readonly #ground: Ground
  #from: Marks = NO_MARKS

  constructor(ground: Ground) {
    this.#ground = ground
  }

  /** @param start when the fault was over */
  async measure(patienceMs: number, start: number): Promise<Recovery> {
    const { canaries } = this.#ground
    const marks = await canaries.marks()
    let open = 0
    const [flight, arrived] = await Promise.all([
      canaries.fly(patienceMs),
      comes(
        async () => {
          open = await canaries.open(this.#from, marks)
          return open === 0
        },
        patienceMs,
        250,
      ),
    ])
    const ms = performance.now() - start
    const stuck = [
      ...(['sql-to-postgres', 'postgres-to-sql'] as const)
        .filter((way) => flight[way] === null)
        .map((way) => `nothing flows ${way}`),
      ...(arrived ? [] : [`${open} outbox rows are open that were committed before`]),
    ]
    if (stuck.length === 0) return { ms }
    this.#from = marks
    return { stuck: `after ${Math.round(ms / 1_000)} s: ${stuck.join('; ')}` }
  }

  /** Whether both outboxes are empty, but for what was stuck before. */
  async atRest(): Promise<boolean> {
    const { canaries } = this.#ground
    return patiently(async () => (await canaries.open(this.#from, await canaries.marks())) === 0)
  }
}
