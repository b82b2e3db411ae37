import { DatabaseError, partitionOf } from '@clinic-sync/sync'
import t from 'tap'
import { deadQueue, eventQueue, eventQueues, outcomeQueue, type ConsumeOptions, type EventBatch } from '../src/index.ts'
import { keepLines, note, testBroker, until } from './support/helpers.ts'
import { testRabbit } from './support/rabbit.ts'

const rabbit = await testRabbit(t)
const direction = 'sql-to-postgres'
const retryDelaysMs = [100, 150, 200]
const options: ConsumeOptions = { check: () => Promise.resolve() }
const done = ({ events }: EventBatch) => Promise.resolve(events.map(() => ({ action: 'done' as const })))
const failure = { type: 'transient', code: '40P01', message: 'deadlock on work' } as const

const open = (t: Parameters<typeof testBroker>[0]) => testBroker(t, rabbit.url, { retryDelaysMs })
const isEmpty = async () => {
  for (const queue of eventQueues(direction)) {
    if ((await rabbit.channel.checkQueue(queue)).messageCount > 0) return false
  }
  return true
}

t.test('a batch ends at its size, or a little after its first message', async (t) => {
  const broker = await open(t)
  await broker.ready()
  await broker.publishEvents(Array.from({ length: 450 }, (_, index) => note(1, index + 1)))
  const sizes: number[] = []
  const versions: number[] = []
  const consumer = broker.consumeEvents(
    direction,
    async (batch) => {
      sizes.push(batch.events.length)
      versions.push(...batch.events.map(({ event }) => Number(event.data.version)))
      return done(batch)
    },
    { ...options, maxWaitMs: 200 },
  )
  await until('all are consumed', () => versions.length === 450)
  t.strictSame(sizes, [200, 200, 50])
  t.strictSame(
    versions,
    versions.toSorted((a, b) => a - b),
  )
  await consumer.close()
  t.ok(await isEmpty())
})

t.test('a batch also ends at its bytes', async (t) => {
  const broker = await open(t)
  await broker.ready()
  await broker.publishEvents(Array.from({ length: 30 }, (_, index) => note(1, index + 1, 'x'.repeat(10_000))))
  const sizes: number[] = []
  const consumer = broker.consumeEvents(
    direction,
    (batch) => {
      sizes.push(batch.events.length)
      return done(batch)
    },
    { ...options, maxWaitMs: 100, maxBatchBytes: 55_000 },
  )
  await until('all are consumed', () => sizes.reduce((sum, size) => sum + size, 0) === 30)
  t.ok(
    sizes.every((size) => size <= 5),
    sizes.join(),
  )
  await consumer.close()
})

t.test('a retry waits, comes back to its own partition behind what was there, and dies after the last', async (t) => {
  const broker = await open(t)
  await broker.ready()
  const seen: { key: number; attempt: number; at: number }[] = []
  const consumer = broker.consumeEvents(
    direction,
    ({ events }) => {
      for (const { event, attempt } of events) seen.push({ key: event.data.key, attempt, at: Date.now() })
      return Promise.resolve(
        events.map(({ event }) => (event.data.key === 3 ? { action: 'retry', failure } : { action: 'done' })),
      )
    },
    options,
  )
  await broker.publishEvents([note(3, 1), note(4, 1)])
  await until('it is dead', async () => (await rabbit.channel.checkQueue(deadQueue(direction))).messageCount === 1)
  const tries = seen.filter(({ key }) => key === 3)
  t.strictSame(
    tries.map(({ attempt }) => attempt),
    [0, 1, 2, 3],
  )
  tries.slice(1).forEach(({ at }, index) => {
    t.ok(at - (tries[index]?.at ?? 0) >= (retryDelaysMs[index] ?? 0) - 20, 'waited its time')
  })
  await consumer.close()
  const [dead] = await rabbit.take(deadQueue(direction))
  t.match(dead?.fields, { routingKey: 'sql-to-postgres.consumer' })
  t.match(dead?.properties, {
    messageId: 'clinic/aligner_notes/3/1',
    type: 'sync.row.upserted.v1',
    headers: {
      'sync-entity-key': 'aligner_notes/3',
      'sync-version': '1',
      'sync-error-type': 'transient',
      'sync-error-message': 'deadlock on work',
      'sync-error-code': '40P01',
      'sync-first-failed-at': /^\d{4}-.*Z$/,
      'sync-failed-at': /^\d{4}-.*Z$/,
      'sync-attempts': 4,
      'sync-source-queue': eventQueue(direction, partitionOf('aligner_notes', 3)),
      'sync-consumer': /^test@.+:\d+$/,
    },
  })
  const headers = dead?.properties.headers ?? {}
  t.ok(headers['sync-first-failed-at'] < headers['sync-failed-at'])
  t.strictSame(
    Object.keys(headers).filter((name) => name.startsWith('x-')),
    [],
    'nothing of RabbitMQ is carried over',
  )
  t.ok(broker.willDie(3) && !broker.willDie(2))
})

