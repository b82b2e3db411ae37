import { DatabaseError, type Observer } from '@clinic-sync/sync'
import t from 'tap'
import { deadQueue, DIRECTIONS, eventQueue, retryQueue, startEventConsumer } from '../src/index.ts'
import { keepLines, note, testBroker, until } from './support/helpers.ts'
import { proxyTo } from './support/proxy.ts'
import { testRabbit } from './support/rabbit.ts'

const direction = 'sql-to-postgres'
const PLANTED = 'Leila Hassan'
const rabbit = await testRabbit(t)

/** Notes what it is told, one line each. */
function notes() {
  const told: string[] = []
  const applied: Parameters<NonNullable<Observer['applied']>>[0][] = []
  const observer: Observer = {
    published: (events) => told.push(`published ${events.length}`),
    applied: (batch) => applied.push(batch),
    retried: (...what) => told.push(`retried ${what.join(' ')}`),
    died: (...what) => told.push(`died ${what.join(' ')}`),
    reconnected: (connection) => told.push(`reconnected ${connection}`),
    consumer: (...what) => told.push(`consumer ${what.join(' ')}`),
  }
  const outcomes = () => applied.flatMap(({ events }) => events.map(({ table, outcome }) => `${table} ${outcome}`))
  return { told, applied, outcomes, observer }
}

t.test('what is applied, retried and dead is told once it is stored; no value is', async (t) => {
  const { told, applied, outcomes, observer } = notes()
  const broker = await testBroker(t, rabbit.url, { retryDelaysMs: [50], observer })
  await broker.ready()
  const tooLarge = note(9, 9, 'x'.repeat(16 * 1024 * 1024))
  const good = Array.from({ length: 20 }, (_, index) => note(index + 100, 1, PLANTED))
  const failure = await broker.publishEvents([...good, tooLarge, note(1, 1, PLANTED)]).catch(() => 'one is too large')
  t.equal(failure, 'one is too large')
  t.strictSame(told, ['published 21'], 'those that were confirmed')
  rabbit.channel.publish('sync.events', `${direction}.p0`, Buffer.from(PLANTED))
  const target = {
    check: () => Promise.resolve(),
    applyChanges: (events: readonly ReturnType<typeof note>[]) => {
      if (events.some(({ data }) => data.key === 1)) {
        const error = new DatabaseError('transient', 'busy', { number: '57014', cause: new Error(PLANTED) })
        return Promise.reject(error)
      }
      return Promise.resolve(events.map(({ data }) => ({ ...data, outcome: 'applied' as const })))
    },
  }
  startEventConsumer({ broker, direction, target, log: keepLines(), observer })
  await until('both are dead', () => told.filter((line) => line.startsWith('died')).length === 2)
  const failed = told.filter((line) => /^(retried|died)/.test(line))
  t.strictSame(
    new Set(failed),
    new Set([`died ${direction} SYNC_BAD_MESSAGE`, `retried ${direction} transient`, `died ${direction} 57014`]),
  )
  t.equal(failed.length, 3)
  await until('the last is reported', () => outcomes().length === 23)
  const count = (what: string) => outcomes().filter((outcome) => outcome === what).length
  t.equal(count('aligner_notes applied'), 20)
  t.equal(count('aligner_notes retry'), 1)
  t.equal(count('aligner_notes dead'), 1)
  t.equal(count(' dead'), 1, 'the message that was none of ours')
  t.ok(applied.every(({ seconds }) => seconds >= 0 && seconds < 30))
  await broker.close()
  t.strictSame(
    told.filter((line) => line.startsWith('consumer')).map((line) => line.split(' ').at(-1)),
    ['connecting', 'consuming', 'closed'],
  )
  t.notMatch(JSON.stringify([told, applied]), PLANTED)
})

t.test('both connections count when they are made again, not the first time', async (t) => {
  const { told, observer } = notes()
  const proxy = await proxyTo(t, rabbit.url)
  const broker = await testBroker(t, proxy.url, { observer, retryDelaysMs: [50] })
  await broker.ready()
  t.ok((await broker.queueDepths()).length > 0)
  t.strictSame(told, [])
  proxy.cut()
  await until('both are back', () => told.length === 2)
  t.strictSame(told.sort(), ['reconnected consuming', 'reconnected publishing'])
})

t.test('the depth of each queue is told; one that is missing is left out, and harms nobody', async (t) => {
  const proxy = await proxyTo(t, rabbit.url)
  const broker = await testBroker(t, proxy.url, { retryDelaysMs: [50] })
  await broker.ready()
  await rabbit.take(eventQueue('postgres-to-sql', 0))
  await broker.publishEvents([note(1, 1)])
  const depths = async () => new Map((await broker.queueDepths()).map((depth) => [depth.queue, depth]))
  await until('it is counted', async () => {
    const partitions = [0, 1, 2, 3].map((partition) => eventQueue(direction, partition))
    const all = await depths()
    return partitions.reduce((sum, queue) => sum + (all.get(queue)?.messages ?? 0), 0) === 1
  })
  const before = await depths()
  t.strictSame(before.get(deadQueue(direction)), { queue: deadQueue(direction), messages: 2, consumers: 0 })
  for (const each of DIRECTIONS) t.ok(before.has(deadQueue(each)))
  await rabbit.channel.deleteQueue(retryQueue(1))
  const after = await depths()
  t.equal(after.size, before.size - 1)
  t.notOk(after.has(retryQueue(1)))
  proxy.silent = true
  const since = performance.now()
  t.strictSame(await broker.queueDepths(), [])
  t.ok(performance.now() - since < 5_000, 'a scrape gets its answer in time')
  proxy.silent = false
})

t.test('what RabbitMQ itself gives up is counted too', async (t) => {
  const { told, observer } = notes()
  const broker = await testBroker(t, rabbit.url, { observer, retryDelaysMs: [50] })
  await broker.ready()
  const keeper = broker.keepDeadLetters()
  t.teardown(() => keeper.close())
  const headers = { 'x-first-death-reason': 'delivery_limit' }
  rabbit.channel.publish('sync.dead', `${direction}.broker`, Buffer.from(PLANTED), { headers })
  await until('it is counted', () => told.includes(`died ${direction} SYNC_DELIVERY_LIMIT`))
})
