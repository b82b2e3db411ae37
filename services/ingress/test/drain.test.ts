import t, { type Test } from 'tap'
import { SyncError } from '@clinic-sync/sync'
import { Drain, type DrainOptions } from '../src/drain.ts'
import { databaseDown, Fake } from './fake-outbox.ts'
import { recordingLog, until } from './help.ts'

const INFO = 30
const WARN = 40

function start(t: Test, options: Partial<DrainOptions> = {}) {
  const fake = new Fake()
  const recording = recordingLog()
  const quick = { min: 2, max: 8 }
  const drain = new Drain({
    outbox: fake,
    publisher: fake,
    log: recording.log,
    retry: quick,
    locked: quick,
    ...options,
  })
  t.teardown(() => drain.stop())
  return { fake, drain, ...recording }
}

const keys = (fake: Fake) => fake.published.map((event) => event.data.key)

t.test('a drain empties the outbox, batch by batch', async (t) => {
  const { fake, drain } = start(t, { batch: 3 })
  for (let key = 1; key <= 10; key++) fake.change(key)
  fake.change(1)
  t.same(await drain.request(), { published: 11, locked: 0 })
  t.same(keys(fake), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 1])
  t.equal(fake.pending(), 0)
  t.same(await drain.request(), { published: 0, locked: 0 }, 'then it is empty')
})

t.test('several edits of a record in one batch are one event', async (t) => {
  const { fake, drain } = start(t)
  for (let edit = 0; edit < 5; edit++) fake.change(7)
  t.same(await drain.request(), { published: 1, locked: 0 })
  t.equal(fake.published[0]?.id, 'clinic/aligner_notes/7/5')
})

/** A change and its ring at every await point of a run, one point a time: each must be published without another ring. */
t.test('no wake-up is lost, wherever it comes', async (t) => {
  const points: string[] = []
  const probe = start(t)
  probe.fake.change(1)
  probe.fake.pause = (point) => void points.push(point)
  await probe.drain.request()
  t.same(new Set(points).size, 6, 'before and after take, publish and settle')

  for (let at = 0; at <= points.length; at++) {
    const { fake, drain } = start(t)
    let n = 0
    fake.change(1)
    fake.pause = async () => {
      if (n++ !== at) return
      fake.change(2)
      drain.ring()
    }
    const first = drain.request()
    // The last point is after the run: the microtasks in which the loop ends.
    if (at === points.length) {
      await first
      fake.change(2)
      drain.ring()
    }
    await first
    await until(`the ring at ${points[at] ?? 'the end'} is answered`, () => fake.pending() === 0)
    t.same(keys(fake).sort(), [1, 2], points[at] ?? 'the end')
  }
})

t.test('a ring in any of the microtasks around the end of a run is answered', async (t) => {
  for (let ticks = 0; ticks < 60; ticks++) {
    const { fake, drain } = start(t)
    fake.change(1)
    drain.ring()
    for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
    fake.change(2)
    drain.ring()
    await until(`the ring after ${ticks} ticks`, () => fake.pending() === 0)
    if (keys(fake).length !== 2 && keys(fake).length !== 1) t.fail(`${ticks}: ${keys(fake)}`)
  }
  t.pass('60 places')
})

t.test('one run at a time, and 500 rings during one cause one more', async (t) => {
  const { fake, drain } = start(t)
  let open: () => void = () => undefined
  const gate = new Promise<void>((resolve) => (open = resolve))
  let inside = 0
  fake.pause = async (point) => {
    if (point === 'before take') t.equal(++inside, 1)
    await gate
    if (point === 'after take') inside--
  }
  drain.ring()
  await until('it takes', () => fake.calls.includes('take'))
  for (let ring = 0; ring < 500; ring++) drain.ring()
  open()
  await until('the second run is over', () => fake.calls.length >= 2 && inside === 0)
  await drain.request()
  // The one more may be the one just asked for.
  const takes = fake.calls.filter((call) => call === 'take').length
  t.ok(takes === 2 || takes === 3, `${takes} runs`)
})

t.test('a burst of useless rings costs few runs, a useful ring is answered at once', async (t) => {
  const { fake, drain } = start(t, { restMs: 60_000 })
  fake.change(1)
  drain.ring()
  await until('the first is answered at once', () => fake.pending() === 0)
  fake.change(2)
  drain.ring()
  await until('so is the next, as the first found something', () => fake.pending() === 0)
  await drain.request()
  const takes = fake.calls.length
  for (let ring = 0; ring < 500; ring++) {
    drain.ring()
    await new Promise((resolve) => setImmediate(resolve))
  }
  t.ok(
    fake.calls.length <= takes + 2,
    `${fake.calls.length - takes} of them look: after three the others wait together`,
  )
  fake.change(3)
  t.same(await drain.request(), { published: 1, locked: 0 }, 'an operator does not wait')
})

