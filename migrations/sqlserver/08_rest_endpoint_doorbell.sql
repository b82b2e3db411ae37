-- Doorbell: rest-endpoint
-- An HTTPS call to the application through sp_invoke_external_rest_endpoint, from within the transaction that wrote the outbox,
-- before it commits. SQL Server 2025 and later, Windows and Linux. The application needs a certificate that the server's
-- operating system trusts. Safe to run again; the doorbell stays off, or on, as sync.UseDoorbell left it. Needs 01.
-- Not yet run on a SQL Server. Each statement was checked against Microsoft's pages on sp_invoke_external_rest_endpoint,
-- sp_configure, EXECUTE AS and sp_set_session_context.

SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
GO

DECLARE @why nvarchar(400) = CASE
  WHEN CONVERT(int, SERVERPROPERTY('ProductMajorVersion')) < 17 OR SERVERPROPERTY('ProductMajorVersion') IS NULL
    THEN N'sp_invoke_external_rest_endpoint exists from SQL Server 2025 on. Use the doorbell service-broker, which runs everywhere.'
  WHEN OBJECT_ID(N'dbo.SyncQueue', N'U') IS NULL OR OBJECT_ID(N'sync.Settings', N'U') IS NULL
    THEN N'The outbox is not installed: run 01_sync_schema.sql first.'
  WHEN EXISTS (SELECT 1 FROM sys.configurations WHERE name = N'external rest endpoint enabled' AND CONVERT(int, value_in_use) = 0)
    AND COALESCE(HAS_PERMS_BY_NAME(NULL, NULL, N'ALTER SETTINGS'), 0) <> 1
    THEN N'External REST endpoints are switched off in this server, and this login may not switch them on. '
      + N'Let a member of sysadmin run: EXEC sp_configure ''external rest endpoint enabled'', 1; RECONFIGURE;'
  END
IF @why IS NOT NULL
BEGIN
  RAISERROR (@why, 16, 1)
  SET NOEXEC ON
END
GO

IF EXISTS (SELECT 1 FROM sys.configurations WHERE name = N'external rest endpoint enabled' AND CONVERT(int, value_in_use) = 0)
BEGIN
  EXEC sp_configure 'external rest endpoint enabled', 1
  RECONFIGURE
END
GO

