import { DatabaseError, partitionOf } from '@clinic-sync/sync'
import t from 'tap'
import { deadQueue, eventQueue, outcomeQueue, rejectedQueue, RETRY_DELAYS_MS, type EventBatch } from '../src/index.ts'
import { Connection } from '../src/connection.ts'
import { BatchConsumer } from '../src/consumer.ts'
import { Intake } from '../src/intake.ts'
import { Topology } from '../src/prepare.ts'
import { Publisher } from '../src/publisher.ts'
import { keepLines, note, testBroker, until } from './support/helpers.ts'
import { testRabbit } from './support/rabbit.ts'

const rabbit = await testRabbit(t)
const direction = 'sql-to-postgres'
const down = () => new DatabaseError('down', 'the disk is full', { number: '53100' })
const done = ({ events }: EventBatch) => Promise.resolve(events.map(() => ({ action: 'done' as const })))
const queue = eventQueue(direction, partitionOf('aligner_notes', 1))

t.test(
  'an outage that check does not see, for more rounds than RabbitMQ delivers: nothing is dead, no attempt is counted',
  async (t) => {
    const log = keepLines()
    const broker = await testBroker(t, rabbit.url, { log })
    await broker.ready()
    const versions = Array.from({ length: 700 }, (_, index) => index + 1)
    await broker.publishEvents(versions.map((version) => note(1, version)))
    const rounds = () => log.lines.filter(({ message }) => message.startsWith('held for too long')).length
    const applied: number[] = []
    const attempts = new Set<number>()
    const consumer = broker.consumeEvents(
      direction,
      (batch) => {
        if (rounds() < 30) return Promise.reject(down())
        for (const { event, attempt } of batch.events) {
          applied.push(Number(event.data.version))
          attempts.add(attempt)
        }
        return done(batch)
      },
      { check: () => Promise.resolve(), holdMs: 0 },
    )
    await until('all are applied', () => applied.length >= versions.length)
    t.same(
      applied.toSorted((a, b) => a - b),
      versions,
      'each once',
    )
    t.same([...attempts], [0])
    await consumer.close()
    t.equal((await rabbit.channel.checkQueue(deadQueue(direction))).messageCount, 0)
    t.equal((await rabbit.channel.checkQueue(queue)).messageCount, 0)
  },
)

t.test(
  'what a database that comes and goes has sent back often is stored anew, and its deliveries are counted anew',
  async (t) => {
    const broker = await testBroker(t, rabbit.url)
    await broker.ready()
    await broker.publishEvents([note(1, 1), note(1, 2)])
    let left = 2 * 12
    const { consumerTag } = await rabbit.channel.consume(queue, (message) => {
      if (message !== null && left-- > 0) rabbit.channel.reject(message, true)
    })
    await until('each was delivered a dozen times', () => left < 0)
    await rabbit.channel.cancel(consumerTag)
    // What this channel still holds goes back.
    rabbit.channel.nackAll(true)

    const consumer = broker.consumeEvents(direction, () => Promise.reject(down()), {
      check: () => Promise.reject(down()),
    })
    await until('it pauses', () => consumer.state === 'paused')
    await until('they are back', async () => (await rabbit.channel.checkQueue(queue)).messageCount === 2)
    await consumer.close()
    const back = await rabbit.take(queue)
    t.same(
      back.map(({ properties }) => [
        properties.headers?.['sync-version'] as unknown,
        Number(properties.headers?.['x-delivery-count'] ?? 0) <= 1,
      ]),
      [
        ['1', true],
        ['2', true],
      ],
    )
  },
)

t.test('outcomes go round as well', async (t) => {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  const outcome = { table: 'aligner_notes', key: 1, version: '1', outcome: 'applied' } as const
  await broker.publishOutcomes({ direction, outcomes: [outcome] })
  let calls = 0
  const consumer = broker.consumeOutcomes(
    direction,
    () => (++calls < 10 ? Promise.reject(down()) : Promise.resolve()),
    {
      check: () => Promise.resolve(),
      holdMs: 0,
    },
  )
  await until('it is settled', () => calls === 10)
  await consumer.close()
  t.equal((await rabbit.channel.checkQueue(outcomeQueue(direction))).messageCount, 0)
  t.equal((await rabbit.channel.checkQueue(deadQueue(direction))).messageCount, 0)
})

t.test('what must not go round stays in hand, and goes on once RabbitMQ takes what comes of it', async (t) => {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  const from = rejectedQueue(direction)
  const log = keepLines()
  const connection = new Connection(rabbit.url, 'test', log)
  const topology = new Topology(RETRY_DELAYS_MS, log)
  const publisher = new Publisher({ connection, log, label: 'test', topology, onReady: () => undefined })
  let calls = 0
  const consumer = new BatchConsumer({
    connection,
    intake: new Intake(),
    // Never started: it refuses everything.
    publisher,
    log,
    label: 'test',
    queues: [from],
    topology,
    consume: { check: () => Promise.resolve(), holdMs: 0 },
    handle: async ([each]) => {
      const { message } = each ?? {}
      const content = message?.content ?? Buffer.of()
      const copy = { exchange: '', routingKey: from, content, options: { messageId: 'a copy' } }
      return { copies: ++calls < 4 ? [copy] : [] }
    },
    giveUp: () => Promise.resolve([]),
  })
  connection.start()
  rabbit.channel.sendToQueue(from, Buffer.from('a message'))
  await until('it is handled when it can be', () => calls === 4)
  await consumer.close()
  await connection.close()
  t.equal((await rabbit.channel.checkQueue(from)).messageCount, 0)
})

t.test('where its own queue takes nothing more, the database is tried again, for all that is in hand', async (t) => {
  const log = keepLines()
  const from = rejectedQueue(direction)
  const connection = new Connection(rabbit.url, 'test', log)
  const topology = new Topology(RETRY_DELAYS_MS, log)
  const applied: string[] = []
  let calls = 0
  const consumer = new BatchConsumer({
    connection,
    intake: new Intake(),
    // Never started: it refuses everything, as a queue that is full does.
    publisher: new Publisher({ connection, log, label: 'test', topology, onReady: () => undefined }),
    log,
    label: 'test',
    queues: [from],
    topology,
    consume: { check: () => Promise.resolve(), holdMs: 0, maxBatch: 4 },
    handle: (batch) => {
      if (++calls < 5) return Promise.reject(down())
      applied.push(...batch.map(({ message }) => message.content.toString()))
      return Promise.resolve({ copies: [] })
    },
    again: ({ message, queue: routingKey }) => ({
      exchange: '',
      routingKey,
      content: message.content,
      options: { messageId: 'again' },
    }),
    giveUp: () => Promise.resolve([]),
  })
  connection.start()
  const all = Array.from({ length: 20 }, (_, i) => `message ${i}`)
  for (const text of all) rabbit.channel.sendToQueue(from, Buffer.from(text))
  await until('all are handled', () => applied.length >= all.length)
  await consumer.close()
  await connection.close()
  t.same(applied.toSorted(), all.toSorted(), 'each once')
  t.equal((await rabbit.channel.checkQueue(from)).messageCount, 0)
})
