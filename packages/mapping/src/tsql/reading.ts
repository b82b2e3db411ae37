import { syncedTables, tables } from '../tables/index.ts'
import type { Table } from '../types.ts'
import { checkedFlag, checkedMax, checkedTable } from './arguments.ts'
import { rowAsJson } from './row.ts'
import { andInScope } from './scope.ts'
import { inClinic, indent, literal, name, procedure } from './text.ts'

/** One `IF @Table = …` a table. */
const perTable = (mapped: readonly Table[], statement: (table: Table) => string) =>
  mapped.map((table) => `IF @Table = ${literal(table.name)}\n${statement(table)}`).join('\n\n')

/**
 * `sync.ReadRecords`: fills in Seen, State and RowData of #record, a table of its caller (sync.TakeChanges), for the
 * records of one table in a range. It runs in the caller's LOCK_TIMEOUT 0: a row that somebody's open transaction holds
 * makes it fail with 1222, so that no locked row is waited for, or taken for a missing one.
 */
export function readRecords(): string {
  const found = perTable(
    syncedTables,
    (table) => `  UPDATE c SET State = 1, RowData = ${rowAsJson(table)}
  FROM #record c INNER LOOP JOIN ${inClinic(table)} t${table.clinicIsView ? '' : ' WITH (FORCESEEK)'} ON t.${name(table.key.clinic)} = c.RecordID
  WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL${andInScope(table, 't', 4)}`,
  )
  return procedure(
    'sync.ReadRecords',
    '@Table nvarchar(100), @From int, @To int',
    `
-- For sync.TakeChanges only: works on its #record. State 1: RowData is the row; 2: looked for, and missing or out of scope.
SET NOCOUNT ON

-- LOOP and FORCESEEK, here and below: each row is looked up by its key. A scan would fail with 1222 at any locked row of the table.
-- What the clinic has seen of the portal is read before the row: the row may be newer than it, never older.
UPDATE c SET Seen = s.SeenPortalVersion
FROM #record c INNER LOOP JOIN sync.RowState s WITH (FORCESEEK) ON s.TableName = c.TableName AND s.RecordID = c.RecordID
WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL
UPDATE #record SET Seen = 0 WHERE TableName = @Table AND Ordinal BETWEEN @From AND @To AND State IS NULL AND Seen IS NULL

${found}

UPDATE #record SET State = 2 WHERE TableName = @Table AND Ordinal BETWEEN @From AND @To AND State IS NULL`,
  )
}

/** `sync.ReadRows`: keyset pages of what is synced, for backfill and verify. */
export function readRows(): string {
  return procedure(
    'sync.ReadRows',
    '@Table nvarchar(100), @After int, @Max int',
    `
-- The rows of a table that are synced, with keys above @After (NULL: from the start), in key order.
SET NOCOUNT ON
${checkedTable('sync.ReadRows', syncedTables)}
${checkedMax('sync.ReadRows')}
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
SET DEADLOCK_PRIORITY LOW
SET LOCK_TIMEOUT 10000
DECLARE @from bigint = COALESCE(CAST(@After AS bigint) + 1, -2147483648)
IF @from > 2147483647 SET @Max = 0
DECLARE @first int = CASE WHEN @from > 2147483647 THEN 2147483647 ELSE @from END

${perTable(
  syncedTables,
  (table) => `  SELECT TOP (@Max) t.${name(table.key.clinic)} AS RecordID, ${rowAsJson(table)} AS RowData
  FROM ${inClinic(table)} t
  WHERE t.${name(table.key.clinic)} >= @first${andInScope(table, 't', 4)}
  ORDER BY t.${name(table.key.clinic)}`,
)}

SET LOCK_TIMEOUT -1`,
  )
}

