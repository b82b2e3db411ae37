import { partitionOf } from '@clinic-sync/sync'
import t from 'tap'
import { eventQueue, PublishError } from '../src/index.ts'
import { note, testBroker, until } from './support/helpers.ts'
import { proxyTo } from './support/proxy.ts'
import { testRabbit } from './support/rabbit.ts'

const rabbit = await testRabbit(t)
const direction = 'sql-to-postgres'

const failure = async (work: Promise<unknown>): Promise<PublishError> => {
  const error: unknown = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof PublishError) return error
  throw new Error('expected a PublishError', { cause: error })
}

t.test('an event lands in its partition, with its headers, persistent', async (t) => {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  const event = note(7, 42)
  await broker.publishEvents([event])
  const [message, ...more] = await rabbit.take(eventQueue(direction, partitionOf('aligner_notes', 7)))
  t.equal(more.length, 0)
  t.strictSame(JSON.parse(message?.content.toString() ?? ''), event)
  t.match(message?.properties, {
    messageId: 'clinic/aligner_notes/7/42',
    type: 'sync.row.upserted.v1',
    contentType: 'application/json',
    deliveryMode: 2,
    appId: 'test',
    headers: { 'sync-entity-key': 'aligner_notes/7', 'sync-version': '42', 'sync-attempt': 0 },
  })
  t.equal(typeof message?.properties.timestamp, 'number')
})

t.test('thousands at once are confirmed, each partition in its order', async (t) => {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  const events = Array.from({ length: 5_000 }, (_, index) => note(index % 97, index + 1))
  await broker.publishEvents(events)
  let count = 0
  for (let partition = 0; partition < 4; partition++) {
    const taken = await rabbit.take(eventQueue(direction, partition))
    const versions = taken.map(({ properties }) => Number(properties.headers?.['sync-version']))
    t.strictSame(
      versions,
      versions.toSorted((a, b) => a - b),
    )
    count += taken.length
  }
  t.equal(count, events.length)
})

t.test('without a queue it is SYNC_UNROUTABLE, and says which; the others are confirmed', async (t) => {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  const lost = [1, 2, 3, 4, 5, 6, 7, 8].find((key) => partitionOf('aligner_notes', key) === 2) ?? 0
  const kept = [1, 2, 3, 4, 5, 6, 7, 8].find((key) => partitionOf('aligner_notes', key) === 1) ?? 0
  await rabbit.channel.deleteQueue(eventQueue(direction, 2))
  // The same id twice at a time: a return must not be taken for the other's.
  const error = await failure(broker.publishEvents([note(kept, 1), note(lost, 1), note(lost, 1), note(kept, 2)]))
  t.equal(error.code, 'SYNC_UNROUTABLE')
  t.strictSame([...error.failures.keys()], [1, 2])
  t.equal((await rabbit.take(eventQueue(direction, 1))).length, 2)
  // The next connection declares the queue again.
  const next = await testBroker(t, rabbit.url)
  await next.ready()
  await next.publishEvents([note(lost, 2)])
  t.equal((await rabbit.take(eventQueue(direction, 2))).length, 1)
})

t.test('a full queue refuses: SYNC_PUBLISH_REFUSED', async (t) => {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  const queue = eventQueue(direction, partitionOf('aligner_notes', 1))
  await rabbit.channel.deleteQueue(queue)
  const quorum = { 'x-queue-type': 'quorum', 'x-overflow': 'reject-publish', 'x-max-length': 1 }
  await rabbit.channel.assertQueue(queue, { durable: true, arguments: quorum })
  await rabbit.channel.bindQueue(queue, 'sync.events', '#')
  const versions = Array.from({ length: 200 }, (_, index) => note(1, index + 1))
  await until('the queue refuses', async () => {
    const error: unknown = await broker.publishEvents(versions).then(
      () => null,
      (reason: unknown) => reason,
    )
    return error instanceof PublishError && error.code === 'SYNC_PUBLISH_REFUSED'
  })
  await rabbit.channel.deleteQueue(queue)
})