t.test('rings that another run has answered already make no change wait', async (t) => {
  const { fake, drain } = start(t, { restMs: 60_000 })
  for (let key = 1; key <= 20; key++) {
    await drain.request()
    await drain.request()
    fake.change(key)
    drain.ring()
    await until('it is published after two looks that found nothing', () => fake.pending() === 0)
  }
})

t.test('a change in a burst of useless rings waits for the end of the rest, no longer', async (t) => {
  const { fake, drain } = start(t, { restMs: 20 })
  for (let look = 0; look < 3; look++) await drain.request()
  for (let ring = 0; ring < 50; ring++) drain.ring()
  fake.change(1)
  drain.ring()
  await until('it is published', () => fake.pending() === 0)
  t.ok(fake.calls.filter((call) => call === 'take').length < 8)
})

t.test('who asks during a run gets the count of the next', async (t) => {
  const { fake, drain } = start(t)
  fake.change(1)
  let second: Promise<unknown> | undefined
  fake.pause = (point) => {
    if (point !== 'after settle' || second) return
    fake.change(2)
    fake.change(3)
    // The first run still finds these; the second run started after the call, and has nothing left.
    second = drain.request()
  }
  t.same(await drain.request(), { published: 3, locked: 0 })
  t.same(await second, { published: 0, locked: 0 })
})

t.test('a database that is down: tried again until it is back, one line a change of state', async (t) => {
  const { fake, drain, texts } = start(t)
  fake.change(1)
  fake.down = databaseDown()
  await t.rejects(drain.request(), { code: 'SYNC_DATABASE_DOWN' })
  await until('five retries', () => fake.calls.length >= 6)
  fake.down = null
  await until('it is published', () => fake.pending() === 0)
  await until('the end is said', () => texts(INFO).length >= 2)
  t.same(texts(WARN), ["the clinic's outbox cannot be drained: trying again"])
  t.match(texts(INFO).sort(), [/1 published/, /drained again/])
})

t.test('doorbells do not hurry the retries of a database that is down; an operator does', async (t) => {
  const { fake, drain } = start(t, { retry: { min: 60_000, max: 60_000 } })
  fake.down = databaseDown()
  await t.rejects(drain.request())
  for (let ring = 0; ring < 500; ring++) drain.ring()
  t.equal(fake.calls.length, 1)
  fake.down = null
  fake.change(1)
  t.same(await drain.request(), { published: 1, locked: 0 })
  drain.ring()
  await until('doorbells are answered at once again', () => fake.calls.filter((call) => call === 'take').length === 4)
})

t.test('a reconnection during a failing run does not wait for the retry', async (t) => {
  const { fake, drain } = start(t, { retry: { min: 60_000, max: 60_000 } })
  fake.change(1)
  fake.brokerDown = true
  fake.pause = (point) => {
    if (point !== 'after publish') return
    fake.brokerDown = false
    drain.ring(true)
  }
  drain.ring()
  await until('it is published', () => fake.pending() === 0)
  t.same(keys(fake), [1])
})

t.test('a failure of each step loses nothing', async (t) => {
  for (const step of ['take', 'publish', 'settle'] as const) {
    for (const when of ['before', 'after'] as const) {
      const { fake, drain } = start(t)
      fake.change(1)
      fake.change(2)
      let failures = 3
      fake.pause = (point) => {
        if (point === `${when} ${step}` && failures-- > 0) throw databaseDown()
      }
      drain.ring()
      await until(`${when} ${step}`, () => fake.pending() === 0)
      t.same([...new Set(keys(fake))].sort(), [1, 2], `${when} ${step}`)
      t.equal(new Set(fake.published.map((event) => event.id)).size, 2, 'repeated, it is the same event')
    }
  }
})

t.test('the broker is down: rows stay pending; what it confirmed is settled', async (t) => {
  const { fake, drain } = start(t, { retry: { min: 60_000, max: 60_000 } })
  fake.change(1)
  fake.brokerDown = true
  await t.rejects(drain.request(), { code: 'SYNC_BROKER_DOWN' })
  t.equal(fake.pending(), 1)
  t.notOk(fake.calls.includes('settle'))
})

t.test('a change that the broker never takes is Failed, and holds nothing up', async (t) => {
  const { fake, drain } = start(t)
  fake.tooLarge.add(2)
  for (const key of [1, 2, 3]) fake.change(key)
  t.same(await drain.request(), { published: 2, locked: 0 })
  t.same(
    fake.rows.map((row) => row.status),
    ['Queued', 'Failed', 'Queued'],
  )
})

