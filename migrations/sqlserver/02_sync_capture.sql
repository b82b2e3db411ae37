-- Generated from packages/mapping by `npm run generate`. Do not edit: change the mapping.
-- The capture triggers: each writes into dbo.SyncQueue which records an INSERT, UPDATE or DELETE really changed, in the
-- user's own transaction. Safe to run again. Each trigger is replaced in a transaction of its own, so that no change is missed.

SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
-- What somebody's open transaction holds is waited for this long, then it is error 1222: run the file again later. While this waits
-- for a table, everybody else waits behind it.
SET LOCK_TIMEOUT 5000
GO

-- The canary that `npm run sync -- trace` sends round: one row, no person's data. Made before its trigger, so that nothing of its making
-- is captured: services of the version before do not know it.
IF OBJECT_ID(N'sync.Canary', N'U') IS NULL
CREATE TABLE sync.Canary (
  CanaryID int NOT NULL CONSTRAINT PK_sync_Canary PRIMARY KEY,
  -- Written here only, and in the portal only.
  ClinicToken nvarchar(40) NULL,
  PortalToken nvarchar(40) NULL
)
GO
IF NOT EXISTS (SELECT 1 FROM sync.Canary) INSERT INTO sync.Canary (CanaryID) VALUES (1)
GO

BEGIN TRANSACTION
GO
IF OBJECT_ID(N'dbo.[trg_sync_AlignerDoctors]', N'TR') IS NOT NULL DROP TRIGGER dbo.[trg_sync_AlignerDoctors]
GO
CREATE TRIGGER dbo.[trg_sync_AlignerDoctors] ON dbo.[AlignerDoctors] AFTER INSERT, UPDATE AS
BEGIN
  IF NOT EXISTS (SELECT 1 FROM inserted) RETURN
  SET NOCOUNT ON
  -- A session that limits its statements with SET ROWCOUNT must not limit this; with it a sequence gives no numbers (11739).
  SET ROWCOUNT 0
  DECLARE @changed TABLE (Turn int NOT NULL, TableName nvarchar(100) NOT NULL, RecordID int NOT NULL, Operation nvarchar(20) NOT NULL)

  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT 0, N'aligner_doctors', i.[DrID], CASE WHEN d.[DrID] IS NULL THEN N'INSERT' ELSE N'UPDATE' END
  FROM inserted i LEFT JOIN deleted d ON d.[DrID] = i.[DrID]
  WHERE d.[DrID] IS NULL OR EXISTS (
    SELECT CAST(i.[DoctorName] AS varbinary(max)), CAST(i.[DoctorEmail] AS varbinary(max)),
      CAST(i.[LogoPath] AS varbinary(max))
    EXCEPT
    SELECT CAST(d.[DoctorName] AS varbinary(max)), CAST(d.[DoctorEmail] AS varbinary(max)),
      CAST(d.[LogoPath] AS varbinary(max)))

  -- No TRY around this, and nothing that could be left out of it: where the outbox cannot be written, the user's statement fails
  -- (and, as of any error in a trigger, their transaction with it). A change that passed without it would be lost, unseen.
  IF EXISTS (SELECT 1 FROM @changed)
    INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
    SELECT TableName, RecordID, Operation FROM @changed ORDER BY Turn, RecordID
END
GO
-- If the trigger could not be made, the one before it stays.
IF @@TRANCOUNT > 0
BEGIN
  IF OBJECT_ID(N'dbo.[trg_sync_AlignerDoctors]', N'TR') IS NOT NULL COMMIT TRANSACTION
  ELSE ROLLBACK TRANSACTION
END
GO

