import { type Broker, connectBroker, deadQueue, eventQueues, startEventConsumer } from '@clinic-sync/broker'
import type { Outcome, SyncEvent } from '@clinic-sync/contracts'
import { observeDatabase } from '@clinic-sync/runtime'
import { DatabaseError } from '@clinic-sync/sync'
import { context, SpanKind, trace } from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import {
  BasicTracerProvider,
  InMemorySpanExporter,
  type ReadableSpan,
  SimpleSpanProcessor,
} from '@opentelemetry/sdk-trace-base'
import { connect, type ConsumeMessage } from 'amqplib'
import t, { type Test } from 'tap'
import { Drain } from '../src/drain.ts'
import { settleOutcomes } from '../src/outcomes.ts'
import { Fake } from './fake-outbox.ts'
import { recordingLog, until } from './help.ts'
import { testRabbit } from './rabbit.ts'

const direction = 'sql-to-postgres'
const retryDelaysMs = [50, 60, 70]
const url = await testRabbit(t)

/** Keeps all spans of this process until the test has ended. */
function registerSdk(t: Test): InMemorySpanExporter {
  const exporter = new InMemorySpanExporter()
  const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(exporter)] })
  trace.setGlobalTracerProvider(provider)
  context.setGlobalContextManager(new AsyncLocalStorageContextManager().enable())
  t.teardown(async () => {
    trace.disable()
    context.disable()
    await provider.shutdown()
  })
  return exporter
}

/** An outbox in memory, its drain and its settling, and a target in memory that answers as `apply` does. */
async function pipeline(t: Test, apply: (events: readonly SyncEvent[]) => Outcome[] = applied) {
  const { log } = recordingLog()
  const outbox = new Fake('clinic')
  const clinic = observeDatabase('clinic', outbox, undefined)
  const open = async (name: string): Promise<Broker> => {
    const broker = await connectBroker({ url, log, name, retryDelaysMs })
    t.teardown(() => broker.close())
    await broker.ready()
    return broker
  }
  const [ingress, consumer] = await Promise.all([open('ingress'), open(direction)])
  const drain = new Drain({ outbox: clinic, publisher: ingress, log })
  t.teardown(() => drain.stop())
  const seen: SyncEvent[] = []
  const database = {
    check: () => Promise.resolve(),
    applyChanges: async (events: readonly SyncEvent[]) => {
      seen.push(...events)
      return apply(events)
    },
  }
  return {
    outbox,
    drain,
    seen,
    start() {
      ingress.consumeOutcomes(direction, settleOutcomes({ outbox: clinic, log }), { check: () => clinic.check() })
      startEventConsumer({ broker: consumer, direction, target: observeDatabase('portal', database, undefined), log })
    },
    settled: () =>
      outbox.rows.length > 0 && outbox.rows.every(({ status }) => status !== 'Pending' && status !== 'Queued'),
  }
}

const applied = (events: readonly SyncEvent[]) =>
  events.map(({ data: { table, key, version } }): Outcome => ({ table, key, version, outcome: 'applied' }))

const named = (spans: readonly ReadableSpan[], name: string) => spans.filter((span) => span.name === name)
const idOf = (span: ReadableSpan | undefined) => span?.spanContext().spanId
const traceOf = (span: ReadableSpan | undefined) => span?.spanContext().traceId

async function messagesIn(t: Test, queues: readonly string[], count: number): Promise<ConsumeMessage[]> {
  const model = await connect(url)
  t.teardown(() => model.close().catch(() => undefined))
  const channel = await model.createChannel()
  const messages: ConsumeMessage[] = []
  for (const queue of queues)
    await channel.consume(queue, (message) => message && messages.push(message), { noAck: true })
  await until('they are there', () => messages.length >= count)
  await model.close()
  return messages
}

t.test('without an SDK no message carries a trace', async (t) => {
  const { outbox, drain } = await pipeline(t)
  outbox.change(1)
  await drain.request()
  const [message] = await messagesIn(t, eventQueues(direction), 1)
  t.strictSame(Object.keys(message?.properties.headers ?? {}).sort(), [
    'sync-attempt',
    'sync-entity-key',
    'sync-version',
  ])
  t.notMatch(message?.content.toString(), /trace/)
})

