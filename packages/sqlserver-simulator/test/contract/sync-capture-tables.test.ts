// The generated trigger on a table as no clinic of ours has it: names that need quotes, a key that may be updated, computed columns,
// and a trigger of the clinic's own that updates the row again. Proven where SQLSERVER_URL is set: the simulator makes no tables.
// (Babelfish takes no ]] in a name: the quoting of that is in packages/mapping's own tests.)
import { openScriptConnection, runBatches } from '@clinic-sync/clinic'
import t from 'tap'
import { date, int, table, text } from '../../../mapping/src/define.ts'
import { captureTrigger } from '../../../mapping/src/tsql/capture.ts'
import { errorOf, openTarget, rows } from './target.ts'

const target = await openTarget(t)
const NAME = "dbo.[Odd Table's Name]"
const CREATE = `CREATE TABLE ${NAME} (
  [Key (Nr)] int NOT NULL PRIMARY KEY,
  [Patient's Name] nvarchar(50) NULL,
  [Order] int NULL,
  [Twice] AS ([Order] * 2),
  [Kept Twice] AS ([Order] * 2 + 1) PERSISTED,
  [By Trigger] date NULL,
  [Not Synced] int NULL)`

const odd = table('patients', {
  clinic: "Odd Table's Name",
  key: int('person_id', 'Key (Nr)'),
  columns: [
    text('patient_name', "Patient's Name", 50),
    int('twice', 'Twice', { computed: true }),
    int('kept', 'Kept Twice', { computed: true }),
    date('by_trigger', 'By Trigger'),
  ],
})

/** The clinic's own: writes a mapped column when another one changes. */
const OWN = `CREATE TRIGGER dbo.[Own Trigger] ON ${NAME} AFTER UPDATE AS
BEGIN
  SET NOCOUNT ON
  IF NOT UPDATE ([Not Synced]) RETURN
  UPDATE t SET [By Trigger] = DATEADD(day, i.[Not Synced], '2026-01-01')
  FROM ${NAME} t INNER JOIN inserted i ON i.[Key (Nr)] = t.[Key (Nr)]
END`

if (target.real) await prove()
else {
  t.test('the simulator has the clinic’s tables only, and says so', async (t) => {
    t.equal(await errorOf(target.pool.request().batch(CREATE)), 50_501)
  })
}

