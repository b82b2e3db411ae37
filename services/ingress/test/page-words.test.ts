import type { Direction, Minute, SyncStatus } from '@clinic-sync/contracts'
import t from 'tap'

// The page's own files, as the browser loads them; what they show there is in packages/demo/test/page.
const load = async <T>(name: string) => (await import(new URL(`../page/${name}`, import.meta.url).href)) as T
type Part = string | { ago: string } | { clock: string }
interface Words {
  verdict(status: SyncStatus): { tone: string; headline: string; meaning: string }
  directionWords(status: SyncStatus, direction: Direction): { tone: string; state: string; parts: Part[] }
}
type Figures = { changes: number; medianMs: number | null; worstMs: number | null }
interface History {
  buckets(minutes: readonly Minute[], hours: number, now: number): ({ from: number } & Record<Direction, Figures>)[]
  together(minutes: readonly Figures[]): Figures
}
interface Stream {
  Events: new (onEvent: (event: string, data: unknown) => void) => { take(text: string): void }
}
const { verdict, directionWords } = await load<Words>('words.js')
const { buckets, together } = await load<History>('history.js')
const { Events } = await load<Stream>('stream.js')

const AT = '2026-01-31T08:00:00.000Z'
const last = { table: 'patients', key: 1, capturedAt: AT, settledAt: AT, latencyMs: 12 }
const outbox = {
  reachable: true as const,
  rows: { Pending: 0, Queued: 0, Synced: 7, Failed: 0 },
  oldestPendingSeconds: null,
  oldestQueuedSeconds: null,
  retrying: 0,
  failed: [],
  last,
}
const away = { reachable: false as const, reason: 'It is down' }
const queue = (name: string, consumers = 1) => ({ name, messages: 0, consumers })
const queues = {
  reachable: true as const,
  queues: ['sql-to-postgres', 'postgres-to-sql'].map((direction) => queue(`sync.${direction}.p0`)),
  missing: [],
}
const verification = {
  reachable: true as const,
  last: { through: AT, finishedAt: AT, complete: true, rows: 1_523, differences: 0, inFlight: 0, tables: [] },
  running: null,
}
const status = (other: object = {}) =>
  ({
    ok: true,
    problems: [],
    at: AT,
    ingress: away,
    outboxes: { clinic: outbox, portal: outbox },
    queues,
    verification,
    ...other,
  }) as unknown as SyncStatus
const said = (told: SyncStatus, direction: Direction = 'sql-to-postgres') => {
  const { tone, state, parts } = directionWords(told, direction)
  return `${tone}: ${state}. ${parts.map((part) => (typeof part === 'string' ? part : 'ago' in part ? '<ago>' : '<clock>')).join('')}`
}
const SINCE = 'Last change <ago>, took 12 ms. Verified through <clock>, 0 of 1,523 rows differ.'

t.test('a direction in a sentence, whatever state it is in', async (t) => {
  const clinic = (other: object) => status({ outboxes: { clinic: { ...outbox, ...other }, portal: outbox } })
  const rows = (other: object) => ({ rows: { ...outbox.rows, ...other } })
  const cases: [SyncStatus, string][] = [
    [status(), `good: In sync. ${SINCE}`],
    [clinic({ last: null }), 'good: In sync. No change yet. Verified through <clock>, 0 of 1,523 rows differ.'],
    [clinic(rows({ Pending: 1 })), `moving: Moving. 1 change is on the way. ${SINCE}`],
    [
      clinic({ ...rows({ Queued: 3 }), retrying: 2 }),
      `moving: Moving. 3 changes are on the way, 2 of them wait to be tried again. ${SINCE}`,
    ],
    [
      clinic({ ...rows({ Pending: 2 }), oldestPendingSeconds: 90 }),
      `bad: Late. 2 changes are on the way, the oldest for 1 min. ${SINCE}`,
    ],
    [
      clinic({ ...rows({ Failed: 2 }), failed: [{ cause: '23514', rows: 2, discarded: false }] }),
      `bad: Not in sync. 2 changes could not be applied: see Dead letters below. ${SINCE}`,
    ],
    [clinic({ failed: [{ cause: '23514', rows: 2, discarded: true }] }), `good: In sync. ${SINCE}`],
    [
      status({ outboxes: { clinic: away, portal: outbox } }),
      'bad: Not known. The clinic’s database does not answer: It is down. What is entered there is kept in it.',
    ],
    [
      status({ outboxes: { clinic: { ...outbox, ...rows({ Queued: 1 }) }, portal: away } }),
      `bad: Held up. The portal’s database does not answer. 1 change waits. ${SINCE}`,
    ],
    [
      status({ queues: away }),
      `bad: Held up. RabbitMQ, which carries the changes, does not answer. No change waits. ${SINCE}`,
    ],
    [
      status({ queues: { ...queues, queues: [queue('sync.sql-to-postgres.p0', 0)] } }),
      `bad: Held up. The service that writes to the portal does not run. No change waits. ${SINCE}`,
    ],
    [
      status({ verification: { ...verification, last: null } }),
      'good: In sync. Last change <ago>, took 12 ms. Not verified yet.',
    ],
    [
      status({ verification: { ...verification, last: { ...verification.last, differences: 1, inFlight: 2 } } }),
      'good: In sync. Last change <ago>, took 12 ms. Verified through <clock>, 1 of 1,523 rows differs, 2 rows were on the way.',
    ],
  ]
  for (const [told, words] of cases) t.equal(said(told), words)
  t.match(
    said(status({ outboxes: { clinic: away, portal: outbox } }), 'postgres-to-sql'),
    /Held up. The clinic’s database/,
  )
})

