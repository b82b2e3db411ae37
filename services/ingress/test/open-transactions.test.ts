import t, { type Test } from 'tap'
import { Drain } from '../src/drain.ts'
import { OpenTransactionWaits, type OpenTransactionWaitsOptions } from '../src/open-transactions.ts'
import { databaseDown, Fake } from './fake-outbox.ts'
import { recordingLog, until } from './help.ts'

const WARN = 40

/** A drain whose doorbell rings before the commit. The outbox is in memory. */
function start(t: Test, options: Partial<OpenTransactionWaitsOptions> = {}) {
  const fake = new Fake()
  const recording = recordingLog()
  const quick = { min: 2, max: 8 }
  let rings = 0
  const waits: OpenTransactionWaits = new OpenTransactionWaits({
    database: fake,
    ring: () => {
      rings++
      drain.ring()
    },
    log: recording.log,
    retry: quick,
    ...options,
  })
  const { log } = recording
  const drain = new Drain({ outbox: fake, publisher: fake, log, look: () => waits.look(), retry: quick, locked: quick })
  t.teardown(() => Promise.all([waits.stop(), drain.stop()]))
  const waiting = () => [...fake.waits].filter(([, count]) => count > 0).map(([session]) => session)
  /** A ring, and everything that follows from it at once. */
  const rung = () => drain.request()
  return { fake, drain, waits, rung, waiting, rings: () => rings, ...recording }
}

const keys = (fake: Fake) => fake.published.map((event) => event.data.key)
const calls = (fake: Fake, name: string) => fake.calls.filter((call) => call === name).length
/** Long enough for whatever has been started to be over; what must not happen is looked for afterwards. */
const soon = () => new Promise((resolve) => setTimeout(resolve, 80))

t.test('a change that is committed after the ring arrives without another', async (t) => {
  const { fake, rung, waiting } = start(t)
  fake.open(51, 1)
  t.match(await rung(), { published: 0 })
  t.same(waiting(), [51])
  fake.commit(51)
  await until('it arrives', () => fake.pending() === 0)
  t.same(keys(fake), [1])
})

t.test('wherever the commit comes: before, during or after the look, the take, the wait', async (t) => {
  const points: string[] = []
  const probe = start(t)
  probe.fake.pause = (point) => void points.push(point)
  probe.fake.open(51, 1)
  await probe.rung()
  probe.fake.commit(51)
  await until('the probe is over', () => probe.fake.pending() === 0)
  t.ok(new Set(points).size >= 10, `${points}`)
  for (let at = 0; at < points.length; at++) {
    const { fake, drain } = start(t)
    fake.open(51, 1)
    let n = 0
    fake.pause = () => {
      if (n++ === at) fake.commit(51)
    }
    drain.ring()
    if (at >= points.indexOf('after wait'))
      void until('it was waited for', () => fake.waited.all > 0).then(() => fake.commit(51))
    await until(`${at}: committed at ${points[at]}`, () => keys(fake).length === 1)
  }
})

t.test('an open transaction holds up nobody, and nobody waits for it twice', async (t) => {
  const { fake, rung, waiting, rings } = start(t)
  fake.open(51, 1)
  await rung()
  for (let key = 2; key <= 30; key++) {
    fake.open(52, key)
    await rung()
    t.same(waiting(), [51, 52])
    fake.commit(52)
    await until('the short one arrives', () => keys(fake).includes(key))
  }
  t.equal(fake.waited.most, 1)
  t.equal(fake.waited.all, 30, 'one of them for the long one')
  t.equal(rings(), 29)
  fake.commit(51)
  await until('the long one arrives', () => keys(fake).includes(1))
})

t.test('10,000 rows of a transaction and 500 doorbells start one wait', async (t) => {
  const { fake, drain, rung, waiting } = start(t)
  for (let key = 1; key <= 10_000; key++) fake.open(51, key)
  for (let ring = 0; ring < 500; ring++) {
    drain.ring()
    if (ring % 50 === 0) await new Promise((resolve) => setImmediate(resolve))
  }
  await rung()
  t.same([waiting(), fake.waited.all], [[51], 1])
  t.ok(calls(fake, 'look') < 20, `${calls(fake, 'look')} looks`)
  fake.commit(51)
  await until('all arrives', () => fake.pending() === 0)
  t.equal(keys(fake).length, 10_000)
})

t.test('a rollback rings too, and costs one empty look; then it is quiet', async (t) => {
  const { fake, rung, waiting } = start(t)
  fake.open(51, 1)
  await rung()
  const before = fake.calls.length
  fake.rollback(51)
  await until('it is looked', () => fake.calls.length > before)
  await soon()
  t.same(fake.calls.slice(before), ['look', 'take'])
  t.same([waiting(), keys(fake)], [[], []])
})

