import { setTimeout as delay } from 'node:timers/promises'

/** 0.1 s, doubling to 30 s, ±20 % so that services do not return in step. `attempt` counts from 0. */
export const backoffMs = (attempt: number): number =>
  Math.min(30_000, 100 * 2 ** Math.min(attempt, 20)) * (0.8 + Math.random() * 0.4)

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
