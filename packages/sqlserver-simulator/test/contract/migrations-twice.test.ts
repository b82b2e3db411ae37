// The migrations on a database that has the original system's SyncQueue, and once more on what they made. Runs on the server at
// SQLSERVER_URL when it is set; the simulator recognises the files without running them, and is asked no more than that.
import { readFile } from 'node:fs/promises'
import { openClinic, openScriptConnection, runBatches } from '@clinic-sync/clinic'
import { pino } from 'pino'
import t from 'tap'
import { startSimulator } from '../../src/index.ts'
import { ORIGINAL } from './original.ts'
import { createDatabase, filesFor, type NewDatabase } from './real-engine.ts'

const SERVER = process.env.SQLSERVER_URL
const SCHEMA = 'packages/sqlserver-simulator/clinic-schema.sql'
const open = (url: string) => openClinic({ url, timeZone: 'Asia/Baghdad', log: pino({ level: 'silent' }) })

/** QueueIDs 1 to 9, but for 5, which the original had purged. */
const ROWS = (
  patient: number,
) => `INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation, JsonData, Status, CreatedAt, Attempts, LastAttempt, LastError) VALUES
  (N'patients', ${patient}, N'INSERT', N'{"person_id":1}', N'Synced', '2026-01-02T03:04:05', 1, '2026-01-02T03:04:06', NULL),
  (N'patients', ${patient}, N'UPDATE', NULL, N'Pending', '2026-01-03T03:04:05', 0, NULL, NULL),
  (N'aligner_notes', 7, N'UPDATE', NULL, N'Failed', '2026-01-04T03:04:05', 5, '2026-01-04T04:04:05', N'${'e'.repeat(1500)}'),
  (N'work', 8, N'UPDATE', NULL, N'Processing', '2026-01-05T03:04:05', 2, '2026-01-05T04:04:05', N'timeout'),
  (N'work', 9, N'UPDATE', NULL, N'Synced', NULL, NULL, NULL, NULL),
  (N'aligner_sets', 10, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
  (NULL, 11, N'UPDATE', NULL, N'Pending', NULL, 0, NULL, NULL),
  (N'work', NULL, N'UPDATE', NULL, N'Pending', NULL, 0, NULL, NULL),
  (N'no_such_table', 12, N'UPDATE', NULL, N'Pending', '2026-01-06T03:04:05', 0, NULL, NULL)
DELETE FROM dbo.SyncQueue WHERE QueueID = 5`

const QUEUE = `SELECT QueueID, TableName, RecordID, Operation, Status, CONVERT(varchar(19), CreatedAt, 120) AS CreatedAt, Attempts,
  CONVERT(varchar(19), LastAttempt, 120) AS LastAttempt, LEN(LastError) AS Told FROM dbo.SyncQueue ORDER BY QueueID`

/** What the migrations have made, without what differs from run to run. */
const SCHEMA_FACTS = [
  `SELECT SCHEMA_NAME(o.schema_id) AS s, o.name AS o, c.name AS c, TYPE_NAME(c.user_type_id) AS t, c.max_length AS l, c.is_nullable AS n,
    c.is_identity AS i, c.is_computed AS p FROM sys.columns c INNER JOIN sys.objects o ON o.object_id = c.object_id AND o.type = 'U'`,
  "SELECT SCHEMA_NAME(o.schema_id) AS s, o.name AS o, o.type AS t, OBJECT_NAME(o.parent_object_id) AS p FROM sys.objects o WHERE o.type NOT IN ('S', 'IT')",
  'SELECT t.name AS t, OBJECT_NAME(t.parent_id) AS p, t.is_disabled AS d, m.definition AS x FROM sys.triggers t INNER JOIN sys.sql_modules m ON m.object_id = t.object_id',
  "SELECT SCHEMA_NAME(o.schema_id) AS s, o.name AS o, m.definition AS x FROM sys.objects o INNER JOIN sys.sql_modules m ON m.object_id = o.object_id WHERE o.type = 'P'",
  `SELECT OBJECT_NAME(i.object_id) AS o, i.name AS i, c.name AS c, k.key_ordinal AS n, k.is_included_column AS x FROM sys.indexes i
    INNER JOIN sys.index_columns k ON k.object_id = i.object_id AND k.index_id = i.index_id
    INNER JOIN sys.columns c ON c.object_id = k.object_id AND c.column_id = k.column_id
    INNER JOIN sys.objects o ON o.object_id = i.object_id AND o.type = 'U'`,
  'SELECT Name, Value FROM sync.Settings',
  'SELECT COUNT(*) AS n FROM dbo.SyncQueue_original',
  QUEUE,
]
async function facts(database: NewDatabase): Promise<string[][]> {
  const found: string[][] = []
  for (const query of SCHEMA_FACTS) found.push((await database.batch(query)).map((row) => JSON.stringify(row)).sort())
  return found
}

