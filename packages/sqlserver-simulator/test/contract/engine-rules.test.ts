// Constraints, identities and transactions, and the numbers of the errors they end with.
import sql from 'mssql'
import t from 'tap'
import { errorOf, openTarget, request, rows, treatment, value } from './target.ts'

const target = await openTarget(t)
const { pool } = target
t.beforeEach(() => target.reset())

t.test('what is refused, by number, and that it changes nothing', async (t) => {
  const { patient, work, set } = await treatment(pool)
  const cases: Record<string, number> = {
    'INSERT INTO dbo.tblwork (PersonID, TotalRequired, Typeofwork, DrID) VALUES (-1, 1, 19, 1)': 547,
    [`DELETE FROM dbo.tblpatients WHERE PersonID = ${patient}`]: 547,
    [`INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES (${set}, 'Other', N'x')`]: 547,
    [`UPDATE dbo.tblAlignerSets SET WorkID = -1`]: 547,
    [`INSERT INTO dbo.tblAlignerSets (WorkID, AlignerDrID, SetSequence) SELECT ${work}, AlignerDrID, 1 FROM dbo.tblAlignerSets`]: 2627,
    'INSERT INTO dbo.tblpatients (Phone) VALUES (NULL)': 515,
    'UPDATE dbo.tblpatients SET PatientName = NULL': 515,
    'SELECT * FROM dbo.nothing': 208,
    'SELECT nothing FROM dbo.tblpatients': 207,
    'UPDATE dbo.tblpatients SET nothing = 1': 207,
    'EXEC dbo.nothing': 2812,
    "INSERT INTO dbo.tblpatients (PersonID, PatientName) VALUES (99, N'x')": 544,
    'SELECT (SELECT Amountpaid FROM dbo.tblInvoice) AS x FROM dbo.nothing': 208,
    'ROLLBACK TRANSACTION': 3903,
    'COMMIT TRANSACTION': 3902,
  }
  const before = await value(pool, 'SELECT COUNT(*) AS n FROM dbo.SyncQueue')
  for (const [text, number] of Object.entries(cases)) await target.refused(t, pool.request().batch(text), number)
  t.equal(await value(pool, 'SELECT COUNT(*) AS n FROM dbo.SyncQueue'), before)
  t.equal(await value(pool, 'SELECT COUNT(*) AS n FROM dbo.tblpatients'), 1)
})

t.test('a statement is all or nothing', async (t) => {
  const { work } = await treatment(pool)
  const insert = `INSERT INTO dbo.tblAlignerSets (WorkID, AlignerDrID, SetSequence) SELECT ${work}, DrID, 7 FROM dbo.AlignerDoctors`
  await pool.request().batch("INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'second')")
  await target.refused(t, pool.request().batch(insert), 2627)
  t.equal(await value(pool, 'SELECT COUNT(*) AS n FROM dbo.tblAlignerSets'), 1)
})

t.test('deleting a set deletes its batches and notes', async (t) => {
  const { set } = await treatment(pool)
  await pool.request()
    .batch(`INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES (${set}, 'Lab', N'x')
    INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount) VALUES (${set}, 1, 1, 1)
    DELETE FROM dbo.SyncQueue`)
  await pool.request().batch(`DELETE FROM dbo.tblAlignerSets WHERE AlignerSetID = ${set}`)
  t.equal(await value(pool, 'SELECT COUNT(*) AS n FROM dbo.tblAlignerNotes'), 0)
  t.equal(await value(pool, 'SELECT COUNT(*) AS n FROM dbo.tblAlignerBatches'), 0)
  const deleted = await rows(pool, "SELECT TableName FROM dbo.SyncQueue WHERE Operation = N'DELETE'")
  t.same(deleted.map((r) => r.TableName).sort(), ['aligner_batches', 'aligner_notes', 'aligner_sets'])
})

