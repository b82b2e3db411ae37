import type { QueueDepth } from '@clinic-sync/broker'
import { Gauge, type Registry } from 'prom-client'

/** However often it is scraped. */
const REST_MS = 5_000

/** How deep RabbitMQ's queues are, asked when Prometheus asks; nothing is shown while RabbitMQ does not answer. */
export function queueMetrics(register: Registry, ask: () => Promise<readonly QueueDepth[]>): void {
  let asked = Number.NEGATIVE_INFINITY
  let answer: Promise<readonly QueueDepth[]> = Promise.resolve([])
  const depths = () => {
    if (performance.now() - asked >= REST_MS) {
      asked = performance.now()
      answer = ask().catch(() => [])
    }
    return answer
  }
  const gauge = (name: string, help: string, valueOf: (depth: QueueDepth) => number) =>
    new Gauge({
      name,
      help,
      labelNames: ['queue'],
      registers: [register],
      async collect() {
        const all = await depths()
        this.reset()
        for (const depth of all) this.set({ queue: depth.queue }, valueOf(depth))
      },
    })
  gauge(
    'clinic_sync_queue_messages',
    'Messages that wait in a queue, without those in the hands of a consumer.',
    ({ messages }) => messages,
  )
  gauge(
    'clinic_sync_queue_consumers',
    'Consumers of a queue, those that stand by included.',
    ({ consumers }) => consumers,
  )
}
