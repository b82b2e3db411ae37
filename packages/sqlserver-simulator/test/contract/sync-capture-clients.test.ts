// What the clinic's software sees of the capture: nothing, but where the outbox cannot be written. Runs against the simulator, and
// against SQLSERVER_URL when it is set.
import t from 'tap'
import { errorOf, rows, type Target, openTarget, treatment, value } from './target.ts'

const target: Target = await openTarget(t)
const { pool } = target
const queue = async () =>
  (await rows(pool, 'SELECT TableName, RecordID, Operation FROM dbo.SyncQueue ORDER BY QueueID')).map(
    (row) => `${row.TableName}/${row.RecordID} ${row.Operation}`,
  )
const clear = () => pool.request().batch('DELETE FROM dbo.SyncQueue')
const UNSUPPORTED = 50_501

t.beforeEach(() => target.reset())

const CAPTURED = ['AlignerDoctors', 'tblpatients', 'tblwork', 'tblAlignerSets', 'tblAlignerBatches', 'tblAlignerNotes']
const switched = async (to: 'ENABLE' | 'DISABLE') => {
  for (const table of CAPTURED) await pool.request().batch(`${to} TRIGGER dbo.trg_sync_${table} ON dbo.${table}`)
}

t.test('row counts, @@ROWCOUNT, SCOPE_IDENTITY() and result sets are as without the triggers', async (t) => {
  const seen = async () => {
    await target.reset()
    const { set } = await treatment(pool)
    const session = await target.session()
    const given = async (statement: string) => {
      const { rowsAffected, recordsets } = await session.request().batch(statement)
      const sets = recordsets as unknown as readonly (readonly object[])[]
      return { rowsAffected, sets: sets.map((found) => found.map((row) => ({ ...row }))) }
    }
    const found: unknown[] = []
    for (const statement of [
      `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES (${set}, 'Lab', N'a'), (${set}, 'Lab', N'b'), (${set}, 'Lab', N'c')`,
      "UPDATE dbo.tblAlignerNotes SET IsRead = 1 WHERE NoteText <> N'a'",
      'UPDATE dbo.tblAlignerNotes SET IsRead = 1',
      'UPDATE dbo.tblAlignerNotes SET IsRead = IsRead WHERE NoteID = -1',
      `UPDATE dbo.tblAlignerSets SET SetCost = 7, Notes = N'x' WHERE AlignerSetID = ${set}`,
      `INSERT INTO dbo.tblAlignerBatches (AlignerSetID, BatchSequence, UpperAlignerCount, LowerAlignerCount) SELECT ${set}, COUNT(*), 3, 2 FROM dbo.tblAlignerBatches`,
      'UPDATE dbo.tblAlignerBatches SET Days = 9',
      "DELETE FROM dbo.tblAlignerNotes WHERE NoteText = N'b'",
      'DELETE FROM dbo.tblAlignerNotes WHERE NoteID = -1',
    ]) {
      found.push(await given(`${statement}; SELECT @@ROWCOUNT AS n, @@ERROR AS e`))
    }
    found.push(
      await given(
        "INSERT INTO dbo.tblpatients (PatientName) VALUES (N'a'); SELECT CASE WHEN SCOPE_IDENTITY() = (SELECT MAX(PersonID) FROM dbo.tblpatients) THEN 1 ELSE 0 END AS own",
      ),
    )
    return found
  }
  const withTriggers = await seen()
  await switched('DISABLE')
  const without = await seen()
  await switched('ENABLE')
  t.strictSame(withTriggers, without)
  t.match(withTriggers[0], { sets: [[{ n: 3, e: 0 }]] })
})

t.test('a statement that changes no row leaves nothing', async (t) => {
  const { set } = await treatment(pool)
  await clear()
  for (const statement of [
    "UPDATE dbo.tblpatients SET Phone = N'1' WHERE PersonID = -1",
    'DELETE FROM dbo.tblAlignerNotes WHERE NoteID = -1',
    `INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) SELECT AlignerSetID, 'Lab', N'x' FROM dbo.tblAlignerSets WHERE AlignerSetID <> ${set}`,
    'DELETE FROM dbo.tblInvoice',
  ]) {
    await pool.request().batch(statement)
    t.strictSame(await queue(), [], statement)
  }
})

