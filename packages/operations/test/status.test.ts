import type { BoxedLetter, QueueDepth } from '@clinic-sync/broker'
import { syncStatusValidator } from '@clinic-sync/contracts'
import { DatabaseError, type OutboxStatus } from '@clinic-sync/sync'
import t from 'tap'
import { duration, gatherStatus, type StatusSources } from '../src/index.ts'
import { OUR_QUEUES } from '../src/status/queues.ts'

const NOW = Date.parse('2026-01-31T08:00:00.000Z')
const ago = (seconds: number) => new Date(NOW - seconds * 1000).toISOString()
const EMPTY: OutboxStatus = {
  now: ago(0),
  rows: { Pending: 0, Queued: 0, Synced: 9, Failed: 0 },
  oldestPending: null,
  oldestQueued: null,
  retrying: 0,
  failed: [],
  last: { table: 'aligner_notes', key: 7, capturedAt: ago(3), settledAt: ago(2.913) },
}
const depths = (over: Readonly<Record<string, Partial<QueueDepth>>> = {}): QueueDepth[] =>
  OUR_QUEUES.map((queue) => {
    const consumers = /\.p\d$|outcomes|rejected/.test(queue) ? 1 : 0
    return { queue, messages: 0, consumers, ...over[queue] }
  })
const letter = (over: Partial<BoxedLetter>) =>
  ({
    queue: 'sync.dead.sql-to-postgres',
    direction: 'sql-to-postgres',
    errorCode: '23505',
    supersededBy: null,
    ...over,
  }) as BoxedLetter
const bell = { doorbell: 'listen', heard: true, reason: null, lastRang: null }
const ingress = {
  reachable: true as const,
  lead: 'leads' as const,
  leader: { host: 'h', pid: 1, since: ago(60) },
  startedAt: ago(60),
  doorbells: { clinic: bell, portal: bell },
  lacks: [],
}
const gather = (over: Partial<StatusSources> = {}, patienceMs?: number) =>
  gatherStatus(
    {
      clinic: { outboxStatus: async () => EMPTY },
      portal: { outboxStatus: async () => EMPTY },
      queueDepths: async () => depths(),
      deadLetters: async () => [],
      ingress: async () => ingress,
      verification: async () => ({ reachable: true, last: null, running: null }),
      ...over,
    },
    patienceMs,
  )
const clinic = (over: Partial<OutboxStatus>) => ({ clinic: { outboxStatus: async () => ({ ...EMPTY, ...over }) } })

