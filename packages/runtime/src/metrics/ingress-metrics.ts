import type { QueueDepth } from '@clinic-sync/broker'
import { type Direction, directionFrom, type Side } from '@clinic-sync/contracts'
import type { Observer } from '@clinic-sync/sync'
import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import { DURATIONS } from './consumer-metrics.ts'
import { tableLabel } from './labels.ts'
import { OutboxAge } from './outbox-age.ts'
import { queueMetrics } from './queue-metrics.ts'

const SIDES: readonly Side[] = ['clinic', 'portal']

/** What the ingress does with both outboxes, and how deep the queues are. */
export function ingressMetrics(
  register: Registry,
  queueDepths: (() => Promise<readonly QueueDepth[]>) | undefined,
): Observer {
  const registers = [register]
  const ages = new OutboxAge()
  let leads: boolean | undefined
  let restored: readonly Side[] = []
  const standing = new Map<Direction, number>()
  const published = new Counter({
    name: 'clinic_sync_published_total',
    help: 'Events that RabbitMQ has confirmed.',
    labelNames: ['direction', 'table'],
    registers,
  })
  new Gauge({
    name: 'clinic_sync_outbox_oldest_pending_seconds',
    help: "Age of a side's oldest change that is known and not published, or time for which its outbox cannot be read; 0: none.",
    labelNames: ['side'],
    registers,
    collect() {
      this.reset()
      // The others' outboxes are the leader's affair.
      for (const side of leads === false ? [] : SIDES) {
        const seconds = ages.secondsOf(side)
        if (seconds !== null) this.set({ side }, seconds)
      }
    },
  })
  const durations = new Histogram({
    name: 'clinic_sync_drain_duration_seconds',
    help: 'From the start of a look into an outbox to its end, whether there was anything or not.',
    labelNames: ['side'],
    buckets: DURATIONS,
    registers,
  })
  const sizes = new Histogram({
    name: 'clinic_sync_drain_batch_size',
    help: 'Events taken from an outbox at once; looks that find none are not counted.',
    labelNames: ['side'],
    buckets: [1, 2, 5, 10, 20, 50, 100, 200, 500],
    registers,
  })
  const rings = new Counter({
    name: 'clinic_sync_doorbell_rings_total',
    help: 'Doorbells heard; operator: asked for by hand.',
    labelNames: ['side', 'transport'],
    registers,
  })
  new Gauge({
    name: 'clinic_sync_leader',
    help: '1 for the ingress that drains, 0 for one that stands by; none while nobody knows.',
    labelNames: [],
    registers,
    collect() {
      if (leads === undefined) this.remove()
      else this.set(leads ? 1 : 0)
    },
  })
  new Gauge({
    name: 'clinic_sync_restored',
    help: '1 for a database that was restored from a backup and is not repaired: nothing is sent.',
    labelNames: ['side'],
    registers,
    collect() {
      if (!leads) this.reset()
      else for (const side of SIDES) this.set({ side }, restored.includes(side) ? 1 : 0)
    },
  })
  new Gauge({
    name: 'clinic_sync_dead_letters_standing',
    help: 'Records with a dead letter that nothing has superseded, at the last look.',
    labelNames: ['queue'],
    registers,
    collect() {
      this.reset()
      if (leads) for (const [direction, records] of standing) this.set({ queue: `sync.dead.${direction}` }, records)
    },
  })
  const alerts = new Counter({
    name: 'clinic_sync_alerts_total',
    help: 'Attempts to send an alert, and alerts that were replaced by newer ones or given up.',
    labelNames: ['what'],
    registers,
  })
  for (const what of ['sent', 'failed', 'refused', 'replaced', 'given-up']) alerts.inc({ what }, 0)
  if (queueDepths !== undefined) queueMetrics(register, queueDepths)
  for (const side of SIDES) for (const histogram of [durations, sizes]) histogram.zero({ side })
  return {
    published(events) {
      // In runs, of which a page has few: labels cost more than all else that is done here for an event.
      for (let i = 0, from = 0; i < events.length; i++) {
        const [event, next] = [events[i], events[i + 1]]
        if (event === undefined || (next?.source === event.source && next.data.table === event.data.table)) continue
        const { source, data } = event
        published.inc({ direction: directionFrom(source), table: tableLabel(data.table) }, i + 1 - from)
        from = i + 1
      }
    },
    taken(side, taken, ahead) {
      ages.taken(side, taken, ahead)
      if (taken !== null && taken.changes.length > 0) sizes.observe({ side }, taken.changes.length)
    },
    drained: (side, seconds) => durations.observe({ side }, seconds),
    rang: (side, transport) => rings.inc({ side, transport }),
    restored: (sides) => (restored = sides),
    alerted: (what) => alerts.inc({ what }),
    standing: (direction, records) => void standing.set(direction, records),
    leads(now) {
      leads = now
      // Whoever led meanwhile has moved on.
      if (!now) ages.forget()
    },
  }
}