BEGIN TRANSACTION
GO
IF OBJECT_ID(N'dbo.[trg_sync_tblpatients]', N'TR') IS NOT NULL DROP TRIGGER dbo.[trg_sync_tblpatients]
GO
CREATE TRIGGER dbo.[trg_sync_tblpatients] ON dbo.[tblpatients] AFTER INSERT, UPDATE AS
BEGIN
  IF NOT EXISTS (SELECT 1 FROM inserted) RETURN
  SET NOCOUNT ON
  -- A session that limits its statements with SET ROWCOUNT must not limit this; with it a sequence gives no numbers (11739).
  SET ROWCOUNT 0
  DECLARE @changed TABLE (Turn int NOT NULL, TableName nvarchar(100) NOT NULL, RecordID int NOT NULL, Operation nvarchar(20) NOT NULL)

  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT 0, N'patients', i.[PersonID], CASE WHEN d.[PersonID] IS NULL THEN N'INSERT' ELSE N'UPDATE' END
  FROM inserted i LEFT JOIN deleted d ON d.[PersonID] = i.[PersonID]
  WHERE d.[PersonID] IS NULL OR EXISTS (
    SELECT CAST(i.[patientID] AS varbinary(max)), CAST(i.[PatientName] AS varbinary(max)),
      CAST(i.[FirstName] AS varbinary(max)), CAST(i.[LastName] AS varbinary(max)), CAST(i.[Phone] AS varbinary(max))
    EXCEPT
    SELECT CAST(d.[patientID] AS varbinary(max)), CAST(d.[PatientName] AS varbinary(max)),
      CAST(d.[FirstName] AS varbinary(max)), CAST(d.[LastName] AS varbinary(max)), CAST(d.[Phone] AS varbinary(max)))

  -- No TRY around this, and nothing that could be left out of it: where the outbox cannot be written, the user's statement fails
  -- (and, as of any error in a trigger, their transaction with it). A change that passed without it would be lost, unseen.
  IF EXISTS (SELECT 1 FROM @changed)
    INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
    SELECT TableName, RecordID, Operation FROM @changed ORDER BY Turn, RecordID
END
GO
-- If the trigger could not be made, the one before it stays.
IF @@TRANCOUNT > 0
BEGIN
  IF OBJECT_ID(N'dbo.[trg_sync_tblpatients]', N'TR') IS NOT NULL COMMIT TRANSACTION
  ELSE ROLLBACK TRANSACTION
END
GO

BEGIN TRANSACTION
GO
IF OBJECT_ID(N'dbo.[trg_sync_tblwork]', N'TR') IS NOT NULL DROP TRIGGER dbo.[trg_sync_tblwork]
GO
CREATE TRIGGER dbo.[trg_sync_tblwork] ON dbo.[tblwork] AFTER INSERT, UPDATE AS
BEGIN
  IF NOT EXISTS (SELECT 1 FROM inserted) RETURN
  SET NOCOUNT ON
  -- A session that limits its statements with SET ROWCOUNT must not limit this; with it a sequence gives no numbers (11739).
  SET ROWCOUNT 0
  DECLARE @changed TABLE (Turn int NOT NULL, TableName nvarchar(100) NOT NULL, RecordID int NOT NULL, Operation nvarchar(20) NOT NULL)

  -- Comes into the portal with the row that refers to it, and must be there first.
  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT DISTINCT 0, N'patients', i.[PersonID], N'UPDATE'
  FROM inserted i LEFT JOIN deleted d ON d.[workid] = i.[workid]
  WHERE (d.[workid] IS NULL OR NOT EXISTS (SELECT i.[PersonID] INTERSECT SELECT d.[PersonID]))
    AND i.[PersonID] IS NOT NULL

  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT 1, N'work', i.[workid], CASE WHEN d.[workid] IS NULL THEN N'INSERT' ELSE N'UPDATE' END
  FROM inserted i LEFT JOIN deleted d ON d.[workid] = i.[workid]
  WHERE d.[workid] IS NULL OR EXISTS (
    SELECT i.[PersonID], i.[Typeofwork], i.[AdditionDate]
    EXCEPT
    SELECT d.[PersonID], d.[Typeofwork], d.[AdditionDate])

  -- No TRY around this, and nothing that could be left out of it: where the outbox cannot be written, the user's statement fails
  -- (and, as of any error in a trigger, their transaction with it). A change that passed without it would be lost, unseen.
  IF EXISTS (SELECT 1 FROM @changed)
    INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
    SELECT TableName, RecordID, Operation FROM @changed ORDER BY Turn, RecordID
END
GO
-- If the trigger could not be made, the one before it stays.
IF @@TRANCOUNT > 0
BEGIN
  IF OBJECT_ID(N'dbo.[trg_sync_tblwork]', N'TR') IS NOT NULL COMMIT TRANSACTION
  ELSE ROLLBACK TRANSACTION
END
GO