t.test('the next transaction of the same session is waited for as the first was', async (t) => {
  const { fake, rung } = start(t)
  for (let key = 1; key <= 5; key++) {
    fake.open(51, key)
    await rung()
    fake.commit(51)
    // It begins the next one at once, before anybody has noticed.
    if (key === 3) {
      fake.open(51, 33)
      await until('3 arrives', () => keys(fake).includes(3))
      await until('the next is waited for', () => (fake.waits.get(51) ?? 0) > 0)
      fake.commit(51)
      await until('33 arrives', () => keys(fake).includes(33))
    }
    await until(`${key} arrives`, () => keys(fake).includes(key))
  }
})

t.test('a part that is rolled back to a savepoint ends the wait, not the waiting', async (t) => {
  const { fake, rung } = start(t)
  fake.open(51, 1)
  fake.open(51, 2)
  await rung()
  fake.rows.shift()
  fake.commit(0)
  await until('the rest is waited for', () => fake.waited.all === 2)
  fake.commit(51)
  await until('the rest arrives', () => fake.pending() === 0)
  t.same(keys(fake), [2])
})

t.test('a wait that is cut is taken up again after a delay, and said once', async (t) => {
  const { fake, rung, lines, texts } = start(t)
  fake.open(51, 1)
  await rung()
  fake.cutWaits()
  await until('it waits again', () => fake.waited.all === 2)
  fake.commit(51)
  await until('it arrives', () => fake.pending() === 0)
  t.equal(texts(WARN).length, 1)
  t.match(
    lines.find(({ level }) => level === WARN),
    { code: 'SYNC_DATABASE_DOWN', advice: String },
  )
})

t.test('waits that fail again and again: with growing delays, however often it rings; the rest goes on', async (t) => {
  const { fake, rung, rings, texts } = start(t, { retry: { min: 20, max: 60_000 } })
  fake.noWaits = databaseDown()
  fake.open(51, 1)
  for (let key = 100; key < 150; key++) {
    fake.change(key)
    await rung()
  }
  await soon()
  await soon()
  t.equal(keys(fake).length, 50, 'others are not held up')
  t.ok(fake.waited.all <= 5, `20, 40, 80 ms: ${fake.waited.all} waits in some 200 ms`)
  t.ok(rings() <= 4)
  t.equal(texts(WARN).length, 1)
  fake.noWaits = null
  fake.commit(51)
  await rung()
  t.ok(keys(fake).includes(1))
  t.same(await rung(), { published: 0, locked: 0 })
  const before = fake.calls.length
  await soon()
  t.equal(fake.calls.length, before, 'what was to ring for it later does not: it is over')
})

t.test('an end that is told and is none is not believed at once', async (t) => {
  const { fake, rung } = start(t, { retry: { min: 30, max: 60_000 } })
  fake.open(51, 1)
  let waited = 0
  fake.awaitTransaction = async () => void waited++
  await rung()
  await soon()
  t.ok(waited <= 2, `${waited} waits in 80 ms`)
  fake.commit(51)
  await until('it arrives', () => fake.pending() === 0)
})

t.test('more than can be waited for: the drain looks again by itself', async (t) => {
  const { fake, rung, waiting } = start(t)
  for (let session = 51; session < 91; session++) fake.open(session, session)
  await rung()
  t.equal(waiting().length, 16)
  fake.commit(90)
  await until('one that nobody waits for arrives', () => keys(fake).includes(90))
  for (let session = 51; session < 71; session++) fake.commit(session)
  await until('those arrive', () => keys(fake).length === 21)
  await until('there is room', () => waiting().length === 16 && waiting().every((session) => session >= 71))
  for (let session = 71; session < 90; session++) fake.commit(session)
  await until('all arrive', () => keys(fake).length === 40)
  await until('nobody waits', () => waiting().length === 0)
  await rung()
  const before = fake.calls.length
  await soon()
  t.equal(fake.calls.length, before, 'then it is quiet')
})

t.test('a database that cannot say who is open is one that cannot be drained: tried again', async (t) => {
  const { fake, drain } = start(t)
  fake.open(51, 1)
  fake.down = databaseDown()
  await t.rejects(drain.request(), { code: 'SYNC_DATABASE_DOWN' })
  fake.down = null
  await until('it is waited for', () => fake.waited.all === 1)
  fake.commit(51)
  await until('it arrives', () => fake.pending() === 0)
})

t.test('a stop ends all waits at once; nothing rings afterwards, and nothing is asked', async (t) => {
  const { fake, rung, rings, waits, waiting, texts } = start(t)
  for (let session = 51; session < 61; session++) fake.open(session, session)
  await rung()
  fake.noWaits = databaseDown()
  fake.open(70, 70)
  await rung()
  t.equal(waiting().length, 10)
  const [before, warned] = [rings(), texts(WARN).length]
  await waits.stop()
  t.same(waiting(), [])
  t.equal(await waits.look(), 0)
  await soon()
  t.same([rings(), texts(WARN).length], [before, warned], 'a stop is no failure')
})
