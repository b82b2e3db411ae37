import sql from 'mssql'
import t from 'tap'
import { openTarget, rows, treatment, value } from './target.ts'

const target = await openTarget(t)
const { pool } = target
t.beforeEach(() => target.reset())

const plain = (found: readonly Record<string, unknown>[]) => found.map((row) => ({ ...row }))

t.test('the statement of the original test', async (t) => {
  const { patient } = await treatment(pool)
  const done = await pool
    .request()
    .batch("UPDATE tblPatients SET Phone = '555-TEST' WHERE PersonID = (SELECT TOP 1 PersonID FROM tblPatients)")
  t.strictSame(done.rowsAffected.at(-1), 1)
  t.equal(await value(pool, `SELECT Phone FROM tblpatients WHERE PersonID = ${patient}`), '555-TEST')
})

t.test('names in any case, with schema, brackets and quotes', async (t) => {
  await treatment(pool)
  for (const name of ['tblpatients', 'TBLPATIENTS', 'dbo.tblPatients', '[dbo].[tblpatients]', '"dbo"."tblpatients"'])
    t.equal(await value(pool, `SELECT COUNT(*) AS n FROM ${name}`), 1, name)
})

t.test('comments and semicolons', async (t) => {
  t.strictSame(plain(await rows(pool, "/* a /* b */ c */ SELECT 'it''s -- not' AS a -- end\n; SELECT 2 AS b")), [
    { a: "it's -- not" },
  ])
})

t.test('conditions', async (t) => {
  await pool.request().batch(`INSERT INTO dbo.tblpatients (PatientName, Phone, Gender) VALUES
    (N'Ali', N'1', 1), (N'Sara', NULL, 2), (N'Zaid', N'100%', 1), (N'علي', N'3', NULL)`)
  const names = async (where: string) =>
    (await rows(pool, `SELECT PatientName FROM dbo.tblpatients WHERE ${where} ORDER BY PersonID`)).map(
      (r) => r.PatientName,
    )
  t.same(await names("PatientName = N'ALI  '"), ['Ali'])
  t.same(await names('Phone IS NULL'), ['Sara'])
  t.same(await names('Phone IS NOT NULL AND NOT Gender = 1'), [])
  t.same(await names("Gender <> 2 OR PatientName LIKE N'S%'"), ['Ali', 'Sara', 'Zaid'])
  t.same(await names('Gender IN (2, 3)'), ['Sara'])
  t.same(await names('Gender NOT IN (1, NULL)'), [])
  t.same(await names("PatientName BETWEEN N'B' AND N'Z'"), ['Sara'])
  t.same(await names("Phone LIKE N'%[%]%'"), ['Zaid'])
  t.same(await names("PatientName LIKE N'_li'"), ['Ali'])
  t.same(await names("(Gender = 1 AND (Phone = N'1')) OR (PatientName = N'علي')"), ['Ali', 'علي'])
  t.same(await names('(Gender + 1) * 2 = 4'), ['Ali', 'Zaid'])
  t.same(
    await names('EXISTS (SELECT 1 FROM dbo.tblpatients p WHERE p.Gender = 2 AND p.PersonID > tblpatients.PersonID)'),
    ['Ali'],
  )
  t.same(await names('PersonID = (SELECT MAX(PersonID) FROM dbo.tblpatients)'), ['علي'])
  t.same(await names('PersonID IN (SELECT PersonID FROM dbo.tblpatients WHERE Gender = 2)'), ['Sara'])
})

t.test('groups and aggregates', async (t) => {
  const { set } = await treatment(pool)
  await pool
    .request()
    .batch(`INSERT INTO dbo.tblInvoice (AlignerSetID, Amountpaid) VALUES (${set}, 10), (${set}, 25), (NULL, 5)`)
  t.strictSame(
    plain(
      await rows(
        pool,
        'SELECT AlignerSetID, COUNT(*) AS n, SUM(Amountpaid) AS total, MIN(Amountpaid) AS low, MAX(Amountpaid) AS high, AVG(Amountpaid) AS mean FROM dbo.tblInvoice GROUP BY AlignerSetID ORDER BY total DESC',
      ),
    ),
    [
      { AlignerSetID: set, n: 2, total: 35, low: 10, high: 25, mean: 17 },
      { AlignerSetID: null, n: 1, total: 5, low: 5, high: 5, mean: 5 },
    ],
  )
  t.strictSame(plain(await rows(pool, 'SELECT COUNT(*) AS n, SUM(Amountpaid) AS s FROM dbo.tblInvoice WHERE 1 = 0')), [
    { n: 0, s: null },
  ])
  t.strictSame(
    plain(await rows(pool, 'SELECT AlignerSetID FROM dbo.tblInvoice GROUP BY AlignerSetID HAVING COUNT(*) > 1')),
    [{ AlignerSetID: set }],
  )
  t.equal(await value(pool, 'SELECT COUNT(DISTINCT AlignerSetID) AS n FROM dbo.tblInvoice'), 1)
})

t.test('the outbox by status', async (t) => {
  await treatment(pool)
  t.strictSame(plain(await rows(pool, 'SELECT Status, COUNT(*) AS n FROM SyncQueue GROUP BY Status')), [
    { Status: 'Pending', n: 8 },
  ])
})