BEGIN TRANSACTION
GO
IF OBJECT_ID(N'dbo.[trg_sync_tblAlignerSets]', N'TR') IS NOT NULL DROP TRIGGER dbo.[trg_sync_tblAlignerSets]
GO
CREATE TRIGGER dbo.[trg_sync_tblAlignerSets] ON dbo.[tblAlignerSets] AFTER INSERT, UPDATE, DELETE AS
BEGIN
  IF NOT EXISTS (SELECT 1 FROM inserted) AND NOT EXISTS (SELECT 1 FROM deleted) RETURN
  SET NOCOUNT ON
  -- A session that limits its statements with SET ROWCOUNT must not limit this; with it a sequence gives no numbers (11739).
  SET ROWCOUNT 0
  DECLARE @changed TABLE (Turn int NOT NULL, TableName nvarchar(100) NOT NULL, RecordID int NOT NULL, Operation nvarchar(20) NOT NULL)

  -- Comes into the portal with the row that refers to it, and must be there first.
  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT DISTINCT 0, N'patients', a0.[PersonID], N'UPDATE'
  FROM inserted i LEFT JOIN deleted d ON d.[AlignerSetID] = i.[AlignerSetID]
  INNER JOIN dbo.[tblwork] a0 ON a0.[workid] = i.[WorkID]
  WHERE (d.[AlignerSetID] IS NULL OR NOT EXISTS (SELECT i.[WorkID] INTERSECT SELECT d.[WorkID]))
    AND a0.[PersonID] IS NOT NULL

  -- Comes into the portal with the row that refers to it, and must be there first.
  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT DISTINCT 1, N'work', i.[WorkID], N'UPDATE'
  FROM inserted i LEFT JOIN deleted d ON d.[AlignerSetID] = i.[AlignerSetID]
  WHERE (d.[AlignerSetID] IS NULL OR NOT EXISTS (SELECT i.[WorkID] INTERSECT SELECT d.[WorkID]))
    AND i.[WorkID] IS NOT NULL

  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT 2, N'aligner_sets', i.[AlignerSetID], CASE WHEN d.[AlignerSetID] IS NULL THEN N'INSERT' ELSE N'UPDATE' END
  FROM inserted i LEFT JOIN deleted d ON d.[AlignerSetID] = i.[AlignerSetID]
  WHERE d.[AlignerSetID] IS NULL OR EXISTS (
    SELECT i.[WorkID], i.[AlignerDrID], i.[SetSequence], CAST(i.[Type] AS varbinary(max)), i.[UpperAlignersCount],
      i.[LowerAlignersCount], i.[RemainingUpperAligners], i.[RemainingLowerAligners], i.[CreationDate], i.[Days],
      i.[IsActive], CAST(i.[Notes] AS varbinary(max)), CAST(i.[FolderPath] AS varbinary(max)),
      CAST(i.[SetUrl] AS varbinary(max)), CAST(i.[SetPdfUrl] AS varbinary(max)), i.[SetCost],
      CAST(i.[Currency] AS varbinary(max)), i.[PdfUploadedAt], CAST(i.[PdfUploadedBy] AS varbinary(max)),
      CAST(i.[DriveFileId] AS varbinary(max))
    EXCEPT
    SELECT d.[WorkID], d.[AlignerDrID], d.[SetSequence], CAST(d.[Type] AS varbinary(max)), d.[UpperAlignersCount],
      d.[LowerAlignersCount], d.[RemainingUpperAligners], d.[RemainingLowerAligners], d.[CreationDate], d.[Days],
      d.[IsActive], CAST(d.[Notes] AS varbinary(max)), CAST(d.[FolderPath] AS varbinary(max)),
      CAST(d.[SetUrl] AS varbinary(max)), CAST(d.[SetPdfUrl] AS varbinary(max)), d.[SetCost],
      CAST(d.[Currency] AS varbinary(max)), d.[PdfUploadedAt], CAST(d.[PdfUploadedBy] AS varbinary(max)),
      CAST(d.[DriveFileId] AS varbinary(max)))

  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT 4, N'aligner_set_payments', c.k, N'UPDATE'
  FROM (
    SELECT k FROM (
      SELECT k, c0, c1, COUNT(*) AS n
      FROM (SELECT x.[AlignerSetID] AS k, x.[SetCost] AS c0, CAST(x.[Currency] AS varbinary(max)) AS c1
        FROM inserted x WHERE x.[AlignerSetID] IS NOT NULL) g
      GROUP BY k, c0, c1
      EXCEPT
      SELECT k, c0, c1, COUNT(*) AS n
      FROM (SELECT x.[AlignerSetID] AS k, x.[SetCost] AS c0, CAST(x.[Currency] AS varbinary(max)) AS c1
        FROM deleted x WHERE x.[AlignerSetID] IS NOT NULL) g
      GROUP BY k, c0, c1) a
    UNION
    SELECT k FROM (
      SELECT k, c0, c1, COUNT(*) AS n
      FROM (SELECT x.[AlignerSetID] AS k, x.[SetCost] AS c0, CAST(x.[Currency] AS varbinary(max)) AS c1
        FROM deleted x WHERE x.[AlignerSetID] IS NOT NULL) g
      GROUP BY k, c0, c1
      EXCEPT
      SELECT k, c0, c1, COUNT(*) AS n
      FROM (SELECT x.[AlignerSetID] AS k, x.[SetCost] AS c0, CAST(x.[Currency] AS varbinary(max)) AS c1
        FROM inserted x WHERE x.[AlignerSetID] IS NOT NULL) g
      GROUP BY k, c0, c1) b) c

  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT 5, N'aligner_sets', d.[AlignerSetID], N'DELETE'
  FROM deleted d LEFT JOIN inserted i ON i.[AlignerSetID] = d.[AlignerSetID]
  WHERE i.[AlignerSetID] IS NULL

  -- No TRY around this, and nothing that could be left out of it: where the outbox cannot be written, the user's statement fails
  -- (and, as of any error in a trigger, their transaction with it). A change that passed without it would be lost, unseen.
  IF EXISTS (SELECT 1 FROM @changed)
    INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
    SELECT TableName, RecordID, Operation FROM @changed ORDER BY Turn, RecordID
