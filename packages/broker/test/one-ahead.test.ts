// The next batch is handled while the outcomes of the one before are being stored: what may fail in between.
import { DatabaseError, partitionOf, SyncError } from '@clinic-sync/sync'
import t, { type Test } from 'tap'
import { deadQueue, eventQueue, type ConsumeOptions, type Disposition, type EventBatch } from '../src/index.ts'
import { note, testBroker, until } from './support/helpers.ts'
import { testRabbit } from './support/rabbit.ts'

const rabbit = await testRabbit(t)
const direction = 'sql-to-postgres'
const queue = eventQueue(direction, partitionOf('aligner_notes', 1))
const count = async (name: string) => (await rabbit.channel.checkQueue(name)).messageCount
const versionsOf = ({ events }: EventBatch) => events.map(({ event }) => event.data.version).join()

/** Opens once, for all who wait. */
function gate() {
  let open: () => void = () => undefined
  let fail: (error: Error) => void = () => undefined
  const opened = new Promise<void>((resolve, reject) => {
    open = resolve
    fail = reject
  })
  opened.catch(() => undefined)
  return { opened, open, fail }
}

interface Work {
  /** Before a batch's outcomes are stored, by its versions; those that are not here are stored at once. */
  readonly reports?: Readonly<Record<string, () => Promise<void>>>
  readonly rule?: (batch: EventBatch) => Promise<readonly Disposition[]>
  readonly options?: Partial<ConsumeOptions>
}

/** A consumer of two events a batch, all of one record, and what has become of them. */
async function consume(t: Test, events: number, { reports = {}, rule, options }: Work) {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  await broker.publishEvents(Array.from({ length: events }, (_, i) => note(1, i + 1)))
  const handled: string[] = []
  const reported: string[] = []
  let acked = 0
  const consumer = broker.consumeEvents(
    direction,
    async (batch) => {
      const versions = versionsOf(batch)
      handled.push(versions)
      const dispositions = await (rule?.(batch) ?? batch.events.map(() => ({ action: 'done' as const })))
      batch.report?.(async () => {
        await reports[versions]?.()
        reported.push(versions)
      })
      return dispositions
    },
    {
      check: () => Promise.resolve(),
      maxBatch: 2,
      maxWaitMs: 500,
      onAcked: () => void acked++,
      ...options,
    },
  )
  return { broker, consumer, handled, reported, acked: () => acked }
}

async function nothingLeft(t: Test, broker: { close(): Promise<void> }): Promise<void> {
  await broker.close()
  t.equal(await count(queue), 0, 'all are acknowledged')
  t.equal(await count(deadQueue(direction)), 0, 'none is dead')
}

t.test('one batch ahead and no more, acknowledged in order', async (t) => {
  const first = gate()
  const { broker, handled, reported, acked } = await consume(t, 8, { reports: { '1,2': () => first.opened } })
  await until('the second is handled', () => handled.length === 2)
  await new Promise((resolve) => setImmediate(resolve))
  t.strictSame(handled, ['1,2', '3,4'])
  t.strictSame([reported, acked()], [[], 0], 'nothing of the second is told before the first is stored')
  first.open()
  await until('all are acknowledged', () => acked() === 4)
  t.strictSame(reported, ['1,2', '3,4', '5,6', '7,8'])
  await nothingLeft(t, broker)
})

t.test('outcomes that cannot be stored: their batch is worked on again, and the one ahead waits for it', async (t) => {
  const first = gate()
  let times = 0
  const { broker, handled, reported, acked } = await consume(t, 6, {
    reports: { '1,2': () => (times++ === 0 ? first.opened : Promise.resolve()) },
  })
  await until('the second is handled', () => handled.length === 2)
  first.fail(new SyncError('SYNC_BROKER_DOWN', 'no confirm'))
  await until('all are acknowledged', () => acked() === 3)
  t.strictSame(handled, ['1,2', '3,4', '1,2', '5,6'])
  t.strictSame(reported, ['1,2', '3,4', '5,6'])
  await nothingLeft(t, broker)
})

t.test('the same with nothing behind it, again and again, and in an unforeseen way', async (t) => {
  let times = 0
  const { broker, handled, acked } = await consume(t, 2, {
    reports: {
      '1,2': () => {
        times++
        if (times < 3) return Promise.reject(new SyncError('SYNC_PUBLISH_REFUSED', 'full'))
        return times < 4 ? Promise.reject(new TypeError('who knows')) : Promise.resolve()
      },
    },
  })
  await until('it is acknowledged', () => acked() === 1)
  t.equal(handled.length, 4)
  await nothingLeft(t, broker)
})

t.test('the channel is lost in between: both batches come again, and nothing else', async (t) => {
  const first = gate()
  let times = 0
  const { broker, handled, acked } = await consume(t, 6, {
    reports: { '1,2': () => (times++ === 0 ? first.opened : Promise.resolve()) },
  })
  await until('the second is handled', () => handled.length === 2)
  await rabbit.closeConnections('test')
  await until('all are back', async () => (await count(queue)) === 6)
  first.open()
  await until('all are acknowledged', () => acked() === 3)
  t.strictSame(handled, ['1,2', '3,4', '1,2', '3,4', '5,6'])
  await nothingLeft(t, broker)
})

