import type { Outcome } from '@clinic-sync/contracts'
import { DatabaseError } from '@clinic-sync/sync'
import type { ConsumeMessage } from 'amqplib'
import t, { type Test } from 'tap'
import {
  type Broker,
  deadCopy,
  deadQueue,
  eventQueues,
  HEADER,
  outcomeQueue,
  rejectedQueue,
  startEventConsumer,
} from '../src/index.ts'
import { eventMessage, outcomeMessage } from '../src/message.ts'
import { openDeadLetterBox } from '../src/dead-letters/box.ts'
import { keepLines, note, testBroker, until } from './support/helpers.ts'
import { type TestRabbit, testRabbit } from './support/rabbit.ts'

const direction = 'sql-to-postgres'
const DEAD = deadQueue(direction)

t.test('what RabbitMQ has delivered 20 times is reported as dead, and gets headers that say so', async (t) => {
  const rabbit = await testRabbit(t)
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  await broker.publishEvents([note(-5, 7)])
  const tags = await Promise.all(
    eventQueues(direction).map((queue) =>
      // A `nack` counts as no delivery from RabbitMQ 4.3 on; a `reject` counts in every version, as a crash does.
      rabbit.channel.consume(queue, (message) => message && rabbit.channel.reject(message, true)),
    ),
  )
  await until('it is dead', async () => (await rabbit.channel.checkQueue(rejectedQueue(direction))).messageCount === 1)
  for (const { consumerTag } of tags) await rabbit.channel.cancel(consumerTag)

  const settled = settling(t, broker)
  broker.keepDeadLetters({ restMs: 20 })
  await until('it is reported', () => settled.length === 1)
  t.match(settled[0], { table: 'aligner_notes', key: -5, version: '7', outcome: 'dead', code: 'SYNC_DELIVERY_LIMIT' })
  const [letter] = await letters(rabbit, (found) => found.every((each) => HEADER.deadId in headers(each)))
  t.match(letter && headers(letter), {
    'sync-dead-id': /^[0-9a-z]{10}$/,
    'sync-direction': direction,
    'sync-entity-key': 'aligner_notes/-5',
    'sync-table': 'aligner_notes',
    'sync-key': '-5',
    'sync-version': '7',
    'sync-error-type': 'delivery-limit',
    'sync-error-code': 'SYNC_DELIVERY_LIMIT',
    'sync-attempts': 20,
    'sync-source-queue': /^sync[.]sql-to-postgres[.]p\d$/,
    'sync-failed-at': /^\d{4}-.*Z$/,
  })
  t.notMatch(Object.keys((letter && headers(letter)) ?? {}).join(), /x-.*death/)
})

t.test(
  'a dead letter says that a later version has succeeded: whether it is heard now, or was before the start',
  async (t) => {
    const rabbit = await testRabbit(t)
    const standing: number[] = []
    const observer = { standing: (_: string, records: number) => void standing.push(records) }
    const broker = await testBroker(t, rabbit.url, { observer })
    await broker.ready()
    const consumer = startEventConsumer({
      broker,
      direction,
      log: keepLines(),
      target: {
        check: () => Promise.resolve(),
        applyChanges: async (events) =>
          events.map(({ data: { table, key, version } }): Outcome => {
            if (version === '1') throw new DatabaseError('permanent', `${table}/${key}: too long`, { number: '22001' })
            return { table, key, version, outcome: 'applied' }
          }),
      },
    })
    const keys = [5, 6, 7]
    await broker.publishEvents(keys.map((key) => note(key, 1)))
    await until('they are dead', async () => (await rabbit.channel.checkQueue(DEAD)).messageCount === 3)
    const before = new Map((await letters(rabbit, () => true)).map((each) => [about(each), each]))
    settling(t, broker)
    const asked: unknown[] = []
    broker.keepDeadLetters({
      restMs: 20,
      versionsOf: async (which, records) => {
        asked.push(...records.map(({ table, key, version }) => `${which} ${table}/${key}@${version}`))
        return records.map(({ key }) => ({ supersededBy: key === 6 ? '9' : null }))
      },
    })
    await letters(rabbit, (found) => found.some((each) => HEADER.supersededBy in headers(each)))
    await broker.publishEvents([note(5, 3)])
    const after = await letters(
      rabbit,
      (found) => found.filter((each) => HEADER.supersededBy in headers(each)).length === 2,
    )
    await until('one of them stands for a change', () => standing.at(-1) === 1)
    t.equal(after.length, 3, 'as many as before')
    t.same(after.map((each) => [about(each), headers(each)[HEADER.supersededBy] ?? null]).toSorted(), [
      ['aligner_notes/5', '3'],
      ['aligner_notes/6', '9'],
      ['aligner_notes/7', null],
    ])
    for (const each of after) {
      const old = before.get(about(each))
      t.same({ ...old?.properties.headers, ...headers(each) }, headers(each), 'all that it said before, it says still')
      t.same(each.content, old?.content)
      t.equal(each.properties.messageId, old?.properties.messageId)
    }
    t.same(
      asked.toSorted(),
      keys.map((key) => `${direction} aligner_notes/${key}@1`),
      'each is asked about once',
    )
    await consumer.close()
  },
)

