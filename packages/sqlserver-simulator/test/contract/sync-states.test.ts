// What tells a record that is late from one that differs: sync.RecordStates. Runs against the simulator, and SQLSERVER_URL when it is set.
import type { RecordName } from '@clinic-sync/sync'
import t from 'tap'
import { openBench } from './bench.ts'

const bench = await openBench(t)
const { run, clinic } = bench
// Babelfish takes long over the first call.
if (bench.babelfish) await clinic.check().catch(() => undefined)
t.beforeEach(() => bench.clear())

const row = (id: number, key: number, status: string, error: string | null = null, operation = 'UPDATE') =>
  run(
    'INSERT INTO dbo.SyncQueue (QueueID, TableName, RecordID, Operation, Status, LastError) ' +
      `VALUES (${id}, N'aligner_notes', ${key}, N'${operation}', N'${status}', ${error === null ? 'NULL' : `N'${error}'`})`,
  )
const name = (key: number): RecordName => ({ table: 'aligner_notes', key })

t.test('of each record, in order', async (t) => {
  await run("INSERT INTO sync.RowState (TableName, RecordID, SeenPortalVersion) VALUES (N'aligner_notes', 101, 7)")
  await row(1, 101, 'Synced')
  await row(2, 102, 'Pending')
  await row(3, 103, 'Queued')
  await row(4, 103, 'Synced')
  await row(5, 104, 'Failed', '23505: is not unique')
  await row(6, 104, 'Synced')
  await row(7, 105, 'Failed', 'SYNC_OLD: x')
  await row(8, 105, 'Failed', 'no colon')
  await row(9, 106, 'Failed')
  await row(10, 107, 'Pending', null, 'RESTORED')
  const keys = [107, 106, 105, 104, 103, 102, 101, 999, -1]
  const nothing = { applied: '0', last: null, open: false, cause: null, editing: false }
  t.strictSame(await clinic.recordStates(keys.map(name)), [
    { ...nothing, last: '10', open: true },
    { ...nothing, last: '9', cause: '' },
    { ...nothing, last: '8', cause: 'no colon' },
    { ...nothing, last: '6', cause: '23505' },
    { ...nothing, last: '4', open: true },
    { ...nothing, last: '2', open: true },
    { ...nothing, last: '1', applied: '7' },
    nothing,
    nothing,
  ])
  t.strictSame(await clinic.recordStates([]), [])
  await run('DELETE FROM sync.RowState')
})

t.test('what a transaction in flight has put into the outbox counts as open, and is not waited for', async (t) => {
  if (bench.babelfish) return t.pass('it locks nothing that could be read past')
  const other = await bench.session()
  await other.begin()
  await other.run(
    "INSERT INTO dbo.SyncQueue (QueueID, TableName, RecordID, Operation, Status) VALUES (20, N'aligner_notes', 1, N'UPDATE', N'Pending')",
  )
  t.match(await clinic.recordStates([name(1)]), [{ open: true, last: '20' }])
  await other.rollback()
  t.match(await clinic.recordStates([name(1)]), [{ open: false, last: null }])
})

t.test('what is not as it should be is refused', async (t) => {
  await t.rejects(run("EXEC sync.RecordStates N'{}'"))
  await t.rejects(run('EXEC sync.RecordStates N\'[{"table": "nobody", "key": 1}]\''))
  await t.rejects(run('EXEC sync.RecordStates N\'[{"table": "aligner_notes"}]\''))
})
