import { DatabaseError } from '@clinic-sync/sync'
import { setTimeout as sleep } from 'node:timers/promises'

/** Does it, and does it again while it fails for a reason that passes: somebody's transaction holds a row, or the database ended ours. */
export type Patiently = <T>(work: () => Promise<T>) => Promise<T>

/** @throws the last failure once the patience is over, DatabaseError at once where it does not pass; `signal.reason` */
export function patiently(patienceMs: number, signal?: AbortSignal): Patiently {
  return async (work) => {
    const began = performance.now()
    for (let pause = 100; ; pause = Math.min(2 * pause, 2_000)) {
      signal?.throwIfAborted()
      try {
        return await work()
      } catch (error) {
        const passes = error instanceof DatabaseError && error.failure === 'transient'
        if (!passes || performance.now() - began > patienceMs) throw error
      }
      await sleep(pause, undefined, signal ? { signal } : {}).catch(() => undefined)
    }
  }
}
