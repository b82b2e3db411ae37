import type { Change } from '@clinic-sync/contracts'
import t from 'tap'
import { OutboxAge } from '../../src/metrics/outbox-age.ts'

const START = Date.parse('2026-01-01T00:00:00.000Z')
const change = (secondsAgo: number): Change => ({
  table: 'work',
  key: 1,
  version: '1',
  seen: '0',
  since: null,
  base: null,
  row: null,
  capturedAt: new Date(START - secondsAgo * 1000).toISOString(),
})
/** An outbox's age, and a clock that stands until it is moved. */
function fixture() {
  const clock = { now: START }
  const ages = new OutboxAge(() => clock.now)
  return {
    later: (seconds: number) => void (clock.now += seconds * 1000),
    took: (changes: readonly Change[] | null, locked = 0) => ages.taken('clinic', changes && { changes, locked }),
    tookAhead: (changes: readonly Change[] | null, locked = 0) =>
      ages.taken('clinic', changes && { changes, locked }, true),
    age: () => ages.secondsOf('clinic'),
    forget: () => ages.forget(),
  }
}
const { test } = t

test('nothing is known before the first look', async (t) => {
  const { age, took, forget } = fixture()
  t.equal(age(), null)
  took([])
  t.equal(age(), 0)
  forget()
  t.equal(age(), null)
})

test('what was taken ages until a look finds nothing', async (t) => {
  const { age, took, later } = fixture()
  took([change(3), change(60), change(1)])
  t.equal(age(), 60)
  later(10)
  t.equal(age(), 70, 'it was not published: the next look has not been')
  took([])
  t.equal(age(), 0)
})

test('a look that fails loses nothing of what is known, and is something to wait for itself', async (t) => {
  const { age, took, later } = fixture()
  took(null)
  later(30)
  took(null)
  t.equal(age(), 30, 'from the first failure')
  took([change(600)])
  took(null)
  t.equal(age(), 630)
})

test('what an open transaction holds ages from when that was seen', async (t) => {
  const { age, took, later } = fixture()
  took([], 2)
  later(3_600)
  took([change(-3_600)], 1)
  t.equal(age(), 3_600)
  took([], 0)
  t.equal(age(), 0)
})

test('a clock of the database that is ahead gives no negative age', async (t) => {
  const { age, took } = fixture()
  took([change(-5)])
  t.equal(age(), 0)
})

test('a look ahead hides nothing of the page that is still to be published', async (t) => {
  const { age, took, tookAhead } = fixture()
  took([change(60)])
  tookAhead([])
  t.equal(age(), 60, 'it found nothing more')
  tookAhead([change(30)])
  t.equal(age(), 60, 'the younger page waits behind it')
  tookAhead([change(10)])
  t.equal(age(), 30, 'the first page is published by now')
  tookAhead(null)
  t.equal(age(), 30)
  tookAhead([change(90)])
  t.equal(age(), 90)
  took([])
  t.equal(age(), 0)
})

test('a look ahead says nothing of what is held before it', async (t) => {
  const { age, took, tookAhead, later } = fixture()
  took([], 1)
  later(20)
  tookAhead([], 0)
  t.equal(age(), 20)
  tookAhead([], 2)
  later(5)
  t.equal(age(), 25)
  took([])
  t.equal(age(), 0)
})
