import { readFile } from 'node:fs/promises'
import type { AppliedEvent, Taken } from '@clinic-sync/sync'
import t from 'tap'
import { createMetrics, type Metrics } from '../../src/index.ts'
import { sample, scrape } from './scrape.ts'

const SERVICES = ['ingress', 'sql-to-postgres', 'postgres-to-sql'] as const
const queueDepths = () => Promise.resolve([{ queue: 'sync.dead.sql-to-postgres', messages: 3, consumers: 0 }])
const ofService = (service: (typeof SERVICES)[number]) =>
  createMetrics({ service, ...(service === 'ingress' && { queueDepths }) })

/** What patients' values would look like in each place where a name or a code is expected. */
const PLANTED = 'Leila Hassan'

/** Tells everything there is to tell. */
function tellAll({ observer }: Metrics, table = 'aligner_notes', code = '23505', type = 'permanent'): void {
  const direction = 'sql-to-postgres'
  const event = (outcome: AppliedEvent['outcome']): AppliedEvent => {
    return { table, capturedAt: new Date(Date.now() - 20).toISOString(), outcome }
  }
  observer.published?.([
    {
      specversion: '1.0',
      id: 'clinic/x/1/1',
      source: 'clinic',
      type: 'sync.row.deleted.v1',
      subject: 'x/1',
      time: '2026-01-01T00:00:00.000Z',
      data: { table, key: 1, version: '1', seen: '0', since: null, base: null, row: null },
    },
  ])
  observer.applied?.({ direction, seconds: 0.004, events: [event('applied'), event('dead')] })
  observer.retried?.(direction, type)
  observer.died?.(direction, code)
  observer.reconnected?.('publishing')
  observer.consumer?.(direction, 'events', 'consuming')
  observer.databaseFailed?.('portal', 'down')
  observer.taken?.('clinic', { changes: [], rows: 0, locked: 0 })
  observer.drained?.('clinic', 0.01)
  observer.rang?.('clinic', 'service-broker')
  observer.leads?.(true)
  observer.standing?.('sql-to-postgres', 1)
}

t.test('what is scraped follows the conventions of Prometheus', async (t) => {
  for (const service of SERVICES) {
    const metrics = ofService(service)
    tellAll(metrics)
    t.match(metrics.contentType, /^text\/plain; version=0\.0\.4/)
    for (const { name, help, type, samples } of (await scrape(metrics)).values()) {
      if (!name.startsWith('clinic_sync_')) {
        t.match(name, /^(process|nodejs)_/, 'all else is of the process')
        continue
      }
      // promtool check metrics: help, snake case, _total for counters alone, base units, no type in the name.
      t.match(help, /^[A-Z1].{20,150}\.$/, `${name} is explained`)
      t.match(name, /^[a-z]+(_[a-z]+)*$/)
      t.equal(type === 'counter', name.endsWith('_total'), `${name}: only counters are totals`)
      t.notMatch(name, /(counter|gauge|histogram|_(ms|milliseconds|minutes|count|sum|bucket|kb|percent))(_|$)/)
      t.ok(samples.size > 0, `${name} has samples`)
      if (type === 'histogram') t.match(name, /_(seconds|size)$/)
      for (const sampled of samples.keys()) t.match(sampled, /^[a-z_]+(\{[a-z]+="[^"]*"(,[a-z]+="[^"]*")*\})?$/)
    }
  }
})

