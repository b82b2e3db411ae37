import type { Direction } from '@clinic-sync/contracts'
import type { Observer } from '@clinic-sync/sync'
import { Counter, Histogram, type Registry } from 'prom-client'
import { tableLabel } from './labels.ts'

/** Seconds: the promise is one; an outage makes it an hour. */
const LATENCY = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600]
/** Seconds of a database's work: a row takes milliseconds, a batch that is bisected takes long. */
export const DURATIONS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
/** What is equal at the target now, and was not known to be before. */
const ARRIVED: ReadonlySet<string> = new Set(['applied', 'unchanged', 'conflict'])

/** What a consumer does with its direction's events. */
export function consumerMetrics(register: Registry, only: Direction): Observer {
  const registers = [register]
  const events = new Counter({
    name: 'clinic_sync_events_total',
    help: 'Events by what became of them at their target; one that is retried counts each time.',
    labelNames: ['direction', 'table', 'outcome'],
    registers,
  })
  const latency = new Histogram({
    name: 'clinic_sync_event_latency_seconds',
    help: "From the oldest change's capture at its source (by that database's clock) to its arrival at the target.",
    labelNames: ['direction'],
    buckets: LATENCY,
    registers,
  })
  const sizes = new Histogram({
    name: 'clinic_sync_apply_batch_size',
    help: 'Events that were ruled on together; one that waits for a lock counts when it is ruled on.',
    labelNames: ['direction'],
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500],
    registers,
  })
  const durations = new Histogram({
    name: 'clinic_sync_apply_duration_seconds',
    help: "The database's time for a batch, bisecting included.",
    labelNames: ['direction'],
    buckets: DURATIONS,
    registers,
  })
  for (const histogram of [latency, sizes, durations]) histogram.zero({ direction: only })
  return {
    applied({ direction, seconds, events: applied }) {
      const now = Date.now()
      for (const { table, capturedAt, outcome } of applied) {
        events.inc({ direction, table: tableLabel(table), outcome })
        const captured = capturedAt === null ? Number.NaN : Date.parse(capturedAt)
        // Clocks differ: what comes before it was captured came at once.
        if (ARRIVED.has(outcome) && captured > 0) latency.observe({ direction }, Math.max(0, (now - captured) / 1000))
      }
      sizes.observe({ direction }, applied.length)
      durations.observe({ direction }, seconds)
    },
  }
}
