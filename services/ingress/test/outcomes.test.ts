import type { Outcome, OutcomeBatch, Settlement } from '@clinic-sync/contracts'
import { DatabaseError } from '@clinic-sync/sync'
import t from 'tap'
import { settleOutcomes } from '../src/outcomes.ts'
import { databaseDown } from './fake-outbox.ts'
import { recordingLog } from './help.ts'

const outcome = (key: number, kind: Outcome['outcome'] = 'applied'): Outcome => ({
  table: 'patients',
  key,
  version: String(key),
  outcome: kind,
})
const batch = (...outcomes: Outcome[]): OutcomeBatch => ({ direction: 'sql-to-postgres', outcomes })

function start(settle: (settlements: readonly Settlement[]) => void, signal?: AbortSignal) {
  const calls: number[][] = []
  const recording = recordingLog()
  const outbox = {
    side: 'clinic' as const,
    async settleChanges(settlements: readonly Settlement[]) {
      calls.push(settlements.map((settlement) => settlement.key))
      settle(settlements)
    },
  }
  const retry = { min: 1, max: 2 }
  const handler = settleOutcomes({ outbox, log: recording.log, retry, ...(signal ? { signal } : {}) })
  return { handler, calls, ...recording }
}

t.test('batches are settled together', async (t) => {
  const { handler, calls } = start(() => undefined)
  await handler([batch(outcome(1), outcome(2, 'retry')), batch(outcome(3, 'dead'))])
  t.same(calls, [[1, 2, 3]])
  await handler([batch()])
  t.equal(calls.length, 1, 'no outcomes, no call')
})

t.test('a database that is down: the broker keeps the messages', async (t) => {
  const { handler, calls } = start(() => {
    throw databaseDown()
  })
  await t.rejects(handler([batch(outcome(1), outcome(2))]), { code: 'SYNC_DATABASE_DOWN' })
  t.same(calls, [[1, 2]], 'not split')
})

t.test('a deadlock is tried again', async (t) => {
  let failures = 5
  const { handler, calls } = start(() => {
    if (failures-- > 0) throw new DatabaseError('transient', 'deadlock', { number: '1205' })
  })
  await handler([batch(outcome(1))])
  t.equal(calls.length, 6)
})

t.test('but not when the service stops', async (t) => {
  const stop = new AbortController()
  const { handler } = start(() => {
    stop.abort()
    throw new DatabaseError('transient', 'deadlock', { number: '1205' })
  }, stop.signal)
  await t.rejects(handler([batch(outcome(1))]), { code: 'SYNC_DATABASE' })
})

t.test(
  'one outcome that is refused, for good or again and again, holds nobody up: it is dead, and says why',
  async (t) => {
    for (const [error, failure] of [
      [new DatabaseError('permanent', 'refused', { number: '547' }), { type: 'permanent', code: '547' }],
      [new DatabaseError('transient', 'cancelled', { number: '57014' }), { type: 'transient', code: '57014' }],
      [new TypeError('secret'), { type: 'unexpected', code: 'TypeError' }],
    ] as const) {
      const settled = new Set<number>()
      const { handler, lines } = start((settlements) => {
        if (settlements.some(({ key }) => key === 3)) throw error
        for (const { key } of settlements) settled.add(key)
      })
      const refused = await handler([batch(outcome(1), outcome(2), outcome(3)), batch(outcome(4))])
      t.same([...settled].sort(), [1, 2, 4])
      t.match(refused, [{ outcome: { key: 3, version: '3' }, failure }])
      t.match(refused[0]?.failure.message, /^the outcome could not be settled/)
      t.match(
        lines.filter((line) => line.level === 50),
        [{ table: 'patients', key: 3, version: '3' }],
      )
      t.notMatch(JSON.stringify([refused, lines]), /secret/)
    }
  },
)

t.test('where nothing can be settled, the outcomes are not to blame: they stay', async (t) => {
  const { handler } = start(() => {
    throw new DatabaseError('transient', 'cancelled', { number: '57014' })
  })
  await t.rejects(handler([batch(outcome(1), outcome(2))]), { code: 'SYNC_DATABASE_DOWN' })
  const refused = start(() => {
    throw new DatabaseError('permanent', 'refused', { number: '547' })
  })
  t.equal((await refused.handler([batch(outcome(1), outcome(2))])).length, 2, 'each for itself')
})