t.test('identities: given by the server, or by hand', async (t) => {
  const first = Number(
    await value(
      pool,
      "INSERT INTO dbo.tblpatients (PatientName) VALUES (N'a'); SELECT CAST(SCOPE_IDENTITY() AS int) AS id",
    ),
  )
  const by = (id: number) =>
    `SET IDENTITY_INSERT dbo.tblpatients ON; INSERT INTO dbo.tblpatients (PersonID, PatientName) VALUES (${id}, N'b'); SET IDENTITY_INSERT dbo.tblpatients OFF`
  await pool.request().batch(by(-7))
  t.equal(
    await value(
      pool,
      "INSERT INTO dbo.tblpatients (PatientName) VALUES (N'c'); SELECT CAST(SCOPE_IDENTITY() AS int) AS id",
    ),
    first + 1,
  )
  await pool.request().batch(by(first + 1000))
  if (!target.real) {
    // SQL Server goes on from there; Babelfish does not.
    t.equal(
      await value(
        pool,
        "INSERT INTO dbo.tblpatients (PatientName) VALUES (N'd'); SELECT CAST(SCOPE_IDENTITY() AS int) AS id",
      ),
      first + 1001,
    )
  }
  await target.refused(t, pool.request().batch(by(first)), 2627)
})

t.test('the capture does not show in @@IDENTITY', async (t) => {
  // Babelfish takes the outbox's sequence for an identity.
  const identity = target.babelfish ? 'SCOPE_IDENTITY()' : '@@IDENTITY'
  t.equal(
    await value(
      pool,
      `INSERT INTO dbo.tblpatients (PatientName) VALUES (N'a'); SELECT CASE WHEN ${identity} = (SELECT MAX(PersonID) FROM dbo.tblpatients) THEN 1 ELSE 0 END AS same`,
    ),
    1,
  )
})

t.test("the driver's transactions", async (t) => {
  await treatment(pool)
  const transaction = pool.transaction()
  await transaction.begin()
  await request(transaction).query("UPDATE dbo.tblpatients SET Phone = N'in'")
  t.equal(await value(transaction, 'SELECT @@TRANCOUNT AS n'), 1)
  await transaction.rollback()
  t.equal(await value(pool, 'SELECT Phone FROM dbo.tblpatients'), '0750')

  const second = pool.transaction()
  await second.begin(sql.ISOLATION_LEVEL.READ_COMMITTED)
  await request(second).query("UPDATE dbo.tblpatients SET Phone = N'in'")
  await second.commit()
  t.equal(await value(pool, 'SELECT Phone FROM dbo.tblpatients'), 'in')
})

t.test('transactions in batches, nested ones and savepoints', async (t) => {
  await treatment(pool)
  const session = await target.session()
  const run = (text: string) => session.request().batch(text)
  await run("BEGIN TRAN; UPDATE dbo.tblpatients SET Phone = N'1'; BEGIN TRAN")
  t.equal(await value(session, 'SELECT @@TRANCOUNT AS n'), 2)
  await run("COMMIT; SAVE TRANSACTION here; UPDATE dbo.tblpatients SET Phone = N'2'; ROLLBACK TRANSACTION here")
  t.equal(await value(session, 'SELECT Phone FROM dbo.tblpatients'), '1')
  await run('COMMIT')
  t.equal(await value(session, 'SELECT @@TRANCOUNT AS n'), 0)
  await run("BEGIN TRAN; BEGIN TRAN; UPDATE dbo.tblpatients SET Phone = N'3'; ROLLBACK")
  t.equal(await value(session, 'SELECT @@TRANCOUNT AS n'), 0)
  t.equal(await value(pool, 'SELECT Phone FROM dbo.tblpatients'), '1')
})

t.test('what a rollback takes with it: the outbox too, not its numbers', async (t) => {
  await treatment(pool)
  await pool.request().batch('DELETE FROM dbo.SyncQueue')
  const session = await target.session()
  await session.request().batch("BEGIN TRAN; UPDATE dbo.tblpatients SET Phone = N'9'")
  t.equal(await value(session, 'SELECT COUNT(*) AS n FROM dbo.SyncQueue'), 1)
  const taken = BigInt(String(await value(session, 'SELECT MAX(QueueID) AS id FROM dbo.SyncQueue')))
  await session.request().batch('ROLLBACK')
  t.equal(await value(pool, 'SELECT COUNT(*) AS n FROM dbo.SyncQueue'), 0)
  await pool.request().batch("UPDATE dbo.tblpatients SET Phone = N'9'")
  t.ok(BigInt(String(await value(pool, 'SELECT MAX(QueueID) AS id FROM dbo.SyncQueue'))) !== taken)
})

