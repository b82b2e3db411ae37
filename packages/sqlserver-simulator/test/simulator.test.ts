import { createHash } from 'node:crypto'
import { readdir, readFile } from 'node:fs/promises'
import net from 'node:net'
import { openScriptConnection, runBatches } from '@clinic-sync/clinic'
import sql from 'mssql'
import { numbered } from './contract/target.ts'
import t, { type Test } from 'tap'
import { startSimulator } from '../src/index.ts'

const MIGRATIONS = new URL('../../../migrations/sqlserver/', import.meta.url)

async function open(t: Test, options: Parameters<typeof startSimulator>[0] = {}, max = 2) {
  const simulator = await startSimulator(options)
  t.teardown(() => simulator.stop())
  const { port, password, pathname } = new URL(simulator.url)
  const config = { server: '127.0.0.1', port: Number(port), user: 'sa', password, database: pathname.slice(1) }
  const extras = { validateConnection: 'socket', pool: { max }, options: { encrypt: false }, requestTimeout: 10_000 }
  const pool = await new sql.ConnectionPool({ ...config, ...extras } as unknown as sql.config).connect()
  pool.on('error', () => {})
  t.teardown(() => pool.close())
  return { simulator, pool }
}

t.test('a wrong password is 18456', async (t) => {
  const { simulator } = await open(t, { password: 'right' })
  const config = {
    server: '127.0.0.1',
    port: simulator.port,
    user: 'sa',
    password: 'wrong',
    options: { encrypt: false },
  }
  let number = 0
  const beforeConnect = (connection: { on(event: string, listener: (message: { number: number }) => void): void }) =>
    connection.on('errorMessage', (message) => {
      number = message.number
    })
  await t.rejects(new sql.ConnectionPool({ ...config, beforeConnect } as unknown as sql.config).connect())
  t.equal(number, 18_456)
})

t.test('queries are counted, logins and their SETs are not; texts carry no values', async (t) => {
  const { simulator, pool } = await open(t)
  t.equal(simulator.queries(), 0)
  await pool.request().query("SELECT COUNT(*) AS n FROM dbo.tblpatients WHERE PatientName = N'secret'")
  await pool.request().input('Max', sql.Int, 5).execute('sync.TakeChanges')
  t.equal(simulator.queries(), 2)
  t.same(
    simulator.statements().map((s) => s.text),
    ['SELECT COUNT(*) AS n FROM dbo.tblpatients WHERE PatientName = ?', 'sync.TakeChanges'],
  )
})

t.test('the doorbell rings at commit, not before, and never for what was rolled back', async (t) => {
  const { pool } = await open(t, {}, 4)
  const wait = (ms: number) => pool.request().input('TimeoutMs', sql.Int, ms).execute('sync.WaitForChanges')
  t.equal((await wait(1)).recordset[0].Rang, false)
  const transaction = pool.transaction()
  await transaction.begin()
  await transaction.request().query("INSERT INTO dbo.tblpatients (PatientName) VALUES (N'a')")
  t.equal((await wait(1)).recordset[0].Rang, false)
  const waiting = wait(0)
  await transaction.commit()
  t.equal((await waiting).recordset[0].Rang, true)
  t.equal((await wait(1)).recordset[0].Rang, false, 'once for a transaction')
  await pool.request().query("BEGIN TRAN; UPDATE dbo.tblpatients SET Phone = N'1'; ROLLBACK")
  t.equal((await wait(1)).recordset[0].Rang, false)
  await pool.request().query("UPDATE dbo.tblpatients SET Phone = N'1'")
  t.equal((await wait(1)).recordset[0].Rang, true, 'kept until somebody waits')
})

t.test('attention ends a wait, and the connection serves on', async (t) => {
  const { pool } = await open(t, {}, 1)
  for (const start of [
    () => pool.request().input('TimeoutMs', sql.Int, 0),
    () => pool.request().input('TimeoutMs', sql.Int, 600_000),
  ]) {
    const request = start()
    const waiting = request.execute('sync.WaitForChanges')
    // The request is under way once the next event-loop turns have sent it.
    setTimeout(() => request.cancel(), 20)
    await t.rejects(waiting, { code: 'ECANCEL' })
    t.equal((await pool.request().query('SELECT 1 AS x')).recordset[0].x, 1)
  }
})

