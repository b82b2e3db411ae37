// sync.SettleChanges: how an outbox row moves on. Runs against the simulator, and SQLSERVER_URL when it is set.
import type { Settlement } from '@clinic-sync/contracts'
import t from 'tap'
import { type Cells, openBench } from './bench.ts'

const bench = await openBench(t)
const { run, clinic } = bench
const RECORD = { table: 'aligner_notes', key: 7 }

t.beforeEach(() => bench.clear())

/** A row of the record, as if its event had that version. */
const row = (id: number, status = 'Pending', version: number | null = id) =>
  run(
    'INSERT INTO dbo.SyncQueue (QueueID, TableName, RecordID, Operation, Status, EventVersion) ' +
      `VALUES (${id}, 'aligner_notes', 7, 'UPDATE', '${status}', ${version ?? 'NULL'})`,
  )
const settled = (outcome: Settlement['outcome'], version: number, more: { code?: string; reason?: string } = {}) =>
  clinic.settleChanges([{ ...RECORD, version: String(version), outcome, ...more }])
const rows = async (): Promise<readonly Cells[]> =>
  (await run('SELECT Status, Attempts, LastError FROM dbo.SyncQueue ORDER BY QueueID')).map((found) => ({ ...found }))
const statuses = async () => (await rows()).map(({ Status }) => Status)

t.test('pending, queued, settled', async (t) => {
  await row(5)
  await settled('queued', 5)
  t.strictSame(await rows(), [{ Status: 'Queued', Attempts: 1, LastError: null }])
  t.not(await bench.value('SELECT LastAttempt FROM dbo.SyncQueue'), null)
  await settled('applied', 5)
  t.strictSame(await rows(), [{ Status: 'Synced', Attempts: 1, LastError: null }])
})

t.test('every outcome that needs no more work settles', async (t) => {
  for (const outcome of ['applied', 'duplicate', 'unchanged', 'conflict'] as const) {
    for (const status of ['Pending', 'Queued', 'Failed']) {
      await bench.clear()
      await row(5, status)
      await settled(outcome, 5, { code: 'X', reason: 'y' })
      t.strictSame(await rows(), [{ Status: 'Synced', Attempts: 0, LastError: null }], `${status} → ${outcome}`)
    }
  }
})

t.test(
  'of the latest version that was sent none can be stale, unless this database has gone back in time',
  async (t) => {
    for (const status of ['Pending', 'Queued', 'Failed']) {
      await bench.clear()
      await row(5, status)
      await settled('stale', 5)
      t.match(await rows(), [{ Status: 'Failed', LastError: /^SYNC_RESTORED: .*was restored from a backup$/ }], status)
      await settled('stale', 5)
      await settled('stale', 4)
      t.match(await rows(), [{ Status: 'Failed' }])
    }
    await row(6, 'Queued')
    await settled('stale', 5)
    t.match(await rows(), [{ Status: 'Synced', LastError: null }, { Status: 'Queued' }], 'a later one has overtaken it')
    await settled('applied', 6)
    t.match(await rows(), [{ Status: 'Synced' }, { Status: 'Synced' }])
  },
)

t.test('retry and dead name the reason', async (t) => {
  for (const status of ['Pending', 'Queued']) {
    await bench.clear()
    await row(5, status)
    await settled('retry', 5, { code: '23503', reason: 'its set is missing' })
    t.strictSame(await rows(), [{ Status: 'Queued', Attempts: 1, LastError: '23503: its set is missing' }])
    await settled('dead', 5, { code: '23505', reason: 'doctor_email is taken' })
    t.strictSame(await rows(), [{ Status: 'Failed', Attempts: 1, LastError: '23505: doctor_email is taken' }])
  }
  await bench.clear()
  await row(5)
  await settled('retry', 5, { code: '23503' })
  t.match(await rows(), [{ LastError: '23503' }])
  await settled('dead', 5, { code: 'x', reason: 'r'.repeat(1000) })
  t.match(await rows(), [{ Status: 'Failed', LastError: /^x: r{997}$/ }])
})

t.test('an outcome settles the rows that its event carried, and older ones of the record', async (t) => {
  await row(1)
  await row(2, 'Queued')
  await row(3, 'Pending', 4)
  await row(4)
  await row(5)
  await row(6, 'Pending', null)
  await run(
    "INSERT INTO dbo.SyncQueue (QueueID, TableName, RecordID, Operation, EventVersion) VALUES (7, 'aligner_notes', 8, 'UPDATE', 4)",
  )
  await settled('queued', 4)
  t.strictSame(await statuses(), ['Pending', 'Queued', 'Queued', 'Queued', 'Pending', 'Pending', 'Pending'])
  await settled('applied', 4)
  t.strictSame(await statuses(), ['Synced', 'Synced', 'Synced', 'Synced', 'Pending', 'Pending', 'Pending'])
})

t.test(
  'retry touches the rows of its own event only; dead speaks for the older ones too, since it carried their state',
  async (t) => {
    await row(2, 'Synced')
    await row(3, 'Queued')
    await row(4, 'Queued')
    await row(5, 'Queued')
    await settled('retry', 4, { code: 'a' })
    t.strictSame((await rows())[1], { Status: 'Queued', Attempts: 0, LastError: null })
    await settled('dead', 4, { code: 'b' })
    t.strictSame(await rows(), [
      { Status: 'Synced', Attempts: 0, LastError: null },
      { Status: 'Failed', Attempts: 0, LastError: 'b' },
      { Status: 'Failed', Attempts: 1, LastError: 'b' },
      { Status: 'Queued', Attempts: 0, LastError: null },
    ])
  },
)

