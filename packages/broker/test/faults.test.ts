import t from 'tap'
import { deadQueue, eventQueue, eventQueues, type Broker, type ConsumeOptions, type EventBatch } from '../src/index.ts'
import { keepLines, note, testBroker, until } from './support/helpers.ts'
import { proxyTo, type Proxy } from './support/proxy.ts'
import { testRabbit } from './support/rabbit.ts'

const rabbit = await testRabbit(t)
const direction = 'sql-to-postgres'
const options: ConsumeOptions = { check: () => Promise.resolve() }
const done = ({ events }: EventBatch) => events.map(() => ({ action: 'done' as const }))

/** Publishes until it succeeds, as the ingress does: again after each failure. */
async function publishForSure(broker: Broker, events: readonly ReturnType<typeof note>[]): Promise<void> {
  for (;;) {
    await broker.ready()
    const failed = await broker.publishEvents(events).then(
      () => false,
      () => true,
    )
    if (!failed) return
  }
}

/** Proves that both directions work now: what is published arrives. */
async function works(broker: Broker, seen: ReadonlySet<string>, version: number): Promise<void> {
  const event = note(9_999, version)
  await publishForSure(broker, [event])
  await until(`version ${version} arrives`, () => seen.has(event.id))
}

function consumeInto(broker: Broker, seen: Set<string>) {
  return broker.consumeEvents(
    direction,
    (batch) => {
      for (const { event } of batch.events) seen.add(event.id)
      return Promise.resolve(done(batch))
    },
    options,
  )
}

t.test('a connection that dies at any byte of its setup comes back', async (t) => {
  const proxy = await proxyTo(t, rabbit.url)
  // Handshake, channel, each declaration, consumers: the whole setup is some 2 kB from RabbitMQ.
  for (const bytes of [0, 300, 500, 530, 560, 600, 650, 700, 850, 1_000, 1_300]) {
    proxy.cutAfter = bytes
    const before = proxy.accepted
    const broker = await testBroker(t, proxy.url)
    const seen = new Set<string>()
    const consumer = consumeInto(broker, seen)
    await until('both connections were cut', () => proxy.accepted >= before + 2)
    proxy.cutAfter = null
    proxy.cut()
    await works(broker, seen, bytes + 1)
    t.equal(broker.state().publisher, 'up', `cut after ${bytes} bytes`)
    await consumer.close()
    await broker.close()
  }
})

t.test('connections that RabbitMQ closes come back, and are announced', async (t) => {
  const log = keepLines()
  const broker = await testBroker(t, rabbit.url, { log })
  const seen = new Set<string>()
  consumeInto(broker, seen)
  let rung = 0
  broker.onReconnect(() => rung++)
  await works(broker, seen, 1)
  for (let round = 1; round <= 1; round++) {
    await rabbit.closeConnections('test ')
    await until('it is announced', () => rung === round + 1)
    await works(broker, seen, round + 1)
  }
  const lost = log.lines.filter(({ message }) => message.startsWith('lost the connection'))
  t.equal(lost.length, 2, 'one line for each loss')
})

t.test('RabbitMQ is away: one line says so, however often it is tried', async (t) => {
  const log = keepLines()
  const proxy = await proxyTo(t, rabbit.url)
  const broker = await testBroker(t, proxy.url, { log })
  await broker.ready()
  proxy.refuse = true
  proxy.cut()
  const before = proxy.accepted
  await until('several attempts failed', () => proxy.accepted >= before + 4)
  const said = log.lines.filter(({ message }) => message.startsWith('cannot connect'))
  t.equal(said.length, 1)
  t.notMatch(JSON.stringify(log.lines), /guest/)
  proxy.refuse = false
  await broker.ready()
})

t.test('RabbitMQ is away for longer: each connection still tries every few seconds', async (t) => {
  const proxy = await proxyTo(t, rabbit.url)
  const broker = await testBroker(t, proxy.url)
  await broker.ready()
  proxy.refuse = true
  proxy.cut()
  // The pauses have grown to their longest by then.
  await new Promise((resolve) => setTimeout(resolve, 13_000))
  proxy.refuse = false
  const since = performance.now()
  await broker.ready()
  const seen = new Set<string>()
  consumeInto(broker, seen)
  await works(broker, seen, 40)
  const ms = Math.round(performance.now() - since)
  t.ok(ms < 9_000, `both are back after ${ms} ms`)
})

