import type { Settlement } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import t, { type Test } from 'tap'
import { Drain, type DrainOptions } from '../src/drain.ts'
import { databaseDown, Fake } from './fake-outbox.ts'
import { recordingLog, until } from './help.ts'

/** What a drain does while it reads the next page: each way in which that may go wrong. */
function start(t: Test, options: Partial<DrainOptions> = {}) {
  const fake = new Fake()
  fake.saysLast = true
  const never = { min: 60_000, max: 60_000 }
  const drain = new Drain({
    outbox: fake,
    publisher: fake,
    log: recordingLog().log,
    batch: 4,
    retry: never,
    locked: never,
    ...options,
  })
  t.teardown(() => drain.stop())
  const fill = (records: number) => {
    for (let key = 1; key <= records; key++) fake.change(key)
  }
  return { fake, drain, fill }
}

const keys = (fake: Fake) => fake.published.map((event) => event.data.key)
const upTo = (last: number) => Array.from({ length: last }, (_, i) => i + 1)
const queued = (fake: Fake) => fake.rows.filter(({ status }) => status === 'Queued').map(({ key }) => key)
const soon = () => new Promise((resolve) => setImmediate(resolve))

/** A gate at one of the fake's await points, for its nth time. */
function hold(fake: Fake, at: string, nth = 1) {
  let [times, open] = [0, () => undefined as void]
  const gate = new Promise<void>((resolve) => (open = resolve))
  const held = { reached: false, open: () => open() }
  fake.pause = async (point) => {
    if (point !== at || ++times !== nth) return
    held.reached = true
    await gate
  }
  return held
}

t.test('the next page is read while one is published, and the one before settled', async (t) => {
  const { fake, drain, fill } = start(t)
  fill(12)
  const publishing = hold(fake, 'before publish', 2)
  const asked = drain.request()
  await until('the second page is being published', () => publishing.reached)
  await until('the third is read meanwhile', () => fake.calls.filter((call) => call === 'ahead').length === 2)
  await until('and the first settled', () => queued(fake).length === 4)
  for (let i = 0; i < 20; i++) await soon()
  t.equal(fake.calls.filter((call) => call === 'take' || call === 'ahead').length, 3, 'no more than one page ahead')
  publishing.open()
  t.same(await asked, { published: 12, locked: 0 })
  t.same(keys(fake), upTo(12), 'in order, each once')
  t.equal(fake.calls.at(-1), 'take', 'the last look is from the start')
})

t.test('a page that is not about full is followed by no other: one change costs two looks, as ever', async (t) => {
  const { fake, drain } = start(t)
  fake.change(1)
  await drain.request()
  t.same(fake.calls, ['take', 'publish', 'settle', 'take'])
})

t.test('an outbox that does not say where its page ended is read page by page', async (t) => {
  const { fake, drain, fill } = start(t)
  fake.saysLast = false
  fill(10)
  t.same(await drain.request(), { published: 10, locked: 0 })
  t.same(keys(fake), upTo(10))
  t.notOk(fake.calls.includes('ahead'))
})

t.test('an outbox that begins at the start, wherever it is told to, is published once', async (t) => {
  const { fake, drain, fill } = start(t)
  const { takeChanges } = fake
  fake.takeChanges = async (max) => takeChanges(max)
  fill(10)
  t.same(await drain.request(), { published: 10, locked: 0 })
  t.same(keys(fake), upTo(10))
})

t.test('the broker does not take a page: what was read behind it stays pending', async (t) => {
  const { fake, drain, fill } = start(t)
  fill(12)
  const publishing = hold(fake, 'before publish', 2)
  const asked = drain.request()
  await until('the second page is being published', () => publishing.reached)
  fake.brokerDown = true
  publishing.open()
  await t.rejects(asked, { code: 'SYNC_BROKER_DOWN' })
  t.same(queued(fake), upTo(4))
  t.equal(fake.pending(), 8)
  fake.brokerDown = false
  t.same(await drain.request(), { published: 8, locked: 0 })
  t.same(keys(fake), upTo(12))
})

t.test('the broker refuses one change of a page for good: it alone is Failed', async (t) => {
  const { fake, drain, fill } = start(t)
  fake.tooLarge.add(6)
  fill(12)
  t.same(await drain.request(), { published: 11, locked: 0 })
  t.same(
    fake.rows.filter(({ status }) => status === 'Failed').map(({ key }) => key),
    [6],
  )
})

