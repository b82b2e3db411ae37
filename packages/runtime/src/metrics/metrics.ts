import type { QueueDepth } from '@clinic-sync/broker'
import type { Direction } from '@clinic-sync/contracts'
import type { Observer } from '@clinic-sync/sync'
import { collectDefaultMetrics, Gauge, Registry } from 'prom-client'
import { brokerMetrics } from './broker-metrics.ts'
import { consumerMetrics } from './consumer-metrics.ts'
import { ingressMetrics } from './ingress-metrics.ts'
import { versionOfThis } from '../version.ts'

/** What a service shows Prometheus: see docs/metrics.md. */
export interface Metrics {
  /** Is told of what happens. */
  readonly observer: Observer
  /** For the HTTP header. */
  readonly contentType: string
  /** One scrape, in Prometheus' text format. Asks no database; RabbitMQ at most every 5 s, by the ingress alone. */
  text(): Promise<string>
}

export interface MetricsOptions {
  readonly service: 'ingress' | Direction
  /** The ingress's way to ask RabbitMQ how deep its queues are: `Broker.queueDepths`. */
  readonly queueDepths?: () => Promise<readonly QueueDepth[]>
}

/** How often the event loop's delay is looked at. At prom-client's own 10 ms, 100 wakings a second are most of what an idle service does. */
const LOOP_DELAY_MS = 200

/** The metrics of one service, in a registry of their own: a process has one of these. */
export function createMetrics({ service, queueDepths }: MetricsOptions): Metrics {
  const register = new Registry()
  collectDefaultMetrics({ register, eventLoopMonitoringPrecision: LOOP_DELAY_MS })
  new Gauge({
    name: 'clinic_sync_build_info',
    help: 'Always 1; its labels say which service this is, and the versions of clinic-sync and Node.',
    labelNames: ['service', 'version', 'node'],
    registers: [register],
  }).set({ service, version: versionOfThis(), node: process.version }, 1)
  const common = brokerMetrics(register)
  const own = service === 'ingress' ? ingressMetrics(register, queueDepths) : consumerMetrics(register, service)
  return { observer: { ...common, ...own }, contentType: register.contentType, text: () => register.metrics() }
}