END
GO
-- If the trigger could not be made, the one before it stays.
IF @@TRANCOUNT > 0
BEGIN
  IF OBJECT_ID(N'dbo.[trg_sync_tblAlignerSets]', N'TR') IS NOT NULL COMMIT TRANSACTION
  ELSE ROLLBACK TRANSACTION
END
GO

BEGIN TRANSACTION
GO
IF OBJECT_ID(N'dbo.[trg_sync_tblAlignerBatches]', N'TR') IS NOT NULL DROP TRIGGER dbo.[trg_sync_tblAlignerBatches]
GO
CREATE TRIGGER dbo.[trg_sync_tblAlignerBatches] ON dbo.[tblAlignerBatches] AFTER INSERT, UPDATE, DELETE AS
BEGIN
  IF NOT EXISTS (SELECT 1 FROM inserted) AND NOT EXISTS (SELECT 1 FROM deleted) RETURN
  SET NOCOUNT ON
  -- A session that limits its statements with SET ROWCOUNT must not limit this; with it a sequence gives no numbers (11739).
  SET ROWCOUNT 0
  DECLARE @changed TABLE (Turn int NOT NULL, TableName nvarchar(100) NOT NULL, RecordID int NOT NULL, Operation nvarchar(20) NOT NULL)

  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT 0, N'aligner_batches', i.[AlignerBatchID], CASE WHEN d.[AlignerBatchID] IS NULL THEN N'INSERT' ELSE N'UPDATE' END
  FROM inserted i LEFT JOIN deleted d ON d.[AlignerBatchID] = i.[AlignerBatchID]
  WHERE d.[AlignerBatchID] IS NULL OR EXISTS (
    SELECT i.[AlignerSetID], i.[BatchSequence], i.[UpperAlignerCount], i.[LowerAlignerCount], i.[UpperAlignerStartSequence],
      i.[UpperAlignerEndSequence], i.[LowerAlignerStartSequence], i.[LowerAlignerEndSequence], i.[ManufactureDate],
      i.[DeliveredToPatientDate], i.[Days], i.[ValidityPeriod], i.[BatchExpiryDate], CAST(i.[Notes] AS varbinary(max)),
      i.[IsActive]
    EXCEPT
    SELECT d.[AlignerSetID], d.[BatchSequence], d.[UpperAlignerCount], d.[LowerAlignerCount], d.[UpperAlignerStartSequence],
      d.[UpperAlignerEndSequence], d.[LowerAlignerStartSequence], d.[LowerAlignerEndSequence], d.[ManufactureDate],
      d.[DeliveredToPatientDate], d.[Days], d.[ValidityPeriod], d.[BatchExpiryDate], CAST(d.[Notes] AS varbinary(max)),
      d.[IsActive])

  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT 2, N'aligner_batches', d.[AlignerBatchID], N'DELETE'
  FROM deleted d LEFT JOIN inserted i ON i.[AlignerBatchID] = d.[AlignerBatchID]
  WHERE i.[AlignerBatchID] IS NULL

  -- No TRY around this, and nothing that could be left out of it: where the outbox cannot be written, the user's statement fails
  -- (and, as of any error in a trigger, their transaction with it). A change that passed without it would be lost, unseen.
  IF EXISTS (SELECT 1 FROM @changed)
    INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
    SELECT TableName, RecordID, Operation FROM @changed ORDER BY Turn, RecordID
