import { syncedTables } from '../tables/index.ts'
import { checkedArray, checkedMax, checkedTables, number, refuse, tableName } from './arguments.ts'
import { literal, procedure } from './text.ts'

const PREAMBLE = `SET XACT_ABORT ON
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
SET DEADLOCK_PRIORITY LOW
SET LOCK_TIMEOUT 10000`

/** How many ids are left out when they are moved on: more than anybody draws between a look and the move. */
const LEFT_OUT = 1_000_000

const LAST_ID =
  "(SELECT CONVERT(bigint, s.current_value) FROM sys.sequences s WHERE s.object_id = OBJECT_ID(N'sync.QueueIDs'))"

/** Of schema sync: nothing of the portal's is applied as long as this setting is there. */
export const IS_HELD = "EXISTS (SELECT 1 FROM sync.Settings WHERE Name = N'Restored')"

/** `sync.Bookkeeping`: what the two sides know of each other, to be compared. */
export function bookkeeping(): string {
  return procedure(
    'sync.Bookkeeping',
    '@Records nvarchar(max), @Max int',
    `
-- What this side knows of both, for whoever compares it with the other side: a database that was restored from a backup knows less.
-- @Records: [{"table", "key"}, …]. Three result sets: LastID, the latest queue id, Seen, the portal's highest version processed, and
-- Held, why the portal's changes are held up (NULL: they are not), and LowestKey, of the records that the portal has sent; of the @Max newest settled rows the highest version of each record that has no other
-- rows (beside a dead one an older one is settled, too); and for each of @Records Ordinal, Seen, IsOpen, whether a change of it is not
-- settled, and IsNew, whether it was made by one. What sync.QueueRecords has queued is no change. Rows from before the queue ids were moved on, after an earlier restore, say nothing. Waits for nobody.
SET NOCOUNT ON
${checkedArray('sync.Bookkeeping', '@Records', [tableName, number('key', 'int')])}
${checkedTables('sync.Bookkeeping', '@Records')}
${checkedMax('sync.Bookkeeping')}
${PREAMBLE}
DECLARE @moved bigint = (SELECT TRY_CONVERT(bigint, Value) FROM sync.Settings WHERE Name = N'RestoredUpTo')

SELECT CONVERT(varchar(20), ${LAST_ID}) AS LastID,
  CONVERT(varchar(20), (SELECT COALESCE(MAX(s.SeenPortalVersion), 0) FROM sync.RowState s WITH (READUNCOMMITTED))) AS Seen,
  (SELECT MAX(s.Value) FROM sync.Settings s WHERE s.Name = N'Restored') AS Held,
  (SELECT MIN(s.RecordID) FROM sync.RowState s WITH (READUNCOMMITTED)) AS LowestKey

SELECT n.TableName, n.RecordID, CONVERT(varchar(20), MAX(n.EventVersion)) AS Version
FROM (SELECT TOP (@Max) q.TableName, q.RecordID, q.EventVersion
  FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
  WHERE q.Status = N'Synced' ORDER BY q.QueueID DESC) n
WHERE n.EventVersion > COALESCE(@moved, 0)
  AND NOT EXISTS (SELECT 1 FROM dbo.SyncQueue o WITH (READUNCOMMITTED)
    WHERE o.TableName = n.TableName AND o.RecordID = n.RecordID AND o.Status <> N'Synced')
GROUP BY n.TableName, n.RecordID

SELECT CONVERT(int, a.[key]) + 1 AS Ordinal, CONVERT(varchar(20), COALESCE(s.SeenPortalVersion, 0)) AS Seen,
  CAST(CASE WHEN EXISTS (SELECT 1 FROM dbo.SyncQueue o WITH (READUNCOMMITTED)
    WHERE o.TableName = r.TableName AND o.RecordID = r.RecordID AND o.Status <> N'Synced' AND o.Operation <> N'RESTORED') THEN 1 ELSE 0 END AS bit) AS IsOpen,
  CAST(CASE WHEN EXISTS (SELECT 1 FROM dbo.SyncQueue o WITH (READUNCOMMITTED)
    WHERE o.TableName = r.TableName AND o.RecordID = r.RecordID AND o.Status <> N'Synced' AND o.Operation = N'INSERT') THEN 1 ELSE 0 END AS bit) AS IsNew
FROM OPENJSON(@Records) a
  CROSS APPLY OPENJSON(a.[value]) WITH (TableName nvarchar(100) '$.table', RecordID int '$.key') r
  LEFT JOIN sync.RowState s WITH (READUNCOMMITTED) ON s.TableName = r.TableName AND s.RecordID = r.RecordID

SET LOCK_TIMEOUT -1`,
  )
}

/** `sync.HoldPortalChanges`: nothing of the portal's is applied until it is let go. */
export function holdPortalChanges(): string {
  return procedure(
    'sync.HoldPortalChanges',
    '@Why nvarchar(20)',
    `
-- Until it is let go (NULL), sync.ApplyPortalChanges answers 51230. @Why: 'restored', this database was restored from a backup; 'repair',
-- the other one was, and is being repaired.
SET NOCOUNT ON
${refuse(51200, "@Why NOT IN (N'restored', N'repair')", 'sync.HoldPortalChanges: @Why must be restored, repair or NULL')}
${PREAMBLE}
DECLARE @got int
BEGIN TRANSACTION
EXEC @got = sp_getapplock @Resource = N'sync.hold', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 10000
IF @got < 0
BEGIN;
  THROW 51222, N'sync: another session is in the settings', 1;
END
IF @Why IS NULL OR @Why = N'restored' DELETE FROM sync.Settings WHERE Name = N'Restored'
IF @Why IS NOT NULL AND NOT ${IS_HELD}
  INSERT INTO sync.Settings (Name, Value) VALUES (N'Restored', @Why)
COMMIT TRANSACTION

SET LOCK_TIMEOUT -1`,
  )
}

