-- Generated from packages/mapping by `npm run generate`. Do not edit: change the mapping.
-- The procedures of schema sync: all that the services may do in this database. Safe to run again.
-- A service's login needs EXECUTE on them and nothing else.

SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
-- What somebody's open transaction holds is waited for this long, then it is error 1222: run the file again later. While this waits
-- for a table, everybody else waits behind it.
SET LOCK_TIMEOUT 5000
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

  -- LOOP and FORCESEEK, here and below: each row is looked up by its key. A scan would fail with 1222 at any locked row of the table.
  -- What the clinic has seen of the portal is read before the row: the row may be newer than it, never older.
  UPDATE c SET Seen = s.SeenPortalVersion
  FROM #record c INNER LOOP JOIN sync.RowState s WITH (FORCESEEK) ON s.TableName = c.TableName AND s.RecordID = c.RecordID
  WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL
  UPDATE #record SET Seen = 0 WHERE TableName = @Table AND Ordinal BETWEEN @From AND @To AND State IS NULL AND Seen IS NULL

  IF @Table = N'aligner_doctors'
    UPDATE c SET State = 1, RowData = (SELECT t.[DrID] AS [dr_id],
      t.[DoctorName] AS [doctor_name],
      t.[DoctorEmail] AS [doctor_email],
      t.[LogoPath] AS [logo_path]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES)
    FROM #record c INNER LOOP JOIN dbo.[AlignerDoctors] t WITH (FORCESEEK) ON t.[DrID] = c.RecordID
    WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL

  IF @Table = N'patients'
    UPDATE c SET State = 1, RowData = (SELECT t.[PersonID] AS [person_id],
      t.[patientID] AS [patient_id],
      t.[PatientName] AS [patient_name],
      t.[FirstName] AS [first_name],
      t.[LastName] AS [last_name],
      t.[Phone] AS [phone]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES)
    FROM #record c INNER LOOP JOIN dbo.[tblpatients] t WITH (FORCESEEK) ON t.[PersonID] = c.RecordID
    WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL
      AND EXISTS (SELECT 1 FROM dbo.[tblwork] t1 WHERE t1.[PersonID] = t.[PersonID]
        AND EXISTS (SELECT 1 FROM dbo.[tblAlignerSets] t12 WHERE t12.[WorkID] = t1.[workid]))

  IF @Table = N'work'
    UPDATE c SET State = 1, RowData = (SELECT t.[workid] AS [work_id],
      t.[PersonID] AS [person_id],
      t.[Typeofwork] AS [type_of_work],
      CONVERT(varchar(30), t.[AdditionDate], 121) AS [addition_date]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES)
    FROM #record c INNER LOOP JOIN dbo.[tblwork] t WITH (FORCESEEK) ON t.[workid] = c.RecordID
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
    FROM #record c INNER LOOP JOIN dbo.[tblAlignerSets] t WITH (FORCESEEK) ON t.[AlignerSetID] = c.RecordID
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
    FROM #record c INNER LOOP JOIN dbo.[tblAlignerBatches] t WITH (FORCESEEK) ON t.[AlignerBatchID] = c.RecordID
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
    FROM #record c INNER LOOP JOIN dbo.[tblAlignerNotes] t WITH (FORCESEEK) ON t.[NoteID] = c.RecordID
    WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL

  IF @Table = N'aligner_set_payments'
    UPDATE c SET State = 1, RowData = (SELECT t.[AlignerSetID] AS [aligner_set_id],
      CONVERT(varchar(40), t.[TotalPaid]) AS [total_paid],
      CONVERT(varchar(40), t.[Balance]) AS [balance],
      t.[PaymentStatus] AS [payment_status]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES)
    FROM #record c INNER LOOP JOIN dbo.[vw_AlignerSetPayments] t ON t.[AlignerSetID] = c.RecordID
    WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL
      AND (t.[PaymentStatus] IS NULL OR t.[PaymentStatus] <> N'No Cost Set')

  IF @Table = N'canary'
    UPDATE c SET State = 1, RowData = (SELECT t.[CanaryID] AS [canary_id],
      t.[ClinicToken] AS [clinic_token],
      t.[PortalToken] AS [portal_token]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES)
    FROM #record c INNER LOOP JOIN sync.[Canary] t WITH (FORCESEEK) ON t.[CanaryID] = c.RecordID
    WHERE c.TableName = @Table AND c.Ordinal BETWEEN @From AND @To AND c.State IS NULL

  UPDATE #record SET State = 2 WHERE TableName = @Table AND Ordinal BETWEEN @From AND @To AND State IS NULL
END
GO