END
GO
-- If the trigger could not be made, the one before it stays.
IF @@TRANCOUNT > 0
BEGIN
  IF OBJECT_ID(N'dbo.[trg_sync_tblAlignerBatches]', N'TR') IS NOT NULL COMMIT TRANSACTION
  ELSE ROLLBACK TRANSACTION
END
GO

BEGIN TRANSACTION
GO
IF OBJECT_ID(N'dbo.[trg_sync_tblAlignerNotes]', N'TR') IS NOT NULL DROP TRIGGER dbo.[trg_sync_tblAlignerNotes]
GO
CREATE TRIGGER dbo.[trg_sync_tblAlignerNotes] ON dbo.[tblAlignerNotes] AFTER INSERT, UPDATE, DELETE AS
BEGIN
  IF NOT EXISTS (SELECT 1 FROM inserted) AND NOT EXISTS (SELECT 1 FROM deleted) RETURN
  SET NOCOUNT ON
  -- A session that limits its statements with SET ROWCOUNT must not limit this; with it a sequence gives no numbers (11739).
  SET ROWCOUNT 0
  DECLARE @changed TABLE (Turn int NOT NULL, TableName nvarchar(100) NOT NULL, RecordID int NOT NULL, Operation nvarchar(20) NOT NULL)

  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT 0, N'aligner_notes', i.[NoteID], CASE WHEN d.[NoteID] IS NULL THEN N'INSERT' ELSE N'UPDATE' END
  FROM inserted i LEFT JOIN deleted d ON d.[NoteID] = i.[NoteID]
  WHERE d.[NoteID] IS NULL OR EXISTS (
    SELECT i.[AlignerSetID], CAST(i.[NoteType] AS varbinary(max)), CAST(i.[NoteText] AS varbinary(max)), i.[CreatedAt],
      i.[IsEdited], i.[EditedAt], i.[IsRead]
    EXCEPT
    SELECT d.[AlignerSetID], CAST(d.[NoteType] AS varbinary(max)), CAST(d.[NoteText] AS varbinary(max)), d.[CreatedAt],
      d.[IsEdited], d.[EditedAt], d.[IsRead])

  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT 2, N'aligner_notes', d.[NoteID], N'DELETE'
  FROM deleted d LEFT JOIN inserted i ON i.[NoteID] = d.[NoteID]
  WHERE i.[NoteID] IS NULL

  -- No TRY around this, and nothing that could be left out of it: where the outbox cannot be written, the user's statement fails
  -- (and, as of any error in a trigger, their transaction with it). A change that passed without it would be lost, unseen.
  IF EXISTS (SELECT 1 FROM @changed)
    INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
    SELECT TableName, RecordID, Operation FROM @changed ORDER BY Turn, RecordID
END
GO
-- If the trigger could not be made, the one before it stays.
IF @@TRANCOUNT > 0
BEGIN
  IF OBJECT_ID(N'dbo.[trg_sync_tblAlignerNotes]', N'TR') IS NOT NULL COMMIT TRANSACTION
  ELSE ROLLBACK TRANSACTION
END
GO