async function prove(): Promise<void> {
  const connection = openScriptConnection(target.url)
  t.teardown(() => connection.close())
  await connection.batch(CREATE)
  await connection.batch(OWN)
  // Twice, as a migration.
  const script = captureTrigger({ schema: 'dbo', clinicTable: odd.clinic, own: odd, derived: [] })
  await runBatches(connection, script)
  await runBatches(connection, script)
  /** What a statement puts into the outbox. */
  const captured = async (statement: string) => {
    await connection.batch('DELETE FROM dbo.SyncQueue')
    await connection.batch(statement)
    const found = await rows(target.pool, 'SELECT TableName, RecordID, Operation FROM dbo.SyncQueue ORDER BY QueueID')
    return found.map((row) => `${row.TableName}/${row.RecordID} ${row.Operation}`)
  }

  t.test('names that need quotes', async (t) => {
    t.strictSame(
      await captured(`INSERT INTO ${NAME} ([Key (Nr)], [Patient's Name], [Order]) VALUES (1, N'a', 1), (2, N'b', 2)`),
      ['patients/1 INSERT', 'patients/2 INSERT'],
    )
    t.strictSame(await captured(`UPDATE ${NAME} SET [Patient's Name] = N'A' WHERE [Key (Nr)] = 1`), [
      'patients/1 UPDATE',
    ])
    t.strictSame(await captured(`UPDATE ${NAME} SET [Patient's Name] = [Patient's Name]`), [])
    t.strictSame(
      (await rows(target.pool, "SELECT name FROM sys.triggers WHERE name = N'trg_sync_Odd Table''s Name'")).length,
      1,
    )
  })

  t.test('a computed column changes with the one it is computed from', async (t) => {
    t.strictSame(await captured(`UPDATE ${NAME} SET [Order] = 7 WHERE [Key (Nr)] = 2`), ['patients/2 UPDATE'])
    t.strictSame(await captured(`UPDATE ${NAME} SET [Order] = 7 WHERE [Key (Nr)] = 2`), [])
    t.strictSame(await captured(`UPDATE ${NAME} SET [Order] = NULL WHERE [Key (Nr)] = 2`), ['patients/2 UPDATE'])
  })

  t.test('a key that is updated is a record that goes and one that comes', async (t) => {
    t.strictSame(await captured(`UPDATE ${NAME} SET [Key (Nr)] = 3 WHERE [Key (Nr)] = 2`), [
      'patients/3 INSERT',
      'patients/2 DELETE',
    ])
    // Keys that move on within one statement: each is what its row is now.
    await captured(
      `DELETE FROM ${NAME}; INSERT INTO ${NAME} ([Key (Nr)], [Patient's Name]) VALUES (1, N'a'), (2, N'b'), (3, N'b')`,
    )
    t.strictSame((await captured(`UPDATE ${NAME} SET [Key (Nr)] = [Key (Nr)] + 10`)).sort(), [
      'patients/1 DELETE',
      'patients/11 INSERT',
      'patients/12 INSERT',
      'patients/13 INSERT',
      'patients/2 DELETE',
      'patients/3 DELETE',
    ])
    t.strictSame(await captured(`DELETE FROM ${NAME} WHERE [Key (Nr)] = 12`), ['patients/12 DELETE'])
  })

  t.test("what the clinic's own trigger then writes into the row is captured too", async (t) => {
    const first = await captured(`UPDATE ${NAME} SET [Not Synced] = 4 WHERE [Key (Nr)] = 11`)
    t.strictSame([...new Set(first)], ['patients/11 UPDATE'])
    t.strictSame(await captured(`UPDATE ${NAME} SET [Not Synced] = 4 WHERE [Key (Nr)] = 11`), [])
    const both = await captured(`UPDATE ${NAME} SET [Not Synced] = 5, [Patient's Name] = N'z'`)
    t.strictSame([...new Set(both)].sort(), ['patients/11 UPDATE', 'patients/13 UPDATE'])
  })

  t.test("the clinic's own procedures with OUTPUT but no INTO are named, and no others", async (t) => {
    // As they were before the triggers came: SQL Server may refuse to make them now.
    const switched = async (to: 'ENABLE' | 'DISABLE') => {
      for (const name of ['tblwork', 'tblpatients', 'tblAlignerNotes'])
        await connection.batch(`${to} TRIGGER dbo.trg_sync_${name} ON dbo.${name}`)
    }
    await switched('DISABLE')
    for (const [name, body] of [
      [
        'Risky1',
        'INSERT INTO dbo.tblwork (PersonID, TotalRequired, Typeofwork, DrID)\n\tOUTPUT inserted.workid\n\tVALUES (@Id, 1, 1, 1)',
      ],
      ['Risky2', 'delete from dbo.TBLALIGNERNOTES output deleted.NoteID where NoteID = @Id'],
      [
        'Risky3',
        'DECLARE @t TABLE (i int); UPDATE dbo.tblpatients SET Phone = Phone OUTPUT inserted.PersonID INTO @t (i) WHERE PersonID = @Id; UPDATE w SET DrID = 1 OUTPUT inserted.workid FROM dbo.tblwork w WHERE w.workid = @Id',
      ],
      [
        'Safe1',
        'DECLARE @t TABLE (i int); UPDATE dbo.tblpatients SET Phone = Phone OUTPUT inserted.PersonID INTO @t (i) WHERE PersonID = @Id',
      ],
      ['Safe2', 'DECLARE @x int; EXEC dbo.Risky1 @x OUTPUT; SELECT @Id = MAX(workid) FROM dbo.tblwork'],
      ['Safe3', 'DECLARE @t TABLE (i int); INSERT INTO @t (i) OUTPUT inserted.i VALUES (1)'],
    ] as const)
      await connection.batch(`CREATE PROCEDURE dbo.${name} @Id int OUTPUT AS\nBEGIN\n  ${body}\nEND`)
    await switched('ENABLE')
    const found = (await rows(target.pool, 'EXEC sync.Inspect')).map(({ Name }) => String(Name).toLowerCase())
    t.strictSame(found.filter((name) => name.startsWith('atrisk:')).toSorted(), [
      'atrisk:dbo.risky1',
      'atrisk:dbo.risky2',
      'atrisk:dbo.risky3',
    ])
  })
}