t.test('held records are looked at again until they are free', async (t) => {
  const { fake, drain, texts } = start(t)
  fake.held.add(2)
  for (const key of [1, 2, 3]) fake.change(key)
  t.same(await drain.request(), { published: 2, locked: 1 })
  await until('it looks again by itself', () => fake.calls.filter((call) => call === 'take').length > 8)
  fake.held.clear()
  await until('the held one is published', () => fake.pending() === 0)
  t.same(keys(fake), [1, 3, 2])
  await until('the end is said', () => texts(INFO).includes('no record is held any more'))
  t.equal(texts(INFO).filter((text) => /open transactions/.test(text)).length, 1)
  const takes = fake.calls.length
  await drain.request()
  t.equal(fake.calls.length, takes + 1, 'then it is quiet')
})

t.test('a page full of held records hides nothing behind it', async (t) => {
  const { fake, drain } = start(t, { batch: 4 })
  for (let key = 1; key <= 30; key++) {
    fake.held.add(key)
    fake.change(key)
  }
  for (let key = 31; key <= 40; key++) fake.change(key)
  t.match(await drain.request(), { published: 10 })
})

t.test('an outbox that does not move on is a failure, not an endless loop', async (t) => {
  const { fake, drain } = start(t, { retry: { min: 60_000, max: 60_000 } })
  fake.change(1)
  fake.settleChanges = async () => undefined
  await t.rejects(drain.request(), { code: 'SYNC_DATABASE' })
  t.equal(fake.published.length, 2)
})

t.test('rows that an operator makes pending again during a drain are sent anew, and disturb nothing', async (t) => {
  const { fake, drain } = start(t)
  fake.change(1)
  fake.change(2)
  let requeued = false
  fake.pause = (point) => {
    if (point !== 'after settle' || requeued) return
    requeued = true
    for (const row of fake.rows) row.status = 'Pending'
  }
  t.match(await drain.request(), { published: 4 })
  t.equal(fake.pending(), 0)
})

t.test('stopping finishes the batch in flight and starts no other', async (t) => {
  const { fake, drain } = start(t, { batch: 2 })
  for (let key = 1; key <= 6; key++) fake.change(key)
  let stopped: Promise<void> | undefined
  fake.pause = (point) => {
    if (point === 'before publish') stopped ??= drain.stop()
  }
  const asked = drain.request()
  await until('it is stopping', () => stopped !== undefined)
  await t.rejects(drain.request(), { code: 'SYNC_STOPPING' })
  await stopped
  t.same(await asked, { published: 2, locked: 0 })
  t.equal(fake.pending(), 4)
  drain.ring(true)
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(fake.pending(), 4)
})

t.test(
  'stopping answers a doorbell that was accepted: whoever takes over may have looked before it rang',
  async (t) => {
    const resting = start(t, { restMs: 60_000 })
    for (let look = 0; look < 3; look++) await resting.drain.request()
    resting.fake.change(1)
    resting.drain.ring()
    await resting.drain.stop()
    t.equal(resting.fake.pending(), 0, 'though it was resting')

    const running = start(t, { batch: 1 })
    running.fake.change(1)
    let stopped: Promise<void> | undefined
    running.fake.pause = (point) => {
      if (point !== 'after settle' || stopped !== undefined) return
      running.fake.change(2)
      running.drain.ring()
      stopped = running.drain.stop()
    }
    running.drain.ring()
    await until('it is stopping', () => stopped !== undefined)
    await stopped
    t.equal(running.fake.pending(), 0, 'though a run was under way')
  },
)

t.test('a database that is not migrated is fatal, and said once', async (t) => {
  const fatal: SyncError[] = []
  const { fake, drain } = start(t, { onFatal: (error) => void fatal.push(error) })
  fake.takeChanges = async () => {
    throw new SyncError('SYNC_NOT_MIGRATED', 'The schema sync is missing.')
  }
  const [first, second] = [drain.request(), drain.request()]
  await t.rejects(first, { code: 'SYNC_NOT_MIGRATED' })
  await t.rejects(second)
  t.match(fatal, [{ code: 'SYNC_NOT_MIGRATED', advice: /migrate/ }])
  await t.rejects(drain.request(), { code: 'SYNC_STOPPING' })
})

t.test('log lines: counts and latency for a drain, keys for an event, never a row', async (t) => {
  const { fake, drain, lines } = start(t)
  fake.change(5)
  fake.down = Object.assign(new Error('PLANTED in a driver message'), { code: 'EREQUEST' })
  await t.rejects(drain.request())
  fake.down = null
  await drain.request()
  t.match(
    lines.find((line) => line['published'] === 1),
    { level: INFO, outbox: 'clinic', ms: Number, latencyMs: Number },
  )
  t.match(
    lines.find((line) => line['event']),
    { level: 20, event: 'clinic/aligner_notes/5/1' },
  )
  t.match(
    lines.find((line) => line.level === WARN),
    { code: 'EREQUEST', at: Array },
  )
  t.notMatch(JSON.stringify(lines), /PLANTED/)
})
