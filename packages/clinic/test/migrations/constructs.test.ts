import t from 'tap'
import { check } from '../support/tsql/checks.ts'
import * as rules from '../support/tsql/construct-rules.ts'

check(t, {
  says: 'nothing that SQL Server 2016 RTM lacks',
  rule: rules.runsOn2016,
  bad: [
    'CREATE OR ALTER PROCEDURE sync.X AS RETURN',
    "SELECT STRING_AGG(x, N',') FROM t",
    'SELECT TRIM(x) FROM t',
    "SELECT CONCAT_WS(N',', x, y) FROM t",
    "SELECT TRANSLATE(x, N'a', N'b') FROM t",
    'SELECT GREATEST(x, y), LEAST(x, y) FROM t',
    "SELECT JSON_OBJECT('a': 1)",
    'SELECT 1 FROM t WHERE a IS NOT DISTINCT FROM b',
    "SELECT value FROM STRING_SPLIT(N'a,b', N',', 1)",
    'SELECT ISJSON(x, ARRAY) FROM t',
    'SELECT a || b FROM t',
    'SELECT DATETRUNC(day, x) FROM t',
    "EXEC (N'CREATE OR ALTER VIEW dbo.V AS SELECT 1 AS x')",
  ],
  good: [
    'SELECT LTRIM(RTRIM(x)) FROM t',
    "SELECT value FROM STRING_SPLIT(N'a,b', N',')",
    'SELECT x AS Least FROM t WHERE ISJSON(x) = 1 -- STRING_AGG (',
    "DROP TABLE IF EXISTS #t; PRINT N'IS NOT DISTINCT FROM'",
  ],
})

check(t, {
  says: 'sp_invoke_external_rest_endpoint only in the file that is for it',
  rule: rules.restEndpointApart,
  bad: ["EXEC sp_invoke_external_rest_endpoint @url = N'https://x'"],
  good: ["-- Doorbell: rest-endpoint\nEXEC sys.sp_invoke_external_rest_endpoint @url = N'https://x'"],
})

check(t, {
  says: 'nothing that races, lies, polls or opens the server',
  rule: rules.nothingForbidden,
  bad: [
    'MERGE INTO dbo.X AS t USING y ON 1 = 1 WHEN MATCHED THEN DELETE;',
    'MERGE dbo.X USING y ON 1 = 1 WHEN MATCHED THEN DELETE;',
    'SELECT x FROM t WITH (NOLOCK)',
    'SET TRANSACTION ISOLATION LEVEL SERIALIZABLE',
    'TRUNCATE TABLE dbo.SyncQueue',
    "EXEC xp_cmdshell 'dir'",
    'ALTER DATABASE CURRENT SET TRUSTWORTHY ON',
    'SELECT @@IDENTITY',
    "WAITFOR DELAY '00:00:05'",
    'SET ROWCOUNT 100',
    "EXEC (N'TRUNCATE TABLE dbo.X')",
  ],
  good: [
    'SET TRANSACTION ISOLATION LEVEL READ COMMITTED',
    'SET ROWCOUNT 0',
    'SELECT x FROM dbo.SyncQueue WITH (READUNCOMMITTED)',
    "PRINT N'no TRUNCATE TABLE here'",
    'WAITFOR (RECEIVE message_body FROM q), TIMEOUT 10',
  ],
})

check(t, {
  says: 'OUTPUT has an INTO',
  rule: rules.outputInto,
  bad: [
    'UPDATE dbo.X SET a = 1 OUTPUT inserted.a WHERE b = 2',
    'DELETE FROM dbo.X OUTPUT deleted.a',
    'INSERT INTO dbo.X (a) OUTPUT inserted.a, inserted.b VALUES (1)',
  ],
  good: [
    'INSERT INTO dbo.X (a) OUTPUT inserted.a INTO @t (a) VALUES (1)',
    'UPDATE dbo.X SET a = 1 OUTPUT inserted.a, deleted.a INTO @t WHERE b = 2',
    'EXEC @r = sp_getapplock @x OUTPUT',
  ],
})

check(t, {
  says: 'no table is made by a SELECT',
  rule: rules.noSelectInto,
  bad: ['SELECT a INTO #t FROM x', 'SELECT a, (SELECT 1) AS b INTO dbo.T FROM x'],
  good: [
    'INSERT INTO #t (a) SELECT a FROM x',
    'RECEIVE message_body FROM q INTO @t',
    'DELETE FROM x OUTPUT deleted.a INTO @t',
    'INSERT INTO @t (a) VALUES (1)',
  ],
})

check(t, {
  says: 'a column is not used in the batch that adds it',
  rule: rules.columnsInTheirOwnBatch,
  bad: [
    'ALTER TABLE dbo.X ADD a int NULL UPDATE dbo.X SET a = 1',
    "IF COL_LENGTH(N'dbo.X', N'a') IS NULL ALTER TABLE dbo.X ADD a int NULL\nCREATE INDEX IX ON dbo.X (A)",
  ],
  good: [
    "IF COL_LENGTH(N'dbo.X', N'a') IS NULL ALTER TABLE dbo.X ADD a int NULL\nGO\nUPDATE dbo.X SET a = 1",
    "ALTER TABLE dbo.X ADD a int NULL EXEC (N'UPDATE dbo.X SET a = 1')",
    'ALTER TABLE dbo.X ADD CONSTRAINT CK_X CHECK (a > 0)',
    'ALTER ROLE r ADD MEMBER m',
  ],
})

check(t, {
  says: 'no name leads into another database',
  rule: rules.noThreePartNames,
  bad: [
    'SELECT a FROM clinic.dbo.X',
    'EXEC other.sys.sp_x',
    "EXEC (N'SELECT a FROM msdb.dbo.X')",
    'SELECT dbo.X.a FROM dbo.X',
  ],
  good: ['EXEC master.sys.sp_executesql @s', 'SELECT x.a, y.[b] FROM dbo.X x', 'SELECT 1.5, x.a'],
})

check(t, {
  says: 'no range lock, table lock or dirty read on the clinic’s own tables',
  rule: rules.noHintsOnTheClinic,
  bad: [
    'SELECT 1 FROM dbo.tblpatients p WITH (UPDLOCK, HOLDLOCK)',
    'SELECT 1 FROM dbo.[tblwork] WITH (READUNCOMMITTED) WHERE 1 = 1',
    'UPDATE t SET a = 1 FROM dbo.tblAlignerNotes AS t WITH (SERIALIZABLE)',
  ],
  good: [
    'SELECT 1 FROM dbo.tblpatients p WITH (UPDLOCK, READCOMMITTEDLOCK)',
    'SELECT 1 FROM sync.RowState s WITH (UPDLOCK, SERIALIZABLE)',
    'SELECT 1 FROM dbo.SyncQueue WITH (READUNCOMMITTED)',
  ],
})