t.test('the broker confirms a part of a page: that is settled', async (t) => {
  const { fake, drain, fill } = start(t)
  fake.unsure.add(6)
  fill(12)
  await t.rejects(drain.request(), { code: 'SYNC_BROKER_DOWN' })
  t.same(queued(fake), [1, 2, 3, 4, 5, 7, 8])
})

t.test('reading ahead fails: what was confirmed is settled, and the run fails', async (t) => {
  for (const at of ['before ahead', 'after ahead']) {
    const { fake, drain, fill } = start(t)
    fill(12)
    let failures = 1
    fake.pause = (point) => {
      if (point === at && failures-- > 0) throw databaseDown()
    }
    await t.rejects(drain.request(), { code: 'SYNC_DATABASE_DOWN' })
    t.same(queued(fake), upTo(4), at)
    t.same(await drain.request(), { published: 8, locked: 0 })
    t.same(keys(fake), upTo(12))
  }
})

t.test(
  'settling fails while the next page is published: that one is settled nevertheless, and the run fails',
  async (t) => {
    const { fake, drain, fill } = start(t)
    fill(12)
    let failures = 1
    fake.pause = (point) => {
      if (point === 'before settle' && failures-- > 0) throw databaseDown()
    }
    await t.rejects(drain.request(), { code: 'SYNC_DATABASE_DOWN' })
    t.same(queued(fake), [5, 6, 7, 8], 'the second page was on its way')
    t.same(await drain.request(), { published: 8, locked: 0 })
    t.same(keys(fake), [...upTo(8), 1, 2, 3, 4, 9, 10, 11, 12], 'what was not settled is sent again')
    t.equal(new Set(fake.published.map(({ id }) => id)).size, 12, 'under the same ids')
  },
)

t.test('the last page cannot be settled: the run fails', async (t) => {
  const { fake, drain, fill } = start(t)
  fill(4)
  fake.pause = (point) => {
    if (point === 'before settle') throw databaseDown()
  }
  await t.rejects(drain.request(), { code: 'SYNC_DATABASE_DOWN' })
})

t.test('nothing goes on behind a run that has failed', async (t) => {
  const { fake, drain, fill } = start(t)
  fill(12)
  const reading = hold(fake, 'before ahead')
  fake.brokerDown = true
  let failed = false
  const asked = drain.request().catch(() => (failed = true))
  await until('it reads ahead', () => reading.reached)
  for (let i = 0; i < 20; i++) await soon()
  t.notOk(failed, 'it waits for the read that is under way')
  reading.open()
  await asked
  t.ok(failed)
})

t.test(
  'the lead is lost meanwhile: the page that is being published is settled, the one that was read is left',
  async (t) => {
    let leads = true
    const { fake, drain, fill } = start(t, { may: () => leads })
    fill(12)
    const publishing = hold(fake, 'after publish')
    const asked = drain.request()
    await until('the first page is published', () => publishing.reached)
    await until('the second is read', () => fake.calls.includes('ahead'))
    leads = false
    drain.standDown()
    publishing.open()
    await asked.catch(() => undefined)
    t.same(queued(fake), upTo(4))
    t.same(keys(fake), upTo(4))
  },
)

t.test('the lead is lost while the next page is read', async (t) => {
  let leads = true
  const { fake, drain, fill } = start(t, { may: () => leads })
  fill(12)
  const reading = hold(fake, 'after ahead')
  const asked = drain.request()
  await until('the first page is settled', () => queued(fake).length === 4)
  leads = false
  reading.open()
  await asked.catch(() => undefined)
  t.same(keys(fake), upTo(4))
})

t.test('a stop meanwhile: the page that is being published is finished, the one that was read is left', async (t) => {
  for (const at of [
    'before publish',
    'after publish',
    'before ahead',
    'after ahead',
    'before settle',
    'after settle',
  ]) {
    const { fake, drain, fill } = start(t)
    fill(12)
    const held = hold(fake, at)
    const asked = drain.request()
    await until(at, () => held.reached)
    const stopped = drain.stop()
    held.open()
    await stopped
    await asked
    t.same(queued(fake), keys(fake), `${at}: all that was published is settled`)
    t.ok(keys(fake).length <= 8, `${at}: ${keys(fake).length}`)
    const calls = fake.calls.length
    for (let i = 0; i < 20; i++) await soon()
    t.equal(fake.calls.length, calls, 'and it is quiet')
  }
})

