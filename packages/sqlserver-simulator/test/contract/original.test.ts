// The original system and the migrations, while its triggers and its application go on: what they write is neither lost nor sent
// twice. Runs on the server at SQLSERVER_URL when it is set; the simulator has no such triggers, and takes over the outbox alone.
import { openClinic, openScriptConnection, runBatches } from '@clinic-sync/clinic'
import { readFile } from 'node:fs/promises'
import { pino } from 'pino'
import t from 'tap'
import { startSimulator } from '../../src/index.ts'
import { ORIGINAL, ORIGINAL_TRIGGERS, settledByTheOriginal } from './original.ts'
import { createDatabase, filesFor } from './real-engine.ts'

const SERVER = process.env.SQLSERVER_URL
const SCHEMA = 'packages/sqlserver-simulator/clinic-schema.sql'

interface Original {
  readonly url: string
  readonly real: boolean
  batch(sql: string): Promise<readonly Record<string, unknown>[]>
  migrate(): Promise<void>
  /** Runs the file that gives the original its outbox back. */
  goBack(): Promise<void>
}

async function original(): Promise<Original> {
  if (SERVER === undefined) {
    const simulator = await startSimulator({ migrated: false, original: true })
    const connection = openScriptConnection(simulator.url)
    t.teardown(async () => {
      await connection.close()
      await simulator.stop()
    })
    return {
      url: simulator.url,
      real: false,
      batch: (sql) => connection.batch(sql),
      async migrate() {
        for (const file of filesFor(false))
          if (file !== SCHEMA)
            await runBatches(connection, await readFile(new URL(`../../../../${file}`, import.meta.url), 'utf8'))
      },
      goBack: () => Promise.reject(new Error('the simulator runs no migrations')),
    }
  }
  const database = await createDatabase(SERVER)
  t.teardown(() => database.stop())
  await database.file(SCHEMA)
  await database.batch(ORIGINAL)
  for (const sql of ORIGINAL_TRIGGERS) await database.batch(sql)
  return {
    url: database.url,
    real: true,
    batch: database.batch,
    async migrate() {
      for (const file of filesFor(database.babelfish)) if (file !== SCHEMA) await database.file(file)
    },
    goBack: () => database.file('migrations/sqlserver/by-hand/back_to_the_original.sql'),
  }
}

const { url, real, batch, migrate, goBack } = await original()
const n = async (sql: string) => Number((await batch(sql))[0]?.n)
const rung = () => (real ? n('SELECT COUNT(*) AS n FROM dbo.Rung') : Promise.resolve(0))
const open = async () => {
  const clinic = await openClinic({ url, timeZone: 'Asia/Baghdad', log: pino({ level: 'silent' }) })
  t.teardown(() => clinic.close())
  return clinic
}