t.test('the database goes down in the second: the first is acknowledged, the second goes back', async (t) => {
  const first = gate()
  let isDown = true
  const down = () => new DatabaseError('down', 'refused')
  const { broker, consumer, handled, acked } = await consume(t, 4, {
    reports: { '1,2': () => first.opened },
    rule: async (batch) => {
      if (isDown && versionsOf(batch) === '3,4') throw down()
      return batch.events.map(() => ({ action: 'done' as const }))
    },
    options: { check: () => (isDown ? Promise.reject(down()) : Promise.resolve()) },
  })
  await until('the second has failed', () => handled.length === 2)
  t.equal(acked(), 0)
  first.open()
  await until('it pauses', () => consumer.state === 'paused')
  t.equal(acked(), 1)
  await until('the second is back', async () => (await count(queue)) === 2)
  isDown = false
  await until('all are acknowledged', () => acked() === 2)
  t.strictSame(handled, ['1,2', '3,4', '3,4'])
  await nothingLeft(t, broker)
})

t.test('both fail: the first is worked on again before the second', async (t) => {
  const first = gate()
  let [times, refused] = [0, 0]
  const { broker, handled, reported, acked } = await consume(t, 4, {
    reports: { '1,2': () => (times++ === 0 ? first.opened : Promise.resolve()) },
    rule: async (batch) => {
      if (versionsOf(batch) === '3,4' && refused++ === 0) throw new DatabaseError('down', 'for a moment')
      return batch.events.map(() => ({ action: 'done' as const }))
    },
  })
  await until('the second has failed', () => refused === 1)
  first.fail(new SyncError('SYNC_BROKER_DOWN', 'no confirm'))
  await until('all are acknowledged', () => acked() === 2)
  t.strictSame(handled, ['1,2', '3,4', '1,2', '3,4'])
  t.strictSame(reported, ['1,2', '3,4'])
  await nothingLeft(t, broker)
})

t.test('held for too long: both go round together, in their order', async (t) => {
  let held = true
  const { broker, handled, reported } = await consume(t, 4, {
    reports: {
      '1,2': async () => {
        if (!held) return
        await until('the second is handled', () => handled.includes('3,4'))
        held = false
        throw new SyncError('SYNC_BROKER_DOWN', 'no confirm')
      },
    },
    options: { holdMs: 0 },
  })
  await until('all are told', () => reported.join() === '1,2,3,4')
  t.strictSame(handled, ['1,2', '3,4', '1,2', '3,4'])
  await nothingLeft(t, broker)
})

t.test('a stop in between waits for what is handled, and gives the rest back', async (t) => {
  const first = gate()
  const { consumer, broker, handled, acked } = await consume(t, 8, { reports: { '1,2': () => first.opened } })
  await until('the second is handled', () => handled.length === 2)
  const closed = consumer.close()
  first.open()
  await closed
  t.equal(acked(), 2)
  await until('the rest is back', async () => (await count(queue)) === 4)
  t.strictSame(
    (await rabbit.take(queue)).map(({ properties }) => properties.headers?.['sync-version'] as unknown),
    ['5', '6', '7', '8'],
  )
  await nothingLeft(t, broker)
})

t.test('what was put off and is worked on again is not acknowledged by what is newer', async (t) => {
  const [second, again] = [gate(), gate()]
  let times = 0
  const { broker, handled, acked } = await consume(t, 2, {
    reports: { '2': () => second.opened },
    rule: async (batch) => {
      if (versionsOf(batch) !== '1') return [{ action: 'done' }]
      times++
      if (times === 2) await again.opened
      return [times === 1 ? { action: 'later', afterMs: 20 } : { action: 'done' }]
    },
    options: { maxBatch: 1 },
  })
  await until('the first is worked on again', () => times === 2)
  t.strictSame(handled, ['1', '2', '1'])
  second.open()
  await until('the second is acknowledged', () => acked() === 1)
  await rabbit.closeConnections('test')
  await until('the first is back', async () => (await count(queue)) === 1)
  again.open()
  await until('the first has come again', () => times === 3)
  await until('it is acknowledged', () => acked() === 2)
  t.strictSame(handled, ['1', '2', '1', '1'])
  await nothingLeft(t, broker)
})

t.test('what is put off is counted once: before it is stored, and afterwards', async (t) => {
  const rooms: number[] = []
  const { broker, handled, acked } = await consume(t, 4, {
    rule: async ({ events, room }) => {
      rooms.push(room)
      const again = events.some(({ waited }) => waited?.times === 2)
      return events.map(({ event }) =>
        again || event.data.version === '1' ? { action: 'done' } : { action: 'later', afterMs: 50 },
      )
    },
    options: { maxBatch: 4 },
  })
  await until('all are acknowledged', () => acked() === 2)
  t.strictSame(handled, ['1,2,3,4', '2,3,4', '2,3,4'])
  t.strictSame(rooms, [4, 4, 4])
  await nothingLeft(t, broker)
})

t.test('where most are put off, the others go on', async (t) => {
  const rooms: number[] = []
  const { broker, handled, acked } = await consume(t, 4, {
    rule: async ({ events, room }) => {
      rooms.push(room)
      return events.map(({ event }) =>
        ['1', '5'].includes(event.data.version) ? { action: 'done' } : { action: 'later', afterMs: 60_000 },
      )
    },
    options: { maxBatch: 4 },
  })
  await until('the first is acknowledged', () => acked() === 1)
  await broker.publishEvents([note(1, 5)])
  await until('the other is acknowledged', () => acked() === 2)
  t.strictSame(handled, ['1,2,3,4', '5'])
  t.strictSame(rooms, [4, 1])
  await broker.close()
  t.equal((await rabbit.take(queue)).length, 3)
})
