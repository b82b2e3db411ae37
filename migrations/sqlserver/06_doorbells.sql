-- What all of the clinic's doorbells share: who wrote an outbox row, the setting that chooses the doorbell, and the
-- procedures that ring it and that find the transactions which rang before their commit. Runs on every engine; safe to
-- run again. Nothing rings until sync.UseDoorbell switches a doorbell on. Needs 01.

SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
GO

IF OBJECT_ID(N'dbo.SyncQueue', N'U') IS NULL OR OBJECT_ID(N'sync.Settings', N'U') IS NULL
BEGIN
  RAISERROR (N'The outbox is not installed: run 01_sync_schema.sql first.', 16, 1)
  SET NOEXEC ON
END
GO

-- A session has one transaction at a time. Rows from before stay NULL, so that a long outbox is not rewritten.
IF COL_LENGTH(N'dbo.SyncQueue', N'SessionID') IS NULL
  ALTER TABLE dbo.SyncQueue ADD SessionID int NULL CONSTRAINT DF_sync_SyncQueue_SessionID DEFAULT (@@SPID)
GO

-- A doorbell's address can be longer than the 400 characters of 01. The column stays nullable, as this option says.
SET ANSI_NULL_DFLT_ON ON
IF COL_LENGTH(N'sync.Settings', N'Value') BETWEEN 1 AND 1999 ALTER TABLE sync.Settings ALTER COLUMN Value nvarchar(1000)
GO

