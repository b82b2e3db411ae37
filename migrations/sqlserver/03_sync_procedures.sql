-- Generated from packages/mapping by `npm run generate`. Do not edit: change the mapping.
-- The procedures of schema sync: all that the services may do in this database. Safe to run again.
-- A service's login needs EXECUTE on them and nothing else.

SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
GO

IF OBJECT_ID(N'sync.EnterOutbox', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.EnterOutbox AS RETURN')
GO
ALTER PROCEDURE sync.EnterOutbox AS
BEGIN
  -- For the procedures of this schema, within their transaction: until its end nobody else is in here.
  DECLARE @got int
  EXEC @got = sp_getapplock @Resource = N'sync.outbox', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 10000
  IF @got < 0
  BEGIN;
    THROW 51222, N'sync: another session is in the outbox', 1;
  END
END
GO

IF OBJECT_ID(N'sync.ReadRecords', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.ReadRecords AS RETURN')
GO
ALTER PROCEDURE sync.ReadRecords @Table nvarchar(100), @From int, @To int AS
BEGIN
  -- For sync.TakeChanges only: works on its #record. State 1: RowData is the row; 2: looked for, and missing or out of scope.
  SET NOCOUNT ON

  -- What the clinic has seen of the portal is read before the row: the row may be newer than it, never older.
  UPDATE c SET Seen = COALESCE((SELECT s.SeenPortalVersion FROM sync.RowState s WHERE s.TableName = c.TableName AND s.RecordID = c.RecordID), 0)
  FROM #record c
  WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL

  IF @Table = N'aligner_doctors'
    UPDATE c SET State = 1, RowData = (SELECT t.[DrID] AS [dr_id],
      t.[DoctorName] AS [doctor_name],
      t.[DoctorEmail] AS [doctor_email],
      t.[LogoPath] AS [logo_path]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES)
    FROM #record c INNER JOIN dbo.[AlignerDoctors] t ON t.[DrID] = c.RecordID
    WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL

  IF @Table = N'patients'
    UPDATE c SET State = 1, RowData = (SELECT t.[PersonID] AS [person_id],
      t.[patientID] AS [patient_id],
      t.[PatientName] AS [patient_name],
      t.[FirstName] AS [first_name],
      t.[LastName] AS [last_name],
      t.[Phone] AS [phone]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES)
    FROM #record c INNER JOIN dbo.[tblpatients] t ON t.[PersonID] = c.RecordID
    WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL
      AND EXISTS (SELECT 1 FROM dbo.[tblwork] t1 WHERE t1.[PersonID] = t.[PersonID]
        AND EXISTS (SELECT 1 FROM dbo.[tblAlignerSets] t12 WHERE t12.[WorkID] = t1.[workid]))

  IF @Table = N'work'
    UPDATE c SET State = 1, RowData = (SELECT t.[workid] AS [work_id],
      t.[PersonID] AS [person_id],
      t.[Typeofwork] AS [type_of_work],
      CONVERT(varchar(30), t.[AdditionDate], 121) AS [addition_date]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES)
    FROM #record c INNER JOIN dbo.[tblwork] t ON t.[workid] = c.RecordID
    WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL
      AND EXISTS (SELECT 1 FROM dbo.[tblAlignerSets] t1 WHERE t1.[WorkID] = t.[workid])

  IF @Table = N'aligner_sets'
    UPDATE c SET State = 1, RowData = (SELECT t.[AlignerSetID] AS [aligner_set_id],
      t.[WorkID] AS [work_id],
      t.[AlignerDrID] AS [aligner_dr_id],
      t.[SetSequence] AS [set_sequence],
      t.[Type] AS [type],
      t.[UpperAlignersCount] AS [upper_aligners_count],
      t.[LowerAlignersCount] AS [lower_aligners_count],
      t.[RemainingUpperAligners] AS [remaining_upper_aligners],
      t.[RemainingLowerAligners] AS [remaining_lower_aligners],
      CONVERT(varchar(10), t.[CreationDate], 23) AS [creation_date],
      t.[Days] AS [days],
      CAST(t.[IsActive] AS bit) AS [is_active],
      t.[Notes] AS [notes],
      t.[FolderPath] AS [folder_path],
      t.[SetUrl] AS [set_url],
      t.[SetPdfUrl] AS [set_pdf_url],
      CONVERT(varchar(40), t.[SetCost]) AS [set_cost],
      t.[Currency] AS [currency],
      CONVERT(varchar(30), t.[PdfUploadedAt], 121) AS [pdf_uploaded_at],
      t.[PdfUploadedBy] AS [pdf_uploaded_by],
      t.[DriveFileId] AS [drive_file_id]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES)
    FROM #record c INNER JOIN dbo.[tblAlignerSets] t ON t.[AlignerSetID] = c.RecordID
    WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL

  IF @Table = N'aligner_batches'
    UPDATE c SET State = 1, RowData = (SELECT t.[AlignerBatchID] AS [aligner_batch_id],
      t.[AlignerSetID] AS [aligner_set_id],
      t.[BatchSequence] AS [batch_sequence],
      t.[UpperAlignerCount] AS [upper_aligner_count],
      t.[LowerAlignerCount] AS [lower_aligner_count],
      t.[UpperAlignerStartSequence] AS [upper_aligner_start_sequence],
      t.[UpperAlignerEndSequence] AS [upper_aligner_end_sequence],
      t.[LowerAlignerStartSequence] AS [lower_aligner_start_sequence],
      t.[LowerAlignerEndSequence] AS [lower_aligner_end_sequence],
      CONVERT(varchar(10), t.[ManufactureDate], 23) AS [manufacture_date],
      CONVERT(varchar(10), t.[DeliveredToPatientDate], 23) AS [delivered_to_patient_date],
      t.[Days] AS [days],
      t.[ValidityPeriod] AS [validity_period],
      CONVERT(varchar(10), t.[BatchExpiryDate], 23) AS [batch_expiry_date],
      t.[Notes] AS [notes],
      CAST(t.[IsActive] AS bit) AS [is_active]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES)
    FROM #record c INNER JOIN dbo.[tblAlignerBatches] t ON t.[AlignerBatchID] = c.RecordID
    WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL

  IF @Table = N'aligner_notes'
    UPDATE c SET State = 1, RowData = (SELECT t.[NoteID] AS [note_id],
      t.[AlignerSetID] AS [aligner_set_id],
      t.[NoteType] AS [note_type],
      t.[NoteText] AS [note_text],
      CONVERT(varchar(30), t.[CreatedAt], 121) AS [created_at],
      CAST(t.[IsEdited] AS bit) AS [is_edited],
      CONVERT(varchar(30), t.[EditedAt], 121) AS [edited_at],
      CAST(t.[IsRead] AS bit) AS [is_read]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES)
    FROM #record c INNER JOIN dbo.[tblAlignerNotes] t ON t.[NoteID] = c.RecordID
    WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL

  IF @Table = N'aligner_set_payments'
    UPDATE c SET State = 1, RowData = (SELECT t.[AlignerSetID] AS [aligner_set_id],
      CONVERT(varchar(40), t.[TotalPaid]) AS [total_paid],
      CONVERT(varchar(40), t.[Balance]) AS [balance],
      t.[PaymentStatus] AS [payment_status]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES)
    FROM #record c INNER JOIN dbo.[vw_AlignerSetPayments] t ON t.[AlignerSetID] = c.RecordID
    WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL
      AND (t.[PaymentStatus] IS NULL OR t.[PaymentStatus] <> N'No Cost Set')

  UPDATE #record SET State = 2 WHERE TableName = @Table AND Ordinal BETWEEN @From AND @To AND State IS NULL
END
GO

IF OBJECT_ID(N'sync.TakeChanges', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.TakeChanges AS RETURN')
GO
ALTER PROCEDURE sync.TakeChanges @Max int AS
BEGIN
  -- The first @Max pending rows, one result row a record; then one row (Rows, Locked). Marks nothing as sent.
  SET NOCOUNT ON
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000
  IF @Max < 1 SET @Max = 1

  CREATE TABLE #row (
    QueueID bigint NOT NULL PRIMARY KEY,
    TableName nvarchar(100) COLLATE DATABASE_DEFAULT NOT NULL,
    RecordID int NOT NULL,
    CreatedAt datetime2(3) NOT NULL,
    EventVersion bigint NULL
  )
  CREATE TABLE #record (
    Ordinal int NOT NULL PRIMARY KEY,
    TableName nvarchar(100) COLLATE DATABASE_DEFAULT NOT NULL,
    RecordID int NOT NULL,
    Propagates bit NOT NULL,
    QueueRows int NOT NULL,
    NewRows int NOT NULL,
    LastID bigint NOT NULL,
    LowestTaken bigint NULL,
    Version bigint NULL,
    OldestAt datetime2(3) NOT NULL,
    Seen bigint NULL,
    State tinyint NULL,
    RowData nvarchar(max) NULL
  )
  DECLARE @after bigint = -9223372036854775808, @claimed int, @rows int = 0, @locked int = 0
  DECLARE @table nvarchar(100), @ordinal int

  -- Once, unless everything in a full page is held by open transactions: those hold up their own rows only.
  WHILE 1 = 1
  BEGIN
    DELETE FROM #row
    DELETE FROM #record

    BEGIN TRANSACTION
    EXEC sync.EnterOutbox

    -- Rows of transactions in flight are locked, and skipped. READCOMMITTEDLOCK: READPAST needs it under READ_COMMITTED_SNAPSHOT.
    INSERT INTO #row (QueueID, TableName, RecordID, CreatedAt, EventVersion)
    SELECT TOP (@Max) q.QueueID, q.TableName, q.RecordID, q.CreatedAt, q.EventVersion
    FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
    WHERE q.Status = N'Pending' AND q.QueueID > @after
    ORDER BY q.QueueID
    SET @claimed = @@ROWCOUNT
    SET @after = (SELECT MAX(QueueID) FROM #row)

    IF EXISTS (SELECT 1 FROM #row WHERE TableName NOT IN (N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes', N'aligner_set_payments'))
    BEGIN
      UPDATE q SET Status = N'Failed', LastAttempt = SYSDATETIME(), LastError = N'SYNC_UNKNOWN_TABLE: no table of this name is synced'
      FROM dbo.SyncQueue q WITH (ROWLOCK) INNER JOIN #row r ON r.QueueID = q.QueueID
      WHERE r.TableName NOT IN (N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes', N'aligner_set_payments')
      SET @rows += @@ROWCOUNT
      DELETE FROM #row WHERE TableName NOT IN (N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes', N'aligner_set_payments')
    END

    INSERT INTO #record (Ordinal, TableName, RecordID, Propagates, QueueRows, NewRows, LastID, LowestTaken, OldestAt)
    SELECT ROW_NUMBER() OVER (ORDER BY MIN(r.QueueID)), k.Name, r.RecordID, k.Propagates, COUNT(*),
      SUM(CASE WHEN r.EventVersion IS NULL THEN 1 ELSE 0 END), MAX(r.QueueID), MIN(COALESCE(r.EventVersion, 0)), MIN(r.CreatedAt)
    FROM #row r INNER JOIN (VALUES (N'aligner_doctors', 0), (N'patients', 0), (N'work', 0), (N'aligner_sets', 1), (N'aligner_batches', 1), (N'aligner_notes', 1), (N'aligner_set_payments', 1)) k (Name, Propagates) ON k.Name = r.TableName
    GROUP BY k.Name, k.Propagates, r.RecordID

    -- The version is the highest queue id. Where an event with that version or a higher one has gone out already, these rows
    -- were committed late: they get a fresh number, unless they are the very rows of that event, taken once more. Rows of
    -- transactions in flight carry no EventVersion, so reading past their locks reads nothing that could change.
    UPDATE c SET Version = CASE
      WHEN h.Highest IS NULL OR h.Highest < c.LastID THEN c.LastID
      WHEN c.NewRows = 0 AND c.LowestTaken = h.Highest THEN h.Highest END
    FROM #record c
    OUTER APPLY (SELECT MAX(q.EventVersion) AS Highest FROM dbo.SyncQueue q WITH (READUNCOMMITTED)
      WHERE q.TableName = c.TableName AND q.RecordID = c.RecordID) h
    UPDATE #record SET Version = NEXT VALUE FOR sync.QueueIDs WHERE Version IS NULL

    UPDATE q SET EventVersion = c.Version
    FROM dbo.SyncQueue q WITH (ROWLOCK) INNER JOIN #row r ON r.QueueID = q.QueueID
      INNER JOIN #record c ON c.TableName = r.TableName AND c.RecordID = r.RecordID
    WHERE q.EventVersion IS NULL OR q.EventVersion <> c.Version
    COMMIT TRANSACTION

    -- The records themselves, in no transaction and without waiting for anybody: a table at a time, and where a row of it is
    -- locked (1222), record by record. Those that stay without a State are left pending.
    SET XACT_ABORT OFF
    SET LOCK_TIMEOUT 0
    SET @table = (SELECT MIN(TableName) FROM #record)
    WHILE @table IS NOT NULL
    BEGIN
      BEGIN TRY
        EXEC sync.ReadRecords @table, 1, 2147483647
      END TRY
      BEGIN CATCH
        IF ERROR_NUMBER() <> 1222 THROW;
      END CATCH
      SET @table = (SELECT MIN(TableName) FROM #record WHERE TableName > @table)
    END
    SET @ordinal = (SELECT MIN(Ordinal) FROM #record WHERE State IS NULL)
    WHILE @ordinal IS NOT NULL
    BEGIN
      SET @table = (SELECT TableName FROM #record WHERE Ordinal = @ordinal)
      BEGIN TRY
        EXEC sync.ReadRecords @table, @ordinal, @ordinal
      END TRY
      BEGIN CATCH
        IF ERROR_NUMBER() <> 1222 THROW;
      END CATCH
      SET @ordinal = (SELECT MIN(Ordinal) FROM #record WHERE State IS NULL AND Ordinal > @ordinal)
    END
    SET LOCK_TIMEOUT 10000
    SET XACT_ABORT ON

    -- Gone, or never was in the portal, and the portal keeps what it has: nothing to send.
    IF EXISTS (SELECT 1 FROM #record WHERE State = 2 AND Propagates = 0)
    BEGIN
      BEGIN TRANSACTION
      EXEC sync.EnterOutbox
      UPDATE q SET Status = N'Synced', LastAttempt = SYSDATETIME(), LastError = NULL
      FROM dbo.SyncQueue q WITH (ROWLOCK) INNER JOIN #row r ON r.QueueID = q.QueueID
        INNER JOIN #record c ON c.TableName = r.TableName AND c.RecordID = r.RecordID
      WHERE c.State = 2 AND c.Propagates = 0 AND q.Status = N'Pending' AND q.EventVersion = c.Version
      COMMIT TRANSACTION
    END

    SELECT @rows += COALESCE(SUM(CASE WHEN State IS NULL THEN 0 ELSE QueueRows END), 0),
      @locked += COALESCE(SUM(CASE WHEN State IS NULL THEN 1 ELSE 0 END), 0)
    FROM #record
    IF @rows > 0 OR @claimed < @Max BREAK
  END

  SELECT TableName, RecordID, CONVERT(varchar(20), Version) AS Version, CONVERT(varchar(20), Seen) AS Seen,
    CASE WHEN OldestAt > SYSDATETIME() THEN 0 ELSE DATEDIFF_BIG(millisecond, OldestAt, SYSDATETIME()) END AS AgeMs,
    CAST(CASE WHEN State = 2 THEN 1 ELSE 0 END AS bit) AS Deleted, RowData
  FROM #record
  WHERE State = 1 OR (State = 2 AND Propagates = 1)
  ORDER BY Ordinal

  SELECT @rows AS [Rows], @locked AS Locked

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.SettleChanges', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.SettleChanges AS RETURN')
GO
ALTER PROCEDURE sync.SettleChanges @Outcomes nvarchar(max) AS
BEGIN
  -- @Outcomes: [{"table", "key", "version", "outcome", "code"?, "reason"?}, …]. Safe to repeat, in any order: a row only moves on.
  SET NOCOUNT ON
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000

  CREATE TABLE #outcome (
    TableName nvarchar(100) COLLATE DATABASE_DEFAULT NOT NULL,
    RecordID int NOT NULL,
    Version bigint NOT NULL,
    Outcome nvarchar(20) COLLATE DATABASE_DEFAULT NOT NULL,
    LastError nvarchar(1000) COLLATE DATABASE_DEFAULT NULL
  )
  CREATE TABLE #row (
    QueueID bigint NOT NULL,
    Version bigint NOT NULL,
    Outcome nvarchar(20) COLLATE DATABASE_DEFAULT NOT NULL,
    LastError nvarchar(1000) COLLATE DATABASE_DEFAULT NULL
  )

  INSERT INTO #outcome (TableName, RecordID, Version, Outcome, LastError)
  SELECT o.TableName, o.RecordID, o.Version, o.Outcome,
    LEFT(COALESCE(o.Code + N': ' + o.Reason, o.Code, o.Reason), 1000)
  FROM OPENJSON(@Outcomes) WITH (
    TableName nvarchar(100) '$.table', RecordID int '$.key', Version bigint '$.version', Outcome nvarchar(20) '$.outcome',
    Code nvarchar(64) '$.code', Reason nvarchar(1000) '$.reason') o

  DECLARE @now datetime2(3) = SYSDATETIME()

  BEGIN TRANSACTION
  EXEC sync.EnterOutbox

  -- Found without locks, so that another transaction's new rows of the same records are not waited for: those carry no
  -- EventVersion yet. The conditions are judged again below.
  INSERT INTO #row (QueueID, Version, Outcome, LastError)
  SELECT q.QueueID, o.Version, o.Outcome, o.LastError
  FROM #outcome o INNER JOIN dbo.SyncQueue q WITH (READUNCOMMITTED)
    ON q.TableName = o.TableName AND q.RecordID = o.RecordID AND q.EventVersion <= o.Version

  UPDATE q SET Status = N'Queued', Attempts = q.Attempts + 1, LastAttempt = @now
  FROM dbo.SyncQueue q WITH (ROWLOCK) INNER JOIN #row r ON r.QueueID = q.QueueID
  WHERE r.Outcome = N'queued' AND q.EventVersion = r.Version AND q.Status = N'Pending'

  UPDATE q SET Status = N'Queued', Attempts = q.Attempts + 1, LastAttempt = @now, LastError = r.LastError
  FROM dbo.SyncQueue q WITH (ROWLOCK) INNER JOIN #row r ON r.QueueID = q.QueueID
  WHERE r.Outcome = N'retry' AND q.EventVersion = r.Version AND q.Status IN (N'Pending', N'Queued')

  UPDATE q SET Status = N'Failed', LastAttempt = @now, LastError = r.LastError
  FROM dbo.SyncQueue q WITH (ROWLOCK) INNER JOIN #row r ON r.QueueID = q.QueueID
  WHERE r.Outcome = N'dead' AND q.EventVersion = r.Version AND q.Status IN (N'Pending', N'Queued')

  UPDATE q SET Status = N'Synced', LastAttempt = @now, LastError = NULL
  FROM dbo.SyncQueue q WITH (ROWLOCK) INNER JOIN #row r ON r.QueueID = q.QueueID
  WHERE r.Outcome IN (N'applied', N'duplicate', N'stale', N'unchanged', N'conflict')
    AND q.EventVersion <= r.Version AND q.Status <> N'Synced'
  COMMIT TRANSACTION

  -- Purges from the oldest on, a bounded number: what is in the way of it is read, not searched for.
  DECLARE @days int = (SELECT TRY_CONVERT(int, Value) FROM sync.Settings WHERE Name = N'RetentionDays')
  DECLARE @before datetime2(3) = DATEADD(day, -CASE WHEN @days BETWEEN 1 AND 36500 THEN @days ELSE 7 END, @now)
  DECLARE @purged int = 500, @rounds int = 0
  WHILE @purged = 500 AND @rounds < 10
  BEGIN
    DELETE q
    FROM dbo.SyncQueue q WITH (ROWLOCK, READCOMMITTEDLOCK, READPAST)
      INNER JOIN (SELECT TOP (500) s.QueueID FROM dbo.SyncQueue s WITH (READCOMMITTEDLOCK, READPAST)
        WHERE s.Status = N'Synced' ORDER BY s.QueueID) o ON o.QueueID = q.QueueID
    WHERE q.Status = N'Synced' AND q.LastAttempt < @before
    SET @purged = @@ROWCOUNT
    SET @rounds += 1
  END

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.ReadRows', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.ReadRows AS RETURN')
GO
ALTER PROCEDURE sync.ReadRows @Table nvarchar(100), @After int, @Max int AS
BEGIN
  -- The rows of a table that are synced, with keys above @After (NULL: from the start), in key order.
  SET NOCOUNT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET LOCK_TIMEOUT 10000
  DECLARE @from bigint = COALESCE(CAST(@After AS bigint) + 1, -2147483648)
  IF @from > 2147483647 SET @Max = 0
  DECLARE @first int = CASE WHEN @from > 2147483647 THEN 2147483647 ELSE @from END

  IF @Table = N'aligner_doctors'
    SELECT TOP (@Max) t.[DrID] AS RecordID, (SELECT t.[DrID] AS [dr_id],
      t.[DoctorName] AS [doctor_name],
      t.[DoctorEmail] AS [doctor_email],
      t.[LogoPath] AS [logo_path]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES) AS RowData
    FROM dbo.[AlignerDoctors] t
    WHERE t.[DrID] >= @first
    ORDER BY t.[DrID]

  IF @Table = N'patients'
    SELECT TOP (@Max) t.[PersonID] AS RecordID, (SELECT t.[PersonID] AS [person_id],
      t.[patientID] AS [patient_id],
      t.[PatientName] AS [patient_name],
      t.[FirstName] AS [first_name],
      t.[LastName] AS [last_name],
      t.[Phone] AS [phone]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES) AS RowData
    FROM dbo.[tblpatients] t
    WHERE t.[PersonID] >= @first
      AND EXISTS (SELECT 1 FROM dbo.[tblwork] t1 WHERE t1.[PersonID] = t.[PersonID]
        AND EXISTS (SELECT 1 FROM dbo.[tblAlignerSets] t12 WHERE t12.[WorkID] = t1.[workid]))
    ORDER BY t.[PersonID]

  IF @Table = N'work'
    SELECT TOP (@Max) t.[workid] AS RecordID, (SELECT t.[workid] AS [work_id],
      t.[PersonID] AS [person_id],
      t.[Typeofwork] AS [type_of_work],
      CONVERT(varchar(30), t.[AdditionDate], 121) AS [addition_date]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES) AS RowData
    FROM dbo.[tblwork] t
    WHERE t.[workid] >= @first
      AND EXISTS (SELECT 1 FROM dbo.[tblAlignerSets] t1 WHERE t1.[WorkID] = t.[workid])
    ORDER BY t.[workid]

  IF @Table = N'aligner_sets'
    SELECT TOP (@Max) t.[AlignerSetID] AS RecordID, (SELECT t.[AlignerSetID] AS [aligner_set_id],
      t.[WorkID] AS [work_id],
      t.[AlignerDrID] AS [aligner_dr_id],
      t.[SetSequence] AS [set_sequence],
      t.[Type] AS [type],
      t.[UpperAlignersCount] AS [upper_aligners_count],
      t.[LowerAlignersCount] AS [lower_aligners_count],
      t.[RemainingUpperAligners] AS [remaining_upper_aligners],
      t.[RemainingLowerAligners] AS [remaining_lower_aligners],
      CONVERT(varchar(10), t.[CreationDate], 23) AS [creation_date],
      t.[Days] AS [days],
      CAST(t.[IsActive] AS bit) AS [is_active],
      t.[Notes] AS [notes],
      t.[FolderPath] AS [folder_path],
      t.[SetUrl] AS [set_url],
      t.[SetPdfUrl] AS [set_pdf_url],
      CONVERT(varchar(40), t.[SetCost]) AS [set_cost],
      t.[Currency] AS [currency],
      CONVERT(varchar(30), t.[PdfUploadedAt], 121) AS [pdf_uploaded_at],
      t.[PdfUploadedBy] AS [pdf_uploaded_by],
      t.[DriveFileId] AS [drive_file_id]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES) AS RowData
    FROM dbo.[tblAlignerSets] t
    WHERE t.[AlignerSetID] >= @first
    ORDER BY t.[AlignerSetID]

  IF @Table = N'aligner_batches'
    SELECT TOP (@Max) t.[AlignerBatchID] AS RecordID, (SELECT t.[AlignerBatchID] AS [aligner_batch_id],
      t.[AlignerSetID] AS [aligner_set_id],
      t.[BatchSequence] AS [batch_sequence],
      t.[UpperAlignerCount] AS [upper_aligner_count],
      t.[LowerAlignerCount] AS [lower_aligner_count],
      t.[UpperAlignerStartSequence] AS [upper_aligner_start_sequence],
      t.[UpperAlignerEndSequence] AS [upper_aligner_end_sequence],
      t.[LowerAlignerStartSequence] AS [lower_aligner_start_sequence],
      t.[LowerAlignerEndSequence] AS [lower_aligner_end_sequence],
      CONVERT(varchar(10), t.[ManufactureDate], 23) AS [manufacture_date],
      CONVERT(varchar(10), t.[DeliveredToPatientDate], 23) AS [delivered_to_patient_date],
      t.[Days] AS [days],
      t.[ValidityPeriod] AS [validity_period],
      CONVERT(varchar(10), t.[BatchExpiryDate], 23) AS [batch_expiry_date],
      t.[Notes] AS [notes],
      CAST(t.[IsActive] AS bit) AS [is_active]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES) AS RowData
    FROM dbo.[tblAlignerBatches] t
    WHERE t.[AlignerBatchID] >= @first
    ORDER BY t.[AlignerBatchID]

  IF @Table = N'aligner_notes'
    SELECT TOP (@Max) t.[NoteID] AS RecordID, (SELECT t.[NoteID] AS [note_id],
      t.[AlignerSetID] AS [aligner_set_id],
      t.[NoteType] AS [note_type],
      t.[NoteText] AS [note_text],
      CONVERT(varchar(30), t.[CreatedAt], 121) AS [created_at],
      CAST(t.[IsEdited] AS bit) AS [is_edited],
      CONVERT(varchar(30), t.[EditedAt], 121) AS [edited_at],
      CAST(t.[IsRead] AS bit) AS [is_read]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES) AS RowData
    FROM dbo.[tblAlignerNotes] t
    WHERE t.[NoteID] >= @first
    ORDER BY t.[NoteID]

  IF @Table = N'aligner_set_payments'
    SELECT TOP (@Max) t.[AlignerSetID] AS RecordID, (SELECT t.[AlignerSetID] AS [aligner_set_id],
      CONVERT(varchar(40), t.[TotalPaid]) AS [total_paid],
      CONVERT(varchar(40), t.[Balance]) AS [balance],
      t.[PaymentStatus] AS [payment_status]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES) AS RowData
    FROM dbo.[vw_AlignerSetPayments] t
    WHERE t.[AlignerSetID] >= @first
      AND (t.[PaymentStatus] IS NULL OR t.[PaymentStatus] <> N'No Cost Set')
    ORDER BY t.[AlignerSetID]

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.BackfillPage', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.BackfillPage AS RETURN')
GO
ALTER PROCEDURE sync.BackfillPage @Table nvarchar(100), @Max int, @Restart bit AS
BEGIN
  -- Queues the next @Max synced rows of a table, by key after the watermark in sync.Backfill. Queue rows and watermark are one
  -- transaction: an interrupted backfill goes on where it was. @Restart = 1 begins the table anew.
  SET NOCOUNT ON
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000

  IF @Table NOT IN (N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes', N'aligner_set_payments')
  BEGIN
    RAISERROR (N'sync.BackfillPage: no such table', 16, 1)
    RETURN
  END

  DECLARE @page TABLE (RecordID int NOT NULL PRIMARY KEY)
  DECLARE @first int, @last int, @queued int, @total int

  BEGIN TRANSACTION
  -- One page of a table at a time. The row is made first if it is missing.
  IF NOT EXISTS (SELECT 1 FROM sync.Backfill WITH (UPDLOCK, HOLDLOCK) WHERE TableName = @Table)
  BEGIN
    INSERT INTO sync.Backfill (TableName) VALUES (@Table)
    SET @Restart = 1
  END

  IF @Restart = 1
  BEGIN
    IF @Table = N'aligner_doctors'
      SELECT @total = COUNT(*) FROM dbo.[AlignerDoctors] t

    IF @Table = N'patients'
      SELECT @total = COUNT(*) FROM dbo.[tblpatients] t
      WHERE EXISTS (SELECT 1 FROM dbo.[tblwork] t1 WHERE t1.[PersonID] = t.[PersonID]
          AND EXISTS (SELECT 1 FROM dbo.[tblAlignerSets] t12 WHERE t12.[WorkID] = t1.[workid]))

    IF @Table = N'work'
      SELECT @total = COUNT(*) FROM dbo.[tblwork] t
      WHERE EXISTS (SELECT 1 FROM dbo.[tblAlignerSets] t1 WHERE t1.[WorkID] = t.[workid])

    IF @Table = N'aligner_sets'
      SELECT @total = COUNT(*) FROM dbo.[tblAlignerSets] t

    IF @Table = N'aligner_batches'
      SELECT @total = COUNT(*) FROM dbo.[tblAlignerBatches] t

    IF @Table = N'aligner_notes'
      SELECT @total = COUNT(*) FROM dbo.[tblAlignerNotes] t

    IF @Table = N'aligner_set_payments'
      SELECT @total = COUNT(*) FROM dbo.[vw_AlignerSetPayments] t
      WHERE (t.[PaymentStatus] IS NULL OR t.[PaymentStatus] <> N'No Cost Set')
    UPDATE sync.Backfill SET LastKey = NULL, Done = 0, Total = @total, FinishedAt = NULL WHERE TableName = @Table
  END

  SELECT @last = LastKey FROM sync.Backfill WHERE TableName = @Table
  SET @first = CASE WHEN @last IS NULL THEN -2147483648 WHEN @last = 2147483647 THEN @last ELSE @last + 1 END
  IF @last = 2147483647 SET @Max = 0

  IF @Table = N'aligner_doctors'
    INSERT INTO @page (RecordID)
    SELECT TOP (@Max) t.[DrID]
    FROM dbo.[AlignerDoctors] t
    WHERE t.[DrID] >= @first
    ORDER BY t.[DrID]

  IF @Table = N'patients'
    INSERT INTO @page (RecordID)
    SELECT TOP (@Max) t.[PersonID]
    FROM dbo.[tblpatients] t
    WHERE t.[PersonID] >= @first
      AND EXISTS (SELECT 1 FROM dbo.[tblwork] t1 WHERE t1.[PersonID] = t.[PersonID]
        AND EXISTS (SELECT 1 FROM dbo.[tblAlignerSets] t12 WHERE t12.[WorkID] = t1.[workid]))
    ORDER BY t.[PersonID]

  IF @Table = N'work'
    INSERT INTO @page (RecordID)
    SELECT TOP (@Max) t.[workid]
    FROM dbo.[tblwork] t
    WHERE t.[workid] >= @first
      AND EXISTS (SELECT 1 FROM dbo.[tblAlignerSets] t1 WHERE t1.[WorkID] = t.[workid])
    ORDER BY t.[workid]

  IF @Table = N'aligner_sets'
    INSERT INTO @page (RecordID)
    SELECT TOP (@Max) t.[AlignerSetID]
    FROM dbo.[tblAlignerSets] t
    WHERE t.[AlignerSetID] >= @first
    ORDER BY t.[AlignerSetID]

  IF @Table = N'aligner_batches'
    INSERT INTO @page (RecordID)
    SELECT TOP (@Max) t.[AlignerBatchID]
    FROM dbo.[tblAlignerBatches] t
    WHERE t.[AlignerBatchID] >= @first
    ORDER BY t.[AlignerBatchID]

  IF @Table = N'aligner_notes'
    INSERT INTO @page (RecordID)
    SELECT TOP (@Max) t.[NoteID]
    FROM dbo.[tblAlignerNotes] t
    WHERE t.[NoteID] >= @first
    ORDER BY t.[NoteID]

  IF @Table = N'aligner_set_payments'
    INSERT INTO @page (RecordID)
    SELECT TOP (@Max) t.[AlignerSetID]
    FROM dbo.[vw_AlignerSetPayments] t
    WHERE t.[AlignerSetID] >= @first
      AND (t.[PaymentStatus] IS NULL OR t.[PaymentStatus] <> N'No Cost Set')
    ORDER BY t.[AlignerSetID]

  SELECT @queued = COUNT(*), @last = MAX(RecordID) FROM @page

  INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
  SELECT @Table, RecordID, N'UPDATE' FROM @page ORDER BY RecordID

  UPDATE sync.Backfill SET LastKey = COALESCE(@last, LastKey), Done = Done + @queued,
    Total = CASE WHEN @queued < @Max THEN Done + @queued ELSE Total END,
    FinishedAt = CASE WHEN @queued < @Max THEN SYSDATETIME() END
  WHERE TableName = @Table
  COMMIT TRANSACTION

  SELECT @queued AS Queued, Done, Total, CAST(CASE WHEN FinishedAt IS NULL THEN 0 ELSE 1 END AS bit) AS Finished
  FROM sync.Backfill WHERE TableName = @Table

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.Inspect', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.Inspect AS RETURN')
GO
ALTER PROCEDURE sync.Inspect AS
BEGIN
  -- What the doctor command looks at: names and what was found, '1' and '0' for yes and no.
  SET NOCOUNT ON
  SELECT N'EngineVersion' AS Name, CONVERT(nvarchar(400), SERVERPROPERTY('ProductVersion')) AS Value
  UNION ALL SELECT N'DatabaseName', CONVERT(nvarchar(400), DB_NAME())
  UNION ALL SELECT N'Collation', CONVERT(nvarchar(400), DATABASEPROPERTYEX(DB_NAME(), 'Collation'))
  UNION ALL SELECT N'IsBrokerEnabled', CONVERT(nvarchar(400), CAST(d.is_broker_enabled AS int)) FROM sys.databases d WHERE d.name = DB_NAME()
  UNION ALL SELECT N'IsReadCommittedSnapshot', CONVERT(nvarchar(400), CAST(d.is_read_committed_snapshot_on AS int))
    FROM sys.databases d WHERE d.name = DB_NAME()
  UNION ALL SELECT N'trigger:' + n.Name, CASE WHEN t.name IS NULL THEN N'missing' WHEN t.is_disabled = 1 THEN N'disabled' ELSE N'enabled' END
    FROM (VALUES (N'trg_sync_AlignerDoctors'), (N'trg_sync_tblpatients'), (N'trg_sync_tblwork'), (N'trg_sync_tblAlignerSets'), (N'trg_sync_tblAlignerBatches'), (N'trg_sync_tblAlignerNotes'), (N'trg_sync_tblInvoice')) n (Name) LEFT JOIN sys.triggers t ON t.name = n.Name
END
GO
