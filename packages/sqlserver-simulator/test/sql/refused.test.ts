// What the simulator does not support is refused, by name, before anything of the batch has run.
import t from 'tap'
import { numbered, openTarget, rows, value } from '../contract/target.ts'
import { UNSUPPORTED } from '../../src/values/errors.ts'

delete process.env.SQLSERVER_URL
const { pool } = await openTarget(t)

const REFUSED = [
  'CREATE TABLE dbo.x (a int)',
  'CREATE PROCEDURE p AS SELECT 1',
  'DROP TABLE dbo.tblpatients',
  'ALTER TABLE dbo.tblpatients ADD x int',
  'TRUNCATE TABLE dbo.tblpatients',
  'MERGE dbo.tblpatients AS t USING dbo.tblwork AS s ON 1 = 1 WHEN MATCHED THEN DELETE;',
  'WITH c AS (SELECT 1 AS a) SELECT * FROM c',
  'SELECT * FROM (SELECT 1 AS a) d',
  'SELECT 1 AS a UNION ALL SELECT 2',
  'SELECT * INTO #x FROM dbo.tblpatients',
  'SELECT * FROM dbo.tblpatients FOR JSON PATH',
  'SELECT ROW_NUMBER() OVER (ORDER BY PersonID) FROM dbo.tblpatients',
  'SELECT * FROM dbo.tblpatients p CROSS APPLY dbo.f(1) x',
  'SELECT * FROM dbo.tblpatients p RIGHT JOIN dbo.tblwork w ON w.PersonID = p.PersonID',
  'SELECT * FROM dbo.tblpatients, dbo.tblwork',
  "UPDATE p SET Phone = N'1' FROM dbo.tblpatients p",
  'DECLARE @t TABLE (a int)',
  'DECLARE c CURSOR FOR SELECT 1',
  'WHILE 1 = 1 SELECT 1',
  'BEGIN TRY SELECT 1 END TRY BEGIN CATCH SELECT 2 END CATCH',
  "WAITFOR DELAY '00:00:01'",
  "EXEC (N'SELECT 1')",
  "RAISERROR (N'x', 16, 1)",
  'SET ANSI_NULLS OFF',
  'SET STATISTICS IO ON',
  'SET TRANSACTION ISOLATION LEVEL SNAPSHOT',
  "SELECT CAST(N'x' AS uniqueidentifier)",
  "SELECT CAST('10:00' AS time)",
  "SELECT STRING_AGG(PatientName, N',') FROM dbo.tblpatients",
  "SELECT CAST('31/12/2026' AS date)",
  'SELECT 6 & 3',
  'SELECT GETDATE() + 1',
  "SELECT N'a' COLLATE Latin1_General_BIN",
  'UPDATE dbo.vw_AlignerSetPayments SET TotalPaid = 1',
  'UPDATE dbo.tblpatients SET PersonID = 5 WHERE PersonID = -1 OPTION (RECOMPILE)',
  'GRANT SELECT ON dbo.tblpatients TO public',
  "EXEC sp_rename N'a', N'b'",
]

for (const text of REFUSED) {
  t.test(text.slice(0, 70), async (t) => {
    const running = pool
      .request()
      .batch(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'x') ${text.startsWith('WITH') ? ';' : ''} ${text}`)
    await t.rejects(
      running,
      text.startsWith('EXEC sp_')
        ? numbered(2812)
        : numbered(UNSUPPORTED, { message: /^the simulator does not support / }),
    )
    await pool.request().batch('DELETE FROM dbo.AlignerDoctors')
  })
}

t.test('a refusal by the parser leaves the whole batch undone', async (t) => {
  await t.rejects(
    pool.request().batch("INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'y'); CREATE TABLE x (a int)"),
  )
  t.equal(await value(pool, 'SELECT COUNT(*) AS n FROM dbo.AlignerDoctors'), 0)
})

t.test('OUTPUT without INTO on a table with triggers is what SQL Server refuses too', async (t) => {
  await t.rejects(
    rows(pool, "INSERT INTO dbo.tblpatients (PatientName) OUTPUT inserted.PersonID VALUES (N'x')"),
    numbered(334),
  )
  const made = await rows(
    pool,
    "INSERT INTO sync.Settings (Name, Value) OUTPUT inserted.Name, inserted.* VALUES (N'a', N'b')",
  )
  t.strictSame({ ...made[0] }, { Name: ['a', 'a'], Value: 'b' })
  const gone = await rows(pool, "DELETE FROM sync.Settings OUTPUT deleted.Value AS was WHERE Name = N'A '")
  t.strictSame({ ...gone[0] }, { was: 'b' })
})

t.test('numbers of errors of names and variables', async (t) => {
  await t.rejects(rows(pool, 'SELECT @nothing AS x'), numbered(137))
  await t.rejects(rows(pool, 'SELECT Amountpaid, COUNT(*) AS n FROM dbo.tblInvoice'), numbered(8120))
  await t.rejects(rows(pool, 'SELECT PersonID FROM dbo.tblpatients p JOIN dbo.tblwork w ON 1 = 1'), numbered(209))
  await t.rejects(rows(pool, 'SELECT x.PersonID FROM dbo.tblpatients p'), numbered(4104))
  await t.rejects(rows(pool, "INSERT INTO dbo.tblpatients (PatientName, Age) VALUES (N'x', 1)"), numbered(271))
  await t.rejects(rows(pool, 'UPDATE dbo.tblpatients SET PersonID = 1'), numbered(8102))
  await t.rejects(rows(pool, "INSERT INTO dbo.AlignerDoctors VALUES (N'x')"), numbered(213))
  await t.rejects(rows(pool, 'SELECT LEN(1, 2) AS x'), numbered(174))
})
