-- The clinic's outbox and the sync's own tables. Safe to run again; nothing of the clinic's own is touched.
-- Needs SQL Server 2016 or later, compatibility level 130 or higher, and the rights of db_owner.

SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
GO

BEGIN TRY
  EXEC (N'DECLARE @n int; SELECT @n = COUNT(*) FROM OPENJSON(N''[]'')')
END TRY
BEGIN CATCH
  RAISERROR (N'This database cannot read JSON: it needs SQL Server 2016 or later and compatibility level 130 or higher (ALTER DATABASE CURRENT SET COMPATIBILITY_LEVEL = 130).', 16, 1)
  SET NOEXEC ON
END CATCH
GO

IF SCHEMA_ID(N'sync') IS NULL EXEC (N'CREATE SCHEMA sync AUTHORIZATION dbo')
GO

-- Queue ids and versions. A sequence, because an IDENTITY would change what the clinic's software sees in @@IDENTITY.
IF OBJECT_ID(N'sync.QueueIDs', N'SO') IS NULL
  CREATE SEQUENCE sync.QueueIDs AS bigint START WITH 1 INCREMENT BY 1 MINVALUE 1 NO CYCLE CACHE 100
GO

IF OBJECT_ID(N'sync.Migrations', N'U') IS NULL
CREATE TABLE sync.Migrations (
  Name nvarchar(200) NOT NULL CONSTRAINT PK_sync_Migrations PRIMARY KEY,
  Checksum char(64) NOT NULL,
  AppliedAt datetime2(3) NOT NULL CONSTRAINT DF_sync_Migrations_AppliedAt DEFAULT (SYSDATETIME())
)
GO

IF OBJECT_ID(N'sync.Settings', N'U') IS NULL
CREATE TABLE sync.Settings (
  Name nvarchar(100) NOT NULL CONSTRAINT PK_sync_Settings PRIMARY KEY,
  Value nvarchar(400) NULL
)
GO
IF NOT EXISTS (SELECT 1 FROM sync.Settings WHERE Name = N'RetentionDays')
  INSERT INTO sync.Settings (Name, Value) VALUES (N'RetentionDays', N'7')
GO

-- Per record: the highest portal version that the clinic has processed, and the shared columns as the portal reported them.
IF OBJECT_ID(N'sync.RowState', N'U') IS NULL
CREATE TABLE sync.RowState (
  TableName nvarchar(100) NOT NULL,
  RecordID int NOT NULL,
  SeenPortalVersion bigint NOT NULL CONSTRAINT DF_sync_RowState_SeenPortalVersion DEFAULT (0),
  PortalValues nvarchar(max) NULL,
  CONSTRAINT PK_sync_RowState PRIMARY KEY (TableName, RecordID)
)
GO

-- How far a backfill has come, per table.
IF OBJECT_ID(N'sync.Backfill', N'U') IS NULL
CREATE TABLE sync.Backfill (
  TableName nvarchar(100) NOT NULL CONSTRAINT PK_sync_Backfill PRIMARY KEY,
  LastKey int NULL,
  Done int NOT NULL CONSTRAINT DF_sync_Backfill_Done DEFAULT (0),
  Total int NOT NULL CONSTRAINT DF_sync_Backfill_Total DEFAULT (0),
  FinishedAt datetime2(3) NULL
)
GO

-- The original system's SyncQueue has an IDENTITY, which no ALTER removes: the table is set aside under the name
-- SyncQueue_original, and its rows are copied into the new one. All of this is one transaction.
BEGIN TRANSACTION
GO
IF OBJECT_ID(N'dbo.SyncQueue', N'U') IS NOT NULL
  AND (COL_LENGTH(N'dbo.SyncQueue', N'EventVersion') IS NULL
    OR EXISTS (SELECT 1 FROM sys.identity_columns WHERE object_id = OBJECT_ID(N'dbo.SyncQueue')))
BEGIN
  DECLARE @missing nvarchar(128) = (SELECT MIN(c.Name)
    FROM (VALUES (N'QueueID'), (N'TableName'), (N'RecordID'), (N'Operation'), (N'JsonData'), (N'Status'), (N'CreatedAt'),
      (N'Attempts'), (N'LastAttempt'), (N'LastError')) c (Name)
    WHERE COL_LENGTH(N'dbo.SyncQueue', c.Name) IS NULL)

  IF @missing IS NOT NULL
    RAISERROR (N'dbo.SyncQueue exists but is not the original system''s: it lacks %s. Rename it, then run this file again.', 16, 1, @missing)
  ELSE IF OBJECT_ID(N'dbo.SyncQueue_original') IS NOT NULL
    RAISERROR (N'dbo.SyncQueue has to be set aside, but dbo.SyncQueue_original exists already. Rename or drop that one, then run this file again.', 16, 1)
  ELSE IF EXISTS (SELECT 1 FROM sys.foreign_keys WHERE referenced_object_id = OBJECT_ID(N'dbo.SyncQueue'))
    RAISERROR (N'dbo.SyncQueue has to be set aside, but foreign keys refer to it. Drop them, then run this file again.', 16, 1)
  ELSE
  BEGIN
    EXEC sp_rename N'dbo.SyncQueue', N'SyncQueue_original', N'OBJECT'
    DELETE FROM sync.Settings WHERE Name = N'OriginalQueue'
    INSERT INTO sync.Settings (Name, Value) VALUES (N'OriginalQueue', N'to be copied')
  END

  IF OBJECT_ID(N'dbo.SyncQueue', N'U') IS NOT NULL
  BEGIN
    IF @@TRANCOUNT > 0 ROLLBACK TRANSACTION
    SET NOEXEC ON
  END
