-- Doorbell: ole-automation
-- The original's doorbell: an HTTP call to the application from within the transaction that wrote the outbox, before it commits.
-- Windows only, and only for a sysadmin: it switches OLE Automation on in the whole server, and puts a certificate into master.
-- Safe to run again; the doorbell stays off, or on, as sync.UseDoorbell left it. Needs 01. Run it again after restoring the
-- database on another server, and after a change of the database's owner: both make the signature worthless.
-- Not yet run on a SQL Server. Each statement was checked against Microsoft's pages on sp_configure, sp_OACreate, sp_OAMethod,
-- sp_OAGetProperty, setTimeouts, CREATE CERTIFICATE, CERTENCODED, ADD SIGNATURE, EXECUTE AS and sp_set_session_context.

SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
GO

DECLARE @why nvarchar(400) = CASE
  WHEN CONVERT(int, SERVERPROPERTY('EngineEdition')) NOT IN (2, 3, 4) OR @@VERSION LIKE N'%Linux%'
    THEN N'OLE Automation exists in SQL Server on Windows only. Use the doorbell service-broker, which runs everywhere.'
  WHEN OBJECT_ID(N'dbo.SyncQueue', N'U') IS NULL OR OBJECT_ID(N'sync.Settings', N'U') IS NULL
    THEN N'The outbox is not installed: run 01_sync_schema.sql first.'
  WHEN COALESCE(IS_SRVROLEMEMBER(N'sysadmin'), 0) <> 1
    THEN N'This login may not switch on OLE Automation: a member of sysadmin has to run this file. '
      + N'The doorbell service-broker needs no such right.'
  END
IF @why IS NOT NULL
BEGIN
  RAISERROR (@why, 16, 1)
  SET NOEXEC ON
END
GO

IF EXISTS (SELECT 1 FROM sys.configurations WHERE name = N'Ole Automation Procedures' AND CONVERT(int, value_in_use) = 0)
BEGIN
  DECLARE @advanced int = (SELECT CONVERT(int, value_in_use) FROM sys.configurations WHERE name = N'show advanced options')
  BEGIN TRY
    EXEC sp_configure 'show advanced options', 1
    RECONFIGURE
    EXEC sp_configure 'Ole Automation Procedures', 1
    RECONFIGURE
    EXEC sp_configure 'show advanced options', @advanced
    RECONFIGURE
  END TRY
  BEGIN CATCH
    EXEC sp_configure 'show advanced options', @advanced
    RECONFIGURE;
    THROW;
  END CATCH
END
GO

