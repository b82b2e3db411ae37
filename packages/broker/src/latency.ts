import { ARRIVED, type Latency } from '@clinic-sync/contracts'
import type { Ruling } from './apply-batch.ts'

/**
 * How long the changes of a batch took that have arrived with it, from their capture until `now` (milliseconds since 1970, by this
 * machine's clock); undefined: none has. Two hundred cost 30 µs.
 */
export function latencyOf(rulings: readonly Pick<Ruling, 'delivery' | 'outcome'>[], now: number): Latency | undefined {
  const took = rulings.flatMap(({ delivery: { event }, outcome }) => {
    if (outcome === null || !ARRIVED.has(outcome.outcome)) return []
    const captured = Date.parse(event.time)
    // The clocks of two machines: a source's that is ahead would make it negative.
    return Number.isNaN(captured) ? [] : [Math.max(0, Math.round(now - captured))]
  })
  if (took.length === 0) return undefined
  took.sort((a, b) => a - b)
  return { medianMs: took[(took.length - 1) >> 1] ?? 0, worstMs: took.at(-1) ?? 0 }
}
