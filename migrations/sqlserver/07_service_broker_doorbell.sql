-- Doorbell: service-broker
-- A message to whoever waits in sync.WaitForChanges, sent within the transaction that wrote the outbox, and seen when it
-- commits. Safe to run again; the doorbell stays off, or on, as sync.UseDoorbell left it. Needs 01. Installs where Service
-- Broker is off too; EXEC sync.UseDoorbell N'service-broker' says how to switch it on.
-- Not yet run on a SQL Server. Each statement was checked against Microsoft's pages on CREATE QUEUE, BEGIN DIALOG, SEND,
-- RECEIVE, END CONVERSATION, EXECUTE AS and TRY…CATCH.
--
-- What becomes of the dialogs:
-- - SEND locks its conversation until commit, so each session has its own (sync.Dialogs): a session has one transaction at a
--   time, and nobody waits for anybody. They are never ended in use: one for each session number, used again and again.
-- - A restored database brings dialogs and sync.Dialogs along, equally old, and its broker switched off. With ENABLE_BROKER they
--   go on; with NEW_BROKER they are gone, and the broker's own identifier, kept in each row, says so: new ones are begun.
-- - A dialog that broke (ended by an operator, or by error) makes SEND fail (8426, 8429): the session begins another.
-- - While nobody waits, each statement leaves one message of no content in the queue. Whoever comes takes them all at once.

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

IF OBJECT_ID(N'sync.Dialogs', N'U') IS NULL
CREATE TABLE sync.Dialogs (
  SessionID int NOT NULL CONSTRAINT PK_sync_Dialogs PRIMARY KEY,
  BrokerID uniqueidentifier NOT NULL,
  Handle uniqueidentifier NOT NULL CONSTRAINT UQ_sync_Dialogs_Handle UNIQUE
)
GO

