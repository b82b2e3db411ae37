import { syncedTables } from '../tables/index.ts'
import { CANARY } from '../types.ts'
import { checkedMax } from './arguments.ts'
import { NOT_TAKEN_OVER } from './original.ts'
import { literal, procedure } from './text.ts'

/**
 * `sync.EnterOutbox`: one at a time, TakeChanges and SettleChanges change the outbox. Two takes could otherwise give one
 * version to two states, and a take and a settlement, which come by different indexes, could deadlock.
 */
export function enterOutbox(): string {
  return procedure(
    'sync.EnterOutbox',
    '',
    `
-- For the procedures of this schema, within their transaction: until its end nobody else is in here.
DECLARE @got int
EXEC @got = sp_getapplock @Resource = N'sync.outbox', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 10000
IF @got < 0
BEGIN;
  THROW 51222, N'sync: another session is in the outbox', 1;
END`,
  )
}

/** `sync.TakeChanges`: pending changes with their records' current state. */
export function takeChanges(): string {
  const known = syncedTables
    .map((table) => `(${literal(table.name)}, ${table.deletes.clinic === 'propagate' ? 1 : 0})`)
    .join(', ')
  const names = syncedTables.map((table) => literal(table.name)).join(', ')
  return procedure(
    'sync.TakeChanges',
    '@Max int, @After bigint = NULL, @Canary bit = 0',
    `
-- The first @Max pending rows with a QueueID above @After (NULL: all), one result row a record; then one row: Rows, Locked, and Last,
-- the highest QueueID that was looked at (NULL: none): a caller that takes ahead of what is on its way goes on after it. Marks nothing
-- as sent. What is left for later, because a transaction holds it, a take from the start finds. @Canary = 1: those of \`trace\` as well;
-- services of 1.0 do not ask for them, and would stop at a record that they do not know.
SET NOCOUNT ON
${checkedMax('sync.TakeChanges')}
-- The clinic's first events would overwrite what doctors wrote and the original system never brought here.
IF ${NOT_TAKEN_OVER}
BEGIN;
  THROW 51231, N'sync.TakeChanges: the original system''s outbox is here, and the two sides have not been compared yet', 1;
END
SET XACT_ABORT ON
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
SET DEADLOCK_PRIORITY LOW
SET LOCK_TIMEOUT 10000

CREATE TABLE #row (
  QueueID bigint NOT NULL PRIMARY KEY,
  TableName nvarchar(100) COLLATE DATABASE_DEFAULT NOT NULL,
  RecordID int NOT NULL,
  CreatedAt datetime2(3) NOT NULL,
  EventVersion bigint NULL
)
CREATE TABLE #record (
  Ordinal int NOT NULL PRIMARY KEY,
  TableName nvarchar(100) COLLATE DATABASE_DEFAULT NOT NULL,
  RecordID int NOT NULL,
  Propagates bit NOT NULL,
  QueueRows int NOT NULL,
  NewRows int NOT NULL,
  LastID bigint NOT NULL,
  Version bigint NULL,
  OldestAt datetime2(3) NOT NULL,
  Seen bigint NULL,
  State tinyint NULL,
  RowData nvarchar(max) NULL
)
DECLARE @from bigint = COALESCE(@After, -9223372036854775808), @last bigint, @claimed int, @rows int = 0, @locked int = 0
DECLARE @table nvarchar(100), @ordinal int
-- After a restored backup the queue ids were moved on: the portal has had versions up to this.
DECLARE @moved bigint = COALESCE((SELECT TRY_CONVERT(bigint, Value) FROM sync.Settings WHERE Name = N'RestoredUpTo'), 0)

-- Once, unless everything in a full page is held by open transactions: those hold up their own rows only.
WHILE 1 = 1
BEGIN
  DELETE FROM #row
  DELETE FROM #record

  BEGIN TRANSACTION
  EXEC sync.EnterOutbox

  -- Rows of transactions in flight are locked, and skipped. READCOMMITTEDLOCK: READPAST needs it under READ_COMMITTED_SNAPSHOT.
  INSERT INTO #row (QueueID, TableName, RecordID, CreatedAt, EventVersion)
  SELECT TOP (@Max) q.QueueID, q.TableName, q.RecordID, q.CreatedAt, q.EventVersion
  FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
  WHERE q.Status = N'Pending' AND q.QueueID > @from AND (@Canary = 1 OR q.TableName <> ${literal(CANARY)})
  ORDER BY q.QueueID
  SET @claimed = @@ROWCOUNT
  IF @claimed > 0 SELECT @last = MAX(QueueID) FROM #row
  SET @from = @last

  IF EXISTS (SELECT 1 FROM #row WHERE TableName NOT IN (${names}))
  BEGIN
    UPDATE q SET Status = N'Failed', LastAttempt = SYSDATETIME(), LastError = N'SYNC_UNKNOWN_TABLE: no table of this name is synced'
    FROM #row r INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
    WHERE r.TableName NOT IN (${names})
    SET @rows += @@ROWCOUNT
    DELETE FROM #row WHERE TableName NOT IN (${names})
  END

  INSERT INTO #record (Ordinal, TableName, RecordID, Propagates, QueueRows, NewRows, LastID, OldestAt)
  SELECT ROW_NUMBER() OVER (ORDER BY MIN(r.QueueID)), k.Name, r.RecordID, k.Propagates, COUNT(*),
    SUM(CASE WHEN r.EventVersion IS NULL THEN 1 ELSE 0 END), MAX(r.QueueID), MIN(r.CreatedAt)
  FROM #row r INNER JOIN (VALUES ${known}) k (Name, Propagates) ON k.Name = r.TableName
  GROUP BY k.Name, k.Propagates, r.RecordID

  -- The version is the highest queue id. Where an event with that version or a higher one has gone out already, these rows
  -- were committed late: they get a fresh number, unless all of them have been in an event before: then that event, whose
  -- version is the highest, had their changes too, and goes out once more. Rows of transactions in flight carry no
  -- EventVersion, so reading past their locks reads nothing that could change. A version that the portal has had before a restore
  -- would be an old one there.
  UPDATE c SET Version = CASE
    WHEN c.LastID <= @moved AND COALESCE(h.Highest, 0) <= @moved THEN NULL
    WHEN h.Highest IS NULL OR h.Highest < c.LastID THEN c.LastID
    WHEN c.NewRows = 0 THEN h.Highest END
  FROM #record c
  OUTER APPLY (SELECT MAX(q.EventVersion) AS Highest FROM dbo.SyncQueue q WITH (READUNCOMMITTED)
    WHERE q.TableName = c.TableName AND q.RecordID = c.RecordID) h
  UPDATE #record SET Version = NEXT VALUE FOR sync.QueueIDs WHERE Version IS NULL

  -- LOOP: each row is looked up by its key. A scan of the outbox would wait for the rows of transactions in flight.
  UPDATE q SET EventVersion = c.Version
  FROM #record c INNER JOIN #row r ON r.TableName = c.TableName AND r.RecordID = c.RecordID
    INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
  WHERE q.EventVersion IS NULL OR q.EventVersion <> c.Version
  COMMIT TRANSACTION

  -- The records themselves, in no transaction and without waiting for anybody: a table at a time, and where a row of it is
  -- locked (1222), record by record. Those that stay without a State are left pending.
  SET XACT_ABORT OFF
  SET LOCK_TIMEOUT 0
  SET @table = (SELECT MIN(TableName) FROM #record)
  WHILE @table IS NOT NULL
  BEGIN
    BEGIN TRY
      EXEC sync.ReadRecords @table, 1, 2147483647
    END TRY
    BEGIN CATCH
      IF ERROR_NUMBER() <> 1222 THROW;
    END CATCH
    SET @table = (SELECT MIN(TableName) FROM #record WHERE TableName > @table)
  END
  SET @ordinal = (SELECT MIN(Ordinal) FROM #record WHERE State IS NULL)
  WHILE @ordinal IS NOT NULL
  BEGIN
    SET @table = (SELECT TableName FROM #record WHERE Ordinal = @ordinal)
    BEGIN TRY
      EXEC sync.ReadRecords @table, @ordinal, @ordinal
    END TRY
    BEGIN CATCH
      IF ERROR_NUMBER() <> 1222 THROW;
    END CATCH
    SET @ordinal = (SELECT MIN(Ordinal) FROM #record WHERE State IS NULL AND Ordinal > @ordinal)
  END
  SET LOCK_TIMEOUT 10000
  SET XACT_ABORT ON

  -- Gone, or never was in the portal, and the portal keeps what it has: nothing to send.
  IF EXISTS (SELECT 1 FROM #record WHERE State = 2 AND Propagates = 0)
  BEGIN
    BEGIN TRANSACTION
    EXEC sync.EnterOutbox
    UPDATE q SET Status = N'Synced', LastAttempt = SYSDATETIME(), LastError = NULL
    FROM #record c INNER JOIN #row r ON r.TableName = c.TableName AND r.RecordID = c.RecordID
      INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
    WHERE c.State = 2 AND c.Propagates = 0 AND q.Status = N'Pending' AND q.EventVersion = c.Version
    COMMIT TRANSACTION
  END

  SELECT @rows += COALESCE(SUM(CASE WHEN State IS NULL THEN 0 ELSE QueueRows END), 0),
    @locked += COALESCE(SUM(CASE WHEN State IS NULL THEN 1 ELSE 0 END), 0)
  FROM #record
  IF @rows > 0 OR @claimed < @Max BREAK
END

SELECT TableName, RecordID, CONVERT(varchar(20), Version) AS Version, CONVERT(varchar(20), Seen) AS Seen,
  CASE WHEN OldestAt > SYSDATETIME() THEN 0 ELSE DATEDIFF_BIG(millisecond, OldestAt, SYSDATETIME()) END AS AgeMs,
  CAST(CASE WHEN State = 2 THEN 1 ELSE 0 END AS bit) AS Deleted, RowData
FROM #record
WHERE State = 1 OR (State = 2 AND Propagates = 1)
ORDER BY Ordinal

SELECT @rows AS [Rows], @locked AS Locked, CONVERT(varchar(20), @last) AS [Last], CAST(1 AS bit) AS TakesCanary

SET LOCK_TIMEOUT -1`,
  )
}