IF OBJECT_ID(N'sync.OpenTransactions', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.OpenTransactions AS RETURN')
GO
ALTER PROCEDURE sync.OpenTransactions AS
BEGIN
  -- For each session whose transaction has written into the outbox and is not ended, its first row there.
  SET NOCOUNT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  DECLARE @open TABLE (QueueID bigint NOT NULL PRIMARY KEY)

  -- Both readings are of IX_SyncQueue_Status alone, in its order: rows, however many, are not fetched for it. A row that is
  -- committed between the two is reported although its transaction has ended: sync.AwaitTransaction returns at once.
  INSERT INTO @open (QueueID)
  SELECT q.QueueID
  FROM dbo.SyncQueue q WITH (READUNCOMMITTED)
  WHERE q.Status = N'Pending'
    AND NOT EXISTS (SELECT 1 FROM dbo.SyncQueue c WITH (READCOMMITTEDLOCK, READPAST)
      WHERE c.Status = N'Pending' AND c.QueueID = q.QueueID)

  SELECT COALESCE(q.SessionID, 0) AS SessionID, MIN(q.QueueID) AS QueueID
  FROM @open o INNER JOIN dbo.SyncQueue q WITH (READUNCOMMITTED) ON q.QueueID = o.QueueID
  GROUP BY COALESCE(q.SessionID, 0)
  ORDER BY MIN(q.QueueID)
END
GO

IF OBJECT_ID(N'sync.AwaitTransaction', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.AwaitTransaction AS RETURN')
GO
ALTER PROCEDURE sync.AwaitTransaction @QueueID bigint AS
BEGIN
  -- Returns once the transaction that wrote that row has ended, however long it takes: one read that waits for the row's lock.
  SET NOCOUNT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET LOCK_TIMEOUT -1
  -- A transaction that comes to need a lock on the row's whole page deadlocks with who waits here: it goes on, and this waits anew.
  SET DEADLOCK_PRIORITY LOW
  DECLARE @rows int

  IF @QueueID IS NULL
  BEGIN;
    THROW 51200, N'sync.AwaitTransaction: @QueueID is missing', 1;
  END

  WHILE @rows IS NULL
  BEGIN
    BEGIN TRY
      SELECT @rows = COUNT(*) FROM dbo.SyncQueue WITH (READCOMMITTEDLOCK) WHERE QueueID = @QueueID
    END TRY
    BEGIN CATCH
      IF ERROR_NUMBER() <> 1205 THROW;
    END CATCH
  END

  SELECT CAST(1 AS bit) AS Ended
END
GO

IF OBJECT_ID(N'sync.RingDoorbell', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.RingDoorbell AS RETURN')
GO
ALTER PROCEDURE sync.RingDoorbell AS
BEGIN
  -- Rings the doorbell that is switched on, as its trigger does, and says what came of it. The procedures it calls are in files
  -- that may not be installed (2812), and are hidden from who may not run them: so they are called, not looked for.
  SET NOCOUNT ON
  DECLARE @doorbell nvarchar(20) = COALESCE((SELECT LEFT(Value, 20) FROM sync.Settings WHERE Name = N'Doorbell'), N'none')
  DECLARE @rang bit = 0, @answer nvarchar(400)

  BEGIN TRY
    IF @doorbell = N'service-broker'
    BEGIN
      EXEC sync.RingServiceBroker @Answer = @answer OUTPUT
      IF @answer IS NULL SET @rang = 1
    END
    ELSE IF @doorbell = N'ole-automation' EXEC dbo.sp_NotifyAppOfSync @Quiet = 1, @Answer = @answer OUTPUT
    ELSE IF @doorbell = N'rest-endpoint' EXEC sync.NotifyAppByRest @Quiet = 1, @Answer = @answer OUTPUT
    ELSE SET @answer = N'no doorbell is switched on'
    IF @answer LIKE N'HTTP 2%' SET @rang = 1
  END TRY
  BEGIN CATCH
    IF XACT_STATE() = -1 THROW;
    SET @rang = 0
    SET @answer = CASE ERROR_NUMBER() WHEN 2812 THEN N'the doorbell ' + @doorbell + N' is not installed' ELSE LEFT(ERROR_MESSAGE(), 400) END
  END CATCH

  SELECT @doorbell AS Doorbell, @rang AS Rang, @answer AS Answer
END
GO

IF OBJECT_ID(N'sync.UseDoorbell', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.UseDoorbell AS RETURN')
GO
ALTER PROCEDURE sync.UseDoorbell @Doorbell nvarchar(20), @URL nvarchar(1000) = NULL, @Secret nvarchar(1000) = NULL AS
BEGIN
  -- Switches that doorbell on and the others off; N'none' switches all off. @URL and @Secret are for those that call by HTTP;
  -- NULL keeps what is there. For the operator: it takes the right to alter dbo.SyncQueue.
  SET NOCOUNT ON
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  DECLARE @known TABLE (Name nvarchar(20) COLLATE DATABASE_DEFAULT NOT NULL PRIMARY KEY,
    TriggerName nvarchar(128) COLLATE DATABASE_DEFAULT NULL, MadeBy nvarchar(100) NULL)
  DECLARE @message nvarchar(2048), @name nvarchar(20), @trigger nvarchar(128), @file nvarchar(100), @sql nvarchar(max) = N''
  DECLARE @before nvarchar(20) = (SELECT LEFT(Value, 20) FROM sync.Settings WHERE Name = N'Doorbell')

  INSERT INTO @known (Name, TriggerName, MadeBy)
  VALUES (N'none', NULL, NULL),
    (N'service-broker', N'trg_SyncQueue_RingServiceBroker', N'07_service_broker_doorbell.sql'),
    (N'ole-automation', N'trg_SyncQueue_NotifyApp', N'04_webhook_notification_system.sql'),
    (N'rest-endpoint', N'trg_SyncQueue_NotifyAppByRest', N'08_rest_endpoint_doorbell.sql')

  SELECT @name = Name, @trigger = TriggerName, @file = MadeBy FROM @known WHERE Name = @Doorbell
  IF @name IS NULL
  BEGIN;
    THROW 51200, N'sync.UseDoorbell: @Doorbell is not one of service-broker, ole-automation, rest-endpoint, none', 1;
  END

  -- An original's trigger of that name stays on the table that was set aside: it does not count.
  IF @trigger IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM sys.triggers WHERE name = @trigger AND parent_id = OBJECT_ID(N'dbo.SyncQueue'))
  BEGIN
    SET @message = N'sync.UseDoorbell: the doorbell ' + @name + N' is not installed: run migrations/sqlserver/' + @file;
    THROW 51212, @message, 1;
  END

  IF @name = N'service-broker' AND EXISTS (SELECT 1 FROM sys.databases WHERE database_id = DB_ID() AND is_broker_enabled = 0)
  BEGIN
    SET @message = N'sync.UseDoorbell: Service Broker is off in this database. Switch it on: ALTER DATABASE ' + QUOTENAME(DB_NAME())
      + N' SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE; it needs the database to itself: every open transaction in it is rolled back.';
    THROW 51210, @message, 1;
  END

  -- Only what is not as it should be: altering the table waits for every transaction in the outbox, and all writers behind it.
  SELECT @sql += CASE WHEN t.name = @trigger THEN N'ENABLE' ELSE N'DISABLE' END
    + N' TRIGGER dbo.' + QUOTENAME(t.name) + N' ON dbo.SyncQueue; '
  -- A contained database has a collation of its own for names.
  FROM sys.triggers t INNER JOIN @known k ON k.TriggerName = t.name COLLATE DATABASE_DEFAULT
  WHERE t.parent_id = OBJECT_ID(N'dbo.SyncQueue')
    AND t.is_disabled = CASE WHEN t.name = @trigger THEN 1 ELSE 0 END

  SET LOCK_TIMEOUT 2000
  BEGIN TRY
    BEGIN TRANSACTION
    IF @sql <> N'' EXEC (@sql)
    DELETE FROM sync.Settings
    WHERE Name = N'Doorbell' OR (Name = N'DoorbellURL' AND @URL IS NOT NULL) OR (Name = N'DoorbellSecret' AND @Secret IS NOT NULL)
    INSERT INTO sync.Settings (Name, Value)
    SELECT n.Name, n.Value
    FROM (VALUES (N'Doorbell', CAST(@name AS nvarchar(1000))), (N'DoorbellURL', @URL), (N'DoorbellSecret', @Secret)) n (Name, Value)
    WHERE n.Value IS NOT NULL
    COMMIT TRANSACTION
  END TRY
  BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK TRANSACTION
    IF ERROR_NUMBER() <> 1222 THROW;
    THROW 51222, N'sync.UseDoorbell: somebody''s open transaction holds the outbox; nothing is changed. Try again later', 1;
  END CATCH
  SET LOCK_TIMEOUT -1

  -- What follows is best effort: the doorbell is switched, and no error leaves here.
  IF @name = N'service-broker' OR OBJECT_ID(N'sync.EndDialogs', N'P') IS NULL RETURN
  SET XACT_ABORT OFF
  BEGIN TRY
    EXEC sync.EndDialogs
  END TRY
  BEGIN CATCH
    PRINT N'sync.UseDoorbell: not all dialogs of Service Broker are ended: ' + ERROR_MESSAGE()
  END CATCH
  -- Who waits in sync.WaitForChanges wakes, and learns that this doorbell is switched off.
  IF @before = N'service-broker'
  BEGIN
    BEGIN TRY
      EXEC sync.RingServiceBroker
    END TRY
    BEGIN CATCH
      PRINT N'sync.UseDoorbell: who waits for Service Broker was not woken: ' + ERROR_MESSAGE()
    END CATCH
  END
END
GO

SET NOEXEC OFF
GO
