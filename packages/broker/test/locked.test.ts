import type { Outcome, OutcomeBatch, SyncEvent } from '@clinic-sync/contracts'
import { partitionOf } from '@clinic-sync/sync'
import t from 'tap'
import { deadQueue, eventQueue, eventQueues, outcomeQueue, retryQueue, startEventConsumer } from '../src/index.ts'
import { keepLines, note, testBroker, until } from './support/helpers.ts'
import { proxyTo } from './support/proxy.ts'
import { testRabbit } from './support/rabbit.ts'

const rabbit = await testRabbit(t)
const direction = 'sql-to-postgres'
const retryDelaysMs = [60_000, 60_000, 60_000]

/** A database with versions and locks, as far as a consumer sees one. */
function fakeTarget() {
  const versions = new Map<number, number>()
  const locked = new Set<number>()
  const tries = new Map<number, number>()
  const applied: string[] = []
  const applyChanges = (events: readonly SyncEvent[]): Promise<Outcome[]> =>
    Promise.resolve(
      events.map(({ data: { table, key, version } }): Outcome => {
        tries.set(key, (tries.get(key) ?? 0) + 1)
        if (locked.has(key)) return { table, key, version, outcome: 'retry', code: '55P03', reason: 'locked' }
        const before = versions.get(key) ?? 0
        if (Number(version) <= before) return { table, key, version, outcome: 'stale' }
        versions.set(key, Number(version))
        applied.push(`${key}/${version}`)
        return { table, key, version, outcome: 'applied' }
      }),
    )
  return { versions, locked, tries, applied, applyChanges, check: () => Promise.resolve() }
}

/** Longer than any test: what is not about that second must not depend on it. */
const PATIENT = 60_000
async function consume(
  t: Parameters<typeof testBroker>[0],
  target: ReturnType<typeof fakeTarget>,
  { url = rabbit.url, patienceMs = PATIENT } = {},
) {
  const log = keepLines()
  const broker = await testBroker(t, url, { retryDelaysMs, log })
  const consumer = startEventConsumer({ broker, direction, target, log, patienceMs })
  await broker.ready()
  await until('it consumes', () => consumer.state === 'consuming')
  return { broker, consumer, log }
}

const outcomes = async () =>
  (await rabbit.take(outcomeQueue(direction)))
    .flatMap(({ content }) => (JSON.parse(content.toString()) as OutcomeBatch).outcomes)
    .map(({ key, version, outcome }) => `${key}/${version} ${outcome}`)
/** Adds to `reported` what has been, until there are so many. */
async function untilReported(reported: string[], size: number): Promise<void> {
  await until(`${size} are reported`, async () => {
    reported.push(...(await outcomes()))
    return reported.length >= size
  })
}
const count = async (queue: string) => (await rabbit.channel.checkQueue(queue)).messageCount
/** Keys of one partition. */
const keys = Array.from({ length: 8_000 }, (_, index) => index + 1).filter(
  (key) => partitionOf('aligner_notes', key) === 0,
)
const queue = eventQueue(direction, 0)
const [held = 0, ...others] = keys

t.test('a locked record stops nobody of its partition, and is applied as soon as it is free', async (t) => {
  const target = fakeTarget()
  target.locked.add(held)
  const { broker, consumer, log } = await consume(t, target)
  const some = others.slice(0, 600)
  await broker.publishEvents([note(held, 1), ...some.map((key) => note(key, 1))])
  await until('the others are applied', () => target.applied.length === 600)
  t.equal(target.versions.has(held), false)
  const reported: string[] = []
  await untilReported(reported, 600)
  t.strictSame(
    reported.filter((line) => !line.endsWith('applied')),
    [],
  )
  target.locked.clear()
  await until('it is applied', () => target.versions.has(held))
  await untilReported(reported, 601)
  t.ok((target.tries.get(held) ?? 0) > 1)
  await consumer.close()
  t.equal(await count(queue), 0, 'all are acknowledged')
  t.equal(await count(retryQueue(1)), 0)
  t.strictSame(
    log.lines.filter(({ level }) => level !== 'debug' && level !== 'info'),
    [],
  )
})