IF OBJECT_ID(N'sync.NotifyAppByRest', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.NotifyAppByRest AS RETURN')
GO
-- As its owner, dbo: the call takes EXECUTE ANY EXTERNAL ENDPOINT in this database, which staff's logins need not have.
ALTER PROCEDURE sync.NotifyAppByRest @Quiet bit = 0, @Answer nvarchar(400) = NULL OUTPUT WITH EXECUTE AS OWNER AS
BEGIN
  -- POST {} with the secret to the application's /api/sync/queue-notify. @Answer: 'HTTP 202', or why there was none. By hand,
  -- EXEC sync.NotifyAppByRest; says it, and what to do. Raises nothing and returns no rows.
  SET NOCOUNT ON
  SET XACT_ABORT OFF
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  DECLARE @result int, @response nvarchar(max), @headers nvarchar(4000), @todo nvarchar(400)
  DECLARE @began datetime2(3) = SYSUTCDATETIME()
  -- READUNCOMMITTED: somebody who edits the settings and does not commit must hold up nobody.
  DECLARE @url nvarchar(1000) = (SELECT Value FROM sync.Settings WITH (READUNCOMMITTED) WHERE Name = N'DoorbellURL')
  DECLARE @secret nvarchar(1000) = (SELECT Value FROM sync.Settings WITH (READUNCOMMITTED) WHERE Name = N'DoorbellSecret')
  SET @Answer = NULL

  IF COALESCE(@url, N'') = N'' SET @Answer = N'no address is set'
  ELSE IF @url NOT LIKE N'https://%' SET @Answer = N'the address does not begin with https://'
  ELSE IF EXISTS (SELECT 1 FROM sys.configurations WHERE name = N'external rest endpoint enabled' AND CONVERT(int, value_in_use) = 0)
    SET @Answer = N'external REST endpoints are switched off in this server'
  ELSE
  BEGIN
    BEGIN TRY
      SET @headers = N'{"x-sync-secret":"' + STRING_ESCAPE(COALESCE(@secret, N''), N'json') + N'"}'
      -- One second, name, connection and TLS included, is the least it takes. content-type: application/json is its own.
      EXEC @result = sys.sp_invoke_external_rest_endpoint @url = @url, @method = N'POST', @headers = @headers,
        @payload = N'{}', @timeout = 1, @response = @response OUTPUT
      -- 0 stands for any 2xx; otherwise it is the status itself.
      SET @Answer = N'HTTP ' + CASE WHEN @result <> 0 THEN CONVERT(nvarchar(10), @result)
        WHEN ISJSON(@response) = 1 THEN COALESCE(JSON_VALUE(@response, N'$.response.status.http.code'), N'200') ELSE N'200' END
    END TRY
    BEGIN CATCH
      SET @Answer = LEFT(N'could not call: ' + ERROR_MESSAGE(), 400)
    END CATCH
  END

  IF @Quiet = 1 RETURN
  SET @todo = CASE
    WHEN @Answer LIKE N'HTTP 2%' THEN N'The application was told.'
    WHEN @Answer = N'HTTP 401' THEN N'The secret is not the application''s SYNC_WEBHOOK_SECRET: run npm run sync -- doorbell.'
    WHEN @Answer LIKE N'HTTP %' THEN N'Something else answers at this address, or the application refuses: see its log.'
    WHEN @Answer LIKE N'no address%' OR @Answer LIKE N'the address%'
      THEN N'Run npm run sync -- doorbell with an INGRESS_URL of https://…, or EXEC sync.UseDoorbell N''rest-endpoint'', '
        + N'N''https://…/api/sync/queue-notify'', N''the secret''.'
    WHEN @Answer LIKE N'external REST%'
      THEN N'Let a member of sysadmin run: EXEC sp_configure ''external rest endpoint enabled'', 1; RECONFIGURE;'
    ELSE N'Is the ingress running there, behind a certificate that this server''s operating system trusts?' END
  PRINT @Answer + N' after ' + CONVERT(nvarchar(20), DATEDIFF(millisecond, @began, SYSUTCDATETIME())) + N' ms, POST '
    + COALESCE(@url, N'(nowhere)') + N'. ' + @todo
END
GO

BEGIN TRANSACTION
GO
IF OBJECT_ID(N'dbo.trg_SyncQueue_NotifyAppByRest', N'TR') IS NOT NULL DROP TRIGGER dbo.trg_SyncQueue_NotifyAppByRest
GO
CREATE TRIGGER dbo.trg_SyncQueue_NotifyAppByRest ON dbo.SyncQueue AFTER INSERT AS
BEGIN
  IF NOT EXISTS (SELECT 1 FROM inserted) RETURN
  SET NOCOUNT ON
  -- A session that limits its statements with SET ROWCOUNT must not limit these.
  SET ROWCOUNT 0
  -- A trigger begins with XACT_ABORT ON, under which a caught error dooms the transaction too. All these options end with the trigger.
  SET XACT_ABORT OFF
  -- Under OFF a missing permission aborts the transaction.
  SET ANSI_WARNINGS ON
  DECLARE @answer nvarchar(400), @quiet datetime2(3), @now datetime2(3) = SYSUTCDATETIME()
  BEGIN TRY
    -- Where nobody answered, this session does not call for 5 s: a transaction of 100 statements waits once, not 100 times. No
    -- change is lost by it: all are in the outbox. The application looks there when it comes back, and waits for transactions
    -- that are open then; if it comes back within the 5 s, what is written in the rest of them waits for the next call, of anybody.
    SET @quiet = TRY_CONVERT(datetime2(3), SESSION_CONTEXT(N'clinic-sync quiet until'))
    IF @quiet > @now AND @quiet <= DATEADD(second, 5, @now) RETURN

    EXEC sync.NotifyAppByRest @Quiet = 1, @Answer = @answer OUTPUT
    IF @answer LIKE N'HTTP %' RETURN
    SET @quiet = DATEADD(second, 5, SYSUTCDATETIME())
    EXEC sys.sp_set_session_context @key = N'clinic-sync quiet until', @value = @quiet
  END TRY
  BEGIN CATCH
    -- No error of the doorbell fails the user's statement: the change is in the outbox, and rings with the next one. (That the
    -- outbox has it is for the capture triggers: they let the statement fail if it has not.) Where XACT_STATE() is -1 nothing
    -- can be saved: a deadlock (1205), a full log (9002) or an error above severity 19 end the transaction wherever they happen.
    RETURN
  END CATCH
END
GO
IF OBJECT_ID(N'dbo.trg_SyncQueue_NotifyAppByRest', N'TR') IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM sync.Settings WHERE Name = N'Doorbell' AND Value = N'rest-endpoint')
  ALTER TABLE dbo.SyncQueue DISABLE TRIGGER trg_SyncQueue_NotifyAppByRest
GO
-- If the trigger could not be made, the one before it stays.
IF @@TRANCOUNT > 0
BEGIN
  IF OBJECT_ID(N'dbo.trg_SyncQueue_NotifyAppByRest', N'TR') IS NOT NULL COMMIT TRANSACTION
  ELSE ROLLBACK TRANSACTION
END
GO
SET NOEXEC OFF
GO