IF OBJECT_ID(N'dbo.sp_NotifyAppOfSync', N'P') IS NULL EXEC (N'CREATE PROCEDURE dbo.sp_NotifyAppOfSync AS RETURN')
GO
-- As its owner, and signed below: what runs as a database's user, as the trigger on a note of a doctor's does, may otherwise not
-- leave the database, and staff's logins have no right to sp_OA*.
ALTER PROCEDURE dbo.sp_NotifyAppOfSync @Quiet bit = 0, @Answer nvarchar(400) = NULL OUTPUT WITH EXECUTE AS OWNER AS
BEGIN
  -- POST {} with the secret to the application's /api/sync/queue-notify. @Answer: 'HTTP 202', or why there was none. By hand,
  -- EXEC sp_NotifyAppOfSync; says it, and what to do. Raises nothing and returns no rows.
  SET NOCOUNT ON
  SET XACT_ABORT OFF
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  DECLARE @object int, @result int, @status int, @source nvarchar(255), @description nvarchar(255), @todo nvarchar(400)
  DECLARE @began datetime2(3) = SYSUTCDATETIME()
  -- READUNCOMMITTED: somebody who edits the settings and does not commit must hold up nobody.
  DECLARE @url nvarchar(1000) = (SELECT Value FROM sync.Settings WITH (READUNCOMMITTED) WHERE Name = N'DoorbellURL')
  DECLARE @secret nvarchar(1000) = (SELECT Value FROM sync.Settings WITH (READUNCOMMITTED) WHERE Name = N'DoorbellSecret')
  SET @Answer = NULL

  IF COALESCE(@url, N'') = N'' SET @Answer = N'no address is set'
  ELSE IF EXISTS (SELECT 1 FROM sys.configurations WHERE name = N'Ole Automation Procedures' AND CONVERT(int, value_in_use) = 0)
    SET @Answer = N'OLE Automation is switched off in this server'
  ELSE
  BEGIN
    BEGIN TRY
      EXEC @result = sp_OACreate N'MSXML2.ServerXMLHTTP.6.0', @object OUTPUT
      -- Milliseconds to resolve the name, connect, send, receive: 900 together. By default the first is infinite, the second 60 s.
      IF @result = 0 EXEC @result = sp_OAMethod @object, N'setTimeouts', NULL, 150, 250, 150, 350
      IF @result = 0 EXEC @result = sp_OAMethod @object, N'open', NULL, N'POST', @url, N'false'
      IF @result = 0 EXEC @result = sp_OAMethod @object, N'setRequestHeader', NULL, N'content-type', N'application/json'
      IF @result = 0 AND @secret <> N'' EXEC @result = sp_OAMethod @object, N'setRequestHeader', NULL, N'x-sync-secret', @secret
      IF @result = 0 EXEC @result = sp_OAMethod @object, N'send', NULL, N'{}'
      -- Into a variable: without one the value would go to the user as a result set.
      IF @result = 0 EXEC @result = sp_OAGetProperty @object, N'status', @status OUTPUT
      IF @result = 0 SET @Answer = N'HTTP ' + CONVERT(nvarchar(10), @status)
      ELSE
      BEGIN
        EXEC sp_OAGetErrorInfo @object, @source OUTPUT, @description OUTPUT
        SET @Answer = CASE @result
          WHEN -2147012889 THEN N'could not find the host of the address' -- 0x80072EE7
          WHEN -2147012867 THEN N'could not connect to the address' -- 0x80072EFD
          WHEN -2147012894 THEN N'no answer in time' -- 0x80072EE2
          ELSE LEFT(COALESCE(N'could not call: ' + @description, N'could not call') + N' (' + CONVERT(nvarchar(20), @result) + N')', 400)
          END
      END
    END TRY
    BEGIN CATCH
      SET @Answer = CASE ERROR_NUMBER()
        WHEN 229 THEN N'the signature of sp_NotifyAppOfSync is missing or out of date'
        ELSE LEFT(N'could not call: ' + ERROR_MESSAGE(), 400) END
    END CATCH
  END

  IF @object IS NOT NULL
  BEGIN
    BEGIN TRY
      EXEC sp_OADestroy @object
    END TRY
    BEGIN CATCH
      -- It goes with the batch then.
    END CATCH
  END

  IF @Quiet = 1 RETURN
  SET @todo = CASE
    WHEN @Answer LIKE N'HTTP 2%' THEN N'The application was told.'
    WHEN @Answer = N'HTTP 401' THEN N'The secret is not the application''s SYNC_WEBHOOK_SECRET: run npm run sync -- doorbell.'
    WHEN @Answer LIKE N'HTTP %' THEN N'Something else answers at this address, or the application refuses: see its log.'
    WHEN @Answer LIKE N'no address%' THEN N'Run npm run sync -- doorbell, or EXEC sync.UseDoorbell N''ole-automation'', '
      + N'N''http://…/api/sync/queue-notify'', N''the secret''.'
    WHEN @Answer LIKE N'could not%address' OR @Answer LIKE N'no answer%' THEN N'Is the ingress running there? If so, '
      + N'correct INGRESS_URL (127.0.0.1 rather than localhost) and run npm run sync -- doorbell.'
    WHEN @Answer LIKE N'OLE%' OR @Answer LIKE N'the signature%'
      THEN N'Let a member of sysadmin run 04_webhook_notification_system.sql again.'
    ELSE N'See the address in sync.Settings, and run 04_webhook_notification_system.sql again.' END
  PRINT @Answer + N' after ' + CONVERT(nvarchar(20), DATEDIFF(millisecond, @began, SYSUTCDATETIME())) + N' ms, POST '
    + COALESCE(@url, N'(nowhere)') + N'. ' + @todo
