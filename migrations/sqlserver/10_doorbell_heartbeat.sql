-- Doorbell: service-broker
-- Who waits in sync.WaitForChanges is told every @BeatMs that it still waits, by a message from within the one request: so a
-- connection on which nothing arrives any more is noticed, without a query. Replaces the procedure of 07, which it needs; callers
-- that give no @BeatMs wait as before. Safe to run again.
-- Not yet run on a SQL Server. Each statement was checked against Microsoft's pages on WAITFOR, RECEIVE and RAISERROR.
--
-- A client that is gone without a word leaves a session that goes on waiting until SQL Server notices, and would take one ring away
-- from the client's next session. So a session's first call, which has a time limit, writes down whose it is, and a session that is
-- woken while another has come after it rings once more: the later one hears it. Calls without a limit, which follow, write
-- nothing down: two sessions that both wait again and again would wake each other for ever. And where the later one is gone, the
-- session that rings for it hears that ring itself: it rings for it once a second at most.

SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
GO

IF OBJECT_ID(N'sync.DoorbellQueue', N'SQ') IS NULL OR OBJECT_ID(N'sync.WaitForChanges', N'P') IS NULL
BEGIN
  RAISERROR (N'Service Broker''s doorbell is not installed: run 07_service_broker_doorbell.sql first.', 16, 1)
  SET NOEXEC ON
END
GO

IF NOT EXISTS (SELECT 1 FROM sync.Settings WHERE Name = N'WaitingSession')
  INSERT INTO sync.Settings (Name, Value) VALUES (N'WaitingSession', N'0')
GO

ALTER PROCEDURE sync.WaitForChanges @TimeoutMs int, @BeatMs int = NULL WITH EXECUTE AS OWNER AS
BEGIN
  -- Returns when the doorbell rings (Rang = 1) or after that many milliseconds; 0 waits for ever. Not within a transaction: one
  -- that rolls back would put the messages back. @BeatMs: how often it says that it still waits; NULL: it does not.
  SET NOCOUNT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  DECLARE @message TABLE (Handle uniqueidentifier NOT NULL, TypeName nvarchar(256) COLLATE DATABASE_DEFAULT NOT NULL)
  DECLARE @handle uniqueidentifier, @rang bit = 0, @rounds int = 0, @why nvarchar(400)
  DECLARE @rangOn datetime2(3) = CONVERT(datetime2(3), SESSION_CONTEXT(N'clinic-sync rang on'))
  DECLARE @session nvarchar(11) = CAST(@@SPID AS nvarchar(11)), @left int = @TimeoutMs, @timeout int

  IF @TimeoutMs IS NULL OR @TimeoutMs < 0
  BEGIN;
    THROW 51200, N'sync.WaitForChanges: @TimeoutMs is missing or below 0', 1;
  END
  IF @BeatMs < 1
  BEGIN;
    THROW 51200, N'sync.WaitForChanges: @BeatMs is below 1', 1;
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
  END

  -- A number is nobody else's as long as its session lives.
  IF @TimeoutMs > 0 UPDATE sync.Settings SET Value = @session WHERE Name = N'WaitingSession' AND Value <> @session

  WHILE 1 = 1
  BEGIN
    SET @timeout = CASE WHEN @TimeoutMs = 0 THEN COALESCE(@BeatMs, -1) WHEN @BeatMs < @left THEN @BeatMs ELSE @left END;
    WAITFOR (
      RECEIVE TOP (1000) conversation_handle, message_type_name FROM sync.DoorbellQueue INTO @message
    ), TIMEOUT @timeout;
    IF EXISTS (SELECT 1 FROM @message) OR @BeatMs IS NULL BREAK
    IF @TimeoutMs > 0
    BEGIN
      SET @left = @left - @timeout
      IF @left <= 0 BREAK
    END
    RAISERROR (N'sync.WaitForChanges: still waiting', 0, 1) WITH NOWAIT
  END

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

  IF @rang = 1 AND (@rangOn IS NULL OR @rangOn < DATEADD(second, -1, SYSUTCDATETIME()))
    AND EXISTS (SELECT 1 FROM sync.Settings WHERE Name = N'WaitingSession' AND Value <> @session)
  BEGIN
    SET @rangOn = SYSUTCDATETIME()
    EXEC sys.sp_set_session_context @key = N'clinic-sync rang on', @value = @rangOn
    EXEC sync.RingServiceBroker
  END

  SELECT @rang AS Rang
END
GO
SET NOEXEC OFF
GO