END
GO

-- Status: Pending → Queued (RabbitMQ has confirmed the event) → Synced, or Failed with LastError.
-- EventVersion: the version of the event that carries this change. JsonData is the original's and stays empty.
IF OBJECT_ID(N'dbo.SyncQueue', N'U') IS NULL
CREATE TABLE dbo.SyncQueue (
  QueueID bigint NOT NULL CONSTRAINT DF_sync_SyncQueue_QueueID DEFAULT (NEXT VALUE FOR sync.QueueIDs)
    CONSTRAINT PK_sync_SyncQueue PRIMARY KEY,
  TableName nvarchar(100) NOT NULL,
  RecordID int NOT NULL,
  Operation nvarchar(20) NOT NULL,
  JsonData nvarchar(max) NULL,
  Status nvarchar(20) NOT NULL CONSTRAINT DF_sync_SyncQueue_Status DEFAULT (N'Pending'),
  CreatedAt datetime2(3) NOT NULL CONSTRAINT DF_sync_SyncQueue_CreatedAt DEFAULT (SYSDATETIME()),
  Attempts int NOT NULL CONSTRAINT DF_sync_SyncQueue_Attempts DEFAULT (0),
  LastAttempt datetime2(3) NULL,
  LastError nvarchar(1000) NULL,
  EventVersion bigint NULL
)
GO
-- A statement that changes thousands of rows would otherwise take a lock on the whole outbox, and hold up everybody's writes.
ALTER TABLE dbo.SyncQueue SET (LOCK_ESCALATION = DISABLE)
GO
-- No filtered indexes: they break the writes of sessions with old SET options.
IF NOT EXISTS (SELECT 1 FROM sys.indexes WHERE object_id = OBJECT_ID(N'dbo.SyncQueue') AND name LIKE N'IX_SyncQueue_Status%')
  CREATE INDEX IX_SyncQueue_Status ON dbo.SyncQueue (Status, QueueID)
GO
IF NOT EXISTS (SELECT 1 FROM sys.indexes WHERE object_id = OBJECT_ID(N'dbo.SyncQueue') AND name LIKE N'IX_SyncQueue_Record%')
  CREATE INDEX IX_SyncQueue_Record ON dbo.SyncQueue (TableName, RecordID, QueueID) INCLUDE (EventVersion)
GO

IF EXISTS (SELECT 1 FROM sync.Settings WHERE Name = N'OriginalQueue' AND Value = N'to be copied')
BEGIN
  INSERT INTO dbo.SyncQueue (QueueID, TableName, RecordID, Operation, Status, CreatedAt, Attempts, LastAttempt, LastError)
  SELECT o.QueueID, o.TableName, o.RecordID, LEFT(COALESCE(o.Operation, N'UPDATE'), 20),
    -- What the original had begun but not finished begins anew.
    CASE WHEN o.Status IN (N'Synced', N'Failed') THEN o.Status ELSE N'Pending' END,
    COALESCE(o.CreatedAt, SYSDATETIME()), COALESCE(o.Attempts, 0), o.LastAttempt, LEFT(o.LastError, 1000)
  FROM dbo.SyncQueue_original o
  WHERE o.TableName IS NOT NULL AND o.RecordID IS NOT NULL

  DECLARE @restart nvarchar(200) = (SELECT N'ALTER SEQUENCE sync.QueueIDs RESTART WITH '
    + CONVERT(nvarchar(20), COALESCE(MAX(QueueID), 0) + 1) FROM dbo.SyncQueue)
  EXEC (@restart)
  UPDATE sync.Settings SET Value = N'copied' WHERE Name = N'OriginalQueue'
  PRINT N'The original SyncQueue is kept as dbo.SyncQueue_original; its rows are in dbo.SyncQueue. Triggers on it no longer fire.'
END
GO
IF @@TRANCOUNT > 0 COMMIT TRANSACTION
GO
SET NOEXEC OFF
GO