t.test('the verdict', async (t) => {
  t.match(verdict(status()), { tone: 'good', headline: 'In sync' })
  t.match(verdict(status({ outboxes: { clinic: { ...outbox, rows: { ...outbox.rows, Queued: 2 } }, portal: away } })), {
    headline: 'All is well',
    meaning: '2 changes are on the way.',
  })
  t.match(verdict(status({ ok: false, problems: ['a'] })), { tone: 'bad', headline: 'One thing needs attention' })
  t.match(verdict(status({ ok: false, problems: ['a', 'b'] })), { headline: '2 things need attention' })
})

t.test('minutes are put together: none is lost, none is counted twice', async (t) => {
  const now = Date.parse('2026-01-31T08:03:20.000Z')
  const minute = (at: string, direction: Direction, changes: number, medianMs: number | null = 10): Minute => ({
    at: `2026-01-31T${at}:00.000Z`,
    direction,
    changes,
    medianMs,
    worstMs: medianMs === null ? null : medianMs * 4,
  })
  const minutes = [
    minute('08:03', 'sql-to-postgres', 5, 30),
    minute('08:00', 'sql-to-postgres', 1, 10),
    minute('07:59', 'postgres-to-sql', 2, null),
    minute('02:05', 'sql-to-postgres', 4),
    minute('02:04', 'sql-to-postgres', 100),
  ]
  const shown = buckets(minutes, 6, now)
  t.equal(shown.length, 72)
  t.equal(shown[0]?.from, Date.parse('2026-01-31T02:05:00.000Z'))
  t.same(shown[0]?.['sql-to-postgres'], { changes: 4, medianMs: 10, worstMs: 40 })
  t.same(shown.at(-1)?.['sql-to-postgres'], { changes: 6, medianMs: 30, worstMs: 120 })
  t.same(shown.at(-2)?.['postgres-to-sql'], { changes: 2, medianMs: null, worstMs: null })
  for (const hours of [1, 6, 24]) t.ok(buckets([], hours, now).length <= 72)
  t.same(together([]), { changes: 0, medianMs: null, worstMs: null })
  const half = { changes: 1, medianMs: 10, worstMs: 10 }
  t.same(
    together([
      { ...half, changes: 9 },
      { ...half, medianMs: 900, worstMs: 900 },
    ]),
    { changes: 10, medianMs: 10, worstMs: 900 },
  )
})

t.test('server-sent events come in pieces, wherever the line was cut', async (t) => {
  const text =
    ': here\n\nevent: status\ndata: {"text":"مريم"}\n\nevent: minute\ndata: {"n":\ndata: 2}\n\n: here\n\nevent: status\ndata: {"cut'
  for (const size of [1, 2, 7, text.length]) {
    const heard: unknown[] = []
    const events = new Events((event, data) => heard.push([event, data]))
    for (let at = 0; at < text.length; at += size) events.take(text.slice(at, at + size))
    t.same(heard, [
      ['status', { text: 'مريم' }],
      ['minute', { n: 2 }],
    ])
  }
})
