-- Generated from packages/mapping by `npm run generate`. Do not edit: change the mapping.
-- What the services' login may do: execute their procedures of schema sync, and see triggers, columns and constraints.
-- Safe to run again, and to be run again when a doorbell has been installed. The login: by-hand/service_login.sql.

SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
-- What somebody's open transaction holds is waited for this long, then it is error 1222: run the file again later. While this waits
-- for a table, everybody else waits behind it.
SET LOCK_TIMEOUT 5000
GO

IF DATABASE_PRINCIPAL_ID(N'clinic_sync') IS NULL CREATE ROLE clinic_sync
GO

-- A role that stays with whoever ran this file would keep that user from being dropped.
IF CONVERT(nvarchar(10), SERVERPROPERTY('Babelfish')) = N'1' PRINT N'The role clinic_sync belongs to the user who made it: refused was ALTER AUTHORIZATION ON ROLE::clinic_sync TO dbo'
ELSE
BEGIN
  BEGIN TRY
    EXEC (N'ALTER AUTHORIZATION ON ROLE::clinic_sync TO dbo')
  END TRY
  BEGIN CATCH
    PRINT N'The role clinic_sync belongs to the user who made it: refused was ALTER AUTHORIZATION ON ROLE::clinic_sync TO dbo' + N': ' + ERROR_MESSAGE()
  END CATCH
END
GO

IF OBJECT_ID(N'sync.TakeChanges', N'P') IS NOT NULL GRANT EXECUTE ON sync.TakeChanges TO clinic_sync
IF OBJECT_ID(N'sync.SettleChanges', N'P') IS NOT NULL GRANT EXECUTE ON sync.SettleChanges TO clinic_sync
IF OBJECT_ID(N'sync.ApplyPortalChanges', N'P') IS NOT NULL GRANT EXECUTE ON sync.ApplyPortalChanges TO clinic_sync
IF OBJECT_ID(N'sync.ReadRows', N'P') IS NOT NULL GRANT EXECUTE ON sync.ReadRows TO clinic_sync
IF OBJECT_ID(N'sync.BackfillPage', N'P') IS NOT NULL GRANT EXECUTE ON sync.BackfillPage TO clinic_sync
IF OBJECT_ID(N'sync.OpenRows', N'P') IS NOT NULL GRANT EXECUTE ON sync.OpenRows TO clinic_sync
IF OBJECT_ID(N'sync.WaitForChanges', N'P') IS NOT NULL GRANT EXECUTE ON sync.WaitForChanges TO clinic_sync
IF OBJECT_ID(N'sync.RingDoorbell', N'P') IS NOT NULL GRANT EXECUTE ON sync.RingDoorbell TO clinic_sync
IF OBJECT_ID(N'sync.OpenTransactions', N'P') IS NOT NULL GRANT EXECUTE ON sync.OpenTransactions TO clinic_sync
IF OBJECT_ID(N'sync.AwaitTransaction', N'P') IS NOT NULL GRANT EXECUTE ON sync.AwaitTransaction TO clinic_sync
IF OBJECT_ID(N'sync.Inspect', N'P') IS NOT NULL GRANT EXECUTE ON sync.Inspect TO clinic_sync
IF OBJECT_ID(N'sync.OutboxStatus', N'P') IS NOT NULL GRANT EXECUTE ON sync.OutboxStatus TO clinic_sync
IF OBJECT_ID(N'sync.Requeue', N'P') IS NOT NULL GRANT EXECUTE ON sync.Requeue TO clinic_sync
IF OBJECT_ID(N'sync.RecordVersions', N'P') IS NOT NULL GRANT EXECUTE ON sync.RecordVersions TO clinic_sync
IF OBJECT_ID(N'sync.RecordHistory', N'P') IS NOT NULL GRANT EXECUTE ON sync.RecordHistory TO clinic_sync
IF OBJECT_ID(N'sync.Rulings', N'P') IS NOT NULL GRANT EXECUTE ON sync.Rulings TO clinic_sync
IF OBJECT_ID(N'sync.RuledValues', N'P') IS NOT NULL GRANT EXECUTE ON sync.RuledValues TO clinic_sync
IF OBJECT_ID(N'sync.Bookkeeping', N'P') IS NOT NULL GRANT EXECUTE ON sync.Bookkeeping TO clinic_sync
IF OBJECT_ID(N'sync.HoldPortalChanges', N'P') IS NOT NULL GRANT EXECUTE ON sync.HoldPortalChanges TO clinic_sync
IF OBJECT_ID(N'sync.RecordStates', N'P') IS NOT NULL GRANT EXECUTE ON sync.RecordStates TO clinic_sync
IF OBJECT_ID(N'sync.SendCanary', N'P') IS NOT NULL GRANT EXECUTE ON sync.SendCanary TO clinic_sync
IF OBJECT_ID(N'sync.ReadCanary', N'P') IS NOT NULL GRANT EXECUTE ON sync.ReadCanary TO clinic_sync
GO

-- Granted by earlier versions, with the procedures that are not for the services.
IF CONVERT(nvarchar(10), SERVERPROPERTY('Babelfish')) = N'1' PRINT N'Members of clinic_sync may execute what earlier versions granted: refused was REVOKE EXECUTE ON SCHEMA::sync FROM clinic_sync'
ELSE
BEGIN
  BEGIN TRY
    EXEC (N'REVOKE EXECUTE ON SCHEMA::sync FROM clinic_sync')
  END TRY
  BEGIN CATCH
    PRINT N'Members of clinic_sync may execute what earlier versions granted: refused was REVOKE EXECUTE ON SCHEMA::sync FROM clinic_sync' + N': ' + ERROR_MESSAGE()
  END CATCH
END
GO

-- Metadata only: without it sync.Inspect cannot see the triggers, the queue and the sequence, and sync.ApplyPortalChanges knows the
-- mapping's limits only, not the columns' own.
IF CONVERT(nvarchar(10), SERVERPROPERTY('Babelfish')) = N'1' PRINT N'Members of clinic_sync cannot see triggers and columns: refused was GRANT VIEW DEFINITION ON SCHEMA::dbo TO clinic_sync'
ELSE
BEGIN
  BEGIN TRY
    EXEC (N'GRANT VIEW DEFINITION ON SCHEMA::dbo TO clinic_sync')
  END TRY
  BEGIN CATCH
    PRINT N'Members of clinic_sync cannot see triggers and columns: refused was GRANT VIEW DEFINITION ON SCHEMA::dbo TO clinic_sync' + N': ' + ERROR_MESSAGE()
  END CATCH
END
IF CONVERT(nvarchar(10), SERVERPROPERTY('Babelfish')) = N'1' PRINT N'Members of clinic_sync cannot see schema sync''s objects: refused was GRANT VIEW DEFINITION ON SCHEMA::sync TO clinic_sync'
ELSE
BEGIN
  BEGIN TRY
    EXEC (N'GRANT VIEW DEFINITION ON SCHEMA::sync TO clinic_sync')
  END TRY
  BEGIN CATCH
    PRINT N'Members of clinic_sync cannot see schema sync''s objects: refused was GRANT VIEW DEFINITION ON SCHEMA::sync TO clinic_sync' + N': ' + ERROR_MESSAGE()
  END CATCH
END
GO