IF OBJECT_ID(N'sync.TakeChanges', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.TakeChanges AS RETURN')
GO
ALTER PROCEDURE sync.TakeChanges @Max int, @After bigint = NULL, @Canary bit = 0 AS
BEGIN
  -- The first @Max pending rows with a QueueID above @After (NULL: all), one result row a record; then one row: Rows, Locked, and Last,
  -- the highest QueueID that was looked at (NULL: none): a caller that takes ahead of what is on its way goes on after it. Marks nothing
  -- as sent. What is left for later, because a transaction holds it, a take from the start finds. @Canary = 1: those of `trace` as well;
  -- services of 1.0 do not ask for them, and would stop at a record that they do not know.
  SET NOCOUNT ON
  IF @Max IS NULL OR @Max NOT BETWEEN 1 AND 100000
  BEGIN;
    THROW 51200, N'sync.TakeChanges: @Max must be from 1 to 100000', 1;
  END
  -- The clinic's first events would overwrite what doctors wrote and the original system never brought here.
  IF EXISTS (SELECT 1 FROM sync.Settings s WHERE s.Name = N'OriginalQueue' AND s.Value = N'copied')
      AND NOT EXISTS (SELECT 1 FROM sync.Settings s WHERE s.Name = N'TakenOver')
      AND NOT EXISTS (SELECT 1 FROM dbo.SyncQueue v WITH (READUNCOMMITTED) WHERE v.EventVersion IS NOT NULL)
  BEGIN;
    THROW 51231, N'sync.TakeChanges: the original system''s outbox is here, and the two sides have not been compared yet', 1;
  END
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000

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
    Version bigint NULL,
    OldestAt datetime2(3) NOT NULL,
    Seen bigint NULL,
    State tinyint NULL,
    RowData nvarchar(max) NULL
  )
  DECLARE @from bigint = COALESCE(@After, -9223372036854775808), @last bigint, @claimed int, @rows int = 0, @locked int = 0
  DECLARE @table nvarchar(100), @ordinal int
  -- After a restored backup the queue ids were moved on: the portal has had versions up to this.
  DECLARE @moved bigint = COALESCE((SELECT TRY_CONVERT(bigint, Value) FROM sync.Settings WHERE Name = N'RestoredUpTo'), 0)

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
    WHERE q.Status = N'Pending' AND q.QueueID > @from AND (@Canary = 1 OR q.TableName <> N'canary')
    ORDER BY q.QueueID
    SET @claimed = @@ROWCOUNT
    IF @claimed > 0 SELECT @last = MAX(QueueID) FROM #row
    SET @from = @last

    IF EXISTS (SELECT 1 FROM #row WHERE TableName NOT IN (N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes', N'aligner_set_payments', N'canary'))
    BEGIN
      UPDATE q SET Status = N'Failed', LastAttempt = SYSDATETIME(), LastError = N'SYNC_UNKNOWN_TABLE: no table of this name is synced'
      FROM #row r INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
      WHERE r.TableName NOT IN (N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes', N'aligner_set_payments', N'canary')
      SET @rows += @@ROWCOUNT
      DELETE FROM #row WHERE TableName NOT IN (N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes', N'aligner_set_payments', N'canary')
    END

    INSERT INTO #record (Ordinal, TableName, RecordID, Propagates, QueueRows, NewRows, LastID, OldestAt)
    SELECT ROW_NUMBER() OVER (ORDER BY MIN(r.QueueID)), k.Name, r.RecordID, k.Propagates, COUNT(*),
      SUM(CASE WHEN r.EventVersion IS NULL THEN 1 ELSE 0 END), MAX(r.QueueID), MIN(r.CreatedAt)
    FROM #row r INNER JOIN (VALUES (N'aligner_doctors', 0), (N'patients', 0), (N'work', 0), (N'aligner_sets', 1), (N'aligner_batches', 1), (N'aligner_notes', 1), (N'aligner_set_payments', 1), (N'canary', 1)) k (Name, Propagates) ON k.Name = r.TableName
    GROUP BY k.Name, k.Propagates, r.RecordID

    -- The version is the highest queue id. Where an event with that version or a higher one has gone out already, these rows
    -- were committed late: they get a fresh number, unless all of them have been in an event before: then that event, whose
    -- version is the highest, had their changes too, and goes out once more. Rows of transactions in flight carry no
    -- EventVersion, so reading past their locks reads nothing that could change. A version that the portal has had before a restore
    -- would be an old one there.
    UPDATE c SET Version = CASE
      WHEN c.LastID <= @moved AND COALESCE(h.Highest, 0) <= @moved THEN NULL
      WHEN h.Highest IS NULL OR h.Highest < c.LastID THEN c.LastID
      WHEN c.NewRows = 0 THEN h.Highest END
    FROM #record c
    OUTER APPLY (SELECT MAX(q.EventVersion) AS Highest FROM dbo.SyncQueue q WITH (READUNCOMMITTED)
      WHERE q.TableName = c.TableName AND q.RecordID = c.RecordID) h
    UPDATE #record SET Version = NEXT VALUE FOR sync.QueueIDs WHERE Version IS NULL

    -- LOOP: each row is looked up by its key. A scan of the outbox would wait for the rows of transactions in flight.
    UPDATE q SET EventVersion = c.Version
    FROM #record c INNER JOIN #row r ON r.TableName = c.TableName AND r.RecordID = c.RecordID
      INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
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
      FROM #record c INNER JOIN #row r ON r.TableName = c.TableName AND r.RecordID = c.RecordID
        INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
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

  SELECT @rows AS [Rows], @locked AS Locked, CONVERT(varchar(20), @last) AS [Last], CAST(1 AS bit) AS TakesCanary

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.SettleChanges', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.SettleChanges AS RETURN')
GO
ALTER PROCEDURE sync.SettleChanges @Outcomes nvarchar(max) AS
BEGIN
  -- @Outcomes: [{"table", "key", "version", "outcome", "code"?, "reason"?}, …]. Safe to repeat, in any order: a row only moves on.
  -- An event answers for the rows that it carried, and for the record's older ones: its row is theirs as well. A retry is of its own
  -- rows only: older events are still on their way by themselves. What an operator has discarded no late 'dead' takes up again.
  -- 'stale' says that the portal had applied a higher version of the record. Of the latest that was ever sent there can be none: a higher
  -- one would have a row here, or have settled this one. So the portal has had ids that this database has not handed out: it was
  -- restored from a backup, and the change has not arrived.
  SET NOCOUNT ON
  IF COALESCE(ISJSON(@Outcomes), 0) = 0
    OR SUBSTRING(@Outcomes, PATINDEX(N'%[^' + NCHAR(9) + NCHAR(10) + NCHAR(13) + N' ]%', @Outcomes), 1) <> N'['
  BEGIN;
    THROW 51200, N'sync.SettleChanges: @Outcomes must be a JSON array', 1;
  END
  -- An element that is not read as it was meant would do something else: a row that is missing is a delete.
  IF EXISTS (
    SELECT 1
    FROM OPENJSON(@Outcomes) a
      OUTER APPLY (
        SELECT SUM(CASE
          WHEN p.[key] = N'table' AND p.[type] = 1 AND LEN(p.[value]) BETWEEN 1 AND 100 THEN 1
          WHEN p.[key] = N'key' AND p.[type] IN (1, 2) AND TRY_CONVERT(int, p.[value]) IS NOT NULL AND p.[value] LIKE N'%[0-9]%' THEN 1
          WHEN p.[key] = N'version' AND p.[type] IN (1, 2) AND TRY_CONVERT(bigint, p.[value]) IS NOT NULL AND p.[value] LIKE N'%[0-9]%' THEN 1
          WHEN p.[key] = N'outcome' AND p.[type] = 1 AND p.[value] IN (N'queued', N'applied', N'duplicate', N'stale', N'unchanged', N'conflict', N'retry', N'dead', N'discarded') THEN 1
          WHEN p.[key] = N'code' AND NOT (p.[type] IN (0, 1)) THEN -100
          WHEN p.[key] = N'reason' AND NOT (p.[type] IN (0, 1)) THEN -100 ELSE 0 END) AS Fit
        FROM OPENJSON(CASE WHEN a.[type] = 5 THEN a.[value] END) p) s
    WHERE s.Fit IS NULL OR s.Fit <> 4)
  BEGIN;
    THROW 51200, N'sync.SettleChanges: @Outcomes holds an element of another shape', 1;
  END
  IF EXISTS (
    SELECT 1 FROM OPENJSON(@Outcomes) WITH (TableName nvarchar(100) '$.table')
    WHERE TableName NOT IN (
      N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes',
      N'aligner_set_payments', N'canary'))
  BEGIN;
    THROW 51201, N'sync.SettleChanges: @Outcomes names a table that is not synced', 1;
  END
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
    LastError nvarchar(1000) COLLATE DATABASE_DEFAULT NULL,
    IsRestored bit NOT NULL
  )

  INSERT INTO #outcome (TableName, RecordID, Version, Outcome, LastError)
  SELECT o.TableName, o.RecordID, o.Version, o.Outcome,
    LEFT(COALESCE(LEFT(o.Code, 64) + N': ' + o.Reason, LEFT(o.Code, 64), o.Reason), 1000)
  FROM OPENJSON(@Outcomes) WITH (
    TableName nvarchar(100) '$.table', RecordID int '$.key', Version bigint '$.version', Outcome nvarchar(20) '$.outcome',
    Code nvarchar(max) '$.code', Reason nvarchar(max) '$.reason') o

  -- Of several versions of a record that are dead, the highest says why: it answers for the rows of the others.
  DELETE o
  FROM #outcome o INNER JOIN #outcome h ON h.TableName = o.TableName AND h.RecordID = o.RecordID
  WHERE o.Outcome = N'dead' AND h.Outcome = N'dead' AND h.Version > o.Version

  DECLARE @now datetime2(3) = SYSDATETIME()

  BEGIN TRANSACTION
  EXEC sync.EnterOutbox

  -- Found without locks, so that another transaction's new rows of the same records are not waited for: those carry no
  -- EventVersion yet. The conditions are judged again below, where LOOP has each row looked up by its key: a scan would wait.
  INSERT INTO #row (QueueID, Version, Outcome, LastError, IsRestored)
  SELECT q.QueueID, o.Version, o.Outcome, o.LastError,
    CASE WHEN o.Outcome = N'stale' AND q.EventVersion = o.Version AND NOT EXISTS (
      SELECT 1 FROM dbo.SyncQueue h WITH (READUNCOMMITTED)
      WHERE h.TableName = q.TableName AND h.RecordID = q.RecordID AND h.EventVersion > q.EventVersion) THEN 1 ELSE 0 END
  FROM #outcome o INNER JOIN dbo.SyncQueue q WITH (READUNCOMMITTED)
    ON q.TableName = o.TableName AND q.RecordID = o.RecordID AND q.EventVersion <= o.Version

  UPDATE q SET Status = N'Queued', Attempts = q.Attempts + 1, LastAttempt = @now
  FROM #row r INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
  WHERE r.Outcome = N'queued' AND q.EventVersion = r.Version AND q.Status = N'Pending'

  UPDATE q SET Status = N'Queued', Attempts = q.Attempts + 1, LastAttempt = @now, LastError = r.LastError
  FROM #row r INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
  WHERE r.Outcome = N'retry' AND q.EventVersion = r.Version AND q.Status IN (N'Pending', N'Queued')

  UPDATE q SET Status = N'Failed', LastAttempt = @now, LastError = r.LastError
  FROM #row r INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
  WHERE r.Outcome = N'dead' AND q.EventVersion <= r.Version
    AND (q.Status IN (N'Pending', N'Queued') OR q.Status = N'Failed' AND NOT COALESCE(q.LastError, N'') LIKE N'SYNC[_]DISCARDED:%')

  UPDATE q SET Status = N'Failed', LastAttempt = @now,
    LastError = LEFT(N'SYNC_DISCARDED: ' + LEFT(COALESCE(r.LastError, N'no reason was given'), 850)
      + COALESCE(N' (was ' + LEFT(q.LastError, CHARINDEX(N':', q.LastError + N':') - 1) + N')', N''), 1000)
  FROM #row r INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
  WHERE r.Outcome = N'discarded' AND q.EventVersion <= r.Version
    AND (q.Status = N'Queued' OR q.Status = N'Failed' AND NOT COALESCE(q.LastError, N'') LIKE N'SYNC[_]DISCARDED:%')

  UPDATE q SET Status = N'Failed', LastAttempt = @now, LastError = N'SYNC_RESTORED: the portal has had later versions of this record than the clinic has handed out: the clinic was restored from a backup'
  FROM #row r INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
  WHERE r.IsRestored = 1 AND q.EventVersion = r.Version
    AND (q.Status IN (N'Pending', N'Queued') OR q.Status = N'Failed' AND NOT COALESCE(q.LastError, N'') LIKE N'SYNC[_]DISCARDED:%')

  UPDATE q SET Status = N'Synced', LastAttempt = @now, LastError = NULL
  FROM #row r INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = r.QueueID
  WHERE r.Outcome IN (N'applied', N'duplicate', N'stale', N'unchanged', N'conflict') AND r.IsRestored = 0
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
    -- The original system's rows may lack a LastAttempt: 500 such would be in the way of all that follow.
    WHERE q.Status = N'Synced' AND COALESCE(q.LastAttempt, q.CreatedAt) < @before
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
  IF @Table IS NULL OR @Table NOT IN (
      N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes',
      N'aligner_set_payments', N'canary')
  BEGIN;
    THROW 51201, N'sync.ReadRows: @Table is not the name of a synced table', 1;
  END
  IF @Max IS NULL OR @Max NOT BETWEEN 1 AND 100000
  BEGIN;
    THROW 51200, N'sync.ReadRows: @Max must be from 1 to 100000', 1;
  END
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
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

  IF @Table = N'canary'
    SELECT TOP (@Max) t.[CanaryID] AS RecordID, (SELECT t.[CanaryID] AS [canary_id],
      t.[ClinicToken] AS [clinic_token],
      t.[PortalToken] AS [portal_token]
      FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES) AS RowData
    FROM sync.[Canary] t
    WHERE t.[CanaryID] >= @first
    ORDER BY t.[CanaryID]

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
  IF @Table IS NULL OR @Table NOT IN (
      N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes',
      N'aligner_set_payments')
  BEGIN;
    THROW 51201, N'sync.BackfillPage: @Table is not the name of a synced table', 1;
  END
  IF @Max IS NULL OR @Max NOT BETWEEN 1 AND 100000
  BEGIN;
    THROW 51200, N'sync.BackfillPage: @Max must be from 1 to 100000', 1;
  END
  IF @Restart IS NULL
  BEGIN;
    THROW 51200, N'sync.BackfillPage: @Restart must be 0 or 1', 1;
  END
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000

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

