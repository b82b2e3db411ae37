import { checkedArray, checkedTables, number, tableName } from './arguments.ts'
import { causeOf } from './settling.ts'
import { procedure } from './text.ts'

/** `sync.RecordStates`: what tells a record that is late from one that differs. */
export function recordStates(): string {
  return procedure(
    'sync.RecordStates',
    '@Records nvarchar(max)',
    `
-- For the command verify. @Records: [{"table", "key"}, …]. A row for each: Ordinal; Applied, the portal's version that was processed here
-- last; LastID, the latest queue id of the record (NULL: the outbox has none); IsOpen, whether a change of it waits to be sent or for its
-- outcome; and Cause, of its latest Failed row what stands before the colon of LastError (NULL: there is none). Waits for nobody: what a
-- transaction in flight has put into the outbox counts as open.
SET NOCOUNT ON
${checkedArray('sync.RecordStates', '@Records', [tableName, number('key', 'int')])}
${checkedTables('sync.RecordStates', '@Records')}
SET XACT_ABORT ON
SET TRANSACTION ISOLATION LEVEL READ COMMITTED
SET DEADLOCK_PRIORITY LOW
SET LOCK_TIMEOUT 10000

CREATE TABLE #record (
  Ordinal int NOT NULL PRIMARY KEY,
  TableName nvarchar(100) COLLATE DATABASE_DEFAULT NOT NULL,
  RecordID int NOT NULL
)
INSERT INTO #record (Ordinal, TableName, RecordID)
SELECT CONVERT(int, a.[key]) + 1, r.TableName, r.RecordID
FROM OPENJSON(@Records) a
  CROSS APPLY OPENJSON(a.[value]) WITH (TableName nvarchar(100) '$.table', RecordID int '$.key') r

-- Without locks: nobody is waited for.
SELECT r.Ordinal, CONVERT(varchar(20), COALESCE(s.SeenPortalVersion, 0)) AS Applied, CONVERT(varchar(20), l.QueueID) AS LastID,
  CAST(CASE WHEN EXISTS (SELECT 1 FROM dbo.SyncQueue o WITH (READUNCOMMITTED)
    WHERE o.TableName = r.TableName AND o.RecordID = r.RecordID AND o.Status IN (N'Pending', N'Queued')) THEN 1 ELSE 0 END AS bit) AS IsOpen,
  CASE WHEN f.QueueID IS NULL THEN NULL ELSE COALESCE(${causeOf('f.LastError')}, N'') END AS Cause
FROM #record r
  LEFT JOIN sync.RowState s WITH (READUNCOMMITTED) ON s.TableName = r.TableName AND s.RecordID = r.RecordID
OUTER APPLY (SELECT MAX(q.QueueID) AS QueueID FROM dbo.SyncQueue q WITH (READUNCOMMITTED)
  WHERE q.TableName = r.TableName AND q.RecordID = r.RecordID) l
OUTER APPLY (SELECT TOP (1) q.QueueID, q.LastError FROM dbo.SyncQueue q WITH (READUNCOMMITTED)
  WHERE q.TableName = r.TableName AND q.RecordID = r.RecordID AND q.Status = N'Failed' ORDER BY q.QueueID DESC) f
ORDER BY r.Ordinal

SET LOCK_TIMEOUT -1`,
  )
}
