// What an operator asks of the clinic's outbox: sync.OutboxStatus, sync.Requeue, sync.RecordVersions. Runs against the simulator,
// and SQLSERVER_URL when it is set.
import type { RequeueFilter } from '@clinic-sync/sync'
import t from 'tap'
import { openBench } from './bench.ts'

const bench = await openBench(t)
const { run, clinic } = bench
t.beforeEach(() => bench.clear())

interface Row {
  readonly status?: string
  readonly version?: number | null
  readonly table?: string
  readonly key?: number
  readonly error?: string | null
  /** Seconds since it was captured. */
  readonly age?: number
}
const row = (
  id: number,
  { status = 'Queued', version = id, table = 'aligner_notes', key = id, error = null, age = 0 }: Row = {},
) =>
  run(
    'INSERT INTO dbo.SyncQueue (QueueID, TableName, RecordID, Operation, Status, EventVersion, LastError, CreatedAt, LastAttempt) ' +
      `VALUES (${id}, N'${table}', ${key}, 'UPDATE', '${status}', ${version ?? 'NULL'}, ${error === null ? 'NULL' : `N'${error}'`}, ` +
      `DATEADD(second, -${age}, SYSDATETIME()), NULL)`,
  )
const statuses = async () =>
  Object.fromEntries(
    (await run('SELECT QueueID, Status FROM dbo.SyncQueue ORDER BY QueueID')).map(({ QueueID, Status }) => [
      String(QueueID),
      Status,
    ]),
  )
const requeue = (filter: Partial<RequeueFilter>) =>
  clinic.requeue({ status: ['Queued', 'Failed'], dryRun: false, ...filter })

t.test('an empty outbox', async (t) => {
  const { now, ...status } = await clinic.outboxStatus()
  t.ok(Math.abs(Date.parse(now) - Date.now()) < 60_000, 'in UTC, by the clock of the database')
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
  await row(1, { status: 'Pending', version: null, age: 600 })
  await row(2, { status: 'Pending', version: null, age: 60 })
  await row(3, { age: 3_600 })
  await row(4, { error: '23503: its set is missing' })
  await row(5, { status: 'Failed', error: '23505: doctor_email is taken' })
  await row(6, { status: 'Failed', error: '23505: doctor_email is taken' })
  await row(7, { status: 'Failed', error: 'SYNC_DISCARDED: by Omar: entered twice (was 23505)' })
  await row(8, { status: 'Failed', error: 'Could not send: Ali Hassan, 0750' })
  await row(9, { status: 'Failed' })
  await row(10, { status: 'Synced', age: 30, key: 77, table: 'patients' })
  await row(11, { status: 'Synced', age: 20 })
  await run('UPDATE dbo.SyncQueue SET LastAttempt = DATEADD(second, -29, SYSDATETIME()) WHERE QueueID = 11')
  await run('UPDATE dbo.SyncQueue SET LastAttempt = DATEADD(second, -10, SYSDATETIME()) WHERE QueueID = 10')
  const { now, last, oldestPending, oldestQueued, ...status } = await clinic.outboxStatus()
  const ago = (instant: string | null | undefined) =>
    Math.round((Date.parse(now) - Date.parse(instant ?? '')) / 5_000) * 5
  t.strictSame(status, {
    rows: { Pending: 2, Queued: 2, Synced: 2, Failed: 5 },
    retrying: 1,
    failed: [
      { cause: '23505', rows: 2, discarded: false },
      { cause: 'other', rows: 2, discarded: false },
      { cause: 'SYNC_DISCARDED', rows: 1, discarded: true },
    ],
  })
  t.equal(ago(oldestPending), 600)
  t.equal(ago(oldestQueued), 3_600)
  t.match(last, { table: 'patients', key: 77 })
  t.equal(ago(last?.capturedAt), 30)
  t.equal(ago(last?.settledAt), 10)
})

t.test(
  'what a transaction in flight has queued is not counted, and not waited for',
  { skip: bench.babelfish && 'it ignores READPAST' },
  async (t) => {
    await row(1, { status: 'Pending', version: null })
    const session = await bench.session()
    await session.begin()
    await session.run(
      "INSERT INTO dbo.SyncQueue (QueueID, TableName, RecordID, Operation) VALUES (2, 'patients', 2, 'UPDATE')",
    )
    t.match(await clinic.outboxStatus(), { rows: { Pending: 1 } })
    t.equal(await requeue({ status: ['Queued', 'Failed', 'Synced'] }), 0)
    await session.rollback()
  },
)

t.test('rows go back to Pending by status, table, key and age', async (t) => {
  const fill = async () => {
    await bench.clear()
    await row(1, { status: 'Pending', version: null })
    await row(2, { error: '23503: x' })
    await row(3, { status: 'Failed', error: '23505: x', table: 'patients' })
    await row(4, { status: 'Synced', table: 'patients', key: 3 })
    await row(5, { age: 3_600 })
    await row(6, { status: 'Failed', error: 'SYNC_DISCARDED: by Omar: no (was 1)' })
  }
  const cases: readonly (readonly [Partial<RequeueFilter>, readonly number[]])[] = [
    [{}, [2, 3, 5]],
    [{ status: ['Queued'] }, [2, 5]],
    [{ status: ['Failed'] }, [3]],
    [{ status: ['Queued', 'Failed', 'Synced'] }, [2, 3, 4, 5]],
    [{ table: 'patients' }, [3]],
    [{ table: 'patients', key: 3, status: ['Synced'] }, [4]],
    [{ table: 'patients', key: 3, status: ['Synced', 'Failed'] }, [3, 4]],
    [{ table: 'aligner_notes', key: 6 }, [6]],
    [{ olderThanSeconds: 600 }, [5]],
    [{ table: 'patients', olderThanSeconds: 600 }, []],
    [{ status: [] }, []],
  ]
  for (const [filter, ids] of cases) {
    await fill()
    const before = await statuses()
    t.equal(await requeue({ ...filter, dryRun: true }), ids.length, `dry run of ${JSON.stringify(filter)}`)
    t.strictSame(await statuses(), before)
    t.equal(await requeue(filter), ids.length, JSON.stringify(filter))
    const after = { ...before, ...Object.fromEntries(ids.map((id) => [String(id), 'Pending'])) }
    t.strictSame(await statuses(), after)
    t.equal(
      await bench.value("SELECT COUNT(*) FROM dbo.SyncQueue WHERE Status = 'Pending' AND LastError IS NOT NULL"),
      0,
    )
  }
})

