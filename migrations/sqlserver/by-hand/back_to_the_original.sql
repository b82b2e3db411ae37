-- The way back to the original system, for as long as dbo.SyncQueue_original is there: takes our triggers and our outbox away, and
-- gives the original its own back, with what has not reached the portal yet as Pending. Stop our services first; the original's
-- triggers that had names of ours (trg_sync_<table>) have to be made again from their scripts, before this. Safe to run again.
-- docs/moving-over.md says when.

SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
-- What somebody's open transaction holds is waited for this long, then it is error 1222: run the file again later.
SET LOCK_TIMEOUT 5000
GO

IF OBJECT_ID(N'dbo.SyncQueue_original', N'U') IS NULL
  OR OBJECT_ID(N'dbo.SyncQueue', N'U') IS NULL OR COL_LENGTH(N'dbo.SyncQueue', N'EventVersion') IS NULL
BEGIN
  RAISERROR (N'There is no way back: dbo.SyncQueue_original, and dbo.SyncQueue as clinic-sync makes it, have to be there.', 16, 1)
  SET NOEXEC ON
END
GO

BEGIN TRANSACTION
GO
-- Ours, by their text: the original may have triggers whose names begin like that.
DECLARE @ours TABLE (Name nvarchar(300) NOT NULL PRIMARY KEY)
INSERT INTO @ours (Name)
SELECT QUOTENAME(SCHEMA_NAME(o.schema_id)) + N'.' + QUOTENAME(t.name)
FROM sys.triggers t INNER JOIN sys.objects o ON o.object_id = t.object_id INNER JOIN sys.sql_modules m ON m.object_id = t.object_id
WHERE LEFT(t.name, 9) = N'trg_sync_' AND CHARINDEX(N'DECLARE @changed TABLE (Turn int NOT NULL, TableName', m.definition) > 0

DECLARE @trigger nvarchar(300) = (SELECT MIN(Name) FROM @ours), @sql nvarchar(400)
WHILE @trigger IS NOT NULL
BEGIN
  SET @sql = N'DROP TRIGGER ' + @trigger
  EXEC (@sql)
  SET @trigger = (SELECT MIN(Name) FROM @ours WHERE Name > @trigger)
END

-- What has arrived since. A row that ours lacks was settled and purged.
UPDATE o SET Status = N'Synced', LastAttempt = COALESCE(q.LastAttempt, o.LastAttempt), LastError = NULL
FROM dbo.SyncQueue_original o LEFT JOIN dbo.SyncQueue q ON q.QueueID = o.QueueID
WHERE o.TableName IS NOT NULL AND o.RecordID IS NOT NULL AND COALESCE(o.Status, N'') <> N'Synced'
  AND (q.QueueID IS NULL OR q.Status = N'Synced')

INSERT INTO dbo.SyncQueue_original (TableName, RecordID, Operation, Status, CreatedAt, Attempts)
SELECT q.TableName, q.RecordID, q.Operation, N'Pending', q.CreatedAt, 0
FROM dbo.SyncQueue q
-- The canary is ours, and nothing to the original.
WHERE q.Status <> N'Synced' AND q.TableName <> N'canary' AND NOT EXISTS (SELECT 1 FROM dbo.SyncQueue_original o WHERE o.QueueID = q.QueueID)
ORDER BY q.QueueID

DROP TABLE dbo.SyncQueue
EXEC sp_rename N'dbo.SyncQueue_original', N'SyncQueue', N'OBJECT'

-- So that `migrate` begins from the first file if you come again.
DELETE FROM sync.Migrations
DELETE FROM sync.Settings WHERE Name IN (N'OriginalQueue', N'TakenOver', N'Doorbell')
GO
IF @@TRANCOUNT > 0 COMMIT TRANSACTION
GO
SET NOEXEC OFF
GO
