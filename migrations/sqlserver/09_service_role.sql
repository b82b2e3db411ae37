-- What the services' login may do: execute the procedures of schema sync, and see whether the capture triggers are there.
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
GRANT EXECUTE ON SCHEMA::sync TO clinic_sync
GO
-- Metadata only: without it sync.Inspect takes the triggers for missing.
GRANT VIEW DEFINITION ON SCHEMA::dbo TO clinic_sync
GO