t.test('a row that has failed takes the reason of a later failure', async (t) => {
  await row(4, 'Queued')
  await settled('dead', 4, { code: '23505', reason: 'taken' })
  await settled('dead', 4, { code: '22001', reason: 'too long' })
  t.match(await rows(), [{ Status: 'Failed', LastError: '22001: too long' }])
  await row(5, 'Queued')
  await clinic.settleChanges([
    { ...RECORD, version: '5', outcome: 'dead', code: 'higher' },
    { ...RECORD, version: '4', outcome: 'dead', code: 'lower' },
  ])
  t.match(await rows(), [
    { Status: 'Failed', LastError: 'higher' },
    { Status: 'Failed', LastError: 'higher' },
  ])
})

t.test('what is discarded says by whom and why, and what it was; only success undoes that', async (t) => {
  await row(3, 'Pending')
  await row(4, 'Queued')
  await row(5, 'Failed')
  await row(6, 'Queued')
  await run("UPDATE dbo.SyncQueue SET LastError = '23505: doctor_email is taken' WHERE QueueID = 5")
  for (let again = 0; again < 2; again++)
    await settled('discarded', 5, { reason: again ? 'by Sara: other' : 'by Omar: entered twice' })
  await settled('dead', 5, { code: '23505', reason: 'late' })
  await settled('retry', 5, { code: '23505', reason: 'late' })
  await settled('queued', 5)
  const discarded = 'SYNC_DISCARDED: by Omar: entered twice'
  t.match(await rows(), [
    // Not sent yet: it is an event of its own; a late dead of a version above it is its failure as well.
    { Status: 'Failed', LastError: '23505: late' },
    { Status: 'Failed', LastError: discarded },
    { Status: 'Failed', LastError: `${discarded} (was 23505)` },
    { Status: 'Queued', LastError: null },
  ])
  await settled('discarded', 6, { reason: 'r'.repeat(1000) })
  t.match((await rows())[3], { Status: 'Failed', LastError: /^SYNC_DISCARDED: r{850}$/ })
  await settled('applied', 6)
  t.match(await rows(), [{ Status: 'Synced' }, { Status: 'Synced' }, { Status: 'Synced' }, { Status: 'Synced' }])
  await settled('discarded', 6, { reason: 'too late' })
  t.match(await rows(), [{ Status: 'Synced' }, { Status: 'Synced' }, { Status: 'Synced' }, { Status: 'Synced' }])
})

t.test('repeated or late, nothing moves back', async (t) => {
  await row(5)
  await settled('queued', 5)
  await settled('queued', 5)
  t.strictSame(await rows(), [{ Status: 'Queued', Attempts: 1, LastError: null }])
  await settled('dead', 5, { code: 'b' })
  await settled('queued', 5)
  await settled('retry', 5, { code: 'a' })
  t.strictSame(await rows(), [{ Status: 'Failed', Attempts: 1, LastError: 'b' }])
  await settled('applied', 5)
  for (const outcome of ['queued', 'retry', 'dead', 'applied'] as const) await settled(outcome, 5, { code: 'c' })
  t.strictSame(await rows(), [{ Status: 'Synced', Attempts: 1, LastError: null }])
})

t.test("an outcome that overtakes the broker's confirm settles", async (t) => {
  await row(5)
  await settled('applied', 5)
  await settled('queued', 5)
  t.strictSame(await rows(), [{ Status: 'Synced', Attempts: 0, LastError: null }])
})

t.test('many outcomes at once, of unknown records too', async (t) => {
  await row(5)
  await row(6)
  await clinic.settleChanges([
    { ...RECORD, version: '5', outcome: 'queued' },
    { ...RECORD, version: '5', outcome: 'dead', code: 'x' },
    { ...RECORD, version: '6', outcome: 'queued' },
    { table: 'patients', key: -2147483648, version: '9223372036854775807', outcome: 'applied' },
  ])
  t.strictSame(await statuses(), ['Failed', 'Queued'])
  await clinic.settleChanges([])
})

t.test('settled rows are purged after the retention time, others never', async (t) => {
  await row(1, 'Synced')
  await row(2, 'Synced')
  await row(3, 'Failed')
  await row(4, 'Queued')
  const old = "CreatedAt = '2020-01-01 00:00:00', LastAttempt = '2020-01-01 00:00:00'"
  await run(`UPDATE dbo.SyncQueue SET ${old} WHERE QueueID <> 2`)
  await run('UPDATE dbo.SyncQueue SET LastAttempt = SYSDATETIME() WHERE QueueID = 2')
  await settled('queued', 99)
  t.strictSame(await statuses(), ['Synced', 'Failed', 'Queued'])
  t.equal(await bench.value("SELECT Value FROM sync.Settings WHERE Name = 'RetentionDays'"), '7')
})

t.test('SELECT Status, COUNT(*) says whether all is in sync', async (t) => {
  await row(1)
  await row(2, 'Synced')
  const found = await run('SELECT Status, COUNT(*) AS n FROM SyncQueue GROUP BY Status ORDER BY Status')
  t.strictSame(
    found.map((cells) => ({ ...cells })),
    [
      { Status: 'Pending', n: 1 },
      { Status: 'Synced', n: 1 },
    ],
  )
})
