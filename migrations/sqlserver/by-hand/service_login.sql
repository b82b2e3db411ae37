-- The login for the services' SQLSERVER_URL: it may execute their procedures of schema sync, and read no table.
-- Never run by migrate. Fill in the password below, and run it in the clinic's database, after 09_service_role.sql, as a member of
-- sysadmin (or of securityadmin and db_owner): in SSMS, or  sqlcmd -S server -d clinic -E -b -i service_login.sql
-- Safe to run again: an existing login gets the password, and keeps its other rights. Do not keep the filled-in file.
-- The server has to accept SQL logins (mixed mode). A Windows account, with &domain=DOMAIN in SQLSERVER_URL (NTLM), instead of this:
--   CREATE LOGIN [DOMAIN\account] FROM WINDOWS
--   CREATE USER [DOMAIN\account] FOR LOGIN [DOMAIN\account]
--   ALTER ROLE clinic_sync ADD MEMBER [DOMAIN\account]

SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
GO

DECLARE @Login nvarchar(128) = N'clinic_sync_service'
DECLARE @Password nvarchar(128) = N''

DECLARE @name nvarchar(258) = QUOTENAME(@Login), @sql nvarchar(max), @why nvarchar(400)
-- A string that is too long for its variable would be cut off without a word.
SET @why = CASE
  WHEN COALESCE(@Login, N'') = N'' THEN N'Fill in @Login.'
  WHEN COALESCE(@Password, N'') = N'' THEN N'Fill in @Password.'
  WHEN LEN(@Password + N'.') > 128 THEN N'@Password is too long: 127 characters at most.'
  WHEN DATABASE_PRINCIPAL_ID(N'clinic_sync') IS NULL
    THEN N'There is no role clinic_sync here: run this in the clinic''s database, after 09_service_role.sql.'
  WHEN IS_SRVROLEMEMBER(N'sysadmin', @Login) = 1 THEN N'That login is a member of sysadmin, and may do everything: choose another name.'
  END

IF @why IS NOT NULL RAISERROR (@why, 16, 1)
ELSE
BEGIN
  SET @sql = CASE WHEN EXISTS (SELECT 1 FROM sys.server_principals WHERE name = @Login) THEN N'ALTER' ELSE N'CREATE' END
    + N' LOGIN ' + @name + N' WITH PASSWORD = N''' + REPLACE(@Password, N'''', N'''''') + N''''
  EXEC (@sql)

  -- A user without its login, as after restoring the database on another server, is connected again.
  SET @sql = CASE WHEN DATABASE_PRINCIPAL_ID(@Login) IS NULL THEN N'CREATE USER ' + @name + N' FOR LOGIN ' + @name
    WHEN EXISTS (SELECT 1 FROM sys.database_principals WHERE name = @Login AND sid <> SUSER_SID(@Login))
      THEN N'ALTER USER ' + @name + N' WITH LOGIN = ' + @name END
  IF @sql IS NOT NULL EXEC (@sql)
  SET @sql = N'ALTER ROLE clinic_sync ADD MEMBER ' + @name
  EXEC (@sql)

  IF CONVERT(int, SERVERPROPERTY('IsIntegratedSecurityOnly')) = 1
    PRINT N'This server accepts Windows logins only: switch on SQL Server and Windows Authentication mode, and restart it.'
  PRINT N'The login is ready: SQLSERVER_URL=mssql://' + @Login + N':…@server/' + DB_NAME()
END
GO