BEGIN TRANSACTION
GO
IF OBJECT_ID(N'dbo.[trg_sync_tblInvoice]', N'TR') IS NOT NULL DROP TRIGGER dbo.[trg_sync_tblInvoice]
GO
CREATE TRIGGER dbo.[trg_sync_tblInvoice] ON dbo.[tblInvoice] AFTER INSERT, UPDATE, DELETE AS
BEGIN
  IF NOT EXISTS (SELECT 1 FROM inserted) AND NOT EXISTS (SELECT 1 FROM deleted) RETURN
  SET NOCOUNT ON
  -- A session that limits its statements with SET ROWCOUNT must not limit this; with it a sequence gives no numbers (11739).
  SET ROWCOUNT 0
  DECLARE @changed TABLE (Turn int NOT NULL, TableName nvarchar(100) NOT NULL, RecordID int NOT NULL, Operation nvarchar(20) NOT NULL)

  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT 2, N'aligner_set_payments', c.k, N'UPDATE'
  FROM (
    SELECT k FROM (
      SELECT k, c0, COUNT(*) AS n
      FROM (SELECT x.[AlignerSetID] AS k, x.[Amountpaid] AS c0
        FROM inserted x WHERE x.[AlignerSetID] IS NOT NULL) g
      GROUP BY k, c0
      EXCEPT
      SELECT k, c0, COUNT(*) AS n
      FROM (SELECT x.[AlignerSetID] AS k, x.[Amountpaid] AS c0
        FROM deleted x WHERE x.[AlignerSetID] IS NOT NULL) g
      GROUP BY k, c0) a
    UNION
    SELECT k FROM (
      SELECT k, c0, COUNT(*) AS n
      FROM (SELECT x.[AlignerSetID] AS k, x.[Amountpaid] AS c0
        FROM deleted x WHERE x.[AlignerSetID] IS NOT NULL) g
      GROUP BY k, c0
      EXCEPT
      SELECT k, c0, COUNT(*) AS n
      FROM (SELECT x.[AlignerSetID] AS k, x.[Amountpaid] AS c0
        FROM inserted x WHERE x.[AlignerSetID] IS NOT NULL) g
      GROUP BY k, c0) b) c

  -- No TRY around this, and nothing that could be left out of it: where the outbox cannot be written, the user's statement fails
  -- (and, as of any error in a trigger, their transaction with it). A change that passed without it would be lost, unseen.
  IF EXISTS (SELECT 1 FROM @changed)
    INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
    SELECT TableName, RecordID, Operation FROM @changed ORDER BY Turn, RecordID
END
GO
-- If the trigger could not be made, the one before it stays.
IF @@TRANCOUNT > 0
BEGIN
  IF OBJECT_ID(N'dbo.[trg_sync_tblInvoice]', N'TR') IS NOT NULL COMMIT TRANSACTION
  ELSE ROLLBACK TRANSACTION
END
GO

BEGIN TRANSACTION
GO
IF OBJECT_ID(N'sync.[trg_sync_Canary]', N'TR') IS NOT NULL DROP TRIGGER sync.[trg_sync_Canary]
GO
CREATE TRIGGER sync.[trg_sync_Canary] ON sync.[Canary] AFTER INSERT, UPDATE, DELETE AS
BEGIN
  IF NOT EXISTS (SELECT 1 FROM inserted) AND NOT EXISTS (SELECT 1 FROM deleted) RETURN
  SET NOCOUNT ON
  -- A session that limits its statements with SET ROWCOUNT must not limit this; with it a sequence gives no numbers (11739).
  SET ROWCOUNT 0
  DECLARE @changed TABLE (Turn int NOT NULL, TableName nvarchar(100) NOT NULL, RecordID int NOT NULL, Operation nvarchar(20) NOT NULL)

  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT 0, N'canary', i.[CanaryID], CASE WHEN d.[CanaryID] IS NULL THEN N'INSERT' ELSE N'UPDATE' END
  FROM inserted i LEFT JOIN deleted d ON d.[CanaryID] = i.[CanaryID]
  WHERE d.[CanaryID] IS NULL OR EXISTS (
    SELECT CAST(i.[ClinicToken] AS varbinary(max)), CAST(i.[PortalToken] AS varbinary(max))
    EXCEPT
    SELECT CAST(d.[ClinicToken] AS varbinary(max)), CAST(d.[PortalToken] AS varbinary(max)))

  INSERT INTO @changed (Turn, TableName, RecordID, Operation)
  SELECT 2, N'canary', d.[CanaryID], N'DELETE'
  FROM deleted d LEFT JOIN inserted i ON i.[CanaryID] = d.[CanaryID]
  WHERE i.[CanaryID] IS NULL

  -- No TRY around this, and nothing that could be left out of it: where the outbox cannot be written, the user's statement fails
  -- (and, as of any error in a trigger, their transaction with it). A change that passed without it would be lost, unseen.
  IF EXISTS (SELECT 1 FROM @changed)
    INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
    SELECT TableName, RecordID, Operation FROM @changed ORDER BY Turn, RecordID
END
GO
-- If the trigger could not be made, the one before it stays.
IF @@TRANCOUNT > 0
BEGIN
  IF OBJECT_ID(N'sync.[trg_sync_Canary]', N'TR') IS NOT NULL COMMIT TRANSACTION
  ELSE ROLLBACK TRANSACTION
END
GO
