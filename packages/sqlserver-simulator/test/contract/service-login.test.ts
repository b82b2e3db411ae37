// The least-privilege login: what it may do, and that it may do nothing else. Runs against the simulator, and SQLSERVER_URL
// when it is set: there with a login of its own, made by the script that an operator runs.
import { readFile } from 'node:fs/promises'
import { openClinic, openScriptConnection, runBatches } from '@clinic-sync/clinic'
import { SERVICE_PROCEDURES, tables } from '@clinic-sync/mapping'
import { pino } from 'pino'
import t, { type Test } from 'tap'
import { SERVICE_LOGIN } from '../../src/index.ts'
import { openBench } from './bench.ts'

const SCRIPT = new URL('../../../../migrations/sqlserver/by-hand/service_login.sql', import.meta.url)
const isReal = Boolean(process.env.SQLSERVER_URL)
const login = isReal ? `${SERVICE_LOGIN}_${process.pid}` : SERVICE_LOGIN
const password = "It's 1 Secret"

const bench = await openBench(t)
// There, a procedure's statements are checked against its caller: who may only execute it can do nothing with it.
const skip = bench.babelfish && 'Babelfish has no chains of ownership'
const { set, patient } = await bench.treatment()
const url = await makeLogin(t)
const service = openScriptConnection(url)
t.teardown(() => service.close())
await bench.clear()

/** Runs the script twice, as an operator may; gives the login's address. */
async function makeLogin(t: Test): Promise<string> {
  const text = (await readFile(SCRIPT, 'utf8'))
    .replace(`N'${SERVICE_LOGIN}'`, `N'${login}'`)
    .replace("@Password nvarchar(128) = N''", `@Password nvarchar(128) = N'${password.replaceAll("'", "''")}'`)
  const operator = openScriptConnection(bench.url)
  t.teardown(async () => {
    if (isReal) await dropped(() => operator.batch(`DROP USER ${login}; DROP LOGIN ${login}`))
    await operator.close()
  })
  for (let i = 0; i < 2; i++) await runBatches(operator, text)
  const found = new URL(bench.url)
  found.username = login
  found.password = encodeURIComponent(password)
  return found.href
}

