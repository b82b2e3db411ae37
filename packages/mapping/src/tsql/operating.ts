import { syncedTables } from '../tables/index.ts'
import { checkedArray, checkedFlag, checkedMax, checkedTables, number, refuse, tableName } from './arguments.ts'
import { causeOf, isDiscarded } from './settling.ts'
import { literal, procedure } from './text.ts'

/** Of the newest settled rows, how many are looked at for the one that was settled last: there is no index by time. */
const NEWEST = 200

const PREAMBLE = `SET XACT_ABORT ON
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
SET DEADLOCK_PRIORITY LOW
SET LOCK_TIMEOUT 10000`

/** `sync.OutboxStatus`: the outbox in figures. */
export function outboxStatus(): string {
  const count = (status: string, more = '') => `(SELECT COUNT(*) FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
    WHERE q.Status = N'${status}'${more})`
  const oldest = (
    status: string,
  ) => `(SELECT TOP (1) CASE WHEN q.CreatedAt > @now THEN 0 ELSE DATEDIFF_BIG(millisecond, q.CreatedAt, @now) END
    FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST) WHERE q.Status = N'${status}' ORDER BY q.QueueID)`
  return procedure(
    'sync.OutboxStatus',
    '',
    `
-- Three result sets: the rows by status, with the age of the oldest by queue id (ms); Failed rows by what stands before the colon of
-- LastError; and the row that was settled last, of the ${NEWEST} newest that are settled. Ages, since the clock here is not UTC.
-- Waits for nobody: what a transaction in flight holds at this moment is not counted, which is new rows, and at most the few that the
-- sync itself is moving on. The index by Status has all that is counted.
SET NOCOUNT ON
${PREAMBLE}
DECLARE @now datetime2(3) = SYSDATETIME()

SELECT SYSUTCDATETIME() AS UtcNow,
  ${count('Pending')} AS Pending,
  ${count('Queued')} AS Queued,
  ${count('Synced')} AS Synced,
  ${count('Failed')} AS Failed,
  ${count('Queued', ' AND q.LastError IS NOT NULL')} AS Retrying,
  ${oldest('Pending')} AS OldestPendingMs,
  ${oldest('Queued')} AS OldestQueuedMs

SELECT c.Cause, COUNT(*) AS [Rows]
FROM (SELECT ${causeOf('q.LastError')} AS Cause FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
  WHERE q.Status = N'Failed') c
GROUP BY c.Cause

SELECT TOP (1) n.TableName, n.RecordID, DATEDIFF_BIG(millisecond, n.CreatedAt, @now) AS CapturedMs,
  DATEDIFF_BIG(millisecond, n.LastAttempt, @now) AS SettledMs
FROM (SELECT TOP (${NEWEST}) q.QueueID, q.TableName, q.RecordID, q.CreatedAt, q.LastAttempt
  FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
  WHERE q.Status = N'Synced' ORDER BY q.QueueID DESC) n
WHERE n.LastAttempt IS NOT NULL
ORDER BY n.LastAttempt DESC, n.QueueID DESC

SET LOCK_TIMEOUT -1`,
  )
}