t.test('docs/metrics.md has each metric with its type and labels, and no other', async (t) => {
  const page = await readFile(new URL('../../../../docs/metrics.md', import.meta.url), 'utf8')
  const documented = new Map<string, string>()
  for (const [, name = '', type = '', labels = ''] of page.matchAll(/^\| `(clinic_sync_\w+)` \| (\w+) \|([^|]*)\|/gm)) {
    t.notOk(documented.has(name), `${name} stands there once`)
    documented.set(name, `${type} ${[...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label).join(' ')}`.trim())
  }
  const coded = new Map<string, string>()
  for (const service of SERVICES) {
    const metrics = ofService(service)
    tellAll(metrics)
    for (const { name, type, samples } of (await scrape(metrics)).values()) {
      if (!name.startsWith('clinic_sync_')) continue
      const [first = ''] = samples.keys()
      const labels = [...first.matchAll(/([a-z]+)="/g)].map(([, label]) => label).filter((label) => label !== 'le')
      coded.set(name, `${type} ${labels.join(' ')}`.trim())
    }
  }
  t.strictSame(new Map([...documented].sort()), new Map([...coded].sort()))
  const rules = await readFile(new URL('../../../../docs/prometheus-alerts.yml', import.meta.url), 'utf8')
  for (const [used] of rules.matchAll(/clinic_sync_[a-z_]+/g))
    t.ok(coded.has(used.replace(/_(bucket|sum|count)$/, '')), `the rule's ${used} exists`)
})

t.test('a label holds nothing of a message', async (t) => {
  const metrics = createMetrics({ service: 'sql-to-postgres' })
  tellAll(metrics, PLANTED, `duplicate ${PLANTED}`, PLANTED)
  const ingress = createMetrics({ service: 'ingress' })
  tellAll(ingress, PLANTED, PLANTED, PLANTED)
  for (let code = 10_000; code < 12_000; code++) metrics.observer.died?.('sql-to-postgres', String(code))
  const text = `${await metrics.text()}${await ingress.text()}`
  t.notMatch(text, /Leila|Hassan|duplicate "/)
  t.equal(
    await sample(metrics, 'clinic_sync_events_total{direction="sql-to-postgres",table="other",outcome="dead"}'),
    1,
  )
  const codes = (await scrape(metrics)).get('clinic_sync_dead_letters_total')?.samples
  t.ok(codes !== undefined && codes.size <= 101, 'however many codes there are, there are few series')
  t.equal(codes?.get('clinic_sync_dead_letters_total{direction="sql-to-postgres",code="other"}'), 1_901)
})

t.test('latency counts from the capture, of what has arrived; clocks may differ', async (t) => {
  const metrics = createMetrics({ service: 'postgres-to-sql' })
  const direction = 'postgres-to-sql'
  const at = (ms: number) => new Date(Date.now() - ms).toISOString()
  const event = (outcome: AppliedEvent['outcome'], capturedAt: string | null) => ({
    table: 'work',
    outcome,
    capturedAt,
  })
  const events = [
    event('applied', at(700)),
    event('unchanged', at(-60_000)),
    event('conflict', at(3_000)),
    event('duplicate', at(1e9)),
    event('dead', null),
    event('applied', 'yesterday'),
  ]
  metrics.observer.applied?.({ direction, seconds: 0.02, events })
  const name = 'clinic_sync_event_latency_seconds'
  t.equal(await sample(metrics, `${name}_count{direction="${direction}"}`), 3)
  t.equal(await sample(metrics, `${name}_bucket{le="0.5",direction="${direction}"}`), 1)
  t.equal(await sample(metrics, `${name}_bucket{le="1",direction="${direction}"}`), 2)
  t.equal(await sample(metrics, `clinic_sync_apply_batch_size_sum{direction="${direction}"}`), 6)
})

t.test('a consumer is in one state; who leads is not said before it is known', async (t) => {
  const metrics = createMetrics({ service: 'ingress' })
  const state = (name: string) =>
    sample(metrics, `clinic_sync_consumer_state{direction="sql-to-postgres",messages="outcomes",state="${name}"}`)
  t.equal(await sample(metrics, 'clinic_sync_leader'), undefined)
  metrics.observer.consumer?.('sql-to-postgres', 'outcomes', 'connecting')
  metrics.observer.consumer?.('sql-to-postgres', 'outcomes', 'paused')
  t.strictSame([await state('connecting'), await state('paused'), await state('consuming')], [0, 1, 0])
  metrics.observer.leads?.(false)
  t.equal(await sample(metrics, 'clinic_sync_leader'), 0)
})

t.test('RabbitMQ is asked once, however often it is scraped; without an answer nothing old is shown', async (t) => {
  let asked = 0
  const metrics = createMetrics({ service: 'ingress', queueDepths: () => (asked++, queueDepths()) })
  await Promise.all([metrics.text(), metrics.text()])
  t.equal(await sample(metrics, 'clinic_sync_queue_messages{queue="sync.dead.sql-to-postgres"}'), 3)
  t.equal(asked, 1)
  const silent = createMetrics({ service: 'ingress', queueDepths: () => Promise.reject(new Error('no answer')) })
  t.equal((await scrape(silent)).get('clinic_sync_queue_messages')?.samples.size, 0)
})

t.test('who stands by shows no age of an outbox', async (t) => {
  const metrics = createMetrics({ service: 'ingress' })
  const age = () => sample(metrics, 'clinic_sync_outbox_oldest_pending_seconds{side="portal"}')
  t.equal(await age(), undefined)
  const nothing: Taken = { changes: [], rows: 0, locked: 0 }
  metrics.observer.taken?.('portal', nothing)
  t.equal(await age(), 0)
  metrics.observer.leads?.(false)
  t.equal(await age(), undefined)
})

t.test('dead letters that stand for a change are shown once somebody has looked, by who leads', async (t) => {
  const metrics = createMetrics({ service: 'ingress' })
  const standing = () => sample(metrics, 'clinic_sync_dead_letters_standing{queue="sync.dead.sql-to-postgres"}')
  metrics.observer.leads?.(true)
  t.equal(await standing(), undefined)
  metrics.observer.standing?.('sql-to-postgres', 0)
  t.equal(await standing(), 0)
  metrics.observer.standing?.('sql-to-postgres', 2)
  t.equal(await standing(), 2)
  metrics.observer.leads?.(false)
  t.equal(await standing(), undefined)
})