IF OBJECT_ID(N'sync.OpenRows', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.OpenRows AS RETURN')
GO
ALTER PROCEDURE sync.OpenRows AS
BEGIN
  -- Committed outbox rows that are not settled yet. Retrying: something failed, and it is tried again later.
  SET NOCOUNT ON
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000
  CREATE TABLE #open (QueueID bigint NOT NULL PRIMARY KEY, Retrying bit NOT NULL)

  BEGIN TRANSACTION
  -- In here no row is being settled, so those that READPAST leaves out are of transactions in flight.
  EXEC sync.EnterOutbox
  INSERT INTO #open (QueueID, Retrying)
  SELECT q.QueueID, CASE WHEN q.LastError IS NULL THEN 0 ELSE 1 END
  FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
  WHERE q.Status IN (N'Pending', N'Queued')
  COMMIT TRANSACTION

  SELECT QueueID, Retrying FROM #open ORDER BY QueueID

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.Inspect', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.Inspect AS RETURN')
GO
ALTER PROCEDURE sync.Inspect AS
BEGIN
  -- What the doctor command looks at. Rows (Name, Value): '1' and '0' for yes and no, '' for a setting that is not there, NULL for
  -- what could not be seen, because the engine lacks it or the login may not. No value of a patient's.
  SET NOCOUNT ON
  SET XACT_ABORT OFF
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000

  DECLARE @fact TABLE (Name nvarchar(200) NOT NULL, Value nvarchar(400) NULL)
  DECLARE @value nvarchar(400)

  INSERT INTO @fact (Name, Value) VALUES
    (N'EngineVersion', CONVERT(nvarchar(400), SERVERPROPERTY('ProductVersion'))),
    (N'Edition', CONVERT(nvarchar(400), SERVERPROPERTY('Edition'))),
    (N'EngineEdition', CONVERT(nvarchar(400), SERVERPROPERTY('EngineEdition'))),
    (N'Platform', CONVERT(nvarchar(400), CASE WHEN CHARINDEX(N'LINUX', UPPER(@@VERSION)) > 0 THEN N'Linux' ELSE N'Windows' END)),
    (N'ServerCollation', CONVERT(nvarchar(400), SERVERPROPERTY('Collation'))),
    (N'UtcNow', CONVERT(nvarchar(400), LEFT(REPLACE(CONVERT(nvarchar(30), SYSUTCDATETIME(), 121), N' ', N'T'), 23))),
    (N'UtcOffsetMinutes', CONVERT(nvarchar(400), DATEPART(TZOFFSET, SYSDATETIMEOFFSET()))),
    (N'Login', CONVERT(nvarchar(400), SUSER_SNAME()))

  -- An option that this version does not know has no row: NULL.
  BEGIN TRY
    INSERT INTO @fact (Name, Value)
    SELECT o.Name, CONVERT(nvarchar(400), c.value_in_use)
    FROM (VALUES (N'NestedTriggers', N'nested triggers'), (N'OleAutomation', N'Ole Automation Procedures'), (N'RestEndpoint', N'external rest endpoint enabled')) o (Name, OptionName) LEFT JOIN sys.configurations c ON c.name = o.OptionName
  END TRY
  BEGIN CATCH
    IF ERROR_NUMBER() IN (1205, 1222) THROW;
    INSERT INTO @fact (Name) VALUES (N'NestedTriggers'), (N'OleAutomation'), (N'RestEndpoint')
  END CATCH

  INSERT INTO @fact (Name, Value) VALUES
    (N'DatabaseName', CONVERT(nvarchar(400), DB_NAME())),
    (N'Collation', CONVERT(nvarchar(400), DATABASEPROPERTYEX(DB_NAME(), 'Collation')))

  BEGIN TRY
    INSERT INTO @fact (Name, Value)
    SELECT v.Name, v.Value
    FROM sys.databases d CROSS APPLY (VALUES (N'CompatibilityLevel', CONVERT(nvarchar(400), d.compatibility_level)), (N'IsBrokerEnabled', CONVERT(nvarchar(400), CAST(d.is_broker_enabled AS int))), (N'IsReadCommittedSnapshot', CONVERT(nvarchar(400), CAST(d.is_read_committed_snapshot_on AS int)))) v (Name, Value)
    WHERE d.database_id = DB_ID()
  END TRY
  BEGIN CATCH
    IF ERROR_NUMBER() IN (1205, 1222) THROW;
    INSERT INTO @fact (Name) VALUES (N'CompatibilityLevel'), (N'IsBrokerEnabled'), (N'IsReadCommittedSnapshot')
  END CATCH

  -- Whom EXECUTE AS OWNER takes for dbo. After a restore on another server that is nobody (error 15517).
  BEGIN TRY
    INSERT INTO @fact (Name, Value)
    SELECT N'Owner', CASE WHEN p.sid IS NULL THEN NULL WHEN SUSER_SNAME(p.sid) IS NULL THEN N'missing' ELSE N'valid' END
    FROM sys.database_principals p WHERE p.name = N'dbo'
  END TRY
  BEGIN CATCH
    IF ERROR_NUMBER() IN (1205, 1222) THROW;
    INSERT INTO @fact (Name) VALUES (N'Owner')
  END CATCH

  INSERT INTO @fact (Name, Value) VALUES
    (N'Doorbell', CONVERT(nvarchar(400), COALESCE((SELECT s.Value FROM sync.Settings s WHERE s.Name = N'Doorbell'), N'none'))),
    (N'DoorbellURL', CONVERT(nvarchar(400), COALESCE((SELECT s.Value FROM sync.Settings s WHERE s.Name = N'DoorbellURL'), N''))),
    (N'DoorbellSecret', CONVERT(nvarchar(400), COALESCE((SELECT CASE WHEN s.Value <> N'' THEN N'set' END FROM sync.Settings s WHERE s.Name = N'DoorbellSecret'), N'missing')))

  BEGIN TRY
    EXEC sp_executesql N'SET @value = COALESCE((SELECT CASE WHEN q.is_receive_enabled = 1 AND q.is_enqueue_enabled = 1 THEN N''enabled'' ELSE N''disabled'' END
  FROM sys.service_queues q WHERE q.object_id = OBJECT_ID(N''sync.DoorbellQueue'')), N''missing'')', N'@value nvarchar(400) OUTPUT', @value OUTPUT
    INSERT INTO @fact (Name, Value) VALUES (N'BrokerQueue', @value)
  END TRY
  BEGIN CATCH
    IF ERROR_NUMBER() IN (1205, 1222) THROW;
    INSERT INTO @fact (Name) VALUES (N'BrokerQueue')
  END CATCH

  -- Messages that the queue does not take: it is off, or the broker is. To the services' login the view is empty.
  BEGIN TRY
    EXEC sp_executesql N'SET @value = CASE WHEN IS_MEMBER(N''db_owner'') = 1 THEN (SELECT CONVERT(nvarchar(400), COUNT(*)) FROM sys.transmission_queue) END', N'@value nvarchar(400) OUTPUT', @value OUTPUT
    INSERT INTO @fact (Name, Value) VALUES (N'BrokerBacklog', @value)
  END TRY
  BEGIN CATCH
    IF ERROR_NUMBER() IN (1205, 1222) THROW;
    INSERT INTO @fact (Name) VALUES (N'BrokerBacklog')
  END CATCH

  INSERT INTO @fact (Name, Value)
  SELECT LEFT(N'migration:' + m.Name, 200), CONVERT(nvarchar(400), m.Checksum) FROM sync.Migrations m

  -- Committed rows: those of transactions in flight are passed over.
  INSERT INTO @fact (Name, Value)
  SELECT N'outbox:' + n.Status, CONVERT(nvarchar(400), COALESCE(c.QueueRows, 0))
  FROM (VALUES (N'Pending'), (N'Queued'), (N'Synced'), (N'Failed')) n (Status)
    LEFT JOIN (SELECT q.Status, COUNT(*) AS QueueRows FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST) GROUP BY q.Status) c
      ON c.Status = n.Status
  INSERT INTO @fact (Name, Value)
  SELECT N'OldestPendingSeconds', CONVERT(nvarchar(400), COALESCE(DATEDIFF_BIG(second, MIN(q.CreatedAt), SYSDATETIME()), 0))
  FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST) WHERE q.Status = N'Pending'

  -- The sequence, not the table: settled rows are purged.
  INSERT INTO @fact (Name, Value) VALUES
    (N'LastQueueID', CONVERT(nvarchar(400), (SELECT CONVERT(bigint, s.current_value) FROM sys.sequences s WHERE s.object_id = OBJECT_ID(N'sync.QueueIDs')))),
    (N'HighestSeenPortalVersion', CONVERT(nvarchar(400), (SELECT COALESCE(MAX(s.SeenPortalVersion), 0) FROM sync.RowState s)))

  INSERT INTO @fact (Name, Value) VALUES
    (N'OriginalQueue', CONVERT(nvarchar(400), CASE WHEN OBJECT_ID(N'dbo.SyncQueue_original') IS NULL THEN N'absent' ELSE N'present' END)),
    (N'TakeOver', CONVERT(nvarchar(400), CASE WHEN EXISTS (SELECT 1 FROM sync.Settings s WHERE s.Name = N'OriginalQueue' AND s.Value = N'copied')
      AND NOT EXISTS (SELECT 1 FROM sync.Settings s WHERE s.Name = N'TakenOver')
      AND NOT EXISTS (SELECT 1 FROM dbo.SyncQueue v WITH (READUNCOMMITTED) WHERE v.EventVersion IS NOT NULL) THEN N'missing' ELSE N'' END))

  -- The sync gives each row a version before it settles it; what it took over as settled is in the table set aside.
  IF OBJECT_ID(N'dbo.SyncQueue_original') IS NOT NULL
    INSERT INTO @fact (Name, Value)
    SELECT N'SettledByOthers', CONVERT(nvarchar(400), COUNT(*))
    FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
    WHERE q.Status = N'Synced' AND q.EventVersion IS NULL
      AND NOT EXISTS (SELECT 1 FROM dbo.SyncQueue_original o WHERE o.QueueID = q.QueueID AND o.Status = N'Synced')

  IF OBJECT_ID(N'dbo.SyncQueue_original') IS NOT NULL
  BEGIN
    BEGIN TRY
      INSERT INTO @fact (Name, Value)
      SELECT LEFT(N'original:' + SCHEMA_NAME(o.schema_id) + N'.' + o.name, 200), CASE WHEN t.object_id IS NULL THEN N''
        ELSE LEFT(OBJECT_NAME(t.parent_id), 390) + CASE WHEN t.is_disabled = 1 THEN N' (off)' ELSE N'' END END
      FROM sys.sql_modules m INNER JOIN sys.objects o ON o.object_id = m.object_id
        LEFT JOIN sys.triggers t ON t.object_id = o.object_id
      WHERE SCHEMA_NAME(o.schema_id) <> N'sync' AND LEFT(o.name, 9) <> N'trg_sync_' AND o.name NOT IN (N'trg_SyncQueue_NotifyApp', N'trg_SyncQueue_RingServiceBroker', N'trg_SyncQueue_NotifyAppByRest', N'sp_NotifyAppOfSync')
        AND CHARINDEX(N'SYNCQUEUE', UPPER(m.definition COLLATE Latin1_General_CI_AS) COLLATE Latin1_General_BIN2) > 0
    END TRY
    BEGIN CATCH
      IF ERROR_NUMBER() IN (1205, 1222) THROW;
    END CATCH
  END

  -- A table that cannot be seen has no id: its triggers are not missing but unknown.
  INSERT INTO @fact (Name, Value)
  SELECT N'trigger:' + n.Name, CASE WHEN OBJECT_ID(n.TableName) IS NULL THEN NULL WHEN t.object_id IS NULL THEN N'missing'
    WHEN t.is_disabled = 1 THEN N'disabled' ELSE N'enabled' END
  FROM (VALUES
    (N'trg_sync_AlignerDoctors', N'dbo.[AlignerDoctors]'),
    (N'trg_sync_tblpatients', N'dbo.[tblpatients]'),
    (N'trg_sync_tblwork', N'dbo.[tblwork]'),
    (N'trg_sync_tblAlignerSets', N'dbo.[tblAlignerSets]'),
    (N'trg_sync_tblAlignerBatches', N'dbo.[tblAlignerBatches]'),
    (N'trg_sync_tblAlignerNotes', N'dbo.[tblAlignerNotes]'),
    (N'trg_sync_tblInvoice', N'dbo.[tblInvoice]'),
    (N'trg_SyncQueue_NotifyApp', N'dbo.[SyncQueue]'),
    (N'trg_SyncQueue_RingServiceBroker', N'dbo.[SyncQueue]'),
    (N'trg_SyncQueue_NotifyAppByRest', N'dbo.[SyncQueue]')) n (Name, TableName)
    LEFT JOIN sys.triggers t ON t.name = n.Name AND t.parent_id = OBJECT_ID(n.TableName)

  -- SHA-256 of the definition in UTF-16LE without line ends, blanks and tabs, which editors change. (Some engines' text is not
  -- UTF-16, and a collation may give control characters no weight.)
  BEGIN TRY
    INSERT INTO @fact (Name, Value)
    SELECT N'definition:' + n.Name, CASE WHEN DATALENGTH(CAST(N'ab' AS varbinary(10))) = 4 THEN LOWER(CONVERT(nvarchar(64),
        HASHBYTES('SHA2_256', REPLACE(REPLACE(REPLACE(REPLACE(OBJECT_DEFINITION(OBJECT_ID(n.FullName, N'TR')) COLLATE Latin1_General_BIN2,
          NCHAR(13), N''), NCHAR(10), N''), N' ', N''), NCHAR(9), N'')), 2)) END
    FROM (VALUES
      (N'trg_sync_AlignerDoctors', N'dbo.[trg_sync_AlignerDoctors]'),
      (N'trg_sync_tblpatients', N'dbo.[trg_sync_tblpatients]'),
      (N'trg_sync_tblwork', N'dbo.[trg_sync_tblwork]'),
      (N'trg_sync_tblAlignerSets', N'dbo.[trg_sync_tblAlignerSets]'),
      (N'trg_sync_tblAlignerBatches', N'dbo.[trg_sync_tblAlignerBatches]'),
      (N'trg_sync_tblAlignerNotes', N'dbo.[trg_sync_tblAlignerNotes]'),
      (N'trg_sync_tblInvoice', N'dbo.[trg_sync_tblInvoice]')) n (Name, FullName)
  END TRY
  BEGIN CATCH
    IF ERROR_NUMBER() IN (1205, 1222) THROW;
    INSERT INTO @fact (Name) VALUES (N'definition:trg_sync_AlignerDoctors'), (N'definition:trg_sync_tblpatients'), (N'definition:trg_sync_tblwork'), (N'definition:trg_sync_tblAlignerSets'), (N'definition:trg_sync_tblAlignerBatches'), (N'definition:trg_sync_tblAlignerNotes'), (N'definition:trg_sync_tblInvoice')
  END CATCH

  INSERT INTO @fact (Name, Value)
  SELECT LEFT(N'otherTrigger:' + n.Name + N'.' + t.name, 200), CASE WHEN t.is_disabled = 1 THEN N'disabled' ELSE N'enabled' END
  FROM (VALUES
    (N'AlignerDoctors', N'dbo.[AlignerDoctors]', N'trg_sync_AlignerDoctors'),
    (N'tblpatients', N'dbo.[tblpatients]', N'trg_sync_tblpatients'),
    (N'tblwork', N'dbo.[tblwork]', N'trg_sync_tblwork'),
    (N'tblAlignerSets', N'dbo.[tblAlignerSets]', N'trg_sync_tblAlignerSets'),
    (N'tblAlignerBatches', N'dbo.[tblAlignerBatches]', N'trg_sync_tblAlignerBatches'),
    (N'tblAlignerNotes', N'dbo.[tblAlignerNotes]', N'trg_sync_tblAlignerNotes'),
    (N'tblInvoice', N'dbo.[tblInvoice]', N'trg_sync_tblInvoice')) n (Name, FullName, OurTrigger)
    INNER JOIN sys.triggers t ON t.parent_id = OBJECT_ID(n.FullName) AND t.name <> n.OurTrigger

  INSERT INTO @fact (Name, Value) VALUES
    (N'right:sysadmin', CONVERT(nvarchar(400), COALESCE(IS_SRVROLEMEMBER(N'sysadmin'), 0))),
    (N'right:db_owner', CASE WHEN USER_NAME() = N'dbo' THEN N'1' ELSE CONVERT(nvarchar(400), COALESCE(IS_MEMBER(N'db_owner'), 0)) END)
  -- What is not there may not be used either.
  INSERT INTO @fact (Name, Value)
  SELECT n.Name, CONVERT(nvarchar(400), COALESCE(HAS_PERMS_BY_NAME(n.FullName, N'OBJECT', n.Permission), 0))
  FROM (VALUES
    (N'right:SELECT dbo.AlignerDoctors', N'dbo.[AlignerDoctors]', N'SELECT'),
    (N'right:SELECT dbo.tblpatients', N'dbo.[tblpatients]', N'SELECT'),
    (N'right:SELECT dbo.tblwork', N'dbo.[tblwork]', N'SELECT'),
    (N'right:SELECT dbo.tblAlignerSets', N'dbo.[tblAlignerSets]', N'SELECT'),
    (N'right:SELECT dbo.tblAlignerBatches', N'dbo.[tblAlignerBatches]', N'SELECT'),
    (N'right:SELECT dbo.tblAlignerNotes', N'dbo.[tblAlignerNotes]', N'SELECT'),
    (N'right:SELECT dbo.tblInvoice', N'dbo.[tblInvoice]', N'SELECT'),
    (N'right:EXECUTE sync.TakeChanges', N'sync.[TakeChanges]', N'EXECUTE'),
    (N'right:EXECUTE sync.SettleChanges', N'sync.[SettleChanges]', N'EXECUTE'),
    (N'right:EXECUTE sync.ApplyPortalChanges', N'sync.[ApplyPortalChanges]', N'EXECUTE'),
    (N'right:EXECUTE sync.ReadRows', N'sync.[ReadRows]', N'EXECUTE'),
    (N'right:EXECUTE sync.BackfillPage', N'sync.[BackfillPage]', N'EXECUTE'),
    (N'right:EXECUTE sync.OpenRows', N'sync.[OpenRows]', N'EXECUTE'),
    (N'right:EXECUTE sync.WaitForChanges', N'sync.[WaitForChanges]', N'EXECUTE'),
    (N'right:EXECUTE sync.RingDoorbell', N'sync.[RingDoorbell]', N'EXECUTE'),
    (N'right:EXECUTE sync.OpenTransactions', N'sync.[OpenTransactions]', N'EXECUTE'),
    (N'right:EXECUTE sync.AwaitTransaction', N'sync.[AwaitTransaction]', N'EXECUTE'),
    (N'right:EXECUTE sync.Inspect', N'sync.[Inspect]', N'EXECUTE'),
    (N'right:EXECUTE sync.OutboxStatus', N'sync.[OutboxStatus]', N'EXECUTE'),
    (N'right:EXECUTE sync.Requeue', N'sync.[Requeue]', N'EXECUTE'),
    (N'right:EXECUTE sync.RecordVersions', N'sync.[RecordVersions]', N'EXECUTE'),
    (N'right:EXECUTE sync.RecordHistory', N'sync.[RecordHistory]', N'EXECUTE'),
    (N'right:EXECUTE sync.Rulings', N'sync.[Rulings]', N'EXECUTE'),
    (N'right:EXECUTE sync.RuledValues', N'sync.[RuledValues]', N'EXECUTE'),
    (N'right:EXECUTE sync.Bookkeeping', N'sync.[Bookkeeping]', N'EXECUTE'),
    (N'right:EXECUTE sync.HoldPortalChanges', N'sync.[HoldPortalChanges]', N'EXECUTE'),
    (N'right:EXECUTE sync.RecordStates', N'sync.[RecordStates]', N'EXECUTE'),
    (N'right:EXECUTE sync.SendCanary', N'sync.[SendCanary]', N'EXECUTE'),
    (N'right:EXECUTE sync.ReadCanary', N'sync.[ReadCanary]', N'EXECUTE')) n (Name, FullName, Permission)

  INSERT INTO @fact (Name, Value)
  SELECT n.Name, CASE WHEN EXISTS (
      SELECT 1 FROM sys.index_columns k INNER JOIN sys.columns c ON c.object_id = k.object_id AND c.column_id = k.column_id
      WHERE k.object_id = OBJECT_ID(n.TableName) AND k.key_ordinal = 1 AND c.name = n.ColumnName) THEN N'1' ELSE N'0' END
  FROM (VALUES
    (N'index:tblwork(PersonID)', N'dbo.[tblwork]', N'PersonID'),
    (N'index:tblInvoice(AlignerSetID)', N'dbo.[tblInvoice]', N'AlignerSetID')) n (Name, TableName, ColumnName)

  -- Procedures and triggers with OUTPUT but no INTO on our tables. Compared in capitals, whatever the database's collation.
  DECLARE @module TABLE (ObjectID int NOT NULL PRIMARY KEY, Name nvarchar(200) NOT NULL)
  DECLARE @object int, @code nvarchar(max), @at int, @rest nvarchar(4000), @end int, @word nvarchar(20)
  BEGIN TRY
    INSERT INTO @module (ObjectID, Name)
    SELECT o.object_id, LEFT(SCHEMA_NAME(o.schema_id) + N'.' + o.name, 190)
    FROM sys.sql_modules m INNER JOIN sys.objects o ON o.object_id = m.object_id
    WHERE SCHEMA_NAME(o.schema_id) <> N'sync' AND LEFT(o.name, 9) <> N'trg_sync_'
      AND o.name NOT IN (N'trg_SyncQueue_NotifyApp', N'trg_SyncQueue_RingServiceBroker', N'trg_SyncQueue_NotifyAppByRest')
      AND CHARINDEX(N'OUTPUT', UPPER(m.definition COLLATE Latin1_General_CI_AS) COLLATE Latin1_General_BIN2) > 0
      AND EXISTS (SELECT 1 FROM (VALUES
        (N'ALIGNERDOCTORS'), (N'TBLPATIENTS'), (N'TBLWORK'), (N'TBLALIGNERSETS'), (N'TBLALIGNERBATCHES'),
        (N'TBLALIGNERNOTES'), (N'TBLINVOICE')) t (Name)
        WHERE CHARINDEX(t.Name, UPPER(m.definition COLLATE Latin1_General_CI_AS) COLLATE Latin1_General_BIN2) > 0)

    SET @object = (SELECT MIN(ObjectID) FROM @module)
    WHILE @object IS NOT NULL
    BEGIN
      SET @code = (SELECT REPLACE(REPLACE(REPLACE(UPPER(m.definition COLLATE Latin1_General_CI_AS) COLLATE Latin1_General_BIN2,
        NCHAR(13), N' '), NCHAR(10), N' '), NCHAR(9), N' ') FROM sys.sql_modules m WHERE m.object_id = @object)
      SET @at = CHARINDEX(N' OUTPUT ', @code)
      WHILE @at > 0
      BEGIN
        -- The clause reaches to the nearest of these words.
        SELECT @rest = SUBSTRING(@code, @at + 7, 4000), @word = N'', @end = 4001
        SELECT TOP (1) @word = w.Word, @end = CHARINDEX(w.Word, @rest)
        FROM (VALUES (N';'), (N' INTO '), (N' VALUES '), (N' SELECT '), (N' FROM '), (N' WHERE '), (N' DEFAULT '), (N' EXEC '),
          (N' EXECUTE '), (N' BEGIN '), (N' INSERT '), (N' UPDATE '), (N' DELETE '), (N' VALUES(')) w (Word)
        WHERE CHARINDEX(w.Word, @rest) > 0
        ORDER BY CHARINDEX(w.Word, @rest)
        IF @word <> N' INTO ' AND (CHARINDEX(N'INSERTED', LEFT(@rest, @end)) > 0 OR CHARINDEX(N'DELETED', LEFT(@rest, @end)) > 0)
        BEGIN
          INSERT INTO @fact (Name, Value) SELECT N'atRisk:' + m.Name, N'OUTPUT without INTO' FROM @module m WHERE m.ObjectID = @object
          SET @at = 0
        END
        ELSE SET @at = CHARINDEX(N' OUTPUT ', @code, @at + 7)
      END
      SET @object = (SELECT MIN(ObjectID) FROM @module WHERE ObjectID > @object)
    END
  END TRY
  BEGIN CATCH
    IF ERROR_NUMBER() IN (1205, 1222) THROW;
  END CATCH

  SELECT Name, Value FROM @fact ORDER BY Name

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.OutboxStatus', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.OutboxStatus AS RETURN')
GO
ALTER PROCEDURE sync.OutboxStatus AS
BEGIN
  -- Three result sets: the rows by status, with the age of the oldest by queue id (ms); Failed rows by what stands before the colon of
  -- LastError; and the row that was settled last, of the 200 newest that are settled. Ages, since the clock here is not UTC.
  -- Waits for nobody: what a transaction in flight holds at this moment is not counted, which is new rows, and at most the few that the
  -- sync itself is moving on. The index by Status has all that is counted.
  SET NOCOUNT ON
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000
  DECLARE @now datetime2(3) = SYSDATETIME()

  SELECT SYSUTCDATETIME() AS UtcNow,
    (SELECT COUNT(*) FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
      WHERE q.Status = N'Pending') AS Pending,
    (SELECT COUNT(*) FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
      WHERE q.Status = N'Queued') AS Queued,
    (SELECT COUNT(*) FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
      WHERE q.Status = N'Synced') AS Synced,
    (SELECT COUNT(*) FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
      WHERE q.Status = N'Failed') AS Failed,
    (SELECT COUNT(*) FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
      WHERE q.Status = N'Queued' AND q.LastError IS NOT NULL) AS Retrying,
    (SELECT TOP (1) CASE WHEN q.CreatedAt > @now THEN 0 ELSE DATEDIFF_BIG(millisecond, q.CreatedAt, @now) END
      FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST) WHERE q.Status = N'Pending' ORDER BY q.QueueID) AS OldestPendingMs,
    (SELECT TOP (1) CASE WHEN q.CreatedAt > @now THEN 0 ELSE DATEDIFF_BIG(millisecond, q.CreatedAt, @now) END
      FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST) WHERE q.Status = N'Queued' ORDER BY q.QueueID) AS OldestQueuedMs

  SELECT c.Cause, COUNT(*) AS [Rows]
  FROM (SELECT LEFT(q.LastError, CHARINDEX(N':', q.LastError + N':') - 1) AS Cause FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
    WHERE q.Status = N'Failed') c
  GROUP BY c.Cause

  SELECT TOP (1) n.TableName, n.RecordID, DATEDIFF_BIG(millisecond, n.CreatedAt, @now) AS CapturedMs,
    DATEDIFF_BIG(millisecond, n.LastAttempt, @now) AS SettledMs
  FROM (SELECT TOP (200) q.QueueID, q.TableName, q.RecordID, q.CreatedAt, q.LastAttempt
    FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
    WHERE q.Status = N'Synced' ORDER BY q.QueueID DESC) n
  WHERE n.LastAttempt IS NOT NULL
  ORDER BY n.LastAttempt DESC, n.QueueID DESC

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.Requeue', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.Requeue AS RETURN')
GO
ALTER PROCEDURE sync.Requeue @Status nvarchar(20), @Table nvarchar(100), @Key int, @OlderThanSeconds int, @RunningMs int, @After bigint, @Max int, @DryRun bit AS
BEGIN
  -- Looks at the next @Max rows with that status above the queue id @After (NULL: from the start), and sets those back to Pending that
  -- fit (@DryRun = 1: counts them): of that table, key and age, where these are not NULL. One row: [Rows], Looked, LastID (varchar).
  -- Looked < @Max: there are no more. Rows that were moved on in the last @RunningMs, since the run began, are left: they are under way.
  -- So are rows that an operator has discarded, unless the record is named.
  -- EventVersion stays: sync.TakeChanges then sends the event with the version that it had, so that the portal drops what it has already.
  SET NOCOUNT ON
  IF @Status IS NULL OR @Status NOT IN (N'Queued', N'Failed', N'Synced')
  BEGIN;
    THROW 51200, N'sync.Requeue: @Status must be Queued, Failed or Synced', 1;
  END
  IF @Table IS NOT NULL AND @Table NOT IN (N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes', N'aligner_set_payments', N'canary')
  BEGIN;
    THROW 51201, N'sync.Requeue: @Table is not the name of a synced table', 1;
  END
  IF @Key IS NOT NULL AND @Table IS NULL
  BEGIN;
    THROW 51200, N'sync.Requeue: @Key needs @Table', 1;
  END
  IF @OlderThanSeconds < 0
  BEGIN;
    THROW 51200, N'sync.Requeue: @OlderThanSeconds must not be negative', 1;
  END
  IF @RunningMs IS NULL OR @RunningMs < 0
  BEGIN;
    THROW 51200, N'sync.Requeue: @RunningMs must not be negative', 1;
  END
  IF @Max IS NULL OR @Max NOT BETWEEN 1 AND 100000
  BEGIN;
    THROW 51200, N'sync.Requeue: @Max must be from 1 to 100000', 1;
  END
  IF @DryRun IS NULL
  BEGIN;
    THROW 51200, N'sync.Requeue: @DryRun must be 0 or 1', 1;
  END
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000
  DECLARE @now datetime2(3) = SYSDATETIME(), @rows int
  DECLARE @began datetime2(3) = DATEADD(millisecond, -@RunningMs, @now)
  DECLARE @before datetime2(3) = CASE WHEN @OlderThanSeconds IS NULL THEN NULL ELSE DATEADD(second, -@OlderThanSeconds, @now) END
  CREATE TABLE #page (QueueID bigint NOT NULL PRIMARY KEY)

  BEGIN TRANSACTION
  -- In here nobody else moves rows on, so those that READPAST leaves out are of transactions in flight: they have not been sent.
  EXEC sync.EnterOutbox
  IF @Key IS NULL
    INSERT INTO #page (QueueID)
    SELECT TOP (@Max) q.QueueID FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
    WHERE q.Status = @Status AND q.QueueID > COALESCE(@After, -9223372036854775808)
    ORDER BY q.QueueID
  ELSE
    INSERT INTO #page (QueueID)
    SELECT TOP (@Max) q.QueueID FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
    WHERE q.TableName = @Table AND q.RecordID = @Key AND q.QueueID > COALESCE(@After, -9223372036854775808)
    ORDER BY q.QueueID

  DECLARE @looked int = @@ROWCOUNT
  DECLARE @last bigint = (SELECT MAX(QueueID) FROM #page)

  DELETE p
  FROM #page p INNER LOOP JOIN dbo.SyncQueue q WITH (READCOMMITTEDLOCK) ON q.QueueID = p.QueueID
  WHERE q.Status <> @Status OR q.TableName <> @Table OR q.RecordID <> @Key OR q.CreatedAt > @before OR q.LastAttempt > @began
    OR @Key IS NULL AND COALESCE(q.LastError, N'') LIKE N'SYNC[_]DISCARDED:%'
  SELECT @rows = COUNT(*) FROM #page

  -- LOOP, here and above: each row is looked up by its key. A scan of the outbox would wait for the rows of transactions in flight.
  IF @DryRun = 0
    UPDATE q SET Status = N'Pending', LastError = NULL
    FROM #page p INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = p.QueueID
  COMMIT TRANSACTION

  SELECT @rows AS [Rows], @looked AS Looked, CONVERT(varchar(20), @last) AS LastID

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.RecordVersions', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.RecordVersions AS RETURN')
GO
ALTER PROCEDURE sync.RecordVersions @Records nvarchar(max) AS
BEGIN
  -- @Records: [{"table", "key", "version"}, …]. A row for each: Ordinal, Status and LastError of the outbox row that the event with that
  -- version carried (NULL: purged, or never there), and SupersededBy, the record's highest settled version if it is above that.
  SET NOCOUNT ON
  IF COALESCE(ISJSON(@Records), 0) = 0
    OR SUBSTRING(@Records, PATINDEX(N'%[^' + NCHAR(9) + NCHAR(10) + NCHAR(13) + N' ]%', @Records), 1) <> N'['
  BEGIN;
    THROW 51200, N'sync.RecordVersions: @Records must be a JSON array', 1;
  END
  -- An element that is not read as it was meant would do something else: a row that is missing is a delete.
  IF EXISTS (
    SELECT 1
    FROM OPENJSON(@Records) a
      OUTER APPLY (
        SELECT SUM(CASE
          WHEN p.[key] = N'table' AND p.[type] = 1 AND LEN(p.[value]) BETWEEN 1 AND 100 THEN 1
          WHEN p.[key] = N'key' AND p.[type] IN (1, 2) AND TRY_CONVERT(int, p.[value]) IS NOT NULL AND p.[value] LIKE N'%[0-9]%' THEN 1
          WHEN p.[key] = N'version' AND p.[type] IN (1, 2) AND TRY_CONVERT(bigint, p.[value]) IS NOT NULL AND p.[value] LIKE N'%[0-9]%' THEN 1 ELSE 0 END) AS Fit
        FROM OPENJSON(CASE WHEN a.[type] = 5 THEN a.[value] END) p) s
    WHERE s.Fit IS NULL OR s.Fit <> 3)
  BEGIN;
    THROW 51200, N'sync.RecordVersions: @Records holds an element of another shape', 1;
  END
  IF EXISTS (
    SELECT 1 FROM OPENJSON(@Records) WITH (TableName nvarchar(100) '$.table')
    WHERE TableName NOT IN (
      N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes',
      N'aligner_set_payments', N'canary'))
  BEGIN;
    THROW 51201, N'sync.RecordVersions: @Records names a table that is not synced', 1;
  END
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000

  CREATE TABLE #record (
    Ordinal int NOT NULL PRIMARY KEY,
    TableName nvarchar(100) COLLATE DATABASE_DEFAULT NOT NULL,
    RecordID int NOT NULL,
    Version bigint NOT NULL
  )
  INSERT INTO #record (Ordinal, TableName, RecordID, Version)
  SELECT CONVERT(int, a.[key]) + 1, r.TableName, r.RecordID, r.Version
  FROM OPENJSON(@Records) a
    CROSS APPLY OPENJSON(a.[value]) WITH (TableName nvarchar(100) '$.table', RecordID int '$.key', Version bigint '$.version') r

  -- Without locks: rows of transactions in flight carry no EventVersion.
  SELECT r.Ordinal, c.Status, c.LastError, CONVERT(varchar(20), s.Version) AS SupersededBy
  FROM #record r
  OUTER APPLY (SELECT TOP (1) q.Status, q.LastError FROM dbo.SyncQueue q WITH (READUNCOMMITTED)
    WHERE q.TableName = r.TableName AND q.RecordID = r.RecordID AND q.EventVersion = r.Version ORDER BY q.QueueID DESC) c
  OUTER APPLY (SELECT MAX(q.EventVersion) AS Version FROM dbo.SyncQueue q WITH (READUNCOMMITTED)
    WHERE q.TableName = r.TableName AND q.RecordID = r.RecordID AND q.Status = N'Synced' AND q.EventVersion > r.Version) s
  ORDER BY r.Ordinal

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.RecordHistory', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.RecordHistory AS RETURN')
GO
ALTER PROCEDURE sync.RecordHistory @Table nvarchar(100), @Key int, @Max int AS
BEGIN
  -- What the clinic knows of one record beside the record itself. Three result sets: one row of UtcNow, Presence (synced, unsynced: it
  -- is there and the mapping leaves it out, absent; NULL: somebody's open transaction holds it, and who reads it waits), Seen, the
  -- portal's version processed last (0: none), PortalValues, Hold, why nothing of the portal's is applied (NULL: it is), and OutboxRows;
  -- the @Max latest of its outbox rows, with ages (ms), since the clock here is not UTC; and the @Max latest of its conflicts, without
  -- values. Waits for nobody, and is all index seeks. What somebody's open transaction has queued is often why a change does not arrive:
  -- such outbox rows are told too, with IsUncommitted = 1.
  SET NOCOUNT ON
  IF @Table IS NULL OR @Table NOT IN (
      N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes',
      N'aligner_set_payments', N'canary')
  BEGIN;
    THROW 51201, N'sync.RecordHistory: @Table is not the name of a synced table', 1;
  END
  IF @Key IS NULL
  BEGIN;
    THROW 51200, N'sync.RecordHistory: @Key must not be NULL', 1;
  END
  IF @Max IS NULL OR @Max NOT BETWEEN 1 AND 100000
  BEGIN;
    THROW 51200, N'sync.RecordHistory: @Max must be from 1 to 100000', 1;
  END
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000
  DECLARE @now datetime2(3) = SYSDATETIME()
  DECLARE @presence nvarchar(20)

  SET XACT_ABORT OFF
  SET LOCK_TIMEOUT 0
  BEGIN TRY
    IF @Table = N'aligner_doctors'
      SET @presence = CASE
        WHEN EXISTS (SELECT 1 FROM dbo.[AlignerDoctors] t WITH (FORCESEEK) WHERE t.[DrID] = @Key) THEN N'synced'
        ELSE N'absent' END
    IF @Table = N'patients'
      SET @presence = CASE
        WHEN EXISTS (SELECT 1 FROM dbo.[tblpatients] t WITH (FORCESEEK) WHERE t.[PersonID] = @Key
        AND EXISTS (SELECT 1 FROM dbo.[tblwork] t1 WHERE t1.[PersonID] = t.[PersonID]
          AND EXISTS (SELECT 1 FROM dbo.[tblAlignerSets] t12 WHERE t12.[WorkID] = t1.[workid]))) THEN N'synced'
        WHEN EXISTS (SELECT 1 FROM dbo.[tblpatients] t WITH (FORCESEEK) WHERE t.[PersonID] = @Key) THEN N'unsynced'
        ELSE N'absent' END
    IF @Table = N'work'
      SET @presence = CASE
        WHEN EXISTS (SELECT 1 FROM dbo.[tblwork] t WITH (FORCESEEK) WHERE t.[workid] = @Key
        AND EXISTS (SELECT 1 FROM dbo.[tblAlignerSets] t1 WHERE t1.[WorkID] = t.[workid])) THEN N'synced'
        WHEN EXISTS (SELECT 1 FROM dbo.[tblwork] t WITH (FORCESEEK) WHERE t.[workid] = @Key) THEN N'unsynced'
        ELSE N'absent' END
    IF @Table = N'aligner_sets'
      SET @presence = CASE
        WHEN EXISTS (SELECT 1 FROM dbo.[tblAlignerSets] t WITH (FORCESEEK) WHERE t.[AlignerSetID] = @Key) THEN N'synced'
        ELSE N'absent' END
    IF @Table = N'aligner_batches'
      SET @presence = CASE
        WHEN EXISTS (SELECT 1 FROM dbo.[tblAlignerBatches] t WITH (FORCESEEK) WHERE t.[AlignerBatchID] = @Key) THEN N'synced'
        ELSE N'absent' END
    IF @Table = N'aligner_notes'
      SET @presence = CASE
        WHEN EXISTS (SELECT 1 FROM dbo.[tblAlignerNotes] t WITH (FORCESEEK) WHERE t.[NoteID] = @Key) THEN N'synced'
        ELSE N'absent' END
    IF @Table = N'aligner_set_payments'
      SET @presence = CASE
        WHEN EXISTS (SELECT 1 FROM dbo.[vw_AlignerSetPayments] t WHERE t.[AlignerSetID] = @Key
        AND (t.[PaymentStatus] IS NULL OR t.[PaymentStatus] <> N'No Cost Set')) THEN N'synced'
        WHEN EXISTS (SELECT 1 FROM dbo.[vw_AlignerSetPayments] t WHERE t.[AlignerSetID] = @Key) THEN N'unsynced'
        ELSE N'absent' END
    IF @Table = N'canary'
      SET @presence = CASE
        WHEN EXISTS (SELECT 1 FROM sync.[Canary] t WITH (FORCESEEK) WHERE t.[CanaryID] = @Key) THEN N'synced'
        ELSE N'absent' END
  END TRY
  BEGIN CATCH
    IF ERROR_NUMBER() <> 1222 THROW;
  END CATCH
  SET LOCK_TIMEOUT 10000
  SET XACT_ABORT ON

  SELECT SYSUTCDATETIME() AS UtcNow, @presence AS Presence,
    CONVERT(varchar(20), COALESCE(s.SeenPortalVersion, 0)) AS Seen, s.PortalValues,
    (SELECT MAX(h.Value) FROM sync.Settings h WITH (READUNCOMMITTED) WHERE h.Name = N'Restored') AS Hold,
    (SELECT COUNT(*) FROM dbo.SyncQueue q WITH (READUNCOMMITTED) WHERE q.TableName = @Table AND q.RecordID = @Key) AS OutboxRows
  FROM (SELECT 1 AS One) o
    LEFT JOIN sync.RowState s WITH (READUNCOMMITTED) ON s.TableName = @Table AND s.RecordID = @Key

  SELECT CONVERT(varchar(20), q.QueueID) AS QueueID, q.Operation, q.Status, q.Attempts, q.LastError,
    CONVERT(varchar(20), q.EventVersion) AS EventVersion, DATEDIFF_BIG(millisecond, q.CreatedAt, @now) AS CapturedMs,
    DATEDIFF_BIG(millisecond, q.LastAttempt, @now) AS AttemptMs,
    CAST(CASE WHEN q.Status = N'Pending' AND q.EventVersion IS NULL AND NOT EXISTS (
      SELECT 1 FROM dbo.SyncQueue c WITH (READCOMMITTEDLOCK, READPAST) WHERE c.QueueID = q.QueueID) THEN 1 ELSE 0 END AS bit) AS IsUncommitted
  FROM (SELECT TOP (@Max) r.QueueID, r.Operation, r.Status, r.Attempts, r.LastError, r.EventVersion, r.CreatedAt, r.LastAttempt
    FROM dbo.SyncQueue r WITH (READUNCOMMITTED)
    WHERE r.TableName = @Table AND r.RecordID = @Key ORDER BY r.QueueID DESC) q
  ORDER BY q.QueueID DESC

  SELECT TOP (@Max) CONVERT(varchar(20), c.ConflictID) AS ConflictID, c.TableName, c.RecordID, c.ColumnName, c.Ruling,
    CONVERT(varchar(20), c.PortalVersion) AS PortalVersion, DATEDIFF_BIG(millisecond, c.RuledAt, @now) AS RuledMs, SYSUTCDATETIME() AS UtcNow
  FROM sync.Conflicts c WITH (READCOMMITTEDLOCK, READPAST)
  WHERE c.TableName = @Table AND c.RecordID = @Key
  ORDER BY c.ConflictID DESC

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.Rulings', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.Rulings AS RETURN')
GO
ALTER PROCEDURE sync.Rulings @Before bigint, @Max int AS
BEGIN
  -- The @Max latest conflicts with ids below @Before (NULL: from the latest on), without values. Waits for nobody: one that is being
  -- logged at this moment is left out.
  SET NOCOUNT ON
  IF @Max IS NULL OR @Max NOT BETWEEN 1 AND 100000
  BEGIN;
    THROW 51200, N'sync.Rulings: @Max must be from 1 to 100000', 1;
  END
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000
  DECLARE @now datetime2(3) = SYSDATETIME()

  SELECT TOP (@Max) CONVERT(varchar(20), c.ConflictID) AS ConflictID, c.TableName, c.RecordID, c.ColumnName, c.Ruling,
    CONVERT(varchar(20), c.PortalVersion) AS PortalVersion, DATEDIFF_BIG(millisecond, c.RuledAt, @now) AS RuledMs, SYSUTCDATETIME() AS UtcNow
  FROM sync.Conflicts c WITH (READCOMMITTEDLOCK, READPAST)
  WHERE c.ConflictID < COALESCE(@Before, 9223372036854775807)
  ORDER BY c.ConflictID DESC

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.RuledValues', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.RuledValues AS RETURN')
GO
ALTER PROCEDURE sync.RuledValues @ID bigint AS
BEGIN
  -- One conflict with its values, as they travel, instants by the clinic's wall clock; no row: there is none. ColumnName NULL: whole rows,
  -- as JSON.
  SET NOCOUNT ON
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000

  SELECT c.TableName, c.ColumnName, c.ClinicValue, c.PortalValue, c.BaseValue
  FROM sync.Conflicts c WITH (READCOMMITTEDLOCK, READPAST)
  WHERE c.ConflictID = @ID

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.Bookkeeping', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.Bookkeeping AS RETURN')
GO
ALTER PROCEDURE sync.Bookkeeping @Records nvarchar(max), @Max int AS
BEGIN
  -- What this side knows of both, for whoever compares it with the other side: a database that was restored from a backup knows less.
  -- @Records: [{"table", "key"}, …]. Three result sets: LastID, the latest queue id, Seen, the portal's highest version processed, and
  -- Held, why the portal's changes are held up (NULL: they are not), and LowestKey, of the records that the portal has sent; of the @Max newest settled rows the highest version of each record that has no other
  -- rows (beside a dead one an older one is settled, too); and for each of @Records Ordinal, Seen, IsOpen, whether a change of it is not
  -- settled, and IsNew, whether it was made by one. What sync.QueueRecords has queued is no change. Rows from before the queue ids were moved on, after an earlier restore, say nothing. Waits for nobody.
  SET NOCOUNT ON
  IF COALESCE(ISJSON(@Records), 0) = 0
    OR SUBSTRING(@Records, PATINDEX(N'%[^' + NCHAR(9) + NCHAR(10) + NCHAR(13) + N' ]%', @Records), 1) <> N'['
  BEGIN;
    THROW 51200, N'sync.Bookkeeping: @Records must be a JSON array', 1;
  END
  -- An element that is not read as it was meant would do something else: a row that is missing is a delete.
  IF EXISTS (
    SELECT 1
    FROM OPENJSON(@Records) a
      OUTER APPLY (
        SELECT SUM(CASE
          WHEN p.[key] = N'table' AND p.[type] = 1 AND LEN(p.[value]) BETWEEN 1 AND 100 THEN 1
          WHEN p.[key] = N'key' AND p.[type] IN (1, 2) AND TRY_CONVERT(int, p.[value]) IS NOT NULL AND p.[value] LIKE N'%[0-9]%' THEN 1 ELSE 0 END) AS Fit
        FROM OPENJSON(CASE WHEN a.[type] = 5 THEN a.[value] END) p) s
    WHERE s.Fit IS NULL OR s.Fit <> 2)
  BEGIN;
    THROW 51200, N'sync.Bookkeeping: @Records holds an element of another shape', 1;
  END
  IF EXISTS (
    SELECT 1 FROM OPENJSON(@Records) WITH (TableName nvarchar(100) '$.table')
    WHERE TableName NOT IN (
      N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes',
      N'aligner_set_payments', N'canary'))
  BEGIN;
    THROW 51201, N'sync.Bookkeeping: @Records names a table that is not synced', 1;
  END
  IF @Max IS NULL OR @Max NOT BETWEEN 1 AND 100000
  BEGIN;
    THROW 51200, N'sync.Bookkeeping: @Max must be from 1 to 100000', 1;
  END
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000
  DECLARE @moved bigint = (SELECT TRY_CONVERT(bigint, Value) FROM sync.Settings WHERE Name = N'RestoredUpTo')

  SELECT CONVERT(varchar(20), (SELECT CONVERT(bigint, s.current_value) FROM sys.sequences s WHERE s.object_id = OBJECT_ID(N'sync.QueueIDs'))) AS LastID,
    CONVERT(varchar(20), (SELECT COALESCE(MAX(s.SeenPortalVersion), 0) FROM sync.RowState s WITH (READUNCOMMITTED))) AS Seen,
    (SELECT MAX(s.Value) FROM sync.Settings s WHERE s.Name = N'Restored') AS Held,
    (SELECT MIN(s.RecordID) FROM sync.RowState s WITH (READUNCOMMITTED)) AS LowestKey

  SELECT n.TableName, n.RecordID, CONVERT(varchar(20), MAX(n.EventVersion)) AS Version
  FROM (SELECT TOP (@Max) q.TableName, q.RecordID, q.EventVersion
    FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
    WHERE q.Status = N'Synced' ORDER BY q.QueueID DESC) n
  WHERE n.EventVersion > COALESCE(@moved, 0)
    AND NOT EXISTS (SELECT 1 FROM dbo.SyncQueue o WITH (READUNCOMMITTED)
      WHERE o.TableName = n.TableName AND o.RecordID = n.RecordID AND o.Status <> N'Synced')
  GROUP BY n.TableName, n.RecordID

  SELECT CONVERT(int, a.[key]) + 1 AS Ordinal, CONVERT(varchar(20), COALESCE(s.SeenPortalVersion, 0)) AS Seen,
    CAST(CASE WHEN EXISTS (SELECT 1 FROM dbo.SyncQueue o WITH (READUNCOMMITTED)
      WHERE o.TableName = r.TableName AND o.RecordID = r.RecordID AND o.Status <> N'Synced' AND o.Operation <> N'RESTORED') THEN 1 ELSE 0 END AS bit) AS IsOpen,
    CAST(CASE WHEN EXISTS (SELECT 1 FROM dbo.SyncQueue o WITH (READUNCOMMITTED)
      WHERE o.TableName = r.TableName AND o.RecordID = r.RecordID AND o.Status <> N'Synced' AND o.Operation = N'INSERT') THEN 1 ELSE 0 END AS bit) AS IsNew
  FROM OPENJSON(@Records) a
    CROSS APPLY OPENJSON(a.[value]) WITH (TableName nvarchar(100) '$.table', RecordID int '$.key') r
    LEFT JOIN sync.RowState s WITH (READUNCOMMITTED) ON s.TableName = r.TableName AND s.RecordID = r.RecordID

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.HoldPortalChanges', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.HoldPortalChanges AS RETURN')
GO
ALTER PROCEDURE sync.HoldPortalChanges @Why nvarchar(20) AS
BEGIN
  -- Until it is let go (NULL), sync.ApplyPortalChanges answers 51230. @Why: 'restored', this database was restored from a backup; 'repair',
  -- the other one was, and is being repaired.
  SET NOCOUNT ON
  IF @Why NOT IN (N'restored', N'repair')
  BEGIN;
    THROW 51200, N'sync.HoldPortalChanges: @Why must be restored, repair or NULL', 1;
  END
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000
  DECLARE @got int
  BEGIN TRANSACTION
  EXEC @got = sp_getapplock @Resource = N'sync.hold', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 10000
  IF @got < 0
  BEGIN;
    THROW 51222, N'sync: another session is in the settings', 1;
  END
  IF @Why IS NULL OR @Why = N'restored' DELETE FROM sync.Settings WHERE Name = N'Restored'
  IF @Why IS NOT NULL AND NOT EXISTS (SELECT 1 FROM sync.Settings WHERE Name = N'Restored')
    INSERT INTO sync.Settings (Name, Value) VALUES (N'Restored', @Why)
  COMMIT TRANSACTION

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.ResumeAfterRestore', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.ResumeAfterRestore AS RETURN')
GO
ALTER PROCEDURE sync.ResumeAfterRestore @Seen bigint AS
BEGIN
  -- For the operator's command after-restore. @Seen: the highest version of the clinic's that the portal has had. Moves the queue ids
  -- above it, and above all that were handed out here; rows from before are not compared any more. What is not settled is sent anew, and what transactions in flight have drawn
  -- already, with versions above that: see sync.TakeChanges. One row: [Rows], how many were set back to Pending.
  SET NOCOUNT ON
  IF @Seen IS NULL OR @Seen < 0
  BEGIN;
    THROW 51200, N'sync.ResumeAfterRestore: @Seen is the highest queue id that the portal has had', 1;
  END
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000
  DECLARE @rows int, @last bigint, @restart nvarchar(200)

  BEGIN TRANSACTION
  EXEC sync.EnterOutbox
  -- Drawn, not looked up: whoever may not see the sequence would move it backwards.
  SET @last = NEXT VALUE FOR sync.QueueIDs
  IF @last < @Seen SET @last = @Seen
  SET @last = @last + 1000000
  SET @restart = N'ALTER SEQUENCE sync.QueueIDs RESTART WITH ' + CONVERT(nvarchar(20), @last + 1)
  EXEC (@restart)
  DELETE FROM sync.Settings WHERE Name = N'RestoredUpTo'
  INSERT INTO sync.Settings (Name, Value) VALUES (N'RestoredUpTo', CONVERT(nvarchar(20), @last))

  CREATE TABLE #open (QueueID bigint NOT NULL PRIMARY KEY)
  INSERT INTO #open (QueueID)
  SELECT q.QueueID FROM dbo.SyncQueue q WITH (READCOMMITTEDLOCK, READPAST)
  WHERE q.Status = N'Queued' OR q.Status = N'Failed' AND COALESCE(q.LastError, N'') LIKE N'SYNC[_]RESTORED:%'
  -- LOOP: each row is looked up by its key. A scan of the outbox would wait for the rows of transactions in flight.
  UPDATE q SET Status = N'Pending', LastError = NULL
  FROM #open o INNER LOOP JOIN dbo.SyncQueue q WITH (ROWLOCK) ON q.QueueID = o.QueueID
  SET @rows = @@ROWCOUNT
  COMMIT TRANSACTION

  SELECT @rows AS [Rows]

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.QueueRecords', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.QueueRecords AS RETURN')
GO
ALTER PROCEDURE sync.QueueRecords @Records nvarchar(max) AS
BEGIN
  -- For the operator's command after-restore. @Records: [{"table", "key", "seen"?}, …], in the order in which they are to be sent; those
  -- that are not here are sent as deleted. seen: what the portal has sent of the record up to this version is not to be processed any more.
  SET NOCOUNT ON
  IF COALESCE(ISJSON(@Records), 0) = 0
    OR SUBSTRING(@Records, PATINDEX(N'%[^' + NCHAR(9) + NCHAR(10) + NCHAR(13) + N' ]%', @Records), 1) <> N'['
  BEGIN;
    THROW 51200, N'sync.QueueRecords: @Records must be a JSON array', 1;
  END
  -- An element that is not read as it was meant would do something else: a row that is missing is a delete.
  IF EXISTS (
    SELECT 1
    FROM OPENJSON(@Records) a
      OUTER APPLY (
        SELECT SUM(CASE
          WHEN p.[key] = N'table' AND p.[type] = 1 AND LEN(p.[value]) BETWEEN 1 AND 100 THEN 1
          WHEN p.[key] = N'key' AND p.[type] IN (1, 2) AND TRY_CONVERT(int, p.[value]) IS NOT NULL AND p.[value] LIKE N'%[0-9]%' THEN 1
          WHEN p.[key] = N'seen' AND NOT (p.[type] IN (1, 2) AND TRY_CONVERT(bigint, p.[value]) IS NOT NULL AND p.[value] LIKE N'%[0-9]%') THEN -100 ELSE 0 END) AS Fit
        FROM OPENJSON(CASE WHEN a.[type] = 5 THEN a.[value] END) p) s
    WHERE s.Fit IS NULL OR s.Fit <> 2)
  BEGIN;
    THROW 51200, N'sync.QueueRecords: @Records holds an element of another shape', 1;
  END
  IF EXISTS (
    SELECT 1 FROM OPENJSON(@Records) WITH (TableName nvarchar(100) '$.table')
    WHERE TableName NOT IN (
      N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes',
      N'aligner_set_payments', N'canary'))
  BEGIN;
    THROW 51201, N'sync.QueueRecords: @Records names a table that is not synced', 1;
  END
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000

  CREATE TABLE #record (
    Ordinal int NOT NULL PRIMARY KEY,
    TableName nvarchar(100) COLLATE DATABASE_DEFAULT NOT NULL,
    RecordID int NOT NULL,
    Seen bigint NULL
  )
  INSERT INTO #record (Ordinal, TableName, RecordID, Seen)
  SELECT CONVERT(int, a.[key]) + 1, r.TableName, r.RecordID, r.Seen
  FROM OPENJSON(@Records) a
    CROSS APPLY OPENJSON(a.[value]) WITH (TableName nvarchar(100) '$.table', RecordID int '$.key', Seen bigint '$.seen') r
  WHERE r.TableName IN (N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes', N'aligner_set_payments', N'canary')

  DECLARE @got int
  BEGIN TRANSACTION
  -- sync.RowState has one writer at a time.
  EXEC @got = sp_getapplock @Resource = N'sync.apply', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 10000
  IF @got < 0
  BEGIN;
    THROW 51222, N'sync: another session is applying', 1;
  END
  UPDATE s SET SeenPortalVersion = r.Seen, PortalValues = NULL
  FROM #record r INNER JOIN sync.RowState s ON s.TableName = r.TableName AND s.RecordID = r.RecordID
  WHERE r.Seen > s.SeenPortalVersion
  INSERT INTO sync.RowState (TableName, RecordID, SeenPortalVersion)
  SELECT r.TableName, r.RecordID, MAX(r.Seen) FROM #record r
  WHERE r.Seen IS NOT NULL
    AND NOT EXISTS (SELECT 1 FROM sync.RowState s WHERE s.TableName = r.TableName AND s.RecordID = r.RecordID)
  GROUP BY r.TableName, r.RecordID
  INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
  SELECT r.TableName, r.RecordID, N'RESTORED' FROM #record r ORDER BY r.Ordinal
  COMMIT TRANSACTION

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.RecordStates', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.RecordStates AS RETURN')
GO
ALTER PROCEDURE sync.RecordStates @Records nvarchar(max) AS
BEGIN
  -- For the command verify. @Records: [{"table", "key"}, …]. A row for each: Ordinal; Applied, the portal's version that was processed here
  -- last; LastID, the latest queue id of the record (NULL: the outbox has none); IsOpen, whether a change of it waits to be sent or for its
  -- outcome; and Cause, of its latest Failed row what stands before the colon of LastError (NULL: there is none). Waits for nobody: what a
  -- transaction in flight has put into the outbox counts as open.
  SET NOCOUNT ON
  IF COALESCE(ISJSON(@Records), 0) = 0
    OR SUBSTRING(@Records, PATINDEX(N'%[^' + NCHAR(9) + NCHAR(10) + NCHAR(13) + N' ]%', @Records), 1) <> N'['
  BEGIN;
    THROW 51200, N'sync.RecordStates: @Records must be a JSON array', 1;
  END
  -- An element that is not read as it was meant would do something else: a row that is missing is a delete.
  IF EXISTS (
    SELECT 1
    FROM OPENJSON(@Records) a
      OUTER APPLY (
        SELECT SUM(CASE
          WHEN p.[key] = N'table' AND p.[type] = 1 AND LEN(p.[value]) BETWEEN 1 AND 100 THEN 1
          WHEN p.[key] = N'key' AND p.[type] IN (1, 2) AND TRY_CONVERT(int, p.[value]) IS NOT NULL AND p.[value] LIKE N'%[0-9]%' THEN 1 ELSE 0 END) AS Fit
        FROM OPENJSON(CASE WHEN a.[type] = 5 THEN a.[value] END) p) s
    WHERE s.Fit IS NULL OR s.Fit <> 2)
  BEGIN;
    THROW 51200, N'sync.RecordStates: @Records holds an element of another shape', 1;
  END
  IF EXISTS (
    SELECT 1 FROM OPENJSON(@Records) WITH (TableName nvarchar(100) '$.table')
    WHERE TableName NOT IN (
      N'aligner_doctors', N'patients', N'work', N'aligner_sets', N'aligner_batches', N'aligner_notes',
      N'aligner_set_payments', N'canary'))
  BEGIN;
    THROW 51201, N'sync.RecordStates: @Records names a table that is not synced', 1;
  END
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 10000

  CREATE TABLE #record (
    Ordinal int NOT NULL PRIMARY KEY,
    TableName nvarchar(100) COLLATE DATABASE_DEFAULT NOT NULL,
    RecordID int NOT NULL
  )
  INSERT INTO #record (Ordinal, TableName, RecordID)
  SELECT CONVERT(int, a.[key]) + 1, r.TableName, r.RecordID
  FROM OPENJSON(@Records) a
    CROSS APPLY OPENJSON(a.[value]) WITH (TableName nvarchar(100) '$.table', RecordID int '$.key') r

  -- Without locks: nobody is waited for.
  SELECT r.Ordinal, CONVERT(varchar(20), COALESCE(s.SeenPortalVersion, 0)) AS Applied, CONVERT(varchar(20), l.QueueID) AS LastID,
    CAST(CASE WHEN EXISTS (SELECT 1 FROM dbo.SyncQueue o WITH (READUNCOMMITTED)
      WHERE o.TableName = r.TableName AND o.RecordID = r.RecordID AND o.Status IN (N'Pending', N'Queued')) THEN 1 ELSE 0 END AS bit) AS IsOpen,
    CASE WHEN f.QueueID IS NULL THEN NULL ELSE COALESCE(LEFT(f.LastError, CHARINDEX(N':', f.LastError + N':') - 1), N'') END AS Cause
  FROM #record r
    LEFT JOIN sync.RowState s WITH (READUNCOMMITTED) ON s.TableName = r.TableName AND s.RecordID = r.RecordID
  OUTER APPLY (SELECT MAX(q.QueueID) AS QueueID FROM dbo.SyncQueue q WITH (READUNCOMMITTED)
    WHERE q.TableName = r.TableName AND q.RecordID = r.RecordID) l
  OUTER APPLY (SELECT TOP (1) q.QueueID, q.LastError FROM dbo.SyncQueue q WITH (READUNCOMMITTED)
    WHERE q.TableName = r.TableName AND q.RecordID = r.RecordID AND q.Status = N'Failed' ORDER BY q.QueueID DESC) f
  ORDER BY r.Ordinal

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.SendCanary', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.SendCanary AS RETURN')
GO
ALTER PROCEDURE sync.SendCanary @Token nvarchar(max) AS
BEGIN
  -- Writes the canary, which its trigger captures and the doorbell rings for. One row: QueueID (varchar) of what the trigger put into the
  -- outbox, NULL where it did not; TriggerState, 'enabled', 'disabled' or 'missing'. Repeated with the same token it changes nothing.
  SET NOCOUNT ON
  IF @Token IS NULL OR LEN(@Token) NOT BETWEEN 1 AND 40
  BEGIN;
    THROW 51200, N'sync.SendCanary: @Token must have from 1 to 40 characters', 1;
  END
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 3000
  DECLARE @there int = 0, @before bigint, @queued bigint

  BEGIN TRANSACTION
  -- Its lock first: what the outbox has of it then was there before.
  SELECT @there = COUNT(*) FROM sync.Canary c WITH (UPDLOCK, ROWLOCK) WHERE c.CanaryID = 1
  SELECT @before = COALESCE(MAX(q.QueueID), 0) FROM dbo.SyncQueue q WITH (READUNCOMMITTED) WHERE q.TableName = N'canary' AND q.RecordID = 1
  IF @there = 0
    INSERT INTO sync.Canary (CanaryID, ClinicToken) VALUES (1, @Token)
  ELSE
    UPDATE sync.Canary SET ClinicToken = @Token WHERE CanaryID = 1
  SELECT @queued = MAX(q.QueueID) FROM dbo.SyncQueue q WITH (READUNCOMMITTED) WHERE q.TableName = N'canary' AND q.RecordID = 1 AND q.QueueID > @before
  COMMIT TRANSACTION

  SELECT CONVERT(varchar(20), @queued) AS QueueID, CASE WHEN OBJECT_ID(N'sync.Canary') IS NULL THEN NULL ELSE COALESCE(
      (SELECT CASE WHEN t.is_disabled = 1 THEN N'disabled' ELSE N'enabled' END FROM sys.triggers t
        WHERE t.name = N'trg_sync_Canary' AND t.parent_id = OBJECT_ID(N'sync.Canary')), N'missing') END AS TriggerState

  SET LOCK_TIMEOUT -1