IF NOT EXISTS (SELECT 1 FROM sys.service_message_types WHERE name = N'//clinic-sync/doorbell/changed')
  CREATE MESSAGE TYPE [//clinic-sync/doorbell/changed] AUTHORIZATION dbo VALIDATION = EMPTY
GO
IF NOT EXISTS (SELECT 1 FROM sys.service_contracts WHERE name = N'//clinic-sync/doorbell/contract')
  CREATE CONTRACT [//clinic-sync/doorbell/contract] AUTHORIZATION dbo ([//clinic-sync/doorbell/changed] SENT BY INITIATOR)
GO
IF OBJECT_ID(N'sync.DoorbellQueue', N'SQ') IS NULL
  CREATE QUEUE sync.DoorbellQueue WITH STATUS = ON, RETENTION = OFF, POISON_MESSAGE_HANDLING (STATUS = OFF)
GO
-- For a queue that somebody switched off. Only then: altering it waits for every transaction that has rung, and all writers
-- behind it. Nothing is activated: the ingress itself waits.
IF EXISTS (SELECT 1 FROM sys.service_queues WHERE object_id = OBJECT_ID(N'sync.DoorbellQueue', N'SQ')
  AND (is_receive_enabled = 0 OR is_enqueue_enabled = 0 OR is_retention_enabled = 1 OR is_poison_message_handling_enabled = 1))
  ALTER QUEUE sync.DoorbellQueue WITH STATUS = ON, RETENTION = OFF, POISON_MESSAGE_HANDLING (STATUS = OFF)
GO
IF NOT EXISTS (SELECT 1 FROM sys.services WHERE name = N'//clinic-sync/doorbell')
  CREATE SERVICE [//clinic-sync/doorbell] AUTHORIZATION dbo ON QUEUE sync.DoorbellQueue ([//clinic-sync/doorbell/contract])
GO

IF OBJECT_ID(N'sync.RingServiceBroker', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.RingServiceBroker AS RETURN')
GO
-- As its owner: staff's logins have no rights on queue, contract and service.
ALTER PROCEDURE sync.RingServiceBroker @Answer nvarchar(400) = NULL OUTPUT WITH EXECUTE AS OWNER AS
BEGIN
  -- For the trigger and sync.RingDoorbell: sends a message on this session's own dialog. @Answer: why not, or NULL.
  SET NOCOUNT ON
  SET XACT_ABORT OFF
  -- SERIALIZABLE would lock the gap that the next session's row goes into; SNAPSHOT would doom the transaction (3960).
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  DECLARE @handle uniqueidentifier, @broker uniqueidentifier
  SET @Answer = NULL

  SELECT @broker = service_broker_guid FROM sys.databases WHERE database_id = DB_ID() AND is_broker_enabled = 1
  IF @broker IS NULL
  BEGIN
    SET @Answer = N'Service Broker is off in this database'
    RETURN
  END

  SELECT @handle = Handle FROM sync.Dialogs WHERE SessionID = @@SPID AND BrokerID = @broker
  IF @handle IS NOT NULL
  BEGIN
    BEGIN TRY;
      SEND ON CONVERSATION @handle MESSAGE TYPE [//clinic-sync/doorbell/changed];
      RETURN
    END TRY
    BEGIN CATCH
      IF XACT_STATE() = -1 THROW;
    END CATCH
  END;

  -- CURRENT DATABASE: a copy of the clinic's database on the same server has a service of this name too.
  BEGIN DIALOG @handle
    FROM SERVICE [//clinic-sync/doorbell]
    TO SERVICE N'//clinic-sync/doorbell', N'CURRENT DATABASE'
    ON CONTRACT [//clinic-sync/doorbell/contract]
    WITH ENCRYPTION = OFF;
  SEND ON CONVERSATION @handle MESSAGE TYPE [//clinic-sync/doorbell/changed];

  -- If the transaction is rolled back, row and dialog go together.
  UPDATE sync.Dialogs SET BrokerID = @broker, Handle = @handle WHERE SessionID = @@SPID
  IF @@ROWCOUNT = 0 INSERT INTO sync.Dialogs (SessionID, BrokerID, Handle) VALUES (@@SPID, @broker, @handle)
END
GO

IF OBJECT_ID(N'sync.WaitForChanges', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.WaitForChanges AS RETURN')
GO
ALTER PROCEDURE sync.WaitForChanges @TimeoutMs int WITH EXECUTE AS OWNER AS
BEGIN
  -- Returns when the doorbell rings (Rang = 1) or after that many milliseconds; 0 waits for ever. Not within a transaction: one
  -- that rolls back would put the messages back.
  SET NOCOUNT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  DECLARE @message TABLE (Handle uniqueidentifier NOT NULL, TypeName nvarchar(256) COLLATE DATABASE_DEFAULT NOT NULL)
  DECLARE @timeout int = CASE WHEN @TimeoutMs = 0 THEN -1 ELSE @TimeoutMs END
  DECLARE @handle uniqueidentifier, @rang bit = 0, @rounds int = 0, @why nvarchar(400)

  IF @TimeoutMs IS NULL OR @TimeoutMs < 0
  BEGIN;
    THROW 51200, N'sync.WaitForChanges: @TimeoutMs is missing or below 0', 1;
  END
  IF EXISTS (SELECT 1 FROM sys.databases WHERE database_id = DB_ID() AND is_broker_enabled = 0)
  BEGIN
    SET @why = N'sync.WaitForChanges: Service Broker is off in this database. Switch it on: ALTER DATABASE ' + QUOTENAME(DB_NAME())
      + N' SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE';
    THROW 51210, @why, 1;
  END
  IF NOT EXISTS (SELECT 1 FROM sync.Settings WHERE Name = N'Doorbell' AND Value = N'service-broker')
  BEGIN;
    THROW 51211, N'sync.WaitForChanges: this doorbell is not switched on', 1;
  END;

  WAITFOR (
    RECEIVE TOP (1000) conversation_handle, message_type_name FROM sync.DoorbellQueue INTO @message
  ), TIMEOUT @timeout;

  -- Each RECEIVE gives the messages of one dialog: all the others' follow, so that they do not ring one by one.
  WHILE EXISTS (SELECT 1 FROM @message)
  BEGIN
    SET @rang = 1

    -- What Service Broker itself says, ended or error, ends this side too.
    WHILE 1 = 1
    BEGIN
      SET @handle = NULL
      SELECT TOP (1) @handle = Handle FROM @message WHERE TypeName <> N'//clinic-sync/doorbell/changed'
      IF @handle IS NULL BREAK
      DELETE FROM @message WHERE Handle = @handle
      BEGIN TRY;
        END CONVERSATION @handle;
      END TRY
      BEGIN CATCH
        -- Ended already.
        IF XACT_STATE() = -1 THROW;
      END CATCH
      DELETE FROM sync.Dialogs WITH (READCOMMITTEDLOCK, READPAST) WHERE Handle = @handle
    END

    DELETE FROM @message
    SET @rounds += 1
    IF @rounds = 1000 BREAK;
    RECEIVE TOP (1000) conversation_handle, message_type_name FROM sync.DoorbellQueue INTO @message;
  END

  SELECT @rang AS Rang
END
GO

-- 09 grants what is there when it runs; this file may come after it, when another doorbell is chosen.
IF DATABASE_PRINCIPAL_ID(N'clinic_sync') IS NOT NULL GRANT EXECUTE ON sync.WaitForChanges TO clinic_sync
GO

IF OBJECT_ID(N'sync.EndDialogs', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.EndDialogs AS RETURN')
GO
ALTER PROCEDURE sync.EndDialogs AS
BEGIN
  -- For sync.UseDoorbell, once another doorbell is on: removes the dialogs with the messages nobody took, 5,000 a call at most.
  -- WITH CLEANUP tells the other side nothing: here it is removed as well, and what the messages say is in the outbox.
  SET NOCOUNT ON
  SET LOCK_TIMEOUT 2000
  DECLARE @end TABLE (Handle uniqueidentifier NOT NULL PRIMARY KEY)
  DECLARE @handle uniqueidentifier

  INSERT INTO @end (Handle)
  SELECT TOP (5000) e.conversation_handle
  FROM sys.conversation_endpoints e INNER JOIN sys.services s ON s.service_id = e.service_id
  WHERE s.name = N'//clinic-sync/doorbell'

  DELETE FROM sync.Dialogs
  WHILE 1 = 1
  BEGIN
    SET @handle = NULL
    SELECT TOP (1) @handle = Handle FROM @end
    IF @handle IS NULL BREAK
    DELETE FROM @end WHERE Handle = @handle;
    END CONVERSATION @handle WITH CLEANUP;
  END
END
GO

BEGIN TRANSACTION
GO
IF OBJECT_ID(N'dbo.trg_SyncQueue_RingServiceBroker', N'TR') IS NOT NULL DROP TRIGGER dbo.trg_SyncQueue_RingServiceBroker
GO
CREATE TRIGGER dbo.trg_SyncQueue_RingServiceBroker ON dbo.SyncQueue AFTER INSERT AS
BEGIN
  IF NOT EXISTS (SELECT 1 FROM inserted) RETURN
  SET NOCOUNT ON
  -- A session that limits its statements with SET ROWCOUNT must not limit these.
  SET ROWCOUNT 0
  -- A trigger begins with XACT_ABORT ON, under which a caught error dooms the transaction too. All these options end with the trigger.
  SET XACT_ABORT OFF
  -- Under OFF a missing permission aborts the transaction.
  SET ANSI_WARNINGS ON
  -- Catalog views have no versions: reading them under SNAPSHOT may fail (3961).
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  BEGIN TRY
    -- As after every restore. Messages would pile up in sys.transmission_queue until somebody switches it on.
    IF NOT EXISTS (SELECT 1 FROM sys.databases WHERE database_id = DB_ID() AND is_broker_enabled = 1) RETURN
    EXEC sync.RingServiceBroker
  END TRY
  BEGIN CATCH
    -- No error of the doorbell fails the user's statement: the change is in the outbox, and rings with the next one. (That the
    -- outbox has it is for the capture triggers: they let the statement fail if it has not.) Where XACT_STATE() is -1 nothing
    -- can be saved: a deadlock (1205), a full log (9002) or an error above severity 19 end the transaction wherever they happen.
    RETURN
  END CATCH
END
GO
IF OBJECT_ID(N'dbo.trg_SyncQueue_RingServiceBroker', N'TR') IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM sync.Settings WHERE Name = N'Doorbell' AND Value = N'service-broker')
  ALTER TABLE dbo.SyncQueue DISABLE TRIGGER trg_SyncQueue_RingServiceBroker
GO
-- If the trigger could not be made, the one before it stays.
IF @@TRANCOUNT > 0
BEGIN
  IF OBJECT_ID(N'dbo.trg_SyncQueue_RingServiceBroker', N'TR') IS NOT NULL COMMIT TRANSACTION
  ELSE ROLLBACK TRANSACTION
END
GO
SET NOEXEC OFF
GO
