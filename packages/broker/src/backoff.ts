/** 0.1 s, doubling to 30 s, ±20 % so that several services do not return in step. `attempt` counts from 0. */
export function backoffMs(attempt: number): number {
  return Math.min(30_000, 100 * 2 ** Math.min(attempt, 20)) * (0.8 + Math.random() * 0.4)
}

/** Resolves after `ms`, or at once when `signal` aborts. Never rejects. */
export function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = () => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}

/** Resolves when `work` settles or `ms` are over. Never rejects. */
export async function within(ms: number, work: Promise<unknown>): Promise<void> {
  const over = new AbortController()
  await Promise.race([work.then(undefined, () => undefined), sleep(ms, over.signal)])
  over.abort()
}
