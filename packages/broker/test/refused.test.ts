import t from 'tap'
import { connect } from 'amqplib'
import { deadQueue, HEADER, readDeadLetter, startEventConsumer } from '../src/index.ts'
import { openDeadLetterBox } from '../src/dead-letters/box.ts'
import { eventMessage } from '../src/message.ts'
import { keepLines, note, testBroker, until } from './support/helpers.ts'
import { testRabbit } from './support/rabbit.ts'

const direction = 'sql-to-postgres'
const MB = 1024 * 1024

t.test(
  'messages made to harm: each is dead, with small headers, and the good ones behind them are applied',
  async (t) => {
    const rabbit = await testRabbit(t)
    const broker = await testBroker(t, rabbit.url)
    await broker.ready()
    const deep = Buffer.from('['.repeat(2 * MB) + ']'.repeat(2 * MB))
    const good = eventMessage(note(1, 1), 'test')
    const { data, ...envelope } = note(1, 1)
    // Text: what JSON.parse takes, JSON.stringify does not.
    const nested = JSON.stringify({ ...envelope, data: { ...data, row: { note_text: 'HERE' } } }).replace(
      '"HERE"',
      '['.repeat(MB) + ']'.repeat(MB),
    )
    const bodies = [
      // Above our 15 MiB, and below the 16 MiB beyond which RabbitMQ 4 itself refuses a message.
      Buffer.alloc(15.5 * MB, 0x20),
      Buffer.alloc(0),
      Buffer.from([0xff, 0xfe, 0x00]),
      deep,
      Buffer.from(nested),
      Buffer.from(JSON.stringify({ ...envelope, type: 'sync.row.upserted.v2', data })),
      Buffer.from(JSON.stringify({ ...envelope, specversion: '2.0', data })),
      Buffer.from('{"__proto__": {"data": 1}, "constructor": null}'),
    ]
    const many = Object.fromEntries(
      Array.from({ length: 1_000 }, (_, i) => [`a-header-of-somebody-${i}`, 'x'.repeat(20)]),
    )
    let table: Record<string, unknown> = {}
    for (let depth = 0; depth < 500; depth++) table = { table }
    const headers = [
      many,
      table,
      { 'sync-entity-key': 'x'.repeat(30_000), 'sync-version': 'y'.repeat(30_000) },
      {
        'sync-attempt': 2 ** 40,
        'sync-replays': { '!': 'double', value: 1e300 },
        'sync-first-failed-at': 'x'.repeat(60_000),
      },
      { 'sync-attempt': { '!': 'timestamp', value: 1 }, 'sync-entity-key': [1, 2], traceparent: 'z'.repeat(60_000) },
      { ['__proto__']: { 'sync-entity-key': 'aligner_notes/1' }, 'x-death': 'none', 'x-delivery-count': 'many' },
    ]
    const messages = [
      ...bodies.map((content) => ({ content, headers: {} })),
      ...headers.map((each) => ({ content: Buffer.from('not JSON'), headers: each })),
    ]
    // On a connection of their own: what RabbitMQ itself refuses would close it.
    const model = await connect(rabbit.url)
    const channel = await model.createConfirmChannel()
    for (const { content, headers: each } of messages)
      channel.publish('sync.events', `${direction}.p0`, content, { headers: each })
    await channel.waitForConfirms()
    channel.publish('sync.events', `${direction}.p0`, good.content, { ...good.options, headers: many })
    await channel.waitForConfirms()
    await model.close()

    const applied: number[] = []
    const log = keepLines()
    const consumer = startEventConsumer({
      broker,
      direction,
      log,
      target: {
        check: () => Promise.resolve(),
        applyChanges: async (events) => {
          applied.push(...events.map(({ data: { key } }) => key))
          return events.map(({ data: { table: of, key, version } }) => ({
            table: of,
            key,
            version,
            outcome: 'applied',
          }))
        },
      },
    })
    await until('the good one is applied', () => applied.length === 1)
    const dead = deadQueue(direction)
    await until(
      'the others are dead',
      async () => (await rabbit.channel.checkQueue(dead)).messageCount === messages.length,
    )
    t.equal(consumer.state, 'consuming')
    const box = await openDeadLetterBox({ url: rabbit.url, queues: [dead] })
    const letters = await box.take(box.letters)
    letters.forEach(({ message }, index) => {
      t.ok(message.content.equals(messages[index]?.content ?? Buffer.from('none')), 'its body is as it came')
      t.match(readDeadLetter(message), { annotated: true, errorType: 'bad-message', errorCode: 'SYNC_BAD_MESSAGE' })
      const size = JSON.stringify(message.properties.headers).length
      t.ok(size < 5_000, `${size} bytes of headers`)
      t.ok(
        Object.keys(message.properties.headers ?? {}).every((name) =>
          [
            ...Object.values<string>(HEADER),
            'traceparent',
            'tracestate',
            'x-delivery-count',
            'x-acquired-count',
          ].includes(name),
        ),
      )
    })
    await box.close()
    t.ok(JSON.stringify(log.lines).length < 50_000, 'nor do they fill the log')
    await consumer.close()
  },
)
