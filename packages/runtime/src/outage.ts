import { setTimeout as delay } from 'node:timers/promises'
import { backoffMs } from '@clinic-sync/sync'

export interface OutageOptions {
  readonly signal: AbortSignal
  /** A failure worth waiting for; any other is thrown on. */
  readonly isOutage: (error: unknown) => boolean
  /** Called once when it turns out to be down, and again for each other reason: not once an attempt. */
  readonly onDown: (error: Error) => void
  readonly onBack: () => void
}

/**
 * Asks until `check` succeeds, with growing pauses.
 *
 * @returns false if `signal` aborted first
 * @throws what `check` throws when that is no outage
 */
export async function untilUp(check: () => Promise<void>, options: OutageOptions): Promise<boolean> {
  const { signal, isOutage, onDown, onBack } = options
  const said = new Set<string>()
  for (let attempt = 0; !signal.aborted; attempt++) {
    try {
      await check()
      if (said.size > 0) onBack()
      return true
    } catch (error) {
      if (!(error instanceof Error) || !isOutage(error)) throw error
      if (!said.has(error.message)) onDown(error)
      said.add(error.message)
    }
    await delay(backoffMs(attempt), undefined, { signal }).catch(() => undefined)
  }
  return false
}
