// Listening for one record at RabbitMQ: for `trace`.
import { partitionOf } from '@clinic-sync/sync'
import t from 'tap'
import { eventQueue, type RecordSight, watchRecord } from '../src/index.ts'
import { keepLines, note, testBroker, until } from './support/helpers.ts'
import { testRabbit } from './support/rabbit.ts'

const rabbit = await testRabbit(t)
const record = { table: 'canary', key: 1 }
const direction = 'sql-to-postgres'
/** A record that shares its partition. */
const neighbour = Array.from({ length: 100 }, (_, key) => key).find(
  (key) => partitionOf('aligner_notes', key) === partitionOf('canary', 1),
)

t.test('its events and outcomes are seen, nobody else’s, and nothing is taken away', async (t) => {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  const sights: RecordSight[] = []
  const log = keepLines()
  const watch = await watchRecord({ url: rabbit.url, log, name: 'test', ...record, onSight: (s) => sights.push(s) })
  t.teardown(() => watch.close())

  await broker.publishEvents([note(neighbour ?? 0, 4), note(1, 5, 'a token', 'canary')])
  await broker.publishOutcomes({
    direction,
    outcomes: [
      { table: 'aligner_notes', key: 1, version: '4', outcome: 'applied' },
      { ...record, version: '5', outcome: 'retry', code: '55P03' },
    ],
  })
  await broker.publishOutcomes({
    direction: 'postgres-to-sql',
    outcomes: [{ ...record, version: '9', outcome: 'applied' }],
  })
  await until('all three are seen', () => sights.length >= 3)
  t.strictSame(
    sights.map((sight) =>
      sight.kind === 'event'
        ? `event ${sight.direction} ${sight.version}`
        : `${sight.outcome.outcome} ${sight.direction} ${sight.outcome.version}`,
    ),
    ['event sql-to-postgres 5', 'retry sql-to-postgres 5', 'applied postgres-to-sql 9'],
  )
  t.equal((await rabbit.take(eventQueue(direction, partitionOf('canary', 1)))).length, 2, 'the consumer gets both')
  await watch.close()
})

t.test('where nobody answers, it says so in time', async (t) => {
  const url = 'amqp://guest:guest@127.0.0.1:9/'
  const log = keepLines()
  const watching = watchRecord({ url, log, name: 'test', ...record, onSight: () => undefined, connectMs: 300 })
  await t.rejects(watching, { code: 'SYNC_BROKER_DOWN' } as unknown as Error)
})