/** `sync.Requeue`: a page of the outbox back to Pending. */
export function requeue(): string {
  const refused = (condition: string, message: string) => refuse(51200, condition, `sync.Requeue: ${message}`)
  const names = syncedTables.map((table) => literal(table.name)).join(', ')
  return procedure(
    'sync.Requeue',
    '@Status nvarchar(20), @Table nvarchar(100), @Key int, @OlderThanSeconds int, @RunningMs int, @After bigint, @Max int, @DryRun bit',
    `
-- Looks at the next @Max rows with that status above the queue id @After (NULL: from the start), and sets those back to Pending that
-- fit (@DryRun = 1: counts them): of that table, key and age, where these are not NULL. One row: [Rows], Looked, LastID (varchar).
-- Looked < @Max: there are no more. Rows that were moved on in the last @RunningMs, since the run began, are left: they are under way.
-- So are rows that an operator has discarded, unless the record is named.
-- EventVersion stays: sync.TakeChanges then sends the event with the version that it had, so that the portal drops what it has already.
SET NOCOUNT ON
${refused("@Status IS NULL OR @Status NOT IN (N'Queued', N'Failed', N'Synced')", '@Status must be Queued, Failed or Synced')}
${refuse(51201, `@Table IS NOT NULL AND @Table NOT IN (${names})`, 'sync.Requeue: @Table is not the name of a synced table')}
${refused('@Key IS NOT NULL AND @Table IS NULL', '@Key needs @Table')}
${refused('@OlderThanSeconds < 0', '@OlderThanSeconds must not be negative')}
${refused('@RunningMs IS NULL OR @RunningMs < 0', '@RunningMs must not be negative')}
${checkedMax('sync.Requeue')}
${checkedFlag('sync.Requeue', '@DryRun')}
${PREAMBLE}
DECLARE @now datetime2(3) = SYSDATETIME(), @rows int
DECLARE @began datetime2(3) = DATEADD(millisecond, -@RunningMs, @now)
DECLARE @before datetime2(3) = CASE WHEN @OlderThanSeconds IS NULL THEN NULL ELSE DATEADD(second, -@OlderThanSeconds, @now) END
CREATE TABLE #page (QueueID bigint NOT NULL PRIMARY KEY)

BEGIN TRANSACTION
-- In here nobody else moves rows on, so those that READPAST leaves out are of transactions in flight: they have not been sent.
EXEC sync.EnterOutbox
IF @Key IS NULL
  INSERT INTO #page (QueueID)
  SELECT TOP (@Max) q.QueueID FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
  WHERE q.Status = @Status AND q.QueueID > COALESCE(@After, -9223372036854775808)
  ORDER BY q.QueueID
ELSE
  INSERT INTO #page (QueueID)
  SELECT TOP (@Max) q.QueueID FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
  WHERE q.TableName = @Table AND q.RecordID = @Key AND q.QueueID > COALESCE(@After, -9223372036854775808)
  ORDER BY q.QueueID

DECLARE @looked int = @@ROWCOUNT
DECLARE @last bigint = (SELECT MAX(QueueID) FROM #page)

DELETE p
FROM #page p INNER LOOP JOIN dbo.SyncQueue q WITH (READCOMMITTEDLOCK) ON q.QueueID = p.QueueID
WHERE q.Status <> @Status OR q.TableName <> @Table OR q.RecordID <> @Key OR q.CreatedAt > @before OR q.LastAttempt > @began
  OR @Key IS NULL AND ${isDiscarded('q')}
SELECT @rows = COUNT(*) FROM #page

-- LOOP, here and above: each row is looked up by its key. A scan of the outbox would wait for the rows of transactions in flight.
IF @DryRun = 0
  UPDATE q SET Status = N'Pending', LastError = NULL
  FROM #page p INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = p.QueueID
COMMIT TRANSACTION

SELECT @rows AS [Rows], @looked AS Looked, CONVERT(varchar(20), @last) AS LastID

SET LOCK_TIMEOUT -1`,
  )
}

/** `sync.RecordVersions`: what became of the versions that events, or dead letters, name. */
export function recordVersions(): string {
  const record = [tableName, number('key', 'int'), number('version', 'bigint')]
  return procedure(
    'sync.RecordVersions',
    '@Records nvarchar(max)',
    `
-- @Records: [{"table", "key", "version"}, …]. A row for each: Ordinal, Status and LastError of the outbox row that the event with that
-- version carried (NULL: purged, or never there), and SupersededBy, the record's highest settled version if it is above that.
SET NOCOUNT ON
${checkedArray('sync.RecordVersions', '@Records', record)}
${checkedTables('sync.RecordVersions', '@Records')}
${PREAMBLE}

CREATE TABLE #record (
  Ordinal int NOT NULL PRIMARY KEY,
  TableName nvarchar(100) COLLATE DATABASE_DEFAULT NOT NULL,
  RecordID int NOT NULL,
  Version bigint NOT NULL
)
INSERT INTO #record (Ordinal, TableName, RecordID, Version)
SELECT CONVERT(int, a.[key]) + 1, r.TableName, r.RecordID, r.Version
FROM OPENJSON(@Records) a
  CROSS APPLY OPENJSON(a.[value]) WITH (TableName nvarchar(100) '$.table', RecordID int '$.key', Version bigint '$.version') r

-- Without locks: rows of transactions in flight carry no EventVersion.
SELECT r.Ordinal, c.Status, c.LastError, CONVERT(varchar(20), s.Version) AS SupersededBy
FROM #record r
OUTER APPLY (SELECT TOP (1) q.Status, q.LastError FROM dbo.SyncQueue q WITH (READUNCOMMITTED)
  WHERE q.TableName = r.TableName AND q.RecordID = r.RecordID AND q.EventVersion = r.Version ORDER BY q.QueueID DESC) c
OUTER APPLY (SELECT MAX(q.EventVersion) AS Version FROM dbo.SyncQueue q WITH (READUNCOMMITTED)
  WHERE q.TableName = r.TableName AND q.RecordID = r.RecordID AND q.Status = N'Synced' AND q.EventVersion > r.Version) s
ORDER BY r.Ordinal

SET LOCK_TIMEOUT -1`,
  )
}