t.test('several retries of one partition come back in their order', async (t) => {
  const broker = await open(t)
  await broker.ready()
  const back: number[] = []
  const consumer = broker.consumeEvents(
    direction,
    ({ events }) => {
      back.push(...events.filter(({ attempt }) => attempt > 0).map(({ event }) => Number(event.data.version)))
      return Promise.resolve(
        events.map(({ attempt }) => (attempt === 0 ? { action: 'retry', failure } : { action: 'done' })),
      )
    },
    options,
  )
  await broker.publishEvents(Array.from({ length: 50 }, (_, index) => note(5, index + 1)))
  await until('all are back', () => back.length === 50)
  t.strictSame(
    back,
    Array.from({ length: 50 }, (_, index) => index + 1),
  )
  await consumer.close()
})

t.test('what is no event of ours is dead at once, named by its fields, and harms nobody', async (t) => {
  const broker = await testBroker(t, rabbit.url, { retryDelaysMs, maxMessageBytes: 20_000 })
  await broker.ready()
  const good = note(1, 1)
  const bodies: [string, RegExp][] = [
    ['Leila', /^not JSON$/],
    ['', /^not JSON$/],
    ['null', /wrong or missing: the message itself/],
    [JSON.stringify({ ...good, type: 'sync.row.upserted.v9' }), /wrong or missing: type/],
    [JSON.stringify({ ...good, data: { ...good.data, version: 'Leila' } }), /data\.version/],
    [
      JSON.stringify({ ...good, data: { ...good.data, row: { note_text: { name: 'Leila' } } } }),
      /data\.row\.note_text/,
    ],
    [JSON.stringify({ ...good, source: 'portal' }), /source/],
    [
      JSON.stringify({ ...good, data: { ...good.data, row: { x: 'x'.repeat(20_000) } } }),
      /^\d+ bytes; the limit is 20000$/,
    ],
    [JSON.stringify({ ...good, data: { ...good.data, row: { 'Leila Hassan': {} } } }), /\(a field\)/],
  ]
  const headers = { 'sync-entity-key': 'aligner_notes/9', 'sync-version': '77', 'sync-attempt': 'Leila' }
  for (const [body] of bodies) rabbit.channel.publish('sync.events', `${direction}.p0`, Buffer.from(body), { headers })
  for (const key of [-(2 ** 31), 2 ** 31]) {
    const ofKey = { ...headers, 'sync-entity-key': `aligner_notes/${key}` }
    rabbit.channel.publish('sync.events', `${direction}.p0`, Buffer.from('{'), { headers: ofKey })
  }
  rabbit.channel.publish('sync.events', `${direction}.p0`, Buffer.from('{'), {
    headers: { 'sync-version': [1] },
    type: 'x'.repeat(200),
  })
  await rabbit.channel.waitForConfirms()
  await broker.publishEvents([note(1, 1), note(2, 1)])
  let applied = 0
  const about: unknown[] = []
  const consumer = broker.consumeEvents(
    direction,
    (batch) => {
      applied += batch.events.length
      about.push(...batch.bad.map((bad) => bad.about))
      return done(batch)
    },
    options,
  )
  await until('the good ones are applied', () => applied === 2)
  const dead = deadQueue(direction)
  await until(
    'the bad ones are dead',
    async () => (await rabbit.channel.checkQueue(dead)).messageCount === bodies.length + 3,
  )
  const taken = await rabbit.take(dead)
  bodies.forEach(([body, message], index) => {
    t.match(taken[index]?.properties.headers, { 'sync-error-code': 'SYNC_BAD_MESSAGE', 'sync-error-message': message })
    t.equal(taken[index]?.content.toString(), body, 'as it came')
    t.notMatch(JSON.stringify(taken[index]?.properties), /Leila/)
  })
  t.strictSame(about[0], { table: 'aligner_notes', key: 9, version: '77' })
  t.match(about.at(-3), { key: -(2 ** 31) }, 'the last key that the portal gives')
  t.strictSame(about.slice(-2), [null, null])
  await consumer.close()
})

t.test('a second consumer stands by and takes over where the first stopped', async (t) => {
  const [first, second] = [await open(t), await open(t)]
  await first.ready()
  const seen: string[] = []
  const consume = (broker: typeof first, name: string) =>
    broker.consumeEvents(
      direction,
      (batch) => {
        seen.push(...batch.events.map(({ event }) => `${name} ${event.data.version}`))
        return done(batch)
      },
      options,
    )
  const a = consume(first, 'a')
  await until('the first consumes', () => a.state === 'consuming')
  const b = consume(second, 'b')
  await until('the second stands by', () => b.state === 'consuming')
  await first.publishEvents([note(1, 1), note(1, 2)])
  await until('two are there', () => seen.length === 2)
  await a.close()
  t.equal(a.state, 'closed')
  await first.publishEvents([note(1, 3)])
  await until('the third is there', () => seen.length === 3)
  t.strictSame(seen, ['a 1', 'a 2', 'b 3'])
  await b.close()
})