t.test('a message above the limit fails alone, before it could close the channel', async (t) => {
  const broker = await testBroker(t, rabbit.url, { maxMessageBytes: 5_000 })
  await broker.ready()
  const error = await failure(broker.publishEvents([note(11, 1), note(12, 1, 'x'.repeat(6_000)), note(13, 1)]))
  t.equal(error.code, 'SYNC_BAD_MESSAGE')
  t.strictSame([...error.failures.keys()], [1])
  await broker.publishEvents([note(14, 1)])
})

t.test('2 MB notes pass, many at a time', async (t) => {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  const text = 'ملاحظة 😀'.repeat(120_000)
  await broker.publishEvents(Array.from({ length: 20 }, (_, index) => note(index, 1, text)))
  let count = 0
  for (let partition = 0; partition < 4; partition++) {
    for (const { content } of await rabbit.take(eventQueue(direction, partition))) {
      count += JSON.parse(content.toString()).data.row.note_text === text ? 1 : 0
    }
  }
  t.ok(count >= 20)
})

t.test('without a connection publishing fails at once, and onReconnect tells when it works again', async (t) => {
  const proxy = await proxyTo(t, rabbit.url)
  proxy.refuse = true
  const broker = await testBroker(t, proxy.url)
  t.equal((await failure(broker.publishEvents([note(1, 1)]))).code, 'SYNC_BROKER_DOWN')
  t.strictSame(broker.state(), { ready: false, publisher: 'connecting', consumers: [] })
  let rung = 0
  broker.onReconnect(() => {
    rung++
    throw new Error('a listener that throws costs nothing')
  })
  proxy.refuse = false
  await broker.ready()
  await broker.publishEvents([note(1, 1)])
  t.equal(rung, 1)
  proxy.cut()
  await until('it is back', () => rung === 2)
  await broker.publishEvents([note(1, 2)])
  t.equal(broker.state().publisher, 'up')
})

t.test('a connection lost amid 5,000 publishes rejects them; published again, none is missing', async (t) => {
  const proxy = await proxyTo(t, rabbit.url)
  const broker = await testBroker(t, proxy.url)
  await broker.ready()
  for (let partition = 0; partition < 4; partition++) await rabbit.take(eventQueue(direction, partition))
  const events = Array.from({ length: 5_000 }, (_, index) => note(index, 1))
  const first = failure(broker.publishEvents(events))
  setTimeout(() => proxy.cut(), 60)
  const error = await first
  t.equal(error.code, 'SYNC_BROKER_DOWN')
  t.ok(error.failures.size > 0 && error.failures.size <= 5_000)
  await broker.ready()
  const again = [...error.failures.keys()].flatMap((index) => events[index] ?? [])
  await broker.publishEvents(again)
  const ids = new Set<string>()
  for (let partition = 0; partition < 4; partition++) {
    for (const { properties } of await rabbit.take(eventQueue(direction, partition)))
      ids.add(String(properties.messageId))
  }
  t.equal(ids.size, events.length, 'those reported as confirmed were stored')
})

t.test('close waits for what is under way; afterwards publishing is refused', async (t) => {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  const under = broker.publishEvents(Array.from({ length: 2_000 }, (_, index) => note(index, 1)))
  await broker.close()
  await under
  t.equal(broker.state().publisher, 'closed')
  await t.rejects(broker.publishEvents([note(1, 1)]), { code: 'SYNC_BROKER_DOWN' })
  await t.rejects(broker.ready(), { code: 'SYNC_BROKER_DOWN' })
})

t.test('a URL that is none is SYNC_CONFIG, and is not shown', async (t) => {
  for (const url of ['http://u:hunter2@host', 'hunter2']) {
    const error: unknown = await testBroker(t, url).then(
      () => null,
      (reason: unknown) => reason,
    )
    t.match(error, { code: 'SYNC_CONFIG', message: /^RABBITMQ_URL/ })
    t.notMatch(String(error), /hunter2/)
  }
})