t.test('attention ends a wait for a lock; the statement is undone', async (t) => {
  const { pool } = await open(t, {}, 2)
  await pool.request().query("INSERT INTO dbo.tblpatients (PatientName) VALUES (N'a'), (N'b')")
  const holder = pool.transaction()
  await holder.begin()
  await holder.request().query("UPDATE dbo.tblpatients SET Phone = N'held' WHERE PatientName = N'b'")
  const request = pool.request()
  const waiting = request.query("UPDATE dbo.tblpatients SET Phone = N'late'")
  setTimeout(() => request.cancel(), 20)
  await t.rejects(waiting, { code: 'ECANCEL' })
  await holder.commit()
  const phones = await pool.request().query('SELECT Phone FROM dbo.tblpatients ORDER BY PersonID')
  t.same(
    phones.recordset.map((r: { Phone: string | null }) => r.Phone),
    [null, 'held'],
  )
})

t.test('a reader waits for a writer, unless it looks past or skips', async (t) => {
  const { pool } = await open(t, {}, 3)
  await pool.request().query("INSERT INTO dbo.tblpatients (PatientName) VALUES (N'a'), (N'b')")
  const writer = pool.transaction()
  await writer.begin()
  await writer.request().query("UPDATE dbo.tblpatients SET PatientName = N'c' WHERE PatientName = N'a'")
  const names = async (hint: string) =>
    (await pool.request().query(`SELECT PatientName FROM dbo.tblpatients ${hint}`)).recordset.map(
      (r: { PatientName: string }) => r.PatientName,
    )
  t.same(await names('WITH (NOLOCK)'), ['c', 'b'])
  t.same(await names('WITH (READPAST)'), ['b'])
  await t.rejects(pool.request().query('SET LOCK_TIMEOUT 1; SELECT * FROM dbo.tblpatients; '), numbered(1222))
  const waiting = names('')
  await writer.rollback()
  t.same(await waiting, ['a', 'b'])
})

t.test('connections that are cut leave nothing open', async (t) => {
  const { simulator, pool } = await open(t)
  const transaction = pool.transaction()
  transaction.on('rollback', () => {})
  await transaction.begin()
  await transaction.request().query("INSERT INTO dbo.tblpatients (PatientName) VALUES (N'a')")
  simulator.dropConnections()
  const deadline = Date.now() + 5000
  let found: number | undefined
  while (found === undefined && Date.now() < deadline) {
    found = await pool
      .request()
      .query('SELECT COUNT(*) AS n FROM dbo.tblpatients')
      .then((r) => r.recordset[0].n as number)
      .catch(() => undefined)
  }
  t.equal(found, 0)
  await transaction.rollback().catch(() => {})
})

t.test('paused, requests wait', async (t) => {
  const { simulator, pool } = await open(t)
  simulator.pause()
  let answered = false
  const waiting = pool
    .request()
    .query('SELECT 1 AS x')
    .then(() => {
      answered = true
    })
  await new Promise((resolve) => setTimeout(resolve, 30))
  t.notOk(answered)
  simulator.resume()
  await waiting
  t.ok(answered)
})

t.test('what is no TDS is cut off', async (t) => {
  const { simulator } = await open(t)
  const socket = net.connect(simulator.port, '127.0.0.1')
  socket.write(Buffer.from([1, 1, 0, 3, 0, 0, 0, 0, 0, 0]))
  await new Promise((resolve) => socket.once('close', resolve).once('error', () => {}))
  t.pass('closed')
})

t.test('prepared statements', async (t) => {
  const { pool } = await open(t)
  const statement = new sql.PreparedStatement(pool)
  statement.input('name', sql.NVarChar(50))
  await statement.prepare('INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (@name)')
  for (const name of ['one', 'two']) await statement.execute({ name })
  await statement.unprepare()
  t.equal((await pool.request().query('SELECT COUNT(*) AS n FROM dbo.AlignerDoctors')).recordset[0].n, 2)
})

