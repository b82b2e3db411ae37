import { inSpan } from '@clinic-sync/broker'
import type { Side } from '@clinic-sync/contracts'
import type { Observer } from '@clinic-sync/sync'

/** Runs a drain of a side's outbox in a span of its own, and tells how long it took, whether it succeeded or not. */
export async function observeDrain<T>(side: Side, observer: Observer | undefined, run: () => Promise<T>): Promise<T> {
  const since = performance.now()
  try {
    return await inSpan(`drain ${side}`, {}, run)
  } finally {
    observer?.drained?.(side, (performance.now() - since) / 1000)
  }
}
