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

t.test('one outcome that is refused for good holds nobody up, and is named in the log', async (t) => {
  const settled = new Set<number>()
  const { handler, lines } = start((settlements) => {
    if (settlements.some(({ key }) => key === 3)) throw new DatabaseError('permanent', 'refused', { number: '547' })
    for (const { key } of settlements) settled.add(key)
  })
  await handler([batch(outcome(1), outcome(2), outcome(3)), batch(outcome(4))])
  t.same([...settled].sort(), [1, 2, 4])
  t.match(
    lines.filter((line) => line.level === 50),
    [{ table: 'patients', key: 3, version: '3', number: '547' }],
  )
})