t.test('a network that goes silent is noticed by its missing heartbeats, and fails what is under way', async (t) => {
  const proxy = await proxyTo(t, rabbit.url)
  const broker = await testBroker(t, `${proxy.url}?heartbeat=1`)
  const seen = new Set<string>()
  consumeInto(broker, seen)
  await works(broker, seen, 1)
  proxy.silent = true
  await t.rejects(broker.publishEvents([note(1, 1)]), { code: 'SYNC_BROKER_DOWN' })
  proxy.silent = false
  proxy.cut()
  await works(broker, seen, 2)
})

t.test('a deleted queue is declared again, and consuming goes on', async (t) => {
  const broker = await testBroker(t, rabbit.url)
  const seen = new Set<string>()
  const consumer = consumeInto(broker, seen)
  await works(broker, seen, 1)
  for (const queue of eventQueues(direction)) await rabbit.channel.deleteQueue(queue)
  await until('the consumer is back', () => consumer.state === 'consuming')
  await works(broker, seen, 2)
  t.equal((await rabbit.channel.checkQueue(eventQueue(direction, 0))).consumerCount, 1)
})

t.test('a channel that RabbitMQ closes fails what is under way, and is opened again', async (t) => {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  await rabbit.channel.deleteExchange('sync.events')
  await t.rejects(broker.publishEvents([note(1, 1), note(2, 1)]), { code: 'SYNC_BROKER_DOWN' })
  await broker.ready()
  await publishForSure(broker, [note(1, 2)])
  t.equal(broker.state().publisher, 'up')
  for (const queue of eventQueues(direction)) await rabbit.take(queue)
})

t.test('an acknowledgement that comes too late, on a lost channel, costs nothing', async (t) => {
  const proxy = await proxyTo(t, rabbit.url)
  const broker = await testBroker(t, proxy.url)
  const times = new Map<string, number>()
  let release: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  const consumer = broker.consumeEvents(
    direction,
    async (batch) => {
      for (const { event } of batch.events) times.set(event.id, (times.get(event.id) ?? 0) + 1)
      await held
      return done(batch)
    },
    options,
  )
  await publishForSure(broker, [note(1, 1)])
  await until('it is in hand', () => times.size === 1)
  proxy.cut()
  release()
  await until('it is delivered again', () => times.get(note(1, 1).id) === 2)
  await consumer.close()
  t.equal((await rabbit.take(deadQueue(direction))).length, 0)
})

t.test('cut again and again amid 5,000 events, none is lost and none is dead', async (t) => {
  const proxy = await proxyTo(t, rabbit.url)
  const broker = await testBroker(t, proxy.url)
  const events = Array.from({ length: 5_000 }, (_, index) => note(index % 500, index + 1))
  const seen = new Set<string>()
  const newest = new Map<number, number>()
  const wrong: string[] = []
  let deliveries = 0
  const consumer = broker.consumeEvents(
    direction,
    async (batch) => {
      for (const { event } of batch.events) {
        deliveries++
        const { key, version } = event.data
        // A version never seen must be newer than all that this record has shown: redelivery alone may step back.
        if (!seen.has(event.id) && Number(version) < (newest.get(key) ?? 0)) wrong.push(event.id)
        seen.add(event.id)
        newest.set(key, Math.max(Number(version), newest.get(key) ?? 0))
      }
      await new Promise((resolve) => setTimeout(resolve, 2))
      return done(batch)
    },
    options,
  )
  await broker.ready()
  const cutting = cutNowAndThen(proxy, () => seen.size === events.length)
  for (let from = 0; from < events.length; from += 500) {
    await publishForSure(broker, events.slice(from, from + 500))
  }
  await until('all have arrived', () => seen.size === events.length)
  const cuts = await cutting
  t.ok(cuts >= 3, `${cuts} cuts, ${deliveries} deliveries`)
  t.strictSame(wrong, [])
  await until('all are acknowledged', async () => {
    const counts = await Promise.all(eventQueues(direction).map((queue) => rabbit.channel.checkQueue(queue)))
    return consumer.state === 'consuming' && counts.every(({ messageCount }) => messageCount === 0)
  })
  await consumer.close()
  for (const queue of eventQueues(direction)) t.equal((await rabbit.take(queue)).length, 0)
  t.equal((await rabbit.take(deadQueue(direction))).length, 0)
})

/** Cuts after every 1,000 bytes-ish of progress: whenever another connection is up, at irregular times. */
async function cutNowAndThen(proxy: Proxy, over: () => boolean): Promise<number> {
  let cuts = 0
  for (; cuts < 6 && !over(); cuts++) {
    await new Promise((resolve) => setTimeout(resolve, 37 + cuts * 61))
    proxy.cut()
  }
  return cuts
}
