import type { OutcomeBatch, Settlement } from '@clinic-sync/contracts'
import { DatabaseError } from '@clinic-sync/sync'
import t from 'tap'
import { mergeSettlements } from '../src/merge-settlements.ts'
import { settleOutcomes } from '../src/outcomes.ts'
import { databaseDown } from './fake-outbox.ts'
import { recordingLog, until } from './help.ts'

const settlement = (key: number, outcome: Settlement['outcome'] = 'queued'): Settlement => ({
  table: 'patients',
  key,
  version: String(key),
  outcome,
})
const some = (...keys: number[]) => keys.map((key) => settlement(key))

/** A database that settles when told to. */
function start(most?: number) {
  const calls: number[][] = []
  const open: { resolve(): void; reject(error: unknown): void }[] = []
  let inside = 0
  const settle = mergeSettlements(async (settlements) => {
    t.equal(++inside, 1, 'one call at a time')
    calls.push(settlements.map(({ key }) => key))
    try {
      await new Promise<void>((resolve, reject) => open.push({ resolve, reject }))
    } finally {
      inside--
    }
  }, most)
  const called = (times: number) => until(`call ${times}`, () => calls.length === times && open.length === times)
  return { settle, calls, open, called }
}

t.test('nothing waits while no call is under way', async (t) => {
  const { settle, calls, open, called } = start()
  const first = settle(some(1, 2))
  t.same(calls, [[1, 2]], 'at once')
  open[0]?.resolve()
  await first
  void settle(some(3))
  await called(2)
  t.same(calls, [[1, 2], [3]])
})

t.test('what comes while a call is under way goes together in the next', async (t) => {
  const { settle, calls, open, called } = start()
  const done: string[] = []
  const watch = (name: string, settling: Promise<void>) => void settling.then(() => done.push(name))
  watch('a', settle(some(1)))
  watch('b', settle(some(2)))
  watch('c', settle(some(3, 4)))
  open[0]?.resolve()
  await called(2)
  t.same(calls, [[1], [2, 3, 4]])
  t.same(done, ['a'])
  watch('d', settle(some(5)))
  open[1]?.resolve()
  await called(3)
  t.same(done, ['a', 'b', 'c'])
  t.same(calls.at(-1), [5])
})

t.test('bounded in size; who brings more goes alone', async (t) => {
  const { settle, calls, open, called } = start(3)
  void settle(some(0))
  for (const keys of [[1, 2], [3], [4], [5, 6, 7, 8, 9], [10]]) void settle(some(...keys))
  for (let i = 0; i < 5; i++) {
    await called(i + 1)
    open[i]?.resolve()
  }
  await until('all are settled', () => calls.length === 5)
  t.same(calls, [[0], [1, 2, 3], [4], [5, 6, 7, 8, 9], [10]])
})

t.test('a ring of callers: who comes in any of the microtasks around the end of a call is settled', async (t) => {
  for (let ticks = 0; ticks < 40; ticks++) {
    const settled: number[] = []
    const settle = mergeSettlements(async (settlements) => void settled.push(...settlements.map(({ key }) => key)))
    void settle(some(1))
    for (let tick = 0; tick < ticks; tick++) await Promise.resolve()
    await settle(some(2))
    t.same(settled, [1, 2], `after ${ticks}`)
  }
})

t.test('a call that several share and that is refused: each by itself, and each gets its own failure', async (t) => {
  const settled = new Set<number>()
  let busy: () => void = () => undefined
  const refusing = async (settlements: readonly Settlement[]) => {
    if (settlements[0]?.key === 0) await new Promise<void>((resolve) => (busy = resolve))
    if (settlements.some(({ key }) => key === 3)) throw new DatabaseError('permanent', 'refused', { number: '547' })
    for (const { key } of settlements) settled.add(key)
  }
  const settle = mergeSettlements(refusing)
  void settle(some(0))
  const [drains, theirs, others] = [settle(some(1, 2)), settle(some(3)), settle(some(4))]
  theirs.catch(() => undefined)
  busy()
  await drains
  await t.rejects(theirs, { code: 'SYNC_DATABASE', message: /refused/ })
  await others
  t.same([...settled], [0, 1, 2, 4])
})

t.test('a database that is down is so for all of them, and is asked once', async (t) => {
  const { settle, calls, open, called } = start()
  const first = settle(some(1))
  const others = [settle(some(2)), settle(some(3))]
  for (const other of others) other.catch(() => undefined)
  open[0]?.resolve()
  await first
  await called(2)
  open[1]?.reject(databaseDown())
  for (const other of others) await t.rejects(other, { code: 'SYNC_DATABASE_DOWN' })
  t.same(calls, [[1], [2, 3]])
})

t.test("one outcome that is refused in the drain's company: it is the one that is dead", async (t) => {
  const settled = new Set<number>()
  let busy: () => void = () => undefined
  const settleChanges = mergeSettlements(async (settlements) => {
    if (settlements[0]?.key === 0) await new Promise<void>((resolve) => (busy = resolve))
    if (settlements.some(({ key, outcome }) => key === 13 && outcome === 'applied'))
      throw new DatabaseError('permanent', 'refused', { number: '547' })
    for (const { key } of settlements) settled.add(key)
  })
  const handler = settleOutcomes({ outbox: { side: 'clinic', settleChanges }, log: recordingLog().log })
  void settleChanges(some(0))
  const queued = settleChanges(some(1, 2, 3))
  const outcomes = [11, 12, 13, 14].map((key) => ({ ...settlement(key), outcome: 'applied' as const }))
  const batch: OutcomeBatch = { direction: 'sql-to-postgres', outcomes }
  const refused = handler([batch])
  busy()
  await queued
  t.match(await refused, [{ outcome: { key: 13 }, failure: { code: '547' } }])
  t.equal((await refused).length, 1)
  t.same(
    [...settled].toSorted((a, b) => a - b),
    [0, 1, 2, 3, 11, 12, 14],
  )
})