t.test('close finishes the batch in flight and gives the rest back', async (t) => {
  const broker = await open(t)
  await broker.ready()
  await broker.publishEvents(Array.from({ length: 25 }, (_, index) => note(1, index + 1)))
  let started = false
  let finish: () => void = () => undefined
  const held = new Promise<void>((resolve) => {
    finish = resolve
  })
  const consumer = broker.consumeEvents(
    direction,
    async (batch) => {
      started = true
      await held
      return done(batch)
    },
    { ...options, maxBatch: 10, maxWaitMs: 1_000 },
  )
  await until('the batch is in flight', () => started)
  const closing = consumer.close()
  finish()
  await closing
  const left = await rabbit.take(eventQueue(direction, partitionOf('aligner_notes', 1)))
  t.equal(left.length, 15)
})

t.test('while the database is down nothing is taken and nothing dies; then it goes on', async (t) => {
  const broker = await open(t)
  await broker.ready()
  let up = true
  let applied = 0
  let calls = 0
  const states: string[] = []
  const consumer = broker.consumeEvents(
    direction,
    (batch) => {
      calls++
      if (!up) return Promise.reject(new DatabaseError('down', 'connection refused'))
      applied += batch.events.length
      return done(batch)
    },
    {
      check: () => (up ? Promise.resolve() : Promise.reject(new DatabaseError('down', 'connection refused'))),
      onState: (state) => states.push(state),
    },
  )
  await until('it consumes', () => consumer.state === 'consuming')
  up = false
  await broker.publishEvents(Array.from({ length: 300 }, (_, index) => note(index, 1)))
  await until('it pauses', () => consumer.state === 'paused')
  t.equal(broker.state().ready, false)
  await until('all are back in their queues', async () => {
    const counts = await Promise.all(eventQueues(direction).map((queue) => rabbit.channel.checkQueue(queue)))
    return counts.reduce((sum, { messageCount }) => sum + messageCount, 0) === 300
  })
  const before = calls
  await broker.publishEvents([note(1, 2)])
  t.equal(calls, before)
  up = true
  await until('all are applied', () => applied === 301)
  t.strictSame(
    states.filter((state) => state !== 'connecting'),
    ['consuming', 'paused', 'consuming'],
  )
  await consumer.close()
  t.equal((await rabbit.take(deadQueue(direction))).length, 0)
})

t.test('a database that is there when asked, yet fails as down, does not use up the delivery limit', async (t) => {
  const broker = await open(t)
  await broker.ready()
  let failures = 0
  let redelivered = false
  let applied = 0
  const consumer = broker.consumeEvents(
    direction,
    (batch) => {
      if (failures++ < 4) return Promise.reject(new DatabaseError('down', 'no more connections'))
      applied += batch.events.length
      return done(batch)
    },
    options,
  )
  await broker.publishEvents([note(1, 1)])
  await until('it is applied', () => applied === 1)
  redelivered = failures !== 5
  t.equal(redelivered, false)
  await consumer.close()
})

t.test('a handler that fails in an unforeseen way is tried again, then its events are retried and die', async (t) => {
  const log = keepLines()
  const broker = await testBroker(t, rabbit.url, { log, retryDelaysMs: [100, 150, 200] })
  await broker.ready()
  const consumer = broker.consumeEvents(direction, () => Promise.reject(new TypeError('Leila')), options)
  await broker.publishEvents([note(1, 1)])
  await until(
    'it is dead',
    async () => (await rabbit.channel.checkQueue(deadQueue(direction))).messageCount === 1,
    25_000,
  )
  const [dead] = await rabbit.take(deadQueue(direction))
  t.match(dead?.properties.headers, {
    'sync-error-type': 'unexpected',
    'sync-error-code': 'TypeError',
    'sync-attempts': 4,
  })
  t.notMatch(JSON.stringify([dead?.properties, log.lines]), /Leila/)
  await consumer.close()
})

t.test('outcomes arrive in batches; a wrong one is dead, and the others are settled', async (t) => {
  const broker = await open(t)
  await broker.ready()
  const settled: string[] = []
  const outcome = (version: string) => ({ table: 'work', key: 1, version, outcome: 'applied' as const })
  rabbit.channel.publish('sync.outcomes', `${direction}.batch`, Buffer.from('{"direction":"x"}'))
  await rabbit.channel.waitForConfirms()
  for (const version of ['1', '2', '3']) await broker.publishOutcomes({ direction, outcomes: [outcome(version)] })
  const consumer = broker.consumeOutcomes(
    direction,
    (batches) => {
      settled.push(...batches.flatMap(({ outcomes }) => outcomes.map(({ version }) => version)))
      return Promise.resolve()
    },
    options,
  )
  await until('all are settled', () => settled.length === 3)
  t.strictSame(settled, ['1', '2', '3'])
  await until('one is dead', async () => (await rabbit.channel.checkQueue(deadQueue(direction))).messageCount === 1)
  t.match((await rabbit.take(deadQueue(direction)))[0]?.properties.headers, {
    'sync-error-message': /direction/,
    'sync-source-queue': outcomeQueue(direction),
  })
  await consumer.close()
})