t.test('XACT_ABORT ends the transaction, its absence the statement', async (t) => {
  await treatment(pool)
  const session = await target.session()
  const bad = 'INSERT INTO dbo.tblpatients (Phone) VALUES (NULL)'
  await target.refused(
    t,
    session.request().batch(`SET XACT_ABORT OFF; BEGIN TRAN; UPDATE dbo.tblpatients SET Phone = N'k'; ${bad}`),
    515,
  )
  t.equal(await value(session, 'SELECT @@TRANCOUNT AS n'), 1)
  await session.request().batch('ROLLBACK')
  await target.refused(
    t,
    session.request().batch(`SET XACT_ABORT ON; BEGIN TRAN; UPDATE dbo.tblpatients SET Phone = N'k'; ${bad}`),
    515,
  )
  t.equal(await value(session, 'SELECT @@TRANCOUNT AS n'), 0)
})

t.test('a row that another transaction has written is waited for', async (t) => {
  const { patient } = await treatment(pool)
  const [first, second] = [await target.session(), await target.session()]
  await first.request().batch(`BEGIN TRAN; UPDATE dbo.tblpatients SET Phone = N'first' WHERE PersonID = ${patient}`)
  const waiting = second
    .request()
    .batch(`UPDATE dbo.tblpatients SET Phone = Phone + N', second' WHERE PersonID = ${patient}`)
  await first.request().batch('COMMIT')
  await waiting
  t.equal(await value(pool, 'SELECT Phone FROM dbo.tblpatients'), 'first, second')
})

t.test('LOCK_TIMEOUT', async (t) => {
  const { patient } = await treatment(pool)
  const [first, second] = [await target.session(), await target.session()]
  await first.request().batch(`BEGIN TRAN; UPDATE dbo.tblpatients SET Phone = N'first' WHERE PersonID = ${patient}`)
  await second.request().batch('SET LOCK_TIMEOUT 50')
  await target.refused(
    t,
    second.request().batch(`UPDATE dbo.tblpatients SET Phone = N'x' WHERE PersonID = ${patient}`),
    1222,
  )
  await first.request().batch('ROLLBACK')
  t.equal(
    await errorOf(second.request().batch(`UPDATE dbo.tblpatients SET Phone = N'x' WHERE PersonID = ${patient}`)),
    undefined,
  )
})

t.test('of two that wait for each other, one is ended', async (t) => {
  await pool.request().batch("INSERT INTO sync.Settings (Name, Value) VALUES (N'a', N''), (N'b', N'')")
  const [first, second] = [await target.session(), await target.session()]
  const write = (name: string, by: string) => `UPDATE sync.Settings SET Value = N'${by}' WHERE Name = N'${name}'`
  await first.request().batch(`BEGIN TRAN; ${write('a', 'first')}`)
  await second.request().batch(`BEGIN TRAN; ${write('b', 'second')}`)
  const cross = async (session: typeof first, text: string) => {
    const number = await errorOf(session.request().batch(text))
    // SQL Server has rolled it back already; Babelfish leaves that to the client.
    if (number !== undefined) await session.request().batch('IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION')
    return number
  }
  const ends = await Promise.all([cross(first, write('b', 'first')), cross(second, write('a', 'second'))])
  t.same([...ends].sort(), [1205, undefined])
  const winner = ends[0] === undefined ? first : second
  await winner.request().batch('COMMIT')
  const name = winner === first ? 'first' : 'second'
  t.equal(await value(pool, "SELECT COUNT(*) AS n FROM sync.Settings WHERE Value = N'" + name + "'"), 2)
  await pool.request().batch("DELETE FROM sync.Settings WHERE Name IN (N'a', N'b')")
})

t.test('a switched-off trigger captures nothing', async (t) => {
  await treatment(pool)
  await pool.request().batch('DELETE FROM dbo.SyncQueue')
  await pool.request().batch('DISABLE TRIGGER dbo.trg_sync_tblpatients ON dbo.tblpatients')
  await pool.request().batch("UPDATE dbo.tblpatients SET Phone = N'off'")
  await pool.request().batch('ENABLE TRIGGER dbo.trg_sync_tblpatients ON dbo.tblpatients')
  t.equal(await value(pool, 'SELECT COUNT(*) AS n FROM dbo.SyncQueue'), 0)
  await pool.request().batch("UPDATE dbo.tblpatients SET Phone = N'on'")
  t.equal(await value(pool, 'SELECT COUNT(*) AS n FROM dbo.SyncQueue'), 1)
})
