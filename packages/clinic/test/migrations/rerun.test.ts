import t from 'tap'
import { check } from '../support/tsql/checks.ts'
import { shippedFiles } from '../support/tsql/files.ts'
import * as rules from '../support/tsql/rerun-rules.ts'

check(t, {
  says: 'what a file creates it looks for before',
  rule: rules.guarded,
  bad: [
    'CREATE TABLE sync.X (a int NOT NULL)',
    'CREATE INDEX IX_X ON sync.X (a)',
    'CREATE SEQUENCE sync.S AS bigint',
    "IF OBJECT_ID(N'sync.X') IS NULL SELECT 1\nGO\nCREATE TABLE sync.X (a int NOT NULL)",
    'SELECT 1\nGO\nCREATE TRIGGER dbo.T ON dbo.X AFTER INSERT AS RETURN',
    "IF OBJECT_ID(N'dbo.T2') IS NOT NULL DROP TRIGGER dbo.T2\nGO\nCREATE TRIGGER dbo.T ON dbo.X AFTER INSERT AS RETURN",
    'CREATE PROCEDURE sync.X AS RETURN',
    "EXEC (N'CREATE SCHEMA sync')",
    'CREATE ROLE r',
    'CREATE QUEUE sync.Q WITH STATUS = ON',
  ],
  good: [
    "IF OBJECT_ID(N'sync.X', N'U') IS NULL CREATE TABLE sync.X (a int NOT NULL)",
    'CREATE TABLE #x (a int NOT NULL)',
    "IF OBJECT_ID(N'dbo.T', N'TR') IS NOT NULL DROP TRIGGER dbo.T\nGO\nCREATE TRIGGER dbo.T ON dbo.X AFTER INSERT AS RETURN",
    "IF OBJECT_ID(N'sync.X', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.X AS RETURN')",
    "IF SCHEMA_ID(N'sync') IS NULL EXEC (N'CREATE SCHEMA sync AUTHORIZATION dbo')",
  ],
})

check(t, {
  says: 'a column is added where it is missing',
  rule: rules.columnsGuarded,
  bad: ['ALTER TABLE dbo.X ADD a int NULL', 'ALTER TABLE dbo.X ADD CONSTRAINT CK CHECK (a > 0)'],
  good: ["IF COL_LENGTH(N'dbo.X', N'a') IS NULL ALTER TABLE dbo.X ADD a int NULL", 'ALTER ROLE r ADD MEMBER m'],
})

check(t, {
  says: 'a text beyond ASCII is N',
  rule: rules.nationalStrings,
  bad: ["SELECT 'عربي'", "PRINT 'an ellipsis …'", "EXEC (N'SELECT ''…''')"],
  good: ["SELECT N'عربي', 'plain' -- …"],
})

check(t, {
  says: 'whoever refuses with NOEXEC switches it off at the end',
  rule: rules.noexecOff,
  bad: ['IF 1 = 1 SET NOEXEC ON\nGO\nSELECT 1\nGO\n', 'SET NOEXEC ON\nGO\nSET NOEXEC OFF\nGO\nSELECT 1\n'],
  good: ['IF 1 = 1 SET NOEXEC ON\nGO\nSELECT 1\nGO\nSET NOEXEC OFF\nGO\n'],
})

check(t, {
  says: 'what was never run says so in its header',
  rule: rules.saysItNeverRan,
  bad: [
    '-- Doorbell: church\nSELECT 1',
    '-- Doorbell: church\n\n-- Not yet run on a SQL Server.\nSELECT 1',
    '-- Doorbell: church\n-- Not yet run on a SQL Server.\nSELECT 1',
  ],
})

t.test('each of the three doorbells has its files', async (t) => {
  const doorbells = shippedFiles().flatMap(({ sql }) => /^-- Doorbell: (\S+)$/m.exec(sql)?.[1] ?? [])
  t.same([...new Set(doorbells)].sort(), ['ole-automation', 'rest-endpoint', 'service-broker'])
})
