import { tables } from '@clinic-sync/mapping'
import t from 'tap'
import { check } from '../support/tsql/checks.ts'
import { clinicTables } from '../support/tsql/clinic-tables.ts'
import { shippedFiles } from '../support/tsql/files.ts'
import {
  argumentsAsDeclared,
  clinicsSpelling,
  keywordsInCapitals,
  oneSpelling,
  parametersOf,
  systemNamesSmall,
} from '../support/tsql/name-rules.ts'

check(t, {
  says: 'a name is spelled in one way throughout a file: the database may be case-sensitive',
  rule: oneSpelling,
  bad: [
    'DECLARE @x int SET @X = 1',
    'CREATE TABLE #t (a int) INSERT INTO #T (a) VALUES (1)',
    'SELECT q.Status FROM dbo.SyncQueue q WHERE q.status = 1',
    'SELECT a.x FROM dbo.X A',
    'EXEC sync.TakeChanges\nGO\nEXEC sync.takechanges',
    'SELECT [Total] FROM t WHERE total = 1',
    'SELECT t.dAYS FROM t',
    "EXEC (N'SELECT Total FROM t') SELECT total FROM t",
  ],
  good: [
    'SELECT q.Status FROM dbo.SyncQueue q -- status',
    "SELECT Value FROM sync.Settings WHERE Value = N'VALUE' UNION ALL SELECT value FROM OPENJSON(@j)",
    'EXEC sync.X @Max = @max',
    'DECLARE @x int\nGO\nDECLARE @X int',
    'SELECT t.Days AS [days] FROM t',
    'SELECT NEXT VALUE FOR sync.QueueIDs AS Value',
    'ALTER QUEUE sync.Q WITH STATUS = ON SELECT Status FROM dbo.SyncQueue',
  ],
})

check(t, {
  says: 'arguments are spelled as the procedure spells its parameters',
  rule: argumentsAsDeclared(parametersOf(shippedFiles())),
  bad: ['EXEC sync.TakeChanges @max = 1', "EXEC @r = sync.UseDoorbell @Doorbell = N'none', @Url = N'x'"],
  good: ['EXEC sync.TakeChanges @Max = @max', 'EXEC sp_other @max = 1', 'SET @max = 1'],
})

check(t, {
  says: 'keywords are in capitals',
  rule: keywordsInCapitals,
  bad: ['select 1', 'SELECT 1 from t', 'SELECT 1 FROM t Where 1 = 1'],
  good: ['SELECT [Key], t.[order] FROM t', 'SELECT t.key FROM t'],
})

check(t, {
  says: 'the catalog’s names are in small letters',
  rule: systemNamesSmall,
  bad: ['SELECT 1 FROM sys.Triggers', 'SELECT 1 FROM SYS.triggers', "EXEC (N'SELECT 1 FROM sys.Databases')"],
  good: ['SELECT 1 FROM sys.triggers', 'EXEC sys.sp_OACreate @x'],
})

check(t, {
  says: 'the clinic’s tables and columns are spelled as the clinic spells them',
  rule: clinicsSpelling,
  bad: [
    'SELECT 1 FROM dbo.tblPatients',
    'SELECT w.WorkID FROM dbo.tblwork w',
    'SELECT s.[workid] FROM dbo.tblAlignerSets AS s',
    'CREATE TRIGGER dbo.T ON dbo.[tblAlignerNotes] AFTER UPDATE AS SELECT i.noteid FROM inserted i',
    "EXEC (N'SELECT 1 FROM dbo.alignerdoctors')",
  ],
  good: [
    'SELECT w.workid, s.WorkID FROM dbo.tblwork w INNER JOIN dbo.tblAlignerSets s ON s.WorkID = w.workid',
    'SELECT w.WorkID FROM sync.Other w',
  ],
})

t.test('the mapping names the clinic’s tables and columns as the clinic does', async (t) => {
  const clinics = clinicTables()
  t.equal(clinics.size, 9, 'the clinic has eight tables and a view')
  for (const table of tables) {
    const columns = clinics.get(table.clinic)
    t.ok(columns, table.clinic)
    for (const { clinic } of [table.key, ...table.columns]) t.ok(columns?.has(clinic), `${table.clinic}.${clinic}`)
    for (const source of table.sources)
      for (const column of [source.key, ...source.columns.map(({ clinic }) => clinic)])
        t.ok(clinics.get(source.table)?.has(column), `${source.table}.${column}`)
  }
})