/** A server sees a moment later that the login's connections are closed: until then it refuses, for 10 s. */
async function dropped(drop: () => Promise<unknown>): Promise<void> {
  const deadline = Date.now() + 10_000
  for (;;) {
    try {
      await drop()
      return
    } catch (error) {
      if (Date.now() > deadline) throw error
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
  }
}

/** SQL Server's number for what a login may not do. Babelfish has others. */
async function refused(t: Test, text: string, ...numbers: readonly number[]): Promise<void> {
  const found = await service.batch(text).then(
    () => 'no error',
    (error: { number?: number }) => error.number,
  )
  if (bench.babelfish) t.not(found, 'no error', text)
  else t.ok(numbers.includes(Number(found)), `${text}: ${found}`)
}

t.test('it is that login, and its password counts', async (t) => {
  t.equal((await service.batch('SELECT SUSER_SNAME() AS name'))[0]?.name, login)
  const wrong = new URL(url)
  wrong.password = 'wrong'
  const connection = openScriptConnection(wrong.href)
  t.teardown(() => connection.close())
  await t.rejects(connection.batch('SELECT 1 AS x'), { code: 'ELOGIN' })
})

t.test('it cannot read a patient, nor any other table of the clinic’s', async (t) => {
  await refused(t, `SELECT PatientName FROM dbo.tblpatients WHERE PersonID = ${patient}`, 229)
  await refused(t, 'SELECT COUNT(*) AS n FROM dbo.tblpatients', 229)
  await refused(t, 'SELECT 1 AS x WHERE EXISTS (SELECT 1 FROM dbo.tblpatients)', 229)
  await refused(t, 'DECLARE @name nvarchar(200); SELECT @name = PatientName FROM dbo.tblpatients', 229)
  await refused(t, 'INSERT INTO dbo.AlignerDoctors (DoctorName) SELECT PatientName FROM dbo.tblpatients', 229)
  for (const table of ['tblwork', 'tblAlignerSets', 'tblAlignerNotes', 'tblInvoice', 'vw_AlignerSetPayments'])
    await refused(t, `SELECT * FROM dbo.${table}`, 229)
})

t.test('it cannot write to the clinic’s tables', async (t) => {
  await refused(t, "INSERT INTO dbo.tblpatients (PatientName) VALUES (N'x')", 229)
  await refused(t, "UPDATE dbo.tblpatients SET Phone = N'1'", 229)
  await refused(t, 'DELETE FROM dbo.tblAlignerNotes', 229)
  t.equal(await bench.value('SELECT COUNT(*) FROM dbo.tblpatients'), 1)
})

t.test('it cannot touch the outbox and what the sync keeps of itself', async (t) => {
  for (const table of ['dbo.SyncQueue', 'sync.Settings', 'sync.RowState', 'sync.Conflicts', 'sync.Migrations']) {
    await refused(t, `SELECT * FROM ${table}`, 229)
    await refused(t, `DELETE FROM ${table}`, 229)
  }
  await refused(t, "UPDATE sync.Settings SET Value = N'1'", 229)
  await refused(t, "INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation) VALUES (N'patients', 1, N'UPDATE')", 229)
})

t.test('it cannot alter anything', async (t) => {
  await refused(t, 'ALTER TABLE dbo.SyncQueue DISABLE TRIGGER ALL', 1088, 4902)
  await refused(t, 'DISABLE TRIGGER dbo.trg_sync_tblpatients ON dbo.tblpatients', 1088)
  await refused(t, 'ALTER DATABASE CURRENT SET DISABLE_BROKER WITH ROLLBACK IMMEDIATE', 5011)
  // What the simulator has not at all, it refuses in its own words (50501).
  await refused(t, 'CREATE TABLE dbo.mine (a int)', 262, 2760, 50_501)
  await refused(t, 'DROP TABLE dbo.tblpatients', 3701, 50_501)
  await refused(t, 'GRANT SELECT ON dbo.tblpatients TO public', 15_151, 4613, 50_501)
  await refused(t, 'ALTER ROLE db_owner ADD MEMBER clinic_sync', 15_151, 50_501)
})

t.test('it cannot execute what is the operator’s', async (t) => {
  await refused(t, "EXEC sync.UseDoorbell N'none'", 229)
  await refused(t, "EXEC sync.ReadRecords N'patients', 1, 1", 229, 2812)
})

if (bench.babelfish)
  t.test('where chains of ownership are unknown, its right to execute is all that can be seen', async (t) => {
    for (const procedure of SERVICE_PROCEDURES.filter((name) => name !== 'WaitForChanges')) {
      const [may] = await service.batch(`SELECT HAS_PERMS_BY_NAME(N'sync.${procedure}', N'OBJECT', N'EXECUTE') AS may`)
      t.equal(may?.may, 1, procedure)
    }
  })

t.test('it can execute each of the services’ procedures, and what they do is done', { skip }, async (t) => {
  const clinic = await openClinic({ url, timeZone: 'Asia/Baghdad', log: pino({ level: 'silent' }) })
  t.teardown(() => clinic.close())
  const may = await clinic.inspect()
  for (const procedure of SERVICE_PROCEDURES) {
    t.equal(may.get(`right:EXECUTE sync.${procedure}`), '1', procedure)
  }
  t.equal(may.get('right:SELECT dbo.tblpatients'), '0')
  t.equal(may.get('right:sysadmin'), '0')
  t.equal(may.get('right:db_owner'), '0')
  t.equal(may.get('Login'), login)
  // It sees what there is, not what is in it.
  t.equal(may.get('trigger:trg_sync_tblpatients'), 'enabled')

  await clinic.check()
  const note = await bench.note(set)
  const { changes } = await clinic.takeChanges(500)
  t.match(changes, [{ table: 'aligner_notes', key: note, row: { note_text: 'a note' } }])
  await clinic.settleChanges(changes.map(({ table, key, version }) => ({ table, key, version, outcome: 'applied' })))
  t.equal(await bench.value("SELECT COUNT(*) FROM dbo.SyncQueue WHERE Status = 'Synced'"), 1)
  t.equal((await clinic.readRows('patients', null, 10)).length, 1)
  t.match(await service.batch("EXEC sync.BackfillPage N'patients', 10, 1"), [{ Queued: 1 }])
  t.match(await clinic.openRows(), [{ retrying: false }])
  t.strictSame(await clinic.openTransactions(), [])
  await service.batch('EXEC sync.AwaitTransaction 1')
  t.match(await clinic.ringDoorbell(), { rang: true })
  t.equal((await service.batch('EXEC sync.WaitForChanges 1000'))[0]?.Rang, true)
  const edit = { table: 'aligner_notes', key: note, version: '1', since: null, base: null }
  const row = { note_id: note, aligner_set_id: set, note_type: 'Doctor', note_text: 'hers' }
  t.match(await service.batch(`EXEC sync.ApplyPortalChanges N'${JSON.stringify([{ ...edit, row }])}'`), [
    { Ordinal: 1 },
  ])
})

t.test('it is told a record’s story, and what was ruled', { skip }, async (t) => {
  const clinic = await openClinic({ url, timeZone: 'Asia/Baghdad', log: pino({ level: 'silent' }) })
  t.teardown(() => clinic.close())
  for (const { name } of tables) t.match(await clinic.recordHistory(name, 4_711_000, 10), { presence: 'absent' }, name)
  t.match(await clinic.recordHistory('patients', patient, 10), { presence: 'synced' })
  await bench.run(
    "INSERT INTO sync.Conflicts (TableName, RecordID, ColumnName, Ruling, PortalVersion) VALUES (N'aligner_notes', 1, N'note_text', N'clinic-wins', 1)",
  )
  const [ruling] = await clinic.rulings(null, 1)
  t.match(ruling, { ruling: 'clinic-wins' })
  t.match(await clinic.ruledValues(String(ruling?.id)), { values: [{ column: 'note_text' }] })
})

t.test('its writes through the procedures fire the triggers', { skip }, async (t) => {
  await bench.clear()
  await service.batch("EXEC sync.BackfillPage N'aligner_doctors', 10, 1")
  t.equal((await bench.queue()).length, 1)
})
