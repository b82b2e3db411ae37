import { checkedArray, checkedTables, number, tableName } from './arguments.ts'
import { literal, procedure } from './text.ts'

const OUTCOMES = ['queued', 'applied', 'duplicate', 'stale', 'unchanged', 'conflict', 'retry', 'dead', 'discarded']

const SETTLEMENT = [
  tableName,
  number('key', 'int'),
  number('version', 'bigint'),
  { name: 'outcome', types: [1], when: `p.[value] IN (${OUTCOMES.map(literal).join(', ')})` },
  { name: 'code', types: [0, 1], optional: true },
  { name: 'reason', types: [0, 1], optional: true },
] as const

/** The LastError of a change that the portal has taken for an old one. */
export const RESTORED =
  'SYNC_RESTORED: the portal has had later versions of this record than the clinic has handed out: ' +
  'the clinic was restored from a backup'

/** Of an outbox row that has a LastError: an operator has given it up. */
export const isDiscarded = (alias: string) => `COALESCE(${alias}.LastError, N'') LIKE N'SYNC[_]DISCARDED:%'`

/** What stands before the first colon of a LastError: a code, where it is one of ours. */
export const causeOf = (text: string) => `LEFT(${text}, CHARINDEX(N':', ${text} + N':') - 1)`

/** `sync.SettleChanges`: moves outbox rows on by outcome, and purges old settled ones. */
export function settleChanges(): string {
  return procedure(
    'sync.SettleChanges',
    '@Outcomes nvarchar(max)',
    `
-- @Outcomes: [{"table", "key", "version", "outcome", "code"?, "reason"?}, …]. Safe to repeat, in any order: a row only moves on.
-- An event answers for the rows that it carried, and for the record's older ones: its row is theirs as well. A retry is of its own
-- rows only: older events are still on their way by themselves. What an operator has discarded no late 'dead' takes up again.
-- 'stale' says that the portal had applied a higher version of the record. Of the latest that was ever sent there can be none: a higher
-- one would have a row here, or have settled this one. So the portal has had ids that this database has not handed out: it was
-- restored from a backup, and the change has not arrived.
SET NOCOUNT ON
${checkedArray('sync.SettleChanges', '@Outcomes', SETTLEMENT)}
${checkedTables('sync.SettleChanges', '@Outcomes')}
SET XACT_ABORT ON
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
SET DEADLOCK_PRIORITY LOW
SET LOCK_TIMEOUT 10000

CREATE TABLE #outcome (
  TableName nvarchar(100) COLLATE DATABASE_DEFAULT NOT NULL,
  RecordID int NOT NULL,
  Version bigint NOT NULL,
  Outcome nvarchar(20) COLLATE DATABASE_DEFAULT NOT NULL,
  LastError nvarchar(1000) COLLATE DATABASE_DEFAULT NULL
)
CREATE TABLE #row (
  QueueID bigint NOT NULL,
  Version bigint NOT NULL,
  Outcome nvarchar(20) COLLATE DATABASE_DEFAULT NOT NULL,
  LastError nvarchar(1000) COLLATE DATABASE_DEFAULT NULL,
  IsRestored bit NOT NULL
)

INSERT INTO #outcome (TableName, RecordID, Version, Outcome, LastError)
SELECT o.TableName, o.RecordID, o.Version, o.Outcome,
  LEFT(COALESCE(LEFT(o.Code, 64) + N': ' + o.Reason, LEFT(o.Code, 64), o.Reason), 1000)
FROM OPENJSON(@Outcomes) WITH (
  TableName nvarchar(100) '$.table', RecordID int '$.key', Version bigint '$.version', Outcome nvarchar(20) '$.outcome',
  Code nvarchar(max) '$.code', Reason nvarchar(max) '$.reason') o

-- Of several versions of a record that are dead, the highest says why: it answers for the rows of the others.
DELETE o
FROM #outcome o INNER JOIN #outcome h ON h.TableName = o.TableName AND h.RecordID = o.RecordID
WHERE o.Outcome = N'dead' AND h.Outcome = N'dead' AND h.Version > o.Version

DECLARE @now datetime2(3) = SYSDATETIME()

BEGIN TRANSACTION
EXEC sync.EnterOutbox

-- Found without locks, so that another transaction's new rows of the same records are not waited for: those carry no
-- EventVersion yet. The conditions are judged again below, where LOOP has each row looked up by its key: a scan would wait.
INSERT INTO #row (QueueID, Version, Outcome, LastError, IsRestored)
SELECT q.QueueID, o.Version, o.Outcome, o.LastError,
  CASE WHEN o.Outcome = N'stale' AND q.EventVersion = o.Version AND NOT EXISTS (
    SELECT 1 FROM dbo.SyncQueue h WITH (READUNCOMMITTED)
    WHERE h.TableName = q.TableName AND h.RecordID = q.RecordID AND h.EventVersion > q.EventVersion) THEN 1 ELSE 0 END
FROM #outcome o INNER JOIN dbo.SyncQueue q WITH (READUNCOMMITTED)
  ON q.TableName = o.TableName AND q.RecordID = o.RecordID AND q.EventVersion <= o.Version

UPDATE q SET Status = N'Queued', Attempts = q.Attempts + 1, LastAttempt = @now
FROM #row r INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
WHERE r.Outcome = N'queued' AND q.EventVersion = r.Version AND q.Status = N'Pending'

UPDATE q SET Status = N'Queued', Attempts = q.Attempts + 1, LastAttempt = @now, LastError = r.LastError
FROM #row r INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
WHERE r.Outcome = N'retry' AND q.EventVersion = r.Version AND q.Status IN (N'Pending', N'Queued')

UPDATE q SET Status = N'Failed', LastAttempt = @now, LastError = r.LastError
FROM #row r INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
WHERE r.Outcome = N'dead' AND q.EventVersion <= r.Version
  AND (q.Status IN (N'Pending', N'Queued') OR q.Status = N'Failed' AND NOT ${isDiscarded('q')})

UPDATE q SET Status = N'Failed', LastAttempt = @now,
  LastError = LEFT(N'SYNC_DISCARDED: ' + LEFT(COALESCE(r.LastError, N'no reason was given'), 850)
    + COALESCE(N' (was ' + ${causeOf('q.LastError')} + N')', N''), 1000)
FROM #row r INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
WHERE r.Outcome = N'discarded' AND q.EventVersion <= r.Version
  AND (q.Status = N'Queued' OR q.Status = N'Failed' AND NOT ${isDiscarded('q')})

UPDATE q SET Status = N'Failed', LastAttempt = @now, LastError = ${literal(RESTORED)}
FROM #row r INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
WHERE r.IsRestored = 1 AND q.EventVersion = r.Version
  AND (q.Status IN (N'Pending', N'Queued') OR q.Status = N'Failed' AND NOT ${isDiscarded('q')})

UPDATE q SET Status = N'Synced', LastAttempt = @now, LastError = NULL
FROM #row r INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
WHERE r.Outcome IN (N'applied', N'duplicate', N'stale', N'unchanged', N'conflict') AND r.IsRestored = 0
  AND q.EventVersion <= r.Version AND q.Status <> N'Synced'
COMMIT TRANSACTION

-- Purges from the oldest on, a bounded number: what is in the way of it is read, not searched for.
DECLARE @days int = (SELECT TRY_CONVERT(int, Value) FROM sync.Settings WHERE Name = N'RetentionDays')
DECLARE @before datetime2(3) = DATEADD(day, -CASE WHEN @days BETWEEN 1 AND 36500 THEN @days ELSE 7 END, @now)
DECLARE @purged int = 500, @rounds int = 0
WHILE @purged = 500 AND @rounds < 10
BEGIN
  DELETE q
  FROM dbo.SyncQueue q WITH (ROWLOCK, READCOMMITTEDLOCK, READPAST)
    INNER JOIN (SELECT TOP (500) s.QueueID FROM dbo.SyncQueue s WITH (READCOMMITTEDLOCK, READPAST)
      WHERE s.Status = N'Synced' ORDER BY s.QueueID) o ON o.QueueID = q.QueueID
  -- The original system's rows may lack a LastAttempt: 500 such would be in the way of all that follow.
  WHERE q.Status = N'Synced' AND COALESCE(q.LastAttempt, q.CreatedAt) < @before
  SET @purged = @@ROWCOUNT
  SET @rounds += 1
END

SET LOCK_TIMEOUT -1`,
  )
}