t.test('a dead letter that comes while the others are looked at is not forgotten', async (t) => {
  const rabbit = await testRabbit(t)
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  const die = (key: number) => {
    const { content, options } = eventMessage(note(key, 1), 'test')
    const failure = { type: 'permanent', code: '22001', message: 'too long' } as const
    const copy = deadCopy({ content, properties: options }, { direction, queue: 'a queue', appId: 'test', failure })
    rabbit.channel.publish(copy.exchange, copy.routingKey, copy.content, copy.options)
    return rabbit.channel.waitForConfirms()
  }
  const settled = settling(t, broker)
  const settle = async (key: number, version: string, outcome: Outcome['outcome']) => {
    const before = settled.length
    await broker.publishOutcomes({ direction, outcomes: [{ table: 'aligner_notes', key, version, outcome }] })
    await until('it is settled', () => settled.length > before)
  }
  await die(1)
  const asked = new Set<number>()
  broker.keepDeadLetters({
    restMs: 20,
    versionsOf: async (_, records) => {
      // The letters are in hand by now.
      if (records.some(({ key }) => key === 2)) {
        await settle(3, '1', 'dead')
        await die(3)
      }
      for (const { key } of records) asked.add(key)
      return records.map(() => ({ supersededBy: null }))
    },
  })
  await until('the first look', () => asked.has(1))
  await die(2)
  // The first outcome that it hears calls for a look.
  await settle(9, '1', 'applied')
  await until('the second look', () => asked.has(2))
  await settle(3, '2', 'applied')
  const found = await letters(rabbit, (all) => all.some((each) => HEADER.supersededBy in headers(each)))
  t.same(found.map((each) => [about(each), headers(each)[HEADER.supersededBy] ?? null]).toSorted(), [
    ['aligner_notes/1', null],
    ['aligner_notes/2', null],
    ['aligner_notes/3', '2'],
  ])
})

