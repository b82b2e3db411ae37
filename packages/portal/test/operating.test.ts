import type { Settlement } from '@clinic-sync/contracts'
import type { RequeueFilter } from '@clinic-sync/sync'
import t from 'tap'
import { bench, edit, event, note, parents } from './help.ts'

const db = await bench()
t.teardown(() => db.close())
const { portal } = db
const doctors = await db.connect()
await portal.applyChanges(parents())
t.beforeEach(async () => {
  await doctors.query('TRUNCATE sync.queue')
})

interface Row {
  readonly status?: string
  readonly table?: string
  readonly key?: number
  readonly error?: string | null
  /** Seconds since it was captured, and since it was moved on. */
  readonly age?: number
  readonly moved?: number | null
}
const row = (
  id: number,
  { status = 'Queued', table = 'aligner_notes', key = id, error = null, age = 0, moved = null }: Row = {},
) =>
  doctors.query(
    `INSERT INTO sync.queue (queue_id, table_name, record_id, operation, status, last_error, created_at, last_attempt)
    VALUES ($1, $2, $3, 'UPDATE', $4, $5, now() - make_interval(secs => $6), now() - make_interval(secs => $7))`,
    [id, table, key, status, error, age, moved],
  )
const rows = async () =>
  (await db.rows('SELECT status, last_error FROM sync.queue ORDER BY queue_id')).map((r) => ({ ...r }))
const statuses = async () =>
  Object.fromEntries((await db.rows('SELECT queue_id, status FROM sync.queue')).map((r) => [r.queue_id, r.status]))
const settle = (key: number, version: number | bigint | string, outcome: Settlement['outcome'], more: object = {}) =>
  portal.settleChanges([{ table: 'aligner_notes', key, version: String(version), outcome, ...more }])
const requeue = (filter: Partial<RequeueFilter>) =>
  portal.requeue({ status: ['Queued', 'Failed'], dryRun: false, ...filter })

t.test('an empty outbox', async (t) => {
  const { now, ...status } = await portal.outboxStatus()
  t.ok(Math.abs(Date.parse(now) - Date.now()) < 60_000)
  t.strictSame(status, {
    rows: { Pending: 0, Queued: 0, Synced: 0, Failed: 0 },
    oldestPending: null,
    oldestQueued: null,
    retrying: 0,
    failed: [],
    last: null,
  })
})

t.test('the outbox in figures', async (t) => {
  await row(1, { status: 'Pending', age: 600 })
  await row(2, { status: 'Pending', age: 60 })
  await row(3, { age: 3_600 })
  await row(4, { error: '515: x' })
  await row(5, { status: 'Failed', error: '515: x' })
  await row(6, { status: 'Failed', error: 'SYNC_DISCARDED: by Omar: no (was 515)' })
  await row(7, { status: 'Failed', error: 'Ali Hassan, 0750' })
  await row(8, { status: 'Synced', age: 30, moved: 10, key: 77 })
  await row(9, { status: 'Synced', age: 20, moved: 15 })
  await row(10, { status: 'Synced', error: 'superseded: the clinic has ruled on it', moved: 1 })
  const { now, last, oldestPending, oldestQueued, ...status } = await portal.outboxStatus()
  const ago = (instant: string | null | undefined) =>
    Math.round((Date.parse(now) - Date.parse(instant ?? '')) / 5_000) * 5
  t.strictSame(status, {
    rows: { Pending: 2, Queued: 2, Synced: 3, Failed: 3 },
    retrying: 1,
    failed: [
      { cause: '515', rows: 1, discarded: false },
      { cause: 'SYNC_DISCARDED', rows: 1, discarded: true },
      { cause: 'other', rows: 1, discarded: false },
    ],
  })
  t.equal(ago(oldestPending), 600)
  t.equal(ago(oldestQueued), 3_600)
  t.match(last, { table: 'aligner_notes', key: 77 })
  t.equal(ago(last?.capturedAt), 30)
  t.equal(ago(last?.settledAt), 10)
})

t.test('a row that has failed takes the reason of a later failure; what is discarded keeps its own', async (t) => {
  await row(3, { key: 7, status: 'Pending' })
  await row(4, { key: 7 })
  await row(5, { key: 7, status: 'Failed', error: '515: x' })
  await row(6, { key: 7 })
  await settle(7, 5, 'discarded', { reason: 'by Omar: entered twice' })
  await settle(7, 5, 'discarded', { reason: 'by Sara: other' })
  await settle(7, 5, 'dead', { code: '515', reason: 'late' })
  await settle(7, 5, 'retry', { code: '1205' })
  await settle(7, 5, 'queued')
  const discarded = 'SYNC_DISCARDED: by Omar: entered twice'
  t.strictSame(await rows(), [
    { status: 'Failed', last_error: '515: late' },
    { status: 'Failed', last_error: discarded },
    { status: 'Failed', last_error: `${discarded} (was 515)` },
    { status: 'Queued', last_error: null },
  ])
  await settle(7, 6, 'dead', { code: '547', reason: 'r' })
  t.match(await rows(), [{ last_error: '547: r' }, { last_error: discarded }, {}, { last_error: '547: r' }])
  await settle(7, 6, 'discarded', { reason: 'r'.repeat(1000) })
  t.match((await rows())[3], { status: 'Failed', last_error: /^SYNC_DISCARDED: r{850} \(was 547\)$/ })
  await settle(7, 6, 'applied')
  await settle(7, 6, 'discarded')
  await settle(7, 6, 'dead')
  t.strictSame(
    (await rows()).map(({ status }) => status),
    ['Synced', 'Synced', 'Synced', 'Synced'],
  )
})

