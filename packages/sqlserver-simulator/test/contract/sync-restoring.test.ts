// What is for a database that was restored from a backup: sync.Bookkeeping, sync.HoldPortalChanges, sync.ResumeAfterRestore,
// sync.QueueRecords. Runs against the simulator, and SQLSERVER_URL when it is set.
import type { SyncEvent } from '@clinic-sync/contracts'
import type { RecordName } from '@clinic-sync/sync'
import t from 'tap'
import { openBench } from './bench.ts'

const bench = await openBench(t)
const { run, clinic } = bench
const { set, patient } = await bench.treatment()
const note = await bench.note(set)
// Babelfish takes long over the first call.
if (bench.babelfish) await clinic.check().catch(() => undefined)
t.beforeEach(() => bench.clear())

const row = (id: number, key: number, status = 'Synced', version: number | null = id, operation = 'UPDATE') =>
  run(
    'INSERT INTO dbo.SyncQueue (QueueID, TableName, RecordID, Operation, Status, EventVersion) ' +
      `VALUES (${id}, N'aligner_notes', ${key}, N'${operation}', N'${status}', ${version ?? 'NULL'})`,
  )
const name = (key: number): RecordName => ({ table: 'aligner_notes', key })
const setting = (of: string) => bench.value(`SELECT Value FROM sync.Settings WHERE Name = N'${of}'`)
const edit = (key: number, version: string): SyncEvent =>
  ({
    data: { table: 'aligner_notes', key, version, seen: '0', since: version, base: null, row: null },
  }) as unknown as SyncEvent

t.test('what is known of both sides', async (t) => {
  for (let id = 1; id <= 4; id++) await row(id, 100 + id)
  await row(5, 101)
  await row(6, 102, 'Failed')
  await row(7, 103, 'Pending', null, 'INSERT')
  await row(8, 104, 'Synced', 20)
  await run("INSERT INTO sync.RowState (TableName, RecordID, SeenPortalVersion) VALUES (N'aligner_notes', 101, 7)")
  const found = await clinic.bookkeeping([name(101), name(102), name(103), name(999)], 100)
  t.match(found, { seen: '7', held: null, applied: ['7', '0', '0', '0'] })
  if (!bench.babelfish) t.match(found.lastId, /^\d+$/)
  t.strictSame(found.open, [false, true, true, false])
  t.strictSame(found.born, [false, false, true, false])
  const versions = (rows: typeof found.latest) => rows.map(({ key, version }) => `${key} ${version}`).sort()
  t.strictSame(versions(found.latest), ['101 5', '104 20'], 'a record with rows that are not settled says nothing')
  t.strictSame(versions((await clinic.bookkeeping([], 1)).latest), ['104 20'], 'the newest row')
  await run('DELETE FROM sync.RowState')
})

t.test('while it is held nothing of the portal’s is applied', async (t) => {
  await clinic.hold('repair')
  t.match(await clinic.bookkeeping([], 1), { held: 'repair' })
  await clinic.hold('restored')
  await clinic.hold('repair')
  t.match(await clinic.bookkeeping([], 1), { held: 'restored' }, 'who was restored stays so')
  const refused = { code: 'SYNC_RESTORED', failure: 'down', number: '51230' }
  await t.rejects(clinic.applyChanges([edit(note, '5')]), refused)
  await t.rejects(clinic.check(), refused)
  await clinic.hold(null)
  await clinic.hold(null)
  await t.resolves(clinic.check())
  await t.rejects(run("EXEC sync.HoldPortalChanges N'x'"))
})

t.test('queue ids go above what the portal has had, and what is not settled is sent anew with them', async (t) => {
  await run(`INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation) VALUES (N'patients', 0, N'UPDATE')`)
  const before = BigInt(String(await bench.value('SELECT MAX(QueueID) FROM dbo.SyncQueue')))
  await bench.clear()
  await row(1, note, 'Queued')
  await row(2, 102, 'Failed')
  await row(3, 103)
  await run("UPDATE dbo.SyncQueue SET LastError = N'23505: taken' WHERE QueueID = 2")
  await row(4, set, 'Failed')
  await run("UPDATE dbo.SyncQueue SET TableName = N'aligner_sets', LastError = N'SYNC_RESTORED: x' WHERE QueueID = 4")
  // As in a transaction that drew its id before, and commits later.
  await run(
    `INSERT INTO dbo.SyncQueue (QueueID, TableName, RecordID, Operation) VALUES (5, N'patients', ${patient}, N'UPDATE')`,
  )
  t.equal(await clinic.resumeAfterRestore('4711'), 2)
  const moved = 1_000_000n + (before >= 4711n ? before + 1n : 4711n)
  t.equal(await setting('RestoredUpTo'), String(moved))
  const { changes } = await clinic.takeChanges(100)
  t.strictSame(changes.map(({ table }) => table).sort(), ['aligner_notes', 'aligner_sets', 'patients'])
  for (const { version } of changes) t.ok(BigInt(version) > moved, 'above all that the portal has had')
  const again = (await clinic.takeChanges(100)).changes
  t.strictSame(
    again.map(({ version }) => version),
    changes.map(({ version }) => version),
    'and the same when it is taken again',
  )
  await clinic.settleChanges(changes.map(({ table, key, version }) => ({ table, key, version, outcome: 'applied' })))
  const { latest } = await clinic.bookkeeping([], 100)
  t.strictSame(
    latest.map(({ table }) => table).sort(),
    ['aligner_notes', 'aligner_sets', 'patients'],
    'what was settled before the move is not compared',
  )
  await clinic.resumeAfterRestore('1')
  t.ok(BigInt(String(await setting('RestoredUpTo'))) > moved, 'never backwards')
  await t.rejects(run('EXEC sync.ResumeAfterRestore NULL'))
})

t.test(
  'records are queued in order; one that is not here is sent as deleted; older edits of it are fenced off',
  async (t) => {
    await run(
      "INSERT INTO sync.RowState (TableName, RecordID, SeenPortalVersion, PortalValues) VALUES (N'aligner_notes', 7, 900, N'{}')",
    )
    await clinic.queueRecords([
      { table: 'aligner_sets', key: set },
      { ...name(note), seen: '50' },
      { ...name(7), seen: '50' },
      { ...name(8), seen: '50' },
    ])
    t.strictSame(await bench.queue(), [
      `aligner_sets/${set} RESTORED`,
      `aligner_notes/${note} RESTORED`,
      'aligner_notes/7 RESTORED',
      'aligner_notes/8 RESTORED',
    ])
    const found = await clinic.bookkeeping([name(note), name(7), name(8)], 1)
    t.strictSame(found.applied, ['50', '900', '50'], 'never backwards')
    t.strictSame(found.open, [false, false, false], 'no change of anybody’s')
    t.match(await clinic.applyChanges([edit(note, '50')]), [{ outcome: 'duplicate' }])
    const { changes } = await clinic.takeChanges(100)
    t.strictSame(
      changes.map(({ key, row: sent }) => [key, sent === null]),
      [
        [set, false],
        [note, false],
        [7, true],
        [8, true],
      ],
    )
    await t.rejects(run('EXEC sync.QueueRecords N\'[{"table": "nobody", "key": 1}]\''))
    await t.rejects(run("EXEC sync.QueueRecords N'{}'"))
  },
)