t.test('a record locked for longer goes to the retry queue once, after about a second, as one attempt', async (t) => {
  const target = fakeTarget()
  target.locked.add(held)
  const { broker, consumer } = await consume(t, target, { patienceMs: 1_000 })
  const before = performance.now()
  await broker.publishEvents([note(held, 1)])
  await until('it waits there', async () => (await count(retryQueue(1))) === 1)
  const took = performance.now() - before
  t.ok(took > 950, `after ${Math.round(took)} ms`)
  const tries = target.tries.get(held) ?? 0
  t.ok(tries >= 4 && tries <= 12, `tried ${tries} times`)
  t.strictSame(await outcomes(), [`${held}/1 retry`])
  await consumer.close()
  const waiting = await rabbit.take(retryQueue(1))
  t.equal(waiting.length, 1)
  t.match(waiting[0]?.properties.headers, { 'sync-attempt': 1 })
  t.equal(await count(queue), 0)
  t.equal(await count(deadQueue(direction)), 0)
})

t.test(
  'a stop does not wait for the lock: the event is back in its queue, as if it had never been tried',
  async (t) => {
    const target = fakeTarget()
    target.locked.add(held)
    const { broker, consumer } = await consume(t, target)
    await broker.publishEvents([note(held, 1), ...others.slice(0, 50).map((key) => note(key, 1))])
    await until('the others are applied', () => target.applied.length === 50)
    await until('it was tried again', () => (target.tries.get(held) ?? 0) > 1)
    await consumer.close()
    const tries = target.tries.get(held)
    const [back, ...more] = await rabbit.take(queue)
    t.strictSame(more, [], 'the others had been acknowledged')
    t.match(back?.properties.headers, { 'sync-entity-key': `aligner_notes/${held}`, 'sync-attempt': 0 })
    t.equal((await outcomes()).length, 50)
    t.equal(await count(retryQueue(1)), 0)
    t.equal(target.tries.get(held), tries, 'nothing is tried after the stop')

    target.locked.clear()
    const second = await consume(t, target)
    await second.broker.publishEvents([note(held, 1)])
    await until('it is applied', () => target.versions.has(held))
    await second.consumer.close()
    t.strictSame(await outcomes(), [`${held}/1 applied`])
  },
)

t.test('a connection lost during such a wait brings back what was put off and nothing else', async (t) => {
  const target = fakeTarget()
  target.locked.add(held)
  const proxy = await proxyTo(t, rabbit.url)
  const { broker, consumer } = await consume(t, target, { url: proxy.url })
  const some = others.slice(0, 300)
  await broker.publishEvents([note(held, 1), ...some.map((key) => note(key, 1))])
  await until('the others are applied', () => target.applied.length === 300)
  const reported: string[] = []
  await untilReported(reported, 300)
  // The acknowledgement of the last batch is on its way; tried once more, the locked one has come after it.
  const tries = target.tries.get(held) ?? 0
  await until('it was tried again', () => (target.tries.get(held) ?? 0) > tries + 1)
  proxy.cut()
  await until('it is back', () => consumer.state !== 'consuming')
  target.locked.clear()
  await until('it is applied', () => target.versions.has(held))
  await untilReported(reported, 301)
  await consumer.close()
  t.strictSame(
    some.filter((key) => target.tries.get(key) !== 1),
    [],
  )
  t.strictSame(await outcomes(), [])
  t.equal(await count(retryQueue(1)), 0)
})

t.test('a newer version does not wait behind the locked one, and is never undone by it', async (t) => {
  const target = fakeTarget()
  target.locked.add(held)
  const { broker, consumer } = await consume(t, target)
  await broker.publishEvents([note(held, 1)])
  await until('the first was tried', () => (target.tries.get(held) ?? 0) > 3)
  target.locked.clear()
  await broker.publishEvents([note(held, 2)])
  const reported: string[] = []
  await untilReported(reported, 2)
  await consumer.close()
  t.equal(target.versions.get(held), 2)
  t.equal(target.applied.at(-1), `${held}/2`)
  t.equal(await count(queue), 0)
})

t.test('however many are locked, the others of the partition go on', async (t) => {
  const target = fakeTarget()
  const many = others.slice(0, 700)
  for (const key of many) target.locked.add(key)
  const { broker, consumer } = await consume(t, target, { patienceMs: 1_000 })
  const free = others.slice(700, 1_200)
  await broker.publishEvents([...many, ...free].map((key) => note(key, 1)))
  await until('the others are applied', () => target.applied.length === free.length)
  // Those that found no room, and, later, those whose time is up.
  await until('the locked ones wait', async () => (await count(retryQueue(1))) === many.length)
  const all = await outcomes()
  t.equal(all.filter((line) => line.endsWith('retry')).length, many.length)
  t.equal(all.filter((line) => line.endsWith('applied')).length, free.length)
  await consumer.close()
  t.equal((await rabbit.take(retryQueue(1))).length, many.length)
  for (const each of eventQueues(direction)) t.equal(await count(each), 0)
})
