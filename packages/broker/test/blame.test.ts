import type { Outcome, SyncEvent } from '@clinic-sync/contracts'
import { DatabaseError, type FailureClass } from '@clinic-sync/sync'
import t from 'tap'
import { applyBatch } from '../src/apply-batch.ts'
import { note } from './support/helpers.ts'

const tooSlow = new DatabaseError('transient', 'took too long', { number: '57014' })
const noMemory = new DatabaseError('down', 'no memory', { number: '8645' })
const events = (many: number) => Array.from({ length: many }, (_, i) => ({ event: note(i + 1, 1), attempt: 0 }))

/** Applies a batch to a database that fails where `failing` says so. */
function bench(failing: (keys: readonly number[]) => DatabaseError | null, check = () => Promise.resolve()) {
  let [calls, checks] = [0, 0]
  const target = {
    applyChanges: (some: readonly SyncEvent[]) => {
      calls++
      const error = failing(some.map(({ data }) => data.key))
      const outcomes = some.map(({ data: { table, key, version } }): Outcome => {
        return { table, key, version, outcome: 'applied' }
      })
      return error === null ? Promise.resolve(outcomes) : Promise.reject(error)
    },
    check: () => {
      checks++
      return check()
    },
  }
  const options = { target, room: 200, patienceMs: 0, willDie: (attempt: number) => attempt >= 3 }
  return {
    calls: () => calls,
    checks: () => checks,
    actions: async (many: number) =>
      (await applyBatch(events(many), options)).map(({ disposition }) =>
        disposition.action === 'retry' ? (disposition.failure.type as FailureClass) : disposition.action,
      ),
  }
}
/** What `actions` rejects with. */
const error = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
const failed = (actions: readonly string[]) => actions.flatMap((action, i) => (action === 'done' ? [] : [i + 1]))

t.test('one record that is too slow waits for a retry; the others are applied, wherever it stands', async (t) => {
  for (const bad of [1, 2, 137, 199, 200]) {
    const { actions, checks } = bench((keys) => (keys.includes(bad) ? tooSlow : null))
    const all = await actions(200)
    t.strictSame(failed(all), [bad])
    t.equal(all[bad - 1], 'transient')
    t.equal(checks(), 1)
  }
})

t.test('a server that hangs is down after nine time limits, not four hundred', async (t) => {
  const { actions, calls } = bench(() => tooSlow)
  t.match(await error(actions(200)), { failure: 'down', number: '57014', code: 'SYNC_DATABASE_DOWN' })
  t.ok(calls() <= 10, `${calls()} calls`)
})

t.test('a server whose own check fails is down at once', async (t) => {
  const { actions, calls } = bench(
    () => tooSlow,
    () => Promise.reject(tooSlow),
  )
  t.match(await error(actions(200)), { failure: 'down', number: '57014' })
  t.equal(calls(), 1)
  const alone = bench(
    () => tooSlow,
    () => Promise.reject(tooSlow),
  )
  t.match(await error(alone.actions(1)), { failure: 'down' })
})

t.test('a record alone that is too slow, while the database answers: it waits for a retry', async (t) => {
  t.strictSame(await bench(() => tooSlow).actions(1), ['transient'])
})

t.test('where memory is short for many, fewer at a time go through', async (t) => {
  const { actions } = bench((keys) => (keys.length > 20 ? noMemory : null))
  t.strictSame(failed(await actions(200)), [])
})

t.test('the one record that memory is short for does not stop the others', async (t) => {
  for (const bad of [1, 77, 200]) {
    const all = await bench((keys) => (keys.includes(bad) ? noMemory : null)).actions(200)
    t.strictSame(failed(all), [bad])
    t.equal(all[bad - 1], 'transient')
  }
})

t.test('no memory for anything: the server is down, and nothing is retried or dead', async (t) => {
  for (const many of [1, 2, 200])
    t.match(await error(bench(() => noMemory).actions(many)), { failure: 'down', number: '8645' })
})

t.test('other failures of the server are not narrowed down', async (t) => {
  const { actions, calls, checks } = bench(() => new DatabaseError('down', 'disk full', { number: '53100' }))
  t.match(await error(actions(200)), { failure: 'down', number: '53100' })
  t.equal(calls(), 1)
  t.equal(checks(), 0)
})

t.test(
  "a number that a trigger of the clinic's throws is no SQLSTATE: 57014 is not the server's slowness",
  async (t) => {
    let checks = 0
    const target = {
      applyChanges: () => Promise.reject(tooSlow),
      check: () => {
        checks++
        return Promise.resolve()
      },
    }
    const own = events(2).map(({ event, attempt }) => ({ event: { ...event, source: 'portal' as const }, attempt }))
    const rulings = await applyBatch(own, { target, room: 0, patienceMs: 0, willDie: () => false })
    t.strictSame(
      rulings.map(({ disposition }) => disposition.action),
      ['retry', 'retry'],
    )
    t.equal(checks, 0)
  },
)
