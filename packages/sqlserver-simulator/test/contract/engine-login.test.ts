import sql from 'mssql'
import t from 'tap'
import { openTarget, rows, value } from './target.ts'

const target = await openTarget(t)
const { pool, url } = target

const connecting = (changes: { user?: string; password?: string; database?: string }) => {
  const { hostname, port, pathname, username, password } = new URL(url)
  const config = {
    server: hostname,
    port: Number(port),
    database: pathname.slice(1),
    user: username,
    password,
    ...changes,
  }
  return new sql.ConnectionPool({ ...config, options: { encrypt: false, trustServerCertificate: true } }).connect()
}

t.test('a wrong password is refused', async (t) => {
  await t.rejects(connecting({ password: 'wrong' }), { code: 'ELOGIN' })
  await t.rejects(connecting({ user: 'nobody' }), { code: 'ELOGIN' })
})

t.test('a database that is not there is refused', async (t) => {
  await t.rejects(connecting({ database: 'no_such_database' }))
})

t.test('several result sets, and the rows that each statement touched', async (t) => {
  const result = await pool.request().batch<Record<string, unknown>>(`
    INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'one'), (N'two')
    SELECT 1 AS a, N'x' AS b
    SELECT 2 AS c WHERE 1 = 0
    UPDATE dbo.AlignerDoctors SET LogoPath = N'p'
    SELECT COUNT(*) AS n FROM dbo.AlignerDoctors`)
  t.strictSame(
    (result.recordsets as unknown as Record<string, unknown>[][]).map((set) => set.map((row) => ({ ...row }))),
    [[{ a: 1, b: 'x' }], [], [{ n: 2 }]],
  )
  t.same(result.rowsAffected.slice(0, 1), [2])
})

t.test('texts of 2 MB go both ways', async (t) => {
  const text = `${'نص طويل 🦷 '.repeat(190_000)}end`
  const echoed = await pool
    .request()
    .input('text', sql.NVarChar(sql.MAX), text)
    .query('SELECT CAST(@text AS nvarchar(max)) AS text')
  t.ok(echoed.recordset[0].text === text)
  await t.resolves(pool.request().batch(`SELECT N'${'x'.repeat(2_000_000)}' AS text`))
})

t.test('many rows', async (t) => {
  const names = Array.from({ length: 900 }, (_, i) => `(N'name ${i}')`).join(', ')
  for (let i = 0; i < 3; i++) await pool.request().batch(`INSERT INTO dbo.tblpatients (PatientName) VALUES ${names}`)
  t.equal((await rows(pool, 'SELECT * FROM dbo.tblpatients')).length, 2700)
})

t.test('an error, and the connection serves on', async (t) => {
  await target.refused(t, rows(pool, 'SELECT 1 / 0 AS x'), 8134)
  t.equal(await value(pool, 'SELECT 1 AS x'), 1)
})