/** Runs all files, on a connection of their own, as `migrate` does: an error leaves it as no other may find it. */
async function migrate(database: NewDatabase): Promise<void> {
  for (const file of filesFor(database.babelfish)) if (file !== SCHEMA) await database.file(file)
}

if (SERVER === undefined) {
  t.test('the simulator takes the files twice', async (t) => {
    const simulator = await startSimulator({ migrated: false })
    t.teardown(() => simulator.stop())
    const connection = openScriptConnection(simulator.url)
    t.teardown(() => connection.close())
    for (let i = 0; i < 2; i++)
      for (const file of filesFor(true)) {
        if (file === SCHEMA) continue
        await runBatches(connection, await readFile(new URL(`../../../../${file}`, import.meta.url), 'utf8'))
      }
    const clinic = await open(simulator.url)
    t.teardown(() => clinic.close())
    await t.resolves(clinic.check())
  })
} else await prove(SERVER)

async function prove(server: string): Promise<void> {
  const database = await createDatabase(server)
  t.teardown(() => database.stop())
  await database.file(SCHEMA)
  const insert = "INSERT INTO dbo.tblpatients (PatientName) VALUES (N'Ali'); SELECT CAST(SCOPE_IDENTITY() AS int) AS id"
  const patient = Number((await database.batch(insert))[0]?.id)
  /** On a connection of its own: an error leaves one that runs nothing more. */
  const refused = async (name = '01_sync_schema') => {
    const connection = openScriptConnection(database.url)
    try {
      const sql = await readFile(new URL(`../../../../migrations/sqlserver/${name}.sql`, import.meta.url), 'utf8')
      await runBatches(
        connection,
        sql.replace(/ CACHE \d+/, ' CACHE 1').replace('LOCK_TIMEOUT 5000', 'LOCK_TIMEOUT 300'),
      )
      return 'nothing was refused'
    } catch (error) {
      return (error as Error).message
    } finally {
      await connection.close()
    }
  }

  t.test("another's SyncQueue is left alone, and named", async (t) => {
    await database.batch('CREATE TABLE dbo.SyncQueue (QueueID int NOT NULL PRIMARY KEY, Other int NULL)')
    await database.batch('INSERT INTO dbo.SyncQueue (QueueID, Other) VALUES (1, 2)')
    t.match(await refused(), /not the original system's: it lacks Attempts/)
    t.same(await database.batch('SELECT QueueID, Other FROM dbo.SyncQueue'), [{ QueueID: 1, Other: 2 }])
    await database.batch('DROP TABLE dbo.SyncQueue')
    await database.batch(ORIGINAL)
    await database.batch('CREATE TABLE dbo.SyncQueue_original (QueueID int NULL)')
    t.match(await refused(), /SyncQueue_original exists already/)
    await database.batch('DROP TABLE dbo.SyncQueue_original')
  })

  t.test("the original's rows are kept, each with its status", async (t) => {
    await database.batch(ROWS(patient))
    await migrate(database)
    const kept = await database.batch(QUEUE)
    t.match(kept, [
      {
        QueueID: '1',
        TableName: 'patients',
        Operation: 'INSERT',
        Status: 'Synced',
        Attempts: 1,
        LastAttempt: '2026-01-02 03:04:06',
      },
      {
        QueueID: '2',
        RecordID: patient,
        Status: 'Pending',
        CreatedAt: '2026-01-03 03:04:05',
        Attempts: 0,
        LastAttempt: null,
      },
      { QueueID: '3', TableName: 'aligner_notes', Status: 'Failed', Attempts: 5, Told: 1000 },
      { QueueID: '4', Status: 'Pending', Attempts: 2, Told: 7 },
      {
        QueueID: '6',
        TableName: 'aligner_sets',
        Operation: 'UPDATE',
        Status: 'Pending',
        Attempts: 0,
        CreatedAt: /^\d{4}/,
      },
      { QueueID: '9', TableName: 'no_such_table', Status: 'Pending' },
    ])
    t.equal(kept.length, 6)
    const [original] = await database.batch(
      'SELECT COUNT(*) AS n, SUM(CASE WHEN JsonData IS NULL THEN 0 ELSE 1 END) AS j FROM dbo.SyncQueue_original',
    )
    t.same({ ...original }, { n: 8, j: 1 })
    const identities =
      "SELECT COUNT(*) AS n FROM sys.columns WHERE object_id = OBJECT_ID(N'dbo.SyncQueue') AND is_identity = 1"
    t.equal((await database.batch(identities))[0]?.n, 0)
  })

  t.test('run again, nothing changes', async (t) => {
    const before = await facts(database)
    await migrate(database)
    const after = await facts(database)
    for (const [i, fact] of before.entries()) t.strictSame(after[i], fact, String(SCHEMA_FACTS[i]).slice(0, 60))
    t.ok(before.every((found) => found.length > 0))
  })

  t.test('new rows go on after them, and know their session; what was pending is taken', async (t) => {
    // A column that is added with a default leaves the rows that are there without it; Babelfish gives it to them.
    if (!database.babelfish)
      t.same(await database.batch('SELECT DISTINCT SessionID FROM dbo.SyncQueue'), [{ SessionID: null }])
    await database.batch(`UPDATE dbo.tblpatients SET Phone = N'1' WHERE PersonID = ${patient}`)
    const [row] = await database.batch(
      'SELECT QueueID, CASE WHEN SessionID = @@SPID THEN 1 ELSE 0 END AS own FROM dbo.SyncQueue WHERE QueueID > 9',
    )
    t.same({ ...row }, { QueueID: '10', own: 1 })
    const clinic = await open(database.url)
    t.teardown(() => clinic.close())
    const facts = await clinic.inspect()
    t.equal(facts.get('OriginalQueue'), 'present')
    await t.rejects(clinic.takeChanges(100), { code: 'SYNC_NOT_TAKEN_OVER', number: '51231' })
    await database.batch("INSERT INTO sync.Settings (Name, Value) VALUES (N'TakenOver', N'1')")
    // The patient has no aligner set, work 8 and set 10 are missing: only a set's delete is for the portal.
    const { changes, rows } = await clinic.takeChanges(100)
    t.match(changes, [{ table: 'aligner_sets', key: 10, row: null }])
    t.equal(rows, 5)
    t.same(await database.batch('SELECT LastError FROM dbo.SyncQueue WHERE QueueID = 9'), [
      { LastError: 'SYNC_UNKNOWN_TABLE: no table of this name is synced' },
    ])
  })

  t.test("somebody's open transaction stops a migration, not the clinic: the trigger before it stays", async (t) => {
    const triggers = () => database.batch('SELECT name, is_disabled FROM sys.triggers ORDER BY name')
    const before = await triggers()
    const busy = openScriptConnection(database.url)
    t.teardown(() => busy.close())
    await busy.batch(`BEGIN TRANSACTION; UPDATE dbo.tblpatients SET Phone = N'2' WHERE PersonID = ${patient}`)
    t.match(await refused('02_sync_capture'), /error (1222|33557097)/)
    // Meanwhile nobody waits, and everything is captured.
    await database.batch("INSERT INTO dbo.tblpatients (PatientName) VALUES (N'meanwhile')")
    t.same(await triggers(), before)
    await busy.batch('COMMIT TRANSACTION')
    t.equal(await refused('02_sync_capture'), 'nothing was refused')
    t.same(await triggers(), before)
    const captured = "SELECT COUNT(*) AS n FROM dbo.SyncQueue WHERE TableName = N'patients' AND QueueID > 10"
    t.equal((await database.batch(captured))[0]?.n, 2)
  })
}