t.test('records that are held stand before the place where it reads on, and are found at the end', async (t) => {
  const { fake, drain, fill } = start(t)
  for (const key of [1, 2, 6]) fake.held.add(key)
  fill(12)
  const reading = hold(fake, 'before ahead', 2)
  const asked = drain.request()
  await until('it has read on', () => reading.reached)
  fake.held.delete(1)
  reading.open()
  t.same(await asked, { published: 10, locked: 2 })
  t.same(
    keys(fake).toSorted((a, b) => a - b),
    [1, 3, 4, 5, 7, 8, 9, 10, 11, 12],
  )
})

t.test('a full page of held records hides nothing behind it', async (t) => {
  const { fake, drain, fill } = start(t)
  for (const key of [5, 6, 7, 8, 9, 10]) fake.held.add(key)
  fill(30)
  t.same(await drain.request(), { published: 24, locked: 6 })
})

t.test('what commits late under a lower id is found at the end', async (t) => {
  const { fake, drain } = start(t)
  fake.open(7, 99)
  for (let key = 1; key <= 12; key++) fake.change(key)
  const reading = hold(fake, 'after ahead', 2)
  const asked = drain.request()
  await until('it has read on', () => reading.reached)
  fake.commit(7)
  reading.open()
  t.same(await asked, { published: 13, locked: 0 })
  t.equal(keys(fake).at(-1), 99)
})

t.test('one record in several pages, each time under its latest version', async (t) => {
  for (const records of [1, 2, 3]) {
    const { fake, drain } = start(t)
    fake.latestVersions = true
    for (let edit = 0; edit < 40; edit++) fake.change(1 + (edit % records))
    await drain.request()
    t.equal(fake.pending(), 0)
    t.ok(fake.published.length <= 3 * records, `${fake.published.length} events of 40 edits of ${records}`)
  }
})

t.test('one record in several pages, under a version of each: they stay in order', async (t) => {
  const { fake, drain } = start(t)
  for (let edit = 0; edit < 40; edit++) fake.change(1)
  await drain.request()
  const versions = fake.published.map(({ data }) => Number(data.version))
  t.same(
    versions,
    versions.toSorted((a, b) => a - b),
  )
  t.equal(versions.at(-1), 40)
})

t.test('an outbox that does not move on is a failure, not an endless loop', async (t) => {
  for (const keep of [() => true, ({ key }: Settlement) => key === 10]) {
    const { fake, drain, fill } = start(t)
    const { settleChanges } = fake
    fake.settleChanges = async (settlements) => settleChanges(settlements.filter((each) => !keep(each)))
    fill(12)
    await t.rejects(drain.request(), { code: 'SYNC_DATABASE', message: /does not move on/ })
    t.ok(fake.published.filter(({ data }) => data.key === 10).length <= 3)
  }
})

t.test('rows that an operator makes pending again during a long run are sent anew', async (t) => {
  const { fake, drain, fill } = start(t)
  fill(12)
  let requeued = false
  fake.pause = (point) => {
    if (point !== 'after settle' || requeued || queued(fake).length < 8) return
    requeued = true
    for (const row of fake.rows) row.status = 'Pending'
  }
  await drain.request()
  t.ok(requeued)
  t.equal(fake.pending(), 0)
})

t.test('a page of long texts is published before the next is read', async (t) => {
  const { fake, drain, fill } = start(t)
  fake.text = 'x'.repeat(1024 * 1024)
  fill(12)
  t.same(await drain.request(), { published: 12, locked: 0 })
  t.notOk(fake.calls.includes('ahead'))
})

t.test('a failure at any point of a long run loses nothing', async (t) => {
  const probe = start(t)
  probe.fill(14)
  let points = 0
  probe.fake.pause = () => void points++
  await probe.drain.request()
  for (let at = 0; at < points; at++) {
    const { fake, drain, fill } = start(t, { retry: { min: 1, max: 2 } })
    fill(14)
    let n = 0
    fake.pause = (point) => {
      if (n++ !== at) return
      throw point.endsWith('publish') ? new SyncError('SYNC_BROKER_DOWN', 'lost') : databaseDown()
    }
    drain.ring()
    await until(`point ${at}`, () => fake.pending() === 0)
    t.same(
      [...new Set(keys(fake))].toSorted((a, b) => a - b),
      upTo(14),
      `point ${at}`,
    )
    t.equal(new Set(fake.published.map(({ id }) => id)).size, 14)
  }
})
