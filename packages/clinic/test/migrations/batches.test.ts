import t from 'tap'
import { balanced, modulesAlone, optionsFirst, plainGo, terminated } from '../support/tsql/batch-rules.ts'
import { check } from '../support/tsql/checks.ts'

const OPTIONS = `SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON`

check(t, {
  says: 'GO is written as every tool takes it',
  rule: plainGo,
  bad: ['SELECT 1\nGO -- next', 'SELECT 1\nGO;', 'SELECT 1\n  GO', 'SELECT 1\ngo'],
  good: ['SELECT 1\nGO\nSELECT 2\nGO 3\n', 'GOTO done'],
})

check(t, {
  says: 'the SET options come first',
  rule: optionsFirst,
  bad: [
    'SELECT 1\nGO\n',
    `SELECT 1\nGO\n${OPTIONS}\nGO`,
    OPTIONS.replace('QUOTED_IDENTIFIER ', ''),
    `${OPTIONS}\nSELECT 1`,
  ],
  good: [`-- What it does.\n\n${OPTIONS}\nGO\nSELECT 1\nGO\n`],
})

check(t, {
  says: 'a module or a schema is alone in its batch',
  rule: modulesAlone,
  bad: [
    'SET NOCOUNT ON\nCREATE PROCEDURE sync.X AS BEGIN RETURN END',
    'IF 1 = 1 CREATE SCHEMA sync',
    'CREATE TRIGGER dbo.X ON dbo.Y AFTER INSERT AS BEGIN RETURN END\nGRANT SELECT ON dbo.Y TO someone',
    'SELECT 1\nALTER VIEW dbo.V AS SELECT 1 AS x',
  ],
  good: [
    '-- Why.\nCREATE PROCEDURE sync.X AS BEGIN SELECT CASE WHEN 1 = 1 THEN 2 END END',
    "IF OBJECT_ID(N'sync.X', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.X AS RETURN')",
    'CREATE VIEW dbo.V AS SELECT 1 AS x\nGO\nSELECT 1',
    'ALTER TABLE dbo.X DISABLE TRIGGER dbo_Y',
  ],
})

check(t, {
  says: 'blocks and brackets are closed',
  rule: balanced,
  bad: [
    'BEGIN SELECT 1',
    'SELECT 1 END',
    'BEGIN TRY SELECT 1 END TRY SELECT 2',
    'BEGIN TRY SELECT 1 END',
    'BEGIN TRY SELECT 1 END TRY BEGIN CATCH SELECT 2 END',
    'SELECT CASE WHEN 1 = 1 THEN 2',
    'SELECT (1',
    'SELECT 1)',
  ],
  good: [
    'BEGIN TRANSACTION; BEGIN TRY SELECT 1 END TRY BEGIN CATCH; THROW; END CATCH; COMMIT',
    "BEGIN DIALOG @h FROM SERVICE [x] TO SERVICE N'x'; END CONVERSATION @h",
    "SELECT CASE WHEN ')' = N'END' THEN 1 END -- BEGIN (",
  ],
})

check(t, {
  says: 'what takes a semicolon before it has one',
  rule: terminated,
  bad: [
    'BEGIN CATCH ROLLBACK TRANSACTION THROW END CATCH',
    "SET @m = N'x' THROW 51200, @m, 1",
    'DECLARE @h int SEND ON CONVERSATION @h MESSAGE TYPE [x]',
    'SELECT 1 WITH x AS (SELECT 1 AS y) SELECT y FROM x',
    'SET NOCOUNT ON RECEIVE TOP (1) message_body FROM q',
  ],
  good: [
    'BEGIN CATCH ROLLBACK TRANSACTION; THROW; END CATCH',
    'IF XACT_STATE() = -1 THROW;',
    'IF EXISTS (SELECT 1 FROM t) THROW;',
    'WAITFOR (RECEIVE TOP (1) message_body FROM q), TIMEOUT @t;',
    'SELECT 1 FROM t WITH (UPDLOCK)',
  ],
})