t.test('what is sent anew has the version that it had, so that the portal can tell', async (t) => {
  const { set } = await bench.treatment()
  const note = await bench.note(set)
  const first = await clinic.takeChanges(500)
  const queued = ({ changes }: typeof first) =>
    clinic.settleChanges(
      changes.map(({ table, key, version }) => ({ table, key, version, outcome: 'queued' as const })),
    )
  await queued(first)
  await run(`UPDATE dbo.tblAlignerNotes SET NoteText = N'later' WHERE NoteID = ${note}`)
  const second = await clinic.takeChanges(500)
  await queued(second)
  const version = second.changes[0]?.version
  t.not(version, first.changes[0]?.version)

  t.equal(await requeue({}), 2, 'both rows: the broker has lost both events')
  const anew = await clinic.takeChanges(500)
  t.match(
    anew.changes,
    [{ key: note, version, row: { note_text: 'later' } }],
    'one event, with the version of the later',
  )
  await queued(anew)

  // Only the older row, since the later one is still under way: its event had the older one's state too.
  await run(
    `UPDATE dbo.SyncQueue SET EventVersion = QueueID, Status = 'Failed' WHERE QueueID = ${first.changes[0]?.version}`,
  )
  t.equal(await requeue({ status: ['Failed'] }), 1)
  t.match((await clinic.takeChanges(500)).changes, [{ key: note, version, row: { note_text: 'later' } }])
  await clinic.settleChanges([{ table: 'aligner_notes', key: note, version: String(version), outcome: 'duplicate' }])
  t.strictSame(Object.values(await statuses()), ['Synced', 'Synced'])

  // A change that came meanwhile is not in any event yet.
  await requeue({ status: ['Synced'] })
  await run(`UPDATE dbo.tblAlignerNotes SET NoteText = N'last' WHERE NoteID = ${note}`)
  const [last] = (await clinic.takeChanges(500)).changes
  t.ok(BigInt(last?.version ?? 0) > BigInt(version ?? 0))
})

t.test('what is moved on while it runs is under way, and left', async (t) => {
  for (let id = 1; id <= 3; id++) await row(id)
  await run('UPDATE dbo.SyncQueue SET LastAttempt = DATEADD(second, 60, SYSDATETIME()) WHERE QueueID = 2')
  t.equal(await requeue({}), 2)
  t.strictSame(await statuses(), { 1: 'Pending', 2: 'Queued', 3: 'Pending' })
})

t.test('more rows than fit in a page', async (t) => {
  const values = (from: number) =>
    Array.from({ length: 500 }, (_, i) => `(${from + i}, 'patients', ${from + i}, 'UPDATE', 'Queued', ${from + i})`)
  for (let from = 1; from <= 2_000; from += 500)
    await run(
      `INSERT INTO dbo.SyncQueue (QueueID, TableName, RecordID, Operation, Status, EventVersion) VALUES ${values(from).join(', ')}`,
    )
  await row(3_000)
  t.equal(await requeue({ dryRun: true }), 2_001)
  t.equal(await requeue({ table: 'aligner_notes' }), 1)
  t.equal(await requeue({}), 2_000)
  t.match(await clinic.outboxStatus(), { rows: { Pending: 2_001, Queued: 0 } })
})

t.test('what became of versions', async (t) => {
  await row(1, { key: 7, status: 'Failed', error: '23505: taken' })
  await row(2, { key: 7, status: 'Queued', version: 4 })
  await row(3, { key: 8, status: 'Failed', version: 3, error: 'x' })
  await row(4, { key: 8, status: 'Synced' })
  await row(5, { key: 8, status: 'Synced', version: 9 })
  await row(6, { key: 8, status: 'Pending', version: null })
  const ask = (key: number, version: string) => ({ table: 'aligner_notes' as const, key, version })
  const asked = [ask(7, '1'), ask(7, '4'), ask(8, '3'), ask(8, '9'), ask(9, '1'), ask(8, '1')]
  t.strictSame(await clinic.recordVersions(asked), [
    { ...ask(7, '1'), status: 'Failed', reason: '23505: taken', supersededBy: null },
    { ...ask(7, '4'), status: 'Queued', reason: null, supersededBy: null },
    { ...ask(8, '3'), status: 'Failed', reason: 'x', supersededBy: '9' },
    { ...ask(8, '9'), status: 'Synced', reason: null, supersededBy: null },
    { ...ask(9, '1'), status: null, reason: null, supersededBy: null },
    { ...ask(8, '1'), status: null, reason: null, supersededBy: '9' },
  ])
  t.strictSame(await clinic.recordVersions([]), [])
})