t.test('joins', async (t) => {
  const { patient, work, set } = await treatment(pool)
  await pool.request().batch("INSERT INTO dbo.tblpatients (PatientName) VALUES (N'no work')")
  t.strictSame(
    plain(
      await rows(
        pool,
        'SELECT p.PatientName, w.workid, s.AlignerSetID FROM dbo.tblpatients AS p LEFT JOIN dbo.tblwork w ON w.PersonID = p.PersonID LEFT OUTER JOIN dbo.tblAlignerSets s ON s.WorkID = w.workid ORDER BY p.PersonID',
      ),
    ),
    [
      { PatientName: 'Ali Hassan', workid: work, AlignerSetID: set },
      { PatientName: 'no work', workid: null, AlignerSetID: null },
    ],
  )
  t.equal(
    await value(pool, 'SELECT w.PersonID FROM dbo.tblAlignerSets s INNER JOIN dbo.tblwork w ON w.workid = s.WorkID'),
    patient,
  )
})

t.test('top, distinct, order and pages', async (t) => {
  await pool
    .request()
    .batch("INSERT INTO dbo.tblpatients (PatientName, Gender) VALUES (N'c', 1), (N'a', 2), (N'b', 1), (N'd', NULL)")
  const names = async (text: string) => (await rows(pool, text)).map((r) => Object.values(r)[0])
  t.same(await names('SELECT TOP 2 PatientName FROM dbo.tblpatients ORDER BY PatientName'), ['a', 'b'])
  t.same(await names('SELECT TOP (1) PatientName FROM dbo.tblpatients ORDER BY PatientName DESC'), ['d'])
  t.same(await names('SELECT DISTINCT Gender FROM dbo.tblpatients ORDER BY Gender DESC'), [2, 1, null])
  t.same(await names('SELECT PatientName AS n FROM dbo.tblpatients ORDER BY n OFFSET 1 ROWS FETCH NEXT 2 ROWS ONLY'), [
    'b',
    'c',
  ])
  t.same(await names('SELECT PatientName FROM dbo.tblpatients ORDER BY Gender, 1'), ['d', 'b', 'c', 'a'])
})

t.test('functions', async (t) => {
  const one = async (expression: string) => value(pool, `SELECT ${expression} AS x`)
  t.equal(await one("LEN(N'ab  ')"), 2)
  t.equal(await one('ISNULL(NULL, 5)'), 5)
  t.equal(await one('COALESCE(NULL, NULL, 7)'), 7)
  t.equal(await one("UPPER(N'aB') + LOWER(N'Cd')"), 'ABcd')
  t.equal(await one("LTRIM(N'  a ') + N'|'"), 'a |')
  t.equal(await one("RTRIM(N' a  ') + N'|'"), ' a|')
  t.equal(await one("SUBSTRING(N'abcdef', 2, 3)"), 'bcd')
  t.equal(await one("LEFT(N'abc', 2) + RIGHT(N'abc', 1)"), 'abc')
  t.equal(await one("REPLICATE(N'ab', 3)"), 'ababab')
  t.equal(await one("REPLACE(N'aXbX', N'X', N'-')"), 'a-b-')
  t.equal(await one("CHARINDEX(N'c', N'abc')"), 3)
  t.equal(await one('NULLIF(1, 1)'), null)
  t.equal(await one("CASE WHEN 1 = 2 THEN N'a' WHEN NULL = NULL THEN N'b' ELSE N'c' END"), 'c')
  t.equal(await one("CASE 2 WHEN 1 THEN N'a' WHEN 2 THEN N'b' END"), 'b')
  t.equal(await one("IIF(1 < 2, N'y', N'n')"), 'y')
  t.equal(await one('7 / 2'), 3)
  t.equal(await one('-7 % 3'), -1)
  t.equal(await one('ABS(-5)'), 5)
  t.equal(await one("CONVERT(varchar(10), CAST('2026-01-31' AS date), 23)"), '2026-01-31')
  t.equal(
    await one("CONVERT(varchar(30), CAST('2026-01-31T08:15:30.003' AS datetime), 121)"),
    '2026-01-31 08:15:30.003',
  )
  t.equal(await one("DATEDIFF(day, '2026-01-31', '2026-03-01')"), 29)
  t.equal(await one("CONVERT(varchar(10), DATEADD(month, 1, CAST('2026-01-31' AS date)), 23)"), '2026-02-28')
  t.equal(await one("OBJECT_ID(N'dbo.nothing')"), null)
  t.type(await one("OBJECT_ID(N'dbo.tblpatients', N'U')"), 'number')
  t.equal(await one('DB_NAME()'), new URL(target.url).pathname.slice(1))
})

t.test('variables', async (t) => {
  t.strictSame(
    plain(
      await rows(
        pool,
        "DECLARE @a int = 2, @b nvarchar(10); SET @b = N'x'; SELECT @a = @a + 1; SELECT @a AS a, @b AS b",
      ),
    ),
    [{ a: 3, b: 'x' }],
  )
})

t.test('if', async (t) => {
  t.equal(
    await value(pool, "IF EXISTS (SELECT 1 FROM dbo.tblpatients) SELECT N'some' AS x ELSE SELECT N'none' AS x"),
    'none',
  )
  t.equal(await value(pool, 'IF 1 = 1 BEGIN DECLARE @x int = 1; SELECT @x AS x END'), 1)
})

t.test('row counts', async (t) => {
  await treatment(pool)
  t.equal(await value(pool, "UPDATE dbo.tblpatients SET Notes = N'n'; SELECT @@ROWCOUNT AS n"), 1)
  t.strictSame((await pool.request().batch("SET NOCOUNT ON; UPDATE dbo.tblpatients SET Notes = N'm'")).rowsAffected, [])
  await pool.request().batch('SET NOCOUNT OFF')
})

t.test('typed parameters', async (t) => {
  const { patient } = await treatment(pool)
  const found = await pool
    .request()
    .input('id', sql.Int, patient)
    .input('name', sql.NVarChar(50), 'ali hassan')
    .query('SELECT PersonID FROM dbo.tblpatients WHERE PersonID = @id AND PatientName = @name')
  t.equal(found.recordset[0].PersonID, patient)
})