t.test("a statement that fails leaves the user's transaction as usable as without the triggers", async (t) => {
  const { patient, set } = await treatment(pool)
  await clear()
  const session = await target.session()
  const run = (text: string) => session.request().batch(text)
  await run('SET XACT_ABORT OFF; BEGIN TRANSACTION')
  await run(`UPDATE dbo.tblpatients SET Phone = N'1' WHERE PersonID = ${patient}`)
  for (const [failing, number] of [
    ['INSERT INTO dbo.tblpatients (Phone) VALUES (NULL)', 515],
    ["INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES (-1, 'Lab', N'x')", 547],
    [
      `INSERT INTO dbo.tblAlignerSets (WorkID, AlignerDrID, SetSequence) SELECT WorkID, AlignerDrID, SetSequence FROM dbo.tblAlignerSets WHERE AlignerSetID = ${set}`,
      2627,
    ],
  ] as const) {
    await target.refused(t, run(failing), number)
    t.equal(await value(session, 'SELECT @@TRANCOUNT AS n'), 1, failing)
  }
  await run(`UPDATE dbo.tblAlignerSets SET Days = 9 WHERE AlignerSetID = ${set}`)
  await run('COMMIT TRANSACTION')
  t.strictSame(await queue(), [`patients/${patient} UPDATE`, `aligner_sets/${set} UPDATE`])
})

t.test("an outbox that cannot be written fails the user's statement, or the change would be lost", async (t) => {
  const { patient } = await treatment(pool)
  await pool
    .request()
    .batch(
      "DELETE FROM dbo.SyncQueue; ALTER TABLE dbo.SyncQueue ADD CONSTRAINT CK_full CHECK (TableName <> N'patients')",
    )
  const session = await target.session()
  const change = `UPDATE dbo.tblpatients SET Phone = N'lost' WHERE PersonID = ${patient}`
  await target.refused(t, session.request().batch(change), 547)
  await target.refused(t, session.request().batch(`SET XACT_ABORT OFF; BEGIN TRANSACTION; ${change}`), 547)
  await session.request().batch('IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION')
  t.equal(await value(pool, `SELECT Phone FROM dbo.tblpatients WHERE PersonID = ${patient}`), '0750')
  // What is not captured is not touched by it.
  await session.request().batch(`UPDATE dbo.tblpatients SET Notes = N'kept' WHERE PersonID = ${patient}`)
  await pool.request().batch('ALTER TABLE dbo.SyncQueue DROP CONSTRAINT CK_full')
  await session.request().batch(change)
  t.strictSame(await queue(), [`patients/${patient} UPDATE`])
})

t.test('statements over 10,000 rows are captured whole', async (t) => {
  const { set } = await treatment(pool)
  const notes = Array.from({ length: 10 }, (_, i) => `(${set}, 'Doctor', N'${i}')`).join(', ')
  await pool.request().batch(`INSERT INTO dbo.tblAlignerNotes (AlignerSetID, NoteType, NoteText) VALUES ${notes}`)
  const all = 'dbo.tblAlignerNotes'
  for (const [statement, count] of [
    [
      `INSERT INTO ${all} (AlignerSetID, NoteType, NoteText) SELECT a.AlignerSetID, 'Lab', b.NoteText FROM ${all} a INNER JOIN ${all} b ON 1 = 1 INNER JOIN ${all} c ON 1 = 1 INNER JOIN ${all} d ON 1 = 1`,
      10_000,
    ],
    [`UPDATE ${all} SET IsRead = 1`, 10_010],
    [`UPDATE ${all} SET IsRead = 1, NoteText = N'5'`, 9_009],
    [`DELETE FROM ${all} WHERE NoteType = 'Lab'`, 10_000],
  ] as const) {
    await clear()
    const started = performance.now()
    await pool.request().batch(statement)
    const ms = Math.round(performance.now() - started)
    t.equal(
      await value(pool, 'SELECT COUNT(DISTINCT RecordID) AS n FROM dbo.SyncQueue'),
      count,
      `${statement.slice(0, 6)}: ${ms} ms`,
    )
    t.equal(await value(pool, 'SELECT COUNT(*) AS n FROM dbo.SyncQueue'), count)
  }
})