await batch(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'Dr. Layla');
  INSERT INTO dbo.tblpatients (PatientName) VALUES (N'Ali Hassan');
  INSERT INTO dbo.tblwork (PersonID, TotalRequired, Typeofwork, DrID, Status) VALUES (1, 1, 19, 1, 1);
  INSERT INTO dbo.tblAlignerSets (WorkID, SetSequence, AlignerDrID) VALUES (1, 1, 1)`)
// On the simulator, what the original's triggers would have written.
if (!real)
  await batch(`INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation, Status) VALUES (N'patients', 1, N'INSERT', N'Pending'),
    (N'work', 1, N'UPDATE', N'Pending')`)
await batch(`INSERT INTO SyncQueue (TableName, RecordID, Operation, JsonData, Status, CreatedAt, Attempts) VALUES
  (N'aligner_sets', 1, N'INSERT', N'{"aligner_set_id":1}', N'Pending', '2026-01-02T03:04:05', 0),
  (N'aligner_notes', 70, N'DELETE', N'{"note_id":70}', N'Failed', '2026-01-02T03:04:05', 5)`)
const before = await rung()
await migrate()

t.test('nothing is taken before the two sides have been compared', async (t) => {
  const clinic = await open()
  await t.rejects(clinic.takeChanges(100), { code: 'SYNC_NOT_TAKEN_OVER', failure: 'down', number: '51231' })
  t.equal((await clinic.inspect()).get('TakeOver'), 'missing')
  await batch("INSERT INTO sync.Settings (Name, Value) VALUES (N'TakenOver', N'1')")
  t.equal((await clinic.inspect()).get('TakeOver'), '')
})

t.test('what was queued is taken, parents and all, and given up rows wait for an operator', async (t) => {
  const clinic = await open()
  const { changes } = await clinic.takeChanges(100)
  t.match(
    changes.map(({ table, key, row }) => [table, key, row !== null]),
    [
      ['patients', 1, true],
      ['work', 1, true],
      ['aligner_sets', 1, true],
    ],
  )
  await clinic.settleChanges(
    changes.map(({ table, key, version }) => ({ table, key, version, outcome: 'applied' as const })),
  )
  t.equal(await n("SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE Status = N'Synced'"), 3)
  t.equal(await clinic.requeue({ status: ['Failed'], dryRun: false }), 1)
  t.match((await clinic.takeChanges(100)).changes, [{ table: 'aligner_notes', key: 70, row: null }])
})

t.test("the original's triggers go on: a change is one event, its application's doorbell is silent", async (t) => {
  const clinic = await open()
  const last = await n('SELECT MAX(QueueID) AS n FROM dbo.SyncQueue')
  await batch("UPDATE dbo.tblpatients SET Phone = N'1' WHERE PersonID = 1")
  await batch('UPDATE dbo.tblwork SET Typeofwork = 20 WHERE workid = 1')
  const captured = await batch(
    `SELECT TableName, COUNT(*) AS n FROM dbo.SyncQueue WHERE QueueID > ${last} GROUP BY TableName`,
  )
  // Two triggers on patients; the one on work has given way to ours of the same name.
  t.same(
    new Map(captured.map((row) => [row.TableName, row.n])),
    new Map([
      ['patients', real ? 2 : 1],
      ['work', 1],
    ]),
  )
  const changes = (await clinic.takeChanges(100)).changes.filter(({ key }) => key === 1)
  t.match(changes, [{ table: 'patients' }, { table: 'work' }])
  t.equal(await rung(), before)
})

t.test('the application that still writes into the outbox, in its own words', async (t) => {
  const clinic = await open()
  await batch(`INSERT INTO SyncQueue (TableName, RecordID, Operation, JsonData, Status, CreatedAt, Attempts)
    VALUES ('work', 1, 'UPDATE', '{"work_id":1}', 'Pending', GETDATE(), 0)`)
  t.match(
    (await clinic.takeChanges(100)).changes.filter(({ key }) => key === 1),
    [{ table: 'patients' }, { table: 'work' }],
  )
})

t.test('the application that still takes rows away is found out', async (t) => {
  const clinic = await open()
  t.equal((await clinic.inspect()).get('SettledByOthers'), '0')
  await batch("UPDATE dbo.tblpatients SET Phone = N'2' WHERE PersonID = 1")
  const [row] = await batch("SELECT MAX(QueueID) AS id FROM dbo.SyncQueue WHERE TableName = N'patients'")
  await batch(settledByTheOriginal(Number(row?.id)))
  const facts = await clinic.inspect()
  t.equal(facts.get('OriginalQueue'), 'present')
  t.equal(facts.get('SettledByOthers'), '1')
  const modules = [...facts.keys()].filter((name) => name.startsWith('original:')).map((name) => name.toLowerCase())
  t.same(modules, real ? ['original:dbo.trg_patients_sync'] : [])
})

if (real)
  t.test('the way back: the original has its outbox, and what is still to be sent; and here again', async (t) => {
    await batch("UPDATE dbo.SyncQueue SET Status = N'Failed' WHERE TableName = N'work' AND Status = N'Pending'")
    const left = await n(
      "SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE Status <> N'Synced' AND TableName <> N'aligner_notes'",
    )
    await batch("EXEC sync.SendCanary @Token = N'on its way when the original comes back'")
    await goBack()
    t.equal(await n("SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE TableName = N'canary'"), 0)
    t.same(await batch('SELECT QueueID, TableName, Status FROM dbo.SyncQueue WHERE QueueID <= 4 ORDER BY QueueID'), [
      { QueueID: 1, TableName: 'patients', Status: 'Synced' },
      { QueueID: 2, TableName: 'work', Status: 'Synced' },
      { QueueID: 3, TableName: 'aligner_sets', Status: 'Synced' },
      { QueueID: 4, TableName: 'aligner_notes', Status: 'Failed' },
    ])
    t.equal(await n("SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE QueueID > 4 AND Status = N'Pending'"), left)
    const last = await n('SELECT MAX(QueueID) AS n FROM dbo.SyncQueue')
    const was = await rung()
    await batch("UPDATE dbo.tblpatients SET Phone = N'3' WHERE PersonID = 1")
    t.equal(await n(`SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE QueueID > ${last}`), 1, 'its own trigger alone')
    t.equal(await rung(), was + 1)
    await t.rejects(goBack(), /no way back/)

    await migrate()
    const clinic = await open()
    await t.rejects(clinic.takeChanges(100), { code: 'SYNC_NOT_TAKEN_OVER' })
    await batch("INSERT INTO sync.Settings (Name, Value) VALUES (N'TakenOver', N'1')")
    const { changes } = await clinic.takeChanges(100)
    t.match(
      changes.filter(({ key }) => key === 1),
      [{ table: 'patients' }, { table: 'work' }],
    )
  })