t.test('rows go back to Pending by status, table, key and age', async (t) => {
  const cases: readonly (readonly [Partial<RequeueFilter>, readonly number[]])[] = [
    [{}, [2, 3, 5]],
    [{ status: ['Queued'] }, [2, 5]],
    [{ status: ['Queued', 'Failed', 'Synced'] }, [2, 3, 4, 5]],
    [{ table: 'aligner_batches' }, [3]],
    [{ table: 'aligner_batches', key: 3, status: ['Synced', 'Failed'] }, [3, 4]],
    [{ table: 'aligner_notes', key: 6 }, [6]],
    [{ olderThanSeconds: 600 }, [5]],
    [{ table: 'aligner_batches', olderThanSeconds: 600 }, []],
    [{ status: [] }, []],
  ]
  for (const [filter, ids] of cases) {
    await doctors.query('TRUNCATE sync.queue')
    await row(1, { status: 'Pending' })
    await row(2, { error: '515: x' })
    await row(3, { status: 'Failed', error: '515: x', table: 'aligner_batches' })
    await row(4, { status: 'Synced', table: 'aligner_batches', key: 3 })
    await row(5, { age: 3_600, moved: 3_600 })
    await row(6, { status: 'Failed', error: 'SYNC_DISCARDED: by Omar: no (was 1)' })
    const before = await statuses()
    t.equal(await requeue({ ...filter, dryRun: true }), ids.length, `dry run of ${JSON.stringify(filter)}`)
    t.strictSame(await statuses(), before)
    t.equal(await requeue(filter), ids.length, JSON.stringify(filter))
    t.strictSame(await statuses(), { ...before, ...Object.fromEntries(ids.map((id) => [id, 'Pending'])) })
  }
})

t.test('what is moved on while it runs is under way, and left; pages', async (t) => {
  await doctors.query(`INSERT INTO sync.queue (queue_id, table_name, record_id, operation, status)
    SELECT n, 'aligner_notes', n, 'UPDATE', 'Queued' FROM generate_series(1, 2500) AS n`)
  await row(3_000, { moved: -60 })
  t.equal(await requeue({ dryRun: true }), 2_500)
  t.equal(await requeue({}), 2_500)
  t.match(await portal.outboxStatus(), { rows: { Pending: 2_500, Queued: 1 } })
})

t.test('what is sent anew has the version of the latest edit, whose state it carries', async (t) => {
  await portal.applyChanges([event('aligner_notes', 50, note(50))])
  const first = await edit(doctors, 'aligner_notes', 50, { note_text: 'one' })
  await settle(50, first, 'queued')
  await settle(50, first, 'dead', { code: '515' })
  const second = await edit(doctors, 'aligner_notes', 50, { note_text: 'two' })
  await settle(50, second, 'queued')
  // The older one had been settled as queued by then, or not: only its own row is sent anew.
  await doctors.query("UPDATE sync.queue SET status = 'Failed' WHERE queue_id = $1", [first])
  t.equal(await requeue({ status: ['Failed'] }), 1)
  const { changes } = await portal.takeChanges(10)
  t.match(changes, [{ key: 50, version: String(second), since: String(first), row: { note_text: 'two' } }])
  await settle(50, second, 'queued')
  await settle(50, second, 'applied')
  await settle(50, first, 'dead', { code: 'late' })
  t.strictSame(await statuses(), { [String(first)]: 'Synced', [String(second)]: 'Synced' })
  // Sent once more, it is the same event: the clinic has had it.
  t.equal(await requeue({ status: ['Synced'] }), 2)
  t.match((await portal.takeChanges(1)).changes, [{ key: 50, version: String(second) }])
})

t.test('what became of versions', async (t) => {
  await row(1, { key: 7, status: 'Failed', error: '515: x' })
  await row(2, { key: 7, status: 'Queued' })
  await row(3, { key: 8, status: 'Failed', error: 'x' })
  await row(4, { key: 8, status: 'Synced' })
  await row(5, { key: 8, status: 'Synced' })
  await row(6, { key: 8, status: 'Pending' })
  const ask = (key: number, version: string) => ({ table: 'aligner_notes' as const, key, version })
  const asked = [ask(7, '1'), ask(7, '2'), ask(8, '3'), ask(8, '5'), ask(9, '1'), ask(8, '1')]
  t.strictSame(await portal.recordVersions(asked), [
    { ...ask(7, '1'), status: 'Failed', reason: '515: x', supersededBy: null },
    { ...ask(7, '2'), status: 'Queued', reason: null, supersededBy: null },
    { ...ask(8, '3'), status: 'Failed', reason: 'x', supersededBy: '5' },
    { ...ask(8, '5'), status: 'Synced', reason: null, supersededBy: null },
    { ...ask(9, '1'), status: null, reason: null, supersededBy: null },
    { ...ask(8, '1'), status: null, reason: null, supersededBy: '5' },
  ])
  t.strictSame(await portal.recordVersions([]), [])
})

t.test('a row that is being moved on is waited for, not missed', async (t) => {
  await row(1)
  const settling = await db.connect()
  await settling.query('BEGIN')
  await settling.query("UPDATE sync.queue SET last_error = '515: x' WHERE queue_id = 1")
  const requeued = requeue({})
  while ((await db.rows('SELECT 1 FROM pg_locks WHERE NOT granted')).length === 0);
  await settling.query('COMMIT')
  t.equal(await requeued, 1)
})