t.test(
  'thousands of dead letters and a flood of outcomes: a look where one of these records is among them, else none',
  async (t) => {
    const rabbit = await testRabbit(t)
    const lines = keepLines()
    const broker = await testBroker(t, rabbit.url, { log: lines })
    await broker.ready()
    for (let key = 1; key <= DEAD_LETTERS; key++) {
      const { content, options } = eventMessage(note(key, 1), 'test')
      const { exchange, routingKey, ...copy } = deadCopy(
        { content, properties: options },
        {
          direction,
          queue: 'a queue',
          appId: 'test',
          failure: { type: 'permanent', code: '22001', message: 'too long' },
        },
      )
      rabbit.channel.publish(exchange, routingKey, copy.content, copy.options)
    }
    await rabbit.channel.waitForConfirms()
    const settled = settling(t, broker)
    broker.keepDeadLetters({ restMs: 20 })
    const since = performance.now()
    for (let batch = 0; batch < 200; batch++) {
      const outcomes = Array.from({ length: 100 }, (_, i): Outcome => {
        return { table: 'aligner_notes', key: 100_000 + batch * 100 + i, version: '9', outcome: 'applied' }
      })
      if (batch === 150) outcomes.push({ table: 'aligner_notes', key: 77, version: '2', outcome: 'unchanged' })
      const { exchange, routingKey, content, options } = outcomeMessage(
        { direction, outcomes },
        'test',
        `batch ${batch}`,
      )
      rabbit.channel.publish(exchange, routingKey, content, options)
      if (batch % 20 === 0) await rabbit.channel.waitForConfirms()
    }
    await until('all is settled', () => settled.length === 20_001)
    // The next look waits nine times as long as the last one took.
    const isRewritten = () => lines.lines.some(({ message }) => message.startsWith('dead letters say'))
    await until('a letter is rewritten', isRewritten, 120_000)
    t.comment(`${Math.round(performance.now() - since)} ms`)
    const box = await openDeadLetterBox({ url: rabbit.url, queues: [DEAD] })
    t.equal(box.letters.length, DEAD_LETTERS)
    t.same(
      box.letters.filter(({ supersededBy }) => supersededBy !== null).map((letter) => letter.about?.key),
      [77],
    )
    const [opened] = await box.take(box.letters.slice(0, 1))
    await box.close()
    // At the keeper's start, at the first outcomes that it hears, at this one; and this one here: each is a delivery more.
    const looks = Number(opened?.message.properties.headers?.['x-delivery-count'])
    t.ok(looks <= 4, `${looks} looks`)
  },
)

t.test(
  'an outcome that the outbox refuses is a dead letter, with its reason; the others of its message are not',
  async (t) => {
    const rabbit = await testRabbit(t)
    const broker = await testBroker(t, rabbit.url)
    await broker.ready()
    const consumer = broker.consumeOutcomes(
      direction,
      async (batches) =>
        batches
          .flatMap(({ outcomes }) => outcomes)
          .filter(({ key }) => key === 2)
          .map((outcome) => ({
            outcome,
            failure: { type: 'permanent', code: '8152', message: 'dbo.SyncQueue: too long' },
          })),
      { check: () => Promise.resolve() },
    )
    const outcomes = [1, 2, 3].map((key): Outcome => ({
      table: 'aligner_notes',
      key,
      version: '4',
      outcome: 'applied',
    }))
    await broker.publishOutcomes({ direction, outcomes })
    const [letter, ...rest] = await letters(rabbit, (found) => found.length > 0)
    t.equal(rest.length, 0)
    t.match(letter && headers(letter), {
      'sync-entity-key': 'aligner_notes/2',
      'sync-version': '4',
      'sync-error-code': '8152',
      'sync-source-queue': outcomeQueue(direction),
    })
    t.same(JSON.parse(String(letter?.content)), { direction, outcomes: outcomes.slice(1, 2) })
    await consumer.close()
  },
)

const DEAD_LETTERS = 5_000

/** Settles nothing, and keeps what was to be. */
function settling(t: Test, broker: Broker): Outcome[] {
  const settled: Outcome[] = []
  const handler = async (batches: readonly { readonly outcomes: readonly Outcome[] }[]) => {
    settled.push(...batches.flatMap(({ outcomes }) => outcomes))
  }
  const consumer = broker.consumeOutcomes(direction, handler, { check: () => Promise.resolve() })
  t.teardown(() => consumer.close())
  return settled
}

const headers = (message: ConsumeMessage): Record<string, unknown> => message.properties.headers ?? {}
const about = (message: ConsumeMessage) => String(headers(message)[HEADER.entityKey])

/** The dead letters when they are as wanted; all of them lie there still. */
async function letters(
  { url }: TestRabbit,
  asWanted: (found: readonly ConsumeMessage[]) => boolean,
): Promise<readonly ConsumeMessage[]> {
  let found: ConsumeMessage[] = []
  await until('the dead letters are as wanted', async () => {
    const box = await openDeadLetterBox({ url, queues: [DEAD] })
    found = (await box.take(box.letters)).map(({ message }) => message)
    await box.close()
    return found.length > 0 && asWanted(found)
  })
  return found
}