t.test('one is one', async (t) => {
  const { problems } = await gather({
    ...clinic({
      rows: { Pending: 0, Queued: 1, Synced: 0, Failed: 1 },
      oldestQueued: ago(3_600),
      failed: [{ cause: '23514', rows: 1, discarded: false }],
    }),
    queueDepths: async () => [
      ...depths({
        ...Object.fromEntries(
          [0, 1, 2, 3].map((k) => [`sync.sql-to-postgres.p${k}`, { consumers: 0, messages: k === 0 ? 1 : 0 }]),
        ),
        'sync.dead.unrouted': { messages: 1 },
      }),
    ],
  })
  t.ok(problems.length >= 3)
  t.notMatch(problems.join(' '), /\bthem\b|\d are|letters lie/)
  t.match(problems.join(' '), /1 change of the clinic's has failed for good \(23514: 1\).* shows it/)
})

t.test('all is well', async (t) => {
  const status = await gather()
  t.ok(syncStatusValidator.Check(status))
  t.match(status, {
    ok: true,
    problems: [],
    outboxes: { clinic: { reachable: true, oldestPendingSeconds: null, last: { key: 7, latencyMs: 87 } } },
    queues: { reachable: true, missing: [] },
    deadLetters: { letters: 0 },
  })
})

t.test('who cannot be asked says why, and hides nobody else', async (t) => {
  const down = new DatabaseError('down', 'The portal cannot be reached.')
  const status = await gather(
    {
      portal: { outboxStatus: () => Promise.reject(down) },
      clinic: { outboxStatus: () => new Promise(() => {}) },
      queueDepths: async () => [],
      ingress: () => Promise.reject(new Error('Ali Hassan, 0750')),
    },
    50,
  )
  t.ok(syncStatusValidator.Check(status))
  t.notMatch(JSON.stringify(status), /Ali|0750/)
  t.match(status, {
    ok: false,
    ingress: { reachable: false },
    outboxes: {
      clinic: { reachable: false, reason: 'It has not answered within 0.05 s.' },
      portal: { reachable: false, reason: 'The portal cannot be reached.' },
    },
    queues: { reachable: false, reason: /RabbitMQ/ },
    deadLetters: { reachable: false },
  })
  t.equal(status.problems.length, 4)
})

t.test('what is stuck, and what to do', async (t) => {
  const p0 = 'sync.sql-to-postgres.p0'
  const cases: readonly (readonly [string, Partial<StatusSources>, RegExp])[] = [
    [
      'a password was changed',
      { portal: { outboxStatus: () => Promise.reject(new DatabaseError('down', 'The login was refused (28P01).')) } },
      /portal's outbox cannot be read: .*Correct user and password/,
    ],
    [
      'a password was changed in SQL Server',
      {
        clinic: {
          outboxStatus: () => Promise.reject(new DatabaseError('down', 'SQL Server refused the login; check user.')),
        },
      },
      /clinic's outbox cannot be read: .*Correct user and password/,
    ],
    [
      'held up',
      clinic({ rows: { ...EMPTY.rows, Pending: 3 }, oldestPending: ago(61) }),
      /clinic's outbox has 3 changes to send, the oldest for 1 min.*doctor/,
    ],
    [
      'lost by the broker',
      clinic({ rows: { ...EMPTY.rows, Queued: 1 }, oldestQueued: ago(5_000) }),
      /1 change of the clinic's has no outcome yet, the oldest for 1 h 23 min.*requeue --side clinic --status queued --older-than 15m/,
    ],
    [
      'behind',
      {
        ...clinic({ rows: { ...EMPTY.rows, Queued: 1 }, oldestQueued: ago(5_000) }),
        queueDepths: async () => depths({ [p0]: { messages: 1 } }),
      },
      /the queues are behind/,
    ],
    [
      'failed',
      clinic({ rows: { ...EMPTY.rows, Failed: 3 }, failed: [{ cause: '23505', rows: 3, discarded: false }] }),
      /3 changes of the clinic's have failed for good \(23505: 3\).*dead-letters list/,
    ],
    [
      'no consumer',
      { queueDepths: async () => depths({ [p0]: { consumers: 0 } }) },
      /Nobody takes the events sql-to-postgres, 0 are waiting.*portal's database/,
    ],
    [
      'no settler',
      { queueDepths: async () => depths({ 'sync.outcomes.sql-to-postgres': { consumers: 0 } }) },
      /Nobody settles the outcomes sql-to-postgres.*clinic's database/,
    ],
    [
      'a queue is gone',
      { queueDepths: async () => depths().filter(({ queue }) => queue !== p0) },
      /missing.*sync\.sql-to-postgres\.p0/,
    ],
    [
      'moved by hand',
      { queueDepths: async () => depths({ 'sync.dead.unrouted': { messages: 1 } }) },
      /sync\.dead\.unrouted/,
    ],
    [
      'deaf',
      {
        ingress: async () => ({
          ...ingress,
          doorbells: { clinic: bell, portal: { ...bell, heard: false, reason: 'no line' } },
        }),
      },
      /portal's doorbell \(listen\) is not heard: no line\. .*doctor/,
    ],
    [
      'no lead',
      {
        ingress: async () => ({
          ...ingress,
          lead: 'connecting' as const,
          lacks: [{ name: 'lead', reason: 'Nobody.' }],
        }),
      },
      /lacks lead: Nobody\./,
    ],
    [
      'a letter of nobody',
      { deadLetters: async () => [letter({})] },
      /1 dead letter lies in RabbitMQ, and no outbox knows/,
    ],
  ]
  for (const [name, over, problem] of cases) {
    const status = await gather(over)
    t.equal(status.ok, false, name)
    t.equal(status.problems.length, 1, name)
    t.match(status.problems[0], problem, name)
  }
})

t.test('what an operator has given up, has been superseded, or waits its turn is no trouble', async (t) => {
  const status = await gather({
    ...clinic({
      rows: { ...EMPTY.rows, Pending: 500, Queued: 200, Failed: 2 },
      oldestPending: ago(59),
      oldestQueued: ago(700),
      retrying: 3,
      failed: [{ cause: 'SYNC_DISCARDED', rows: 2, discarded: true }],
    }),
    ingress: async () => ({
      ...ingress,
      lead: 'standby' as const,
      doorbells: { clinic: { ...bell, heard: null }, portal: bell },
    }),
    deadLetters: async () => [letter({ supersededBy: '9' })],
  })
  t.strictSame(status.problems, [])
})

t.test('dead letters by direction and cause; a header of somebody else shows nothing', async (t) => {
  const { deadLetters } = await gather({
    deadLetters: async () => [
      letter({}),
      letter({ supersededBy: '5' }),
      letter({ direction: null, queue: 'sync.dead.postgres-to-sql', errorCode: '515' }),
      letter({ direction: null, queue: 'sync.dead.unrouted', errorCode: 'Ali Hassan, 0750' }),
    ],
  })
  t.strictSame(deadLetters, {
    reachable: true,
    letters: 4,
    causes: [
      { direction: 'sql-to-postgres', cause: '23505', letters: 2, superseded: 1 },
      { direction: 'postgres-to-sql', cause: '515', letters: 1, superseded: 0 },
      { direction: null, cause: 'other', letters: 1, superseded: 0 },
    ],
  })
})

t.test('lengths of time', async (t) => {
  t.strictSame([0, 59, 60, 3_599, 3_600, 90_061].map(duration), [
    '0 s',
    '59 s',
    '1 min',
    '59 min',
    '1 h 0 min',
    '1 d 1 h',
  ])
})
