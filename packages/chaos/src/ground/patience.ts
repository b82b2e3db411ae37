import { setTimeout as delay } from 'node:timers/promises'

const LOOK_MS = 100

/** Calls until it succeeds; for what a fault may have hit as well. @throws what it last threw, after `patienceMs` */
export async function patiently<T>(work: () => Promise<T>, patienceMs = 30_000): Promise<T> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    try {
      return await work()
    } catch (error) {
      if (performance.now() > deadline) throw error
      await delay(LOOK_MS)
    }
  }
}

/** Asks until the answer is true; an error counts as no. @returns whether it became true in time */
export async function comes(ask: () => Promise<boolean>, patienceMs: number, lookMs = LOOK_MS): Promise<boolean> {
  const deadline = performance.now() + patienceMs
  for (;;) {
    if (await ask().catch(() => false)) return true
    if (performance.now() > deadline) return false
    await delay(lookMs)
  }
}