t.test('one edit is one trace, from the drain to the settled outbox', async (t) => {
  const exporter = registerSdk(t)
  const { outbox, drain, start, seen, settled } = await pipeline(t)
  start()
  outbox.change(7)
  await drain.request()
  const spans = () => exporter.getFinishedSpans()
  await until('its outcome is settled', () => named(spans(), `process sync.outcomes.${direction}`).length === 1)
  t.ok(settled())
  const one = (name: string) => named(spans(), name)[0]
  const [drained, created, published] = [one('drain clinic'), one('create sync.events'), one('publish sync.events')]
  const [processed, apply] = [one(`process sync.${direction}`), one('apply portal')]
  const reported = one(`process sync.outcomes.${direction}`)
  t.equal(created?.parentSpanContext?.spanId, idOf(drained))
  t.equal(published?.parentSpanContext?.spanId, idOf(drained))
  t.equal(published?.links[0]?.context.spanId, idOf(created))
  t.equal(processed?.parentSpanContext?.spanId, idOf(created))
  t.equal(apply?.parentSpanContext?.spanId, idOf(processed))
  t.equal(reported?.parentSpanContext?.spanId, idOf(processed))
  const settles = named(spans(), 'settle clinic').map((span) => span.parentSpanContext?.spanId)
  t.strictSame(new Set(settles), new Set([idOf(drained), idOf(reported)]))
  t.equal(new Set(spans().map(traceOf)).size, 1)
  t.equal(seen[0]?.traceparent, `00-${traceOf(created)}-${idOf(created)}-01`, 'the envelope says it as well')
  t.match(
    [drained?.kind, created?.kind, published?.kind, processed?.kind, apply?.kind],
    [SpanKind.INTERNAL, SpanKind.PRODUCER, SpanKind.CLIENT, SpanKind.CONSUMER, SpanKind.CLIENT],
  )
  t.match(created?.attributes, {
    'messaging.system': 'rabbitmq',
    'messaging.operation.type': 'create',
    'messaging.destination.name': 'sync.events',
    'messaging.message.id': 'clinic/aligner_notes/7/1',
  })
  t.match(apply?.attributes, { 'db.system.name': 'postgresql', 'db.operation.batch.size': 1 })
})

t.test('a batch is linked to the traces of its events', async (t) => {
  const exporter = registerSdk(t)
  const { outbox, drain, start, settled } = await pipeline(t)
  for (let key = 1; key <= 60; key++) outbox.change(key)
  await drain.request()
  start()
  await until('all are settled', settled)
  const spans = exporter.getFinishedSpans()
  const created = named(spans, 'create sync.events').map(idOf)
  t.equal(new Set(created).size, 60)
  const processed = named(spans, `process sync.${direction}`)
  const linked = processed.flatMap(({ links }) => links.map((link) => link.context.spanId))
  t.strictSame(new Set(linked), new Set(created))
  t.ok(processed.some(({ links, parentSpanContext }) => links.length > 1 && parentSpanContext === undefined))
})

t.test('a retry and a dead letter keep the trace; a failure is told by its code', async (t) => {
  const exporter = registerSdk(t)
  const { outbox, drain, start, settled } = await pipeline(t, () => {
    throw new DatabaseError('transient', 'the row', { number: '57014', cause: new Error('PLANTED') })
  })
  start()
  outbox.change(9)
  await drain.request()
  await until('it is dead', settled)
  const [dead] = await messagesIn(t, [deadQueue(direction)], 1)
  const spans = exporter.getFinishedSpans()
  const [created] = named(spans, 'create sync.events')
  const processed = named(spans, `process sync.${direction}`)
  t.ok(processed.length >= 4, 'the first attempt and three retries')
  for (const span of processed) t.equal(span.parentSpanContext?.spanId, idOf(created))
  t.match(named(spans, 'apply portal')[0]?.attributes, { 'error.type': '57014' })
  t.equal(dead?.properties.headers?.['traceparent'], `00-${traceOf(created)}-${idOf(created)}-01`)
  const told = spans.map(({ name, attributes, events, status }) => ({ name, attributes, events, status }))
  t.notMatch(JSON.stringify(told), /PLANTED|the row/)
})