t.test('output parameters of a batch', async (t) => {
  const { pool } = await open(t)
  const result = await pool
    .request()
    .input('a', sql.Int, 5)
    .output('b', sql.NVarChar(10))
    .query("SET @b = CAST(@a * 2 AS nvarchar(10)) + N'!'")
  t.equal(result.output.b, '10!')
})

t.test(
  'migrated, sync.Migrations lists the files that a Windows SQL Server 2022 can have, with their checksums',
  async (t) => {
    const { pool } = await open(t)
    const listed = (await pool.request().query('SELECT Name, Checksum FROM sync.Migrations ORDER BY Name')).recordset
    const names = (await readdir(MIGRATIONS)).filter((name) => /^(?!08).*\.sql$/.test(name)).toSorted()
    const expected = await Promise.all(
      names.map(async (Name) => {
        const text = (await readFile(new URL(Name, MIGRATIONS), 'utf8')).replaceAll('\r\n', '\n')
        return { Name, Checksum: createHash('sha256').update(text).digest('hex') }
      }),
    )
    t.same(
      listed.map((row: object) => ({ ...row })),
      expected,
    )
  },
)

t.test('not migrated, the sync is not there until its migrations have been sent', async (t) => {
  const { simulator, pool } = await open(t, { migrated: false })
  await t.rejects(pool.request().execute('sync.Inspect'), numbered(2812))
  await t.rejects(pool.request().query('SELECT * FROM sync.Migrations'), numbered(208))
  await t.rejects(pool.request().query('SELECT * FROM dbo.SyncQueue'), numbered(208))
  await pool.request().query("INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'before')")

  const connection = openScriptConnection(simulator.url)
  t.teardown(() => connection.close())
  const names = (await readdir(MIGRATIONS)).filter((name) => name.endsWith('.sql')).toSorted()
  for (const name of names) await runBatches(connection, await readFile(new URL(name, MIGRATIONS), 'utf8'))
  t.strictSame(
    (await connection.batch('EXEC sync.RingDoorbell')).map((row) => ({ ...row })),
    [{ Doorbell: 'none', Rang: false, Answer: 'no doorbell is switched on' }],
  )
  await connection.batch("EXEC sync.UseDoorbell N'service-broker'")

  t.equal((await pool.request().query('SELECT COUNT(*) AS n FROM dbo.SyncQueue')).recordset[0].n, 0)
  await pool.request().query("INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'after')")
  t.equal((await pool.request().query('SELECT COUNT(*) AS n FROM dbo.SyncQueue')).recordset[0].n, 1)
  const found = (await pool.request().execute('sync.Inspect')).recordset as unknown as { Name: string; Value: string }[]
  const on = found.filter(({ Name, Value }) => Name.startsWith('trigger:trg_sync_') && Value === 'enabled')
  t.equal(on.length, 7)
  await t.rejects(pool.request().batch('CREATE TABLE dbo.other (a int)'), { message: /does not support CREATE TABLE/ })
})

t.test('a long outbox is drained quickly, page by page', async (t) => {
  const { pool } = await open(t)
  const total = 10_000
  const names = Array.from({ length: 1000 }, (_, i) => `(N'name ${i}')`).join(', ')
  for (let i = 0; i < total / 1000; i++)
    await pool.request().batch(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES ${names}`)
  let taken = 0
  const start = Date.now()
  for (;;) {
    const page = await pool.request().input('Max', sql.Int, 500).execute('sync.TakeChanges')
    const rows = page.recordset as unknown as { TableName: string; RecordID: number; Version: string }[]
    if (rows.length === 0) break
    taken += rows.length
    const outcomes = rows.map((r) => ({ table: r.TableName, key: r.RecordID, version: r.Version, outcome: 'queued' }))
    await pool
      .request()
      .input('Outcomes', sql.NVarChar(sql.MAX), JSON.stringify(outcomes))
      .execute('sync.SettleChanges')
  }
  t.equal(taken, total)
  t.ok(Date.now() - start < 20_000)
})