END
GO

-- A new certificate each time: its private key exists within this batch only. In master its user may call sp_OA*, and vouches
-- for the owner as whom the procedure runs. The database need not be TRUSTWORTHY.
DECLARE @password nvarchar(200) = CONVERT(nvarchar(100), CRYPT_GEN_RANDOM(40), 2) + N'aA1!'
DECLARE @name nvarchar(258) = QUOTENAME(LEFT(N'clinic_sync_ole_' + DB_NAME(), 128)), @public nvarchar(max), @sql nvarchar(max)

IF EXISTS (SELECT 1 FROM sys.certificates WHERE name = N'clinic_sync_ole') EXEC (N'DROP CERTIFICATE clinic_sync_ole')
EXEC (N'CREATE CERTIFICATE clinic_sync_ole ENCRYPTION BY PASSWORD = ''' + @password
  + N''' WITH SUBJECT = ''clinic-sync: signs sp_NotifyAppOfSync'', EXPIRY_DATE = ''20991231''')
EXEC (N'ADD SIGNATURE TO OBJECT::dbo.sp_NotifyAppOfSync BY CERTIFICATE clinic_sync_ole WITH PASSWORD = ''' + @password + N'''')
EXEC (N'ALTER CERTIFICATE clinic_sync_ole REMOVE PRIVATE KEY')
SET @public = CONVERT(nvarchar(max), CERTENCODED(CERT_ID(N'clinic_sync_ole')), 1)

SET @sql = N'
IF DATABASE_PRINCIPAL_ID(@name) IS NOT NULL DROP USER <name>
IF EXISTS (SELECT 1 FROM sys.certificates WHERE name = @name) DROP CERTIFICATE <name>
CREATE CERTIFICATE <name> FROM BINARY = ' + @public + N'
CREATE USER <name> FROM CERTIFICATE <name>
GRANT AUTHENTICATE TO <name>
GRANT EXECUTE ON sp_OACreate TO <name>
GRANT EXECUTE ON sp_OAMethod TO <name>
GRANT EXECUTE ON sp_OAGetProperty TO <name>
GRANT EXECUTE ON sp_OAGetErrorInfo TO <name>
GRANT EXECUTE ON sp_OADestroy TO <name>'
SET @sql = REPLACE(@sql, N'<name>', @name)
DECLARE @bare nvarchar(128) = LEFT(N'clinic_sync_ole_' + DB_NAME(), 128)
EXEC master.sys.sp_executesql @sql, N'@name nvarchar(128)', @name = @bare
GO

BEGIN TRANSACTION
GO
-- An original's trigger of this name may be on the table that was set aside, where nothing fires it any more.
IF OBJECT_ID(N'dbo.trg_SyncQueue_NotifyApp', N'TR') IS NOT NULL DROP TRIGGER dbo.trg_SyncQueue_NotifyApp
GO
CREATE TRIGGER dbo.trg_SyncQueue_NotifyApp ON dbo.SyncQueue AFTER INSERT AS
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

    EXEC dbo.sp_NotifyAppOfSync @Quiet = 1, @Answer = @answer OUTPUT
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
IF OBJECT_ID(N'dbo.trg_SyncQueue_NotifyApp', N'TR') IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM sync.Settings WHERE Name = N'Doorbell' AND Value = N'ole-automation')
  ALTER TABLE dbo.SyncQueue DISABLE TRIGGER trg_SyncQueue_NotifyApp
GO
-- If the trigger could not be made, the one before it stays.
IF @@TRANCOUNT > 0
BEGIN
  IF OBJECT_ID(N'dbo.trg_SyncQueue_NotifyApp', N'TR') IS NOT NULL COMMIT TRANSACTION
  ELSE ROLLBACK TRANSACTION
END
GO
SET NOEXEC OFF
GO