END
GO

IF OBJECT_ID(N'sync.ReadCanary', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.ReadCanary AS RETURN')
GO
ALTER PROCEDURE sync.ReadCanary @QueueID bigint AS
BEGIN
  -- What the clinic knows of the canary. One row: ClinicToken, PortalToken; Seen, the portal's version processed last; Held, why the portal's
  -- changes are held up (NULL: they are not); Status, LastError and Version of the outbox row @QueueID (NULL: purged, or never there); and
  -- LastID, LastStatus, LastReason, of its newest outbox row. Marks nothing.
  SET NOCOUNT ON
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 3000

  SELECT c.ClinicToken, c.PortalToken,
    CONVERT(varchar(20), COALESCE((SELECT s.SeenPortalVersion FROM sync.RowState s
      WHERE s.TableName = N'canary' AND s.RecordID = 1), 0)) AS Seen,
    (SELECT MAX(s.Value) FROM sync.Settings s WHERE s.Name = N'Restored') AS Held,
    q.Status, q.LastError, CONVERT(varchar(20), q.EventVersion) AS Version,
    CONVERT(varchar(20), n.QueueID) AS LastID, n.Status AS LastStatus, n.LastError AS LastReason
  FROM (SELECT 1 AS One) o
    LEFT JOIN sync.Canary c ON c.CanaryID = 1
    LEFT JOIN dbo.SyncQueue q ON q.QueueID = @QueueID AND q.TableName = N'canary' AND q.RecordID = 1
    LEFT JOIN dbo.SyncQueue n ON n.QueueID = (SELECT MAX(q.QueueID) FROM dbo.SyncQueue q WHERE q.TableName = N'canary' AND q.RecordID = 1)

  SET LOCK_TIMEOUT -1
END
GO
