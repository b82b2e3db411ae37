import type { Settlement } from '@clinic-sync/contracts'
import { DatabaseError } from '@clinic-sync/sync'
import { context, type Context } from '@opentelemetry/api'

/** Settlements of one call that several share: what one of them spoils is done again. */
const MOST = 2_000

export type Settle = (settlements: readonly Settlement[]) => Promise<void>

interface Waiting {
  readonly settlements: readonly Settlement[]
  /** Whose span it belongs to. */
  readonly active: Context
  resolve(): void
  reject(error: unknown): void
}

/**
 * One call at a time; what is to be settled meanwhile, by the drain and by the consumers' outcomes, goes together in the next. The
 * clinic's procedures take turns anyway, at a lock of the whole outbox, and a call costs as much as some hundred rows. Nothing waits
 * while no call is under way.
 *
 * Where a call that several share fails, each of them is settled by itself, and gets its own failure: which outcome is refused is
 * found by whoever brought it. A database that is down is so for all of them.
 */
export function mergeSettlements(settle: Settle, most = MOST): Settle {
  let waiting: Waiting[] = []
  let working = false

  async function work(): Promise<void> {
    working = true
    // No await between the last look at `waiting` and the end: who came in such a gap would wait for ever.
    while (waiting.length > 0) await settleTogether(take())
    working = false
  }

  /** The first who waits, and those behind who fit in. */
  function take(): Waiting[] {
    let size = 0
    const fits = waiting.findIndex(({ settlements }, i) => (size += settlements.length) > most && i > 0)
    const taken = fits < 0 ? waiting : waiting.slice(0, fits)
    waiting = fits < 0 ? [] : waiting.slice(fits)
    return taken
  }

  async function settleTogether(together: readonly Waiting[]): Promise<void> {
    const [first, ...others] = together
    if (first === undefined) return
    if (others.length === 0) return settleAlone(first)
    try {
      const all = together.flatMap(({ settlements }) => settlements)
      await context.with(first.active, () => settle(all))
      for (const { resolve } of together) resolve()
    } catch (error) {
      if (isDown(error)) for (const { reject } of together) reject(error)
      else for (const each of together) await settleAlone(each)
    }
  }

  async function settleAlone({ settlements, active, resolve, reject }: Waiting): Promise<void> {
    try {
      await context.with(active, () => settle(settlements))
      resolve()
    } catch (error) {
      reject(error)
    }
  }

  return (settlements) =>
    new Promise((resolve, reject) => {
      waiting.push({ settlements, active: context.active(), resolve, reject })
      if (!working) void work()
    })
}

const isDown = (error: unknown) => error instanceof DatabaseError && error.failure === 'down'
