-- Generated from packages/mapping by `npm run generate`. Do not edit: change the mapping.
-- What the services' login may do: execute their procedures of schema sync, and see triggers, columns and constraints.
-- Safe to run again. Then, for the login that SQLSERVER_URL names:
--   CREATE LOGIN clinic_sync_service WITH PASSWORD = N'…'
--   CREATE USER clinic_sync_service FOR LOGIN clinic_sync_service
--   ALTER ROLE clinic_sync ADD MEMBER clinic_sync_service

SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
GO

IF DATABASE_PRINCIPAL_ID(N'clinic_sync') IS NULL CREATE ROLE clinic_sync AUTHORIZATION dbo
GO

IF OBJECT_ID(N'sync.TakeChanges', N'P') IS NOT NULL GRANT EXECUTE ON sync.TakeChanges TO clinic_sync
IF OBJECT_ID(N'sync.SettleChanges', N'P') IS NOT NULL GRANT EXECUTE ON sync.SettleChanges TO clinic_sync
IF OBJECT_ID(N'sync.ApplyPortalChanges', N'P') IS NOT NULL GRANT EXECUTE ON sync.ApplyPortalChanges TO clinic_sync
IF OBJECT_ID(N'sync.ReadRows', N'P') IS NOT NULL GRANT EXECUTE ON sync.ReadRows TO clinic_sync
IF OBJECT_ID(N'sync.BackfillPage', N'P') IS NOT NULL GRANT EXECUTE ON sync.BackfillPage TO clinic_sync
IF OBJECT_ID(N'sync.WaitForChanges', N'P') IS NOT NULL GRANT EXECUTE ON sync.WaitForChanges TO clinic_sync
IF OBJECT_ID(N'sync.Inspect', N'P') IS NOT NULL GRANT EXECUTE ON sync.Inspect TO clinic_sync
-- Granted by earlier versions, with the procedures that are not for the services.
REVOKE EXECUTE ON SCHEMA::sync FROM clinic_sync
GO

-- Metadata only: without it sync.Inspect takes the triggers for missing, and sync.ApplyPortalChanges knows the mapping's limits
-- only, not the columns' own.
GRANT VIEW DEFINITION ON SCHEMA::dbo TO clinic_sync
GO