/** `sync.BackfillPage`: queues the next page of a table's rows. */
export function backfillPage(): string {
  const scoped = (table: Table) => andInScope(table, 't', 4).replace(/^\s*AND /, '\n  WHERE ')
  return procedure(
    'sync.BackfillPage',
    '@Table nvarchar(100), @Max int, @Restart bit',
    `
-- Queues the next @Max synced rows of a table, by key after the watermark in sync.Backfill. Queue rows and watermark are one
-- transaction: an interrupted backfill goes on where it was. @Restart = 1 begins the table anew.
SET NOCOUNT ON
${checkedTable('sync.BackfillPage', tables)}
${checkedMax('sync.BackfillPage')}
${checkedFlag('sync.BackfillPage', '@Restart')}
SET XACT_ABORT ON
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
SET DEADLOCK_PRIORITY LOW
SET LOCK_TIMEOUT 10000

DECLARE @page TABLE (RecordID int NOT NULL PRIMARY KEY)
DECLARE @first int, @last int, @queued int, @total int

BEGIN TRANSACTION
-- One page of a table at a time. The row is made first if it is missing.
IF NOT EXISTS (SELECT 1 FROM sync.Backfill WITH (UPDLOCK, HOLDLOCK) WHERE TableName = @Table)
BEGIN
  INSERT INTO sync.Backfill (TableName) VALUES (@Table)
  SET @Restart = 1
END

IF @Restart = 1
BEGIN
  ${indent(
    perTable(tables, (table) => `  SELECT @total = COUNT(*) FROM ${inClinic(table)} t${scoped(table)}`),
    2,
  )}
  UPDATE sync.Backfill SET LastKey = NULL, Done = 0, Total = @total, FinishedAt = NULL WHERE TableName = @Table
END

SELECT @last = LastKey FROM sync.Backfill WHERE TableName = @Table
SET @first = CASE WHEN @last IS NULL THEN -2147483648 WHEN @last = 2147483647 THEN @last ELSE @last + 1 END
IF @last = 2147483647 SET @Max = 0

${perTable(
  tables,
  (table) => `  INSERT INTO @page (RecordID)
  SELECT TOP (@Max) t.${name(table.key.clinic)}
  FROM ${inClinic(table)} t
  WHERE t.${name(table.key.clinic)} >= @first${andInScope(table, 't', 4)}
  ORDER BY t.${name(table.key.clinic)}`,
)}

SELECT @queued = COUNT(*), @last = MAX(RecordID) FROM @page

INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
SELECT @Table, RecordID, N'UPDATE' FROM @page ORDER BY RecordID

UPDATE sync.Backfill SET LastKey = COALESCE(@last, LastKey), Done = Done + @queued,
  Total = CASE WHEN @queued < @Max THEN Done + @queued ELSE Total END,
  FinishedAt = CASE WHEN @queued < @Max THEN SYSDATETIME() END
WHERE TableName = @Table
COMMIT TRANSACTION

SELECT @queued AS Queued, Done, Total, CAST(CASE WHEN FinishedAt IS NULL THEN 0 ELSE 1 END AS bit) AS Finished
FROM sync.Backfill WHERE TableName = @Table

SET LOCK_TIMEOUT -1`,
  )
}

/** `sync.OpenRows`: what a backfill waits for. */
export function openRows(): string {
  return procedure(
    'sync.OpenRows',
    '',
    `
-- Committed outbox rows that are not settled yet. Retrying: something failed, and it is tried again later.
SET NOCOUNT ON
SET XACT_ABORT ON
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
SET DEADLOCK_PRIORITY LOW
SET LOCK_TIMEOUT 10000
CREATE TABLE #open (QueueID bigint NOT NULL PRIMARY KEY, Retrying bit NOT NULL)

BEGIN TRANSACTION
-- In here no row is being settled, so those that READPAST leaves out are of transactions in flight.
EXEC sync.EnterOutbox
INSERT INTO #open (QueueID, Retrying)
SELECT q.QueueID, CASE WHEN q.LastError IS NULL THEN 0 ELSE 1 END
FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
WHERE q.Status IN (N'Pending', N'Queued')
COMMIT TRANSACTION

SELECT QueueID, Retrying FROM #open ORDER BY QueueID

SET LOCK_TIMEOUT -1`,
  )
}