/** `sync.ResumeAfterRestore`: queue ids above those that the portal has had, and what is not settled is sent anew. */
export function resumeAfterRestore(): string {
  return procedure(
    'sync.ResumeAfterRestore',
    '@Seen bigint',
    `
-- For the operator's command after-restore. @Seen: the highest version of the clinic's that the portal has had. Moves the queue ids
-- above it, and above all that were handed out here; rows from before are not compared any more. What is not settled is sent anew, and what transactions in flight have drawn
-- already, with versions above that: see sync.TakeChanges. One row: [Rows], how many were set back to Pending.
SET NOCOUNT ON
${refuse(51200, '@Seen IS NULL OR @Seen < 0', 'sync.ResumeAfterRestore: @Seen is the highest queue id that the portal has had')}
${PREAMBLE}
DECLARE @rows int, @last bigint, @restart nvarchar(200)

BEGIN TRANSACTION
EXEC sync.EnterOutbox
-- Drawn, not looked up: whoever may not see the sequence would move it backwards.
SET @last = NEXT VALUE FOR sync.QueueIDs
IF @last < @Seen SET @last = @Seen
SET @last = @last + ${LEFT_OUT}
SET @restart = N'ALTER SEQUENCE sync.QueueIDs RESTART WITH ' + CONVERT(nvarchar(20), @last + 1)
EXEC (@restart)
DELETE FROM sync.Settings WHERE Name = N'RestoredUpTo'
INSERT INTO sync.Settings (Name, Value) VALUES (N'RestoredUpTo', CONVERT(nvarchar(20), @last))

CREATE TABLE #open (QueueID bigint NOT NULL PRIMARY KEY)
INSERT INTO #open (QueueID)
SELECT q.QueueID FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
WHERE q.Status = N'Queued' OR q.Status = N'Failed' AND COALESCE(q.LastError, N'') LIKE N'SYNC[_]RESTORED:%'
-- LOOP: each row is looked up by its key. A scan of the outbox would wait for the rows of transactions in flight.
UPDATE q SET Status = N'Pending', LastError = NULL
FROM #open o INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = o.QueueID
SET @rows = @@ROWCOUNT
COMMIT TRANSACTION

SELECT @rows AS [Rows]

SET LOCK_TIMEOUT -1`,
  )
}

/** `sync.QueueRecords`: records that the other side lacks, or has otherwise, to be sent. */
export function queueRecords(): string {
  const names = syncedTables.map((table) => literal(table.name)).join(', ')
  return procedure(
    'sync.QueueRecords',
    '@Records nvarchar(max)',
    `
-- For the operator's command after-restore. @Records: [{"table", "key", "seen"?}, …], in the order in which they are to be sent; those
-- that are not here are sent as deleted. seen: what the portal has sent of the record up to this version is not to be processed any more.
SET NOCOUNT ON
${checkedArray('sync.QueueRecords', '@Records', [
  tableName,
  number('key', 'int'),
  { ...number('seen', 'bigint'), optional: true },
])}
${checkedTables('sync.QueueRecords', '@Records')}
${PREAMBLE}

CREATE TABLE #record (
  Ordinal int NOT NULL PRIMARY KEY,
  TableName nvarchar(100) COLLATE DATABASE_DEFAULT NOT NULL,
  RecordID int NOT NULL,
  Seen bigint NULL
)
INSERT INTO #record (Ordinal, TableName, RecordID, Seen)
SELECT CONVERT(int, a.[key]) + 1, r.TableName, r.RecordID, r.Seen
FROM OPENJSON(@Records) a
  CROSS APPLY OPENJSON(a.[value]) WITH (TableName nvarchar(100) '$.table', RecordID int '$.key', Seen bigint '$.seen') r
WHERE r.TableName IN (${names})

DECLARE @got int
BEGIN TRANSACTION
-- sync.RowState has one writer at a time.
EXEC @got = sp_getapplock @Resource = N'sync.apply', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 10000
IF @got < 0
BEGIN;
  THROW 51222, N'sync: another session is applying', 1;
END
UPDATE s SET SeenPortalVersion = r.Seen, PortalValues = NULL
FROM #record r INNER JOIN sync.RowState s ON s.TableName = r.TableName AND s.RecordID = r.RecordID
WHERE r.Seen > s.SeenPortalVersion
INSERT INTO sync.RowState (TableName, RecordID, SeenPortalVersion)
SELECT r.TableName, r.RecordID, MAX(r.Seen) FROM #record r
WHERE r.Seen IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM sync.RowState s WHERE s.TableName = r.TableName AND s.RecordID = r.RecordID)
GROUP BY r.TableName, r.RecordID
INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
SELECT r.TableName, r.RecordID, N'RESTORED' FROM #record r ORDER BY r.Ordinal
COMMIT TRANSACTION

SET LOCK_TIMEOUT -1`,
  )
}