t.test("names may be quoted, and written in the user's own case", async (t) => {
  const { patient } = await treatment(pool)
  await clear()
  await pool.request().batch(`UPDATE [DBO].[TBLPATIENTS] SET [PHONE] = N'1' WHERE [personid] = ${patient}`)
  await pool.request().batch(`UPDATE "dbo"."tblPatients" SET "Phone" = N'2' WHERE "PersonID" = ${patient}`)
  t.strictSame(await queue(), [`patients/${patient} UPDATE`, `patients/${patient} UPDATE`])
})

t.test("whatever a session's SET options are, its changes are captured whole", async (t) => {
  const { patient } = await treatment(pool)
  await pool.request().batch("INSERT INTO dbo.tblpatients (PatientName) VALUES (N'b'), (N'c')")
  if (target.real && !target.babelfish)
    await pool.request().batch('ALTER DATABASE CURRENT SET ALLOW_SNAPSHOT_ISOLATION ON')
  const refused: string[] = []
  let phone = 0
  for (const options of [
    'SET NOCOUNT ON',
    'SET NOCOUNT OFF',
    'SET XACT_ABORT ON',
    'SET ARITHABORT OFF',
    'SET ANSI_NULLS OFF',
    'SET ANSI_WARNINGS OFF',
    'SET ANSI_PADDING OFF',
    'SET CONCAT_NULL_YIELDS_NULL OFF',
    'SET QUOTED_IDENTIFIER OFF',
    'SET NUMERIC_ROUNDABORT ON',
    'SET ARITHABORT, ANSI_NULLS, ANSI_WARNINGS, ANSI_PADDING, QUOTED_IDENTIFIER OFF',
    'SET DATEFORMAT dmy',
    'SET LANGUAGE Arabic',
    'SET IMPLICIT_TRANSACTIONS ON',
    'SET LOCK_TIMEOUT 0',
    'SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED',
    'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ',
    'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE',
    'SET TRANSACTION ISOLATION LEVEL SNAPSHOT',
  ]) {
    await clear()
    const session = await target.session()
    const number = await errorOf(session.request().batch(options))
    if (number !== undefined) {
      // An engine that does not know the option proves nothing of it, and says so.
      if (!target.babelfish) t.equal(number, UNSUPPORTED, options)
      refused.push(options)
      continue
    }
    await session.request().batch(`UPDATE dbo.tblpatients SET Phone = N'${++phone}'`)
    await session.request().batch('IF @@TRANCOUNT > 0 COMMIT TRANSACTION')
    t.equal((await queue()).length, 3, options)
    t.ok((await queue()).includes(`patients/${patient} UPDATE`), options)
  }
  if (target.real && !target.babelfish) t.strictSame(refused, [])
})

t.test('SET ROWCOUNT limits the statement, not what is captured of it', async (t) => {
  await treatment(pool)
  await pool.request().batch("INSERT INTO dbo.tblpatients (PatientName) VALUES (N'b'), (N'c')")
  await clear()
  const session = await target.session()
  const number = await errorOf(session.request().batch('SET ROWCOUNT 2'))
  if (!target.real) return t.equal(number, UNSUPPORTED, 'proven by a real engine only')
  t.equal(number, undefined)
  const { rowsAffected } = await session.request().batch("UPDATE dbo.tblpatients SET Phone = N'9'")
  t.strictSame(rowsAffected, [2])
  t.equal((await queue()).length, 2)
  // The trigger's own SET ROWCOUNT 0 ends with it.
  t.strictSame((await session.request().batch("UPDATE dbo.tblpatients SET Phone = N'8'")).rowsAffected, [2])
})
