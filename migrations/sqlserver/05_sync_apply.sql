-- Generated from packages/mapping by `npm run generate`. Do not edit: change the mapping.
-- The way back: the clinic rules on what doctors changed in the portal. Safe to run again.
-- The rules are those of docs/protocol.md, "Applying, portal → clinic".

SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
-- What somebody's open transaction holds is waited for this long, then it is error 1222: run the file again later. While this waits
-- for a table, everybody else waits behind it.
SET LOCK_TIMEOUT 5000
GO

IF OBJECT_ID(N'sync.Conflicts', N'U') IS NULL
CREATE TABLE sync.Conflicts (
  ConflictID bigint IDENTITY(1,1) NOT NULL CONSTRAINT PK_sync_Conflicts PRIMARY KEY,
  TableName nvarchar(100) NOT NULL,
  RecordID int NOT NULL,
  -- NULL: the whole row, as JSON.
  ColumnName nvarchar(128) NULL,
  ClinicValue nvarchar(max) NULL,
  PortalValue nvarchar(max) NULL,
  BaseValue nvarchar(max) NULL,
  -- clinic-wins, portal-wins, or deleted: the clinic had deleted the record.
  Ruling nvarchar(20) NOT NULL,
  PortalVersion bigint NOT NULL,
  RuledAt datetime2(3) NOT NULL CONSTRAINT DF_sync_Conflicts_RuledAt DEFAULT (SYSDATETIME())
)
GO
IF NOT EXISTS (SELECT 1 FROM sys.indexes WHERE object_id = OBJECT_ID(N'sync.Conflicts') AND name LIKE N'IX_Conflicts_Record%')
  CREATE INDEX IX_Conflicts_Record ON sync.Conflicts (TableName, RecordID)
GO

IF OBJECT_ID(N'sync.[Insert_aligner_notes]', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.[Insert_aligner_notes] AS RETURN')
GO
ALTER PROCEDURE sync.[Insert_aligner_notes] @Rows nvarchar(max)
WITH EXECUTE AS OWNER AS
BEGIN
  -- For sync.ApplyPortalChanges only, which has judged the values. @Rows: a JSON array of whole rows, values as text.
  SET NOCOUNT ON
  BEGIN TRY
    SET IDENTITY_INSERT dbo.[tblAlignerNotes] ON
    INSERT INTO dbo.[tblAlignerNotes] ([NoteID], [AlignerSetID], [NoteType], [NoteText], [CreatedAt], [IsEdited], [EditedAt], [IsRead])
    SELECT CASE WHEN r.[note_id] LIKE N'%[0-9]%' THEN TRY_CONVERT(int, r.[note_id]) END,
      CASE WHEN r.[aligner_set_id] LIKE N'%[0-9]%' THEN TRY_CONVERT(int, r.[aligner_set_id]) END,
      r.[note_type],
      (SELECT j.[value] FROM OPENJSON(a.[value]) j WHERE j.[key] = N'note_text'),
      CASE WHEN r.[created_at] LIKE N'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T%:%:%.[0-9][0-9][0-9]'
        AND TRY_CONVERT(datetime2(3), r.[created_at], 126) BETWEEN '1753-01-01T00:00:00.000' AND '9999-12-31T23:59:59.998'
      THEN CONVERT(datetime, TRY_CONVERT(datetime2(3), r.[created_at], 126)) END,
      CAST(CASE r.[is_edited] WHEN N'true' THEN 1 WHEN N'false' THEN 0 END AS bit),
      CASE WHEN r.[edited_at] LIKE N'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T%:%:%.[0-9][0-9][0-9]'
        AND TRY_CONVERT(datetime2(3), r.[edited_at], 126) BETWEEN '1753-01-01T00:00:00.000' AND '9999-12-31T23:59:59.998'
      THEN CONVERT(datetime, TRY_CONVERT(datetime2(3), r.[edited_at], 126)) END,
      CAST(CASE r.[is_read] WHEN N'true' THEN 1 WHEN N'false' THEN 0 END AS bit)
    FROM OPENJSON(@Rows) a
      OUTER APPLY OPENJSON(a.[value]) WITH (
        [note_id] nvarchar(max) '$.note_id', [aligner_set_id] nvarchar(max) '$.aligner_set_id',
        [note_type] nvarchar(max) '$.note_type', [created_at] nvarchar(max) '$.created_at',
        [is_edited] nvarchar(max) '$.is_edited', [edited_at] nvarchar(max) '$.edited_at',
        [is_read] nvarchar(max) '$.is_read') r
    ORDER BY 1
    SET IDENTITY_INSERT dbo.[tblAlignerNotes] OFF
  END TRY
  BEGIN CATCH
    -- One table a session can have it on, so it must not stay on whatever happens; the error to report is the first one.
    BEGIN TRY
      SET IDENTITY_INSERT dbo.[tblAlignerNotes] OFF
    END TRY
    BEGIN CATCH
    END CATCH;
    THROW;
  END CATCH
END
GO

IF OBJECT_ID(N'sync.ApplyPortalChanges', N'P') IS NULL EXEC (N'CREATE PROCEDURE sync.ApplyPortalChanges AS RETURN')
GO
ALTER PROCEDURE sync.ApplyPortalChanges @Changes nvarchar(max) AS
BEGIN
  -- @Changes: [{"table", "key", "version", "since", "base", "row", "inexact"?}, …], each record at most once; times as the
  -- clinic's wall clock. One row for each: Ordinal (from 1), Outcome, Code, Reason. One transaction: all or an error.
  -- In the table variables: e_ the event's value as it travels, b_ the base's, ev_ and bv_ the same in the clinic's type, c_ the
  -- clinic's, r_ the rule that decided, p_ whether the parent is there. Table variables outlive a rollback, take the
  -- database's collation, and bring no recompilations.
  SET NOCOUNT ON
  IF COALESCE(ISJSON(@Changes), 0) = 0
    OR SUBSTRING(@Changes, PATINDEX(N'%[^' + NCHAR(9) + NCHAR(10) + NCHAR(13) + N' ]%', @Changes), 1) <> N'['
  BEGIN;
    THROW 51200, N'sync.ApplyPortalChanges: @Changes must be a JSON array', 1;
  END
  -- An element that is not read as it was meant would do something else: a row that is missing is a delete.
  IF EXISTS (
    SELECT 1
    FROM OPENJSON(@Changes) a
      OUTER APPLY (
        SELECT SUM(CASE
          WHEN p.[key] = N'table' AND p.[type] = 1 AND LEN(p.[value]) BETWEEN 1 AND 100 THEN 1
          WHEN p.[key] = N'key' AND p.[type] IN (1, 2) AND TRY_CONVERT(int, p.[value]) IS NOT NULL AND p.[value] LIKE N'%[0-9]%' THEN 1
          WHEN p.[key] = N'version' AND p.[type] IN (1, 2) AND TRY_CONVERT(bigint, p.[value]) IS NOT NULL AND p.[value] LIKE N'%[0-9]%' THEN 1
          WHEN p.[key] = N'since' AND p.[type] IN (0, 1, 2) AND (p.[type] = 0 OR TRY_CONVERT(bigint, p.[value]) IS NOT NULL AND p.[value] LIKE N'%[0-9]%') THEN 1
          WHEN p.[key] = N'base' AND p.[type] IN (0, 5) THEN 1
          WHEN p.[key] = N'row' AND p.[type] IN (0, 5) THEN 1
          WHEN p.[key] = N'inexact' AND NOT (p.[type] = 3) THEN -100 ELSE 0 END) AS Fit
        FROM OPENJSON(CASE WHEN a.[type] = 5 THEN a.[value] END) p) s
    WHERE s.Fit IS NULL OR s.Fit <> 6)
  BEGIN;
    THROW 51200, N'sync.ApplyPortalChanges: @Changes holds an element of another shape', 1;
  END
  IF EXISTS (
    SELECT 1 FROM OPENJSON(@Changes) WITH (TableName nvarchar(100) '$.table', RecordID int '$.key')
    GROUP BY TableName, RecordID HAVING COUNT(*) > 1)
  BEGIN;
    THROW 51200, N'sync.ApplyPortalChanges: @Changes names a record twice', 1;
  END
  -- What doctors started from is not what is here: their edits would be ruled on as if staff had meant it.
  IF EXISTS (SELECT 1 FROM sync.Settings WHERE Name = N'Restored')
  BEGIN;
    THROW 51230, N'sync.ApplyPortalChanges: this database was restored from a backup, and that is not repaired yet', 1;
  END
  -- What never reached the clinic would be taken for what it has deleted. (No changes: who asks whether this procedure is here.)
  IF EXISTS (SELECT 1 FROM OPENJSON(@Changes)) AND EXISTS (SELECT 1 FROM sync.Settings s WHERE s.Name = N'OriginalQueue' AND s.Value = N'copied')
      AND NOT EXISTS (SELECT 1 FROM sync.Settings s WHERE s.Name = N'TakenOver')
      AND NOT EXISTS (SELECT 1 FROM dbo.SyncQueue v WITH (READUNCOMMITTED) WHERE v.EventVersion IS NOT NULL)
  BEGIN;
    THROW 51231, N'sync.ApplyPortalChanges: the original system''s outbox is here, and the two sides have not been compared yet', 1;
  END
  SET XACT_ABORT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  SET DEADLOCK_PRIORITY LOW
  SET LOCK_TIMEOUT 250

  DECLARE @change TABLE (
    Ordinal int NOT NULL PRIMARY KEY, TableName nvarchar(100) NOT NULL, RecordID int NOT NULL, Version bigint NOT NULL,
    Since bigint NULL, Base nvarchar(max) NULL, RowData nvarchar(max) NULL, Inexact bit NOT NULL,
    Seen bigint NOT NULL DEFAULT (0), Outcome nvarchar(20) NULL, Code nvarchar(64) NULL, Reason nvarchar(1000) NULL,
    Operation nvarchar(20) NULL, PortalValues nvarchar(max) NULL,
    UNIQUE (TableName, RecordID)
  )
  DECLARE @aligner_batches TABLE (
    RecordID int NOT NULL PRIMARY KEY,
    HasRow bit NOT NULL, HasBase bit NOT NULL, IsFirst bit NOT NULL, Inexact bit NOT NULL,
    Found bit NOT NULL DEFAULT (0), IsShared bit NOT NULL DEFAULT (0), IsSame bit NOT NULL DEFAULT (0),
    Action nvarchar(10) NULL, Outcome nvarchar(20) NULL, Code nvarchar(64) NULL, Reason nvarchar(1000) NULL,
    [e_aligner_set_id] nvarchar(max) NULL, [e_batch_sequence] nvarchar(max) NULL,
      [e_upper_aligner_count] nvarchar(max) NULL, [e_lower_aligner_count] nvarchar(max) NULL,
      [e_upper_aligner_start_sequence] nvarchar(max) NULL, [e_upper_aligner_end_sequence] nvarchar(max) NULL,
      [e_lower_aligner_start_sequence] nvarchar(max) NULL, [e_lower_aligner_end_sequence] nvarchar(max) NULL,
      [e_manufacture_date] nvarchar(max) NULL, [e_delivered_to_patient_date] nvarchar(max) NULL,
      [e_days] nvarchar(max) NULL, [e_validity_period] nvarchar(max) NULL, [e_batch_expiry_date] nvarchar(max) NULL,
      [e_notes] nvarchar(max) NULL, [e_is_active] nvarchar(max) NULL,
    [ev_days] int NULL,
    [b_days] nvarchar(max) NULL,
    [bv_days] int NULL,
    [c_days] int NULL,
    [r_days] tinyint NULL
  )
  DECLARE @aligner_notes TABLE (
    RecordID int NOT NULL PRIMARY KEY,
    HasRow bit NOT NULL, HasBase bit NOT NULL, IsFirst bit NOT NULL, Inexact bit NOT NULL,
    Found bit NOT NULL DEFAULT (0), IsShared bit NOT NULL DEFAULT (0), IsSame bit NOT NULL DEFAULT (0),
    Action nvarchar(10) NULL, Outcome nvarchar(20) NULL, Code nvarchar(64) NULL, Reason nvarchar(1000) NULL,
    [e_aligner_set_id] nvarchar(max) NULL, [e_note_type] nvarchar(max) NULL, [e_note_text] nvarchar(max) NULL,
      [e_created_at] nvarchar(max) NULL, [e_is_edited] nvarchar(max) NULL, [e_edited_at] nvarchar(max) NULL,
      [e_is_read] nvarchar(max) NULL,
    [ev_aligner_set_id] int NULL, [ev_created_at] datetime NULL, [ev_is_edited] bit NULL,
      [ev_edited_at] datetime NULL, [ev_is_read] bit NULL,
    [b_note_text] nvarchar(max) NULL, [b_is_edited] nvarchar(max) NULL, [b_edited_at] nvarchar(max) NULL,
      [b_is_read] nvarchar(max) NULL,
    [bv_is_edited] bit NULL, [bv_edited_at] datetime NULL, [bv_is_read] bit NULL,
    [c_note_text] nvarchar(max) NULL, [c_is_edited] bit NULL, [c_edited_at] datetime NULL, [c_is_read] bit NULL,
    [r_note_text] tinyint NULL, [r_is_edited] tinyint NULL, [r_edited_at] tinyint NULL, [r_is_read] tinyint NULL,
    [p_aligner_set_id] bit NULL
  )
  DECLARE @canary TABLE (
    RecordID int NOT NULL PRIMARY KEY,
    HasRow bit NOT NULL, HasBase bit NOT NULL, IsFirst bit NOT NULL, Inexact bit NOT NULL,
    Found bit NOT NULL DEFAULT (0), IsShared bit NOT NULL DEFAULT (0), IsSame bit NOT NULL DEFAULT (0),
    Action nvarchar(10) NULL, Outcome nvarchar(20) NULL, Code nvarchar(64) NULL, Reason nvarchar(1000) NULL,
    [e_clinic_token] nvarchar(max) NULL, [e_portal_token] nvarchar(max) NULL,
    [b_portal_token] nvarchar(max) NULL,
    [c_portal_token] nvarchar(max) NULL,
    [r_portal_token] tinyint NULL
  )
  DECLARE @got int, @from int, @to int, @each bit, @held bit, @rows nvarchar(max), @ruled int = 0

  BEGIN TRY
    INSERT INTO @change (Ordinal, TableName, RecordID, Version, Since, Base, RowData, Inexact)
    SELECT CAST(a.[key] AS int) + 1, e.TableName, e.RecordID, e.Version, e.Since,
      JSON_QUERY(a.[value], '$.base'), JSON_QUERY(a.[value], '$.row'), COALESCE(e.Inexact, 0)
    FROM OPENJSON(@Changes) a
      CROSS APPLY OPENJSON(a.[value]) WITH (TableName nvarchar(100) '$.table', RecordID int '$.key', Version bigint '$.version',
        Since bigint '$.since', Inexact bit '$.inexact') e

    BEGIN TRANSACTION
    -- One batch at a time: sync.RowState has no other writer, so it can be read before the rows are locked and written after.
    EXEC @got = sp_getapplock @Resource = N'sync.apply', @LockMode = N'Exclusive', @LockOwner = N'Transaction', @LockTimeout = 10000
    IF @got < 0
    BEGIN;
      THROW 51222, N'sync: another session is applying', 1;
    END

    UPDATE c SET Seen = s.SeenPortalVersion,
      -- What the doctor started from: what the clinic was told before, if it has had a part of these edits already.
      Base = CASE WHEN c.Since <= s.SeenPortalVersion THEN s.PortalValues ELSE c.Base END
    FROM @change c INNER JOIN sync.RowState s ON s.TableName = c.TableName AND s.RecordID = c.RecordID

    UPDATE @change SET Outcome = N'dead', Code = N'SYNC_NOT_PORTALS',
      Reason = LEFT(TableName + N': nothing of this table comes from the portal', 1000)
    WHERE TableName NOT IN (N'aligner_batches', N'aligner_notes', N'canary')
    UPDATE @change SET Outcome = CASE WHEN Version = Seen THEN N'duplicate' ELSE N'stale' END
    WHERE Version <= Seen AND Outcome IS NULL

    IF EXISTS (SELECT 1 FROM @change WHERE TableName = N'aligner_batches' AND Outcome IS NULL)
    BEGIN
      -- aligner_batches
      INSERT INTO @aligner_batches (RecordID, HasRow, HasBase, IsFirst, Inexact,
        [e_aligner_set_id], [e_batch_sequence], [e_upper_aligner_count], [e_lower_aligner_count],
        [e_upper_aligner_start_sequence], [e_upper_aligner_end_sequence], [e_lower_aligner_start_sequence],
        [e_lower_aligner_end_sequence], [e_manufacture_date], [e_delivered_to_patient_date], [e_days],
        [e_validity_period], [e_batch_expiry_date], [e_notes], [e_is_active], [b_days])
      SELECT c.RecordID, CASE WHEN c.RowData IS NULL THEN 0 ELSE 1 END, CASE WHEN c.Base IS NULL THEN 0 ELSE 1 END,
        CASE WHEN c.Seen = 0 THEN 1 ELSE 0 END, c.Inexact,
        e.[aligner_set_id], e.[batch_sequence], e.[upper_aligner_count], e.[lower_aligner_count],
        e.[upper_aligner_start_sequence], e.[upper_aligner_end_sequence], e.[lower_aligner_start_sequence],
        e.[lower_aligner_end_sequence], e.[manufacture_date], e.[delivered_to_patient_date], e.[days],
        e.[validity_period], e.[batch_expiry_date], e.[notes], e.[is_active], b.[days]
      FROM @change c
        OUTER APPLY OPENJSON(c.RowData) WITH (
          [aligner_set_id] nvarchar(max) '$.aligner_set_id', [batch_sequence] nvarchar(max) '$.batch_sequence',
          [upper_aligner_count] nvarchar(max) '$.upper_aligner_count',
          [lower_aligner_count] nvarchar(max) '$.lower_aligner_count',
          [upper_aligner_start_sequence] nvarchar(max) '$.upper_aligner_start_sequence',
          [upper_aligner_end_sequence] nvarchar(max) '$.upper_aligner_end_sequence',
          [lower_aligner_start_sequence] nvarchar(max) '$.lower_aligner_start_sequence',
          [lower_aligner_end_sequence] nvarchar(max) '$.lower_aligner_end_sequence',
          [manufacture_date] nvarchar(max) '$.manufacture_date',
          [delivered_to_patient_date] nvarchar(max) '$.delivered_to_patient_date', [days] nvarchar(max) '$.days',
          [validity_period] nvarchar(max) '$.validity_period', [batch_expiry_date] nvarchar(max) '$.batch_expiry_date',
          [notes] nvarchar(max) '$.notes', [is_active] nvarchar(max) '$.is_active') e
        OUTER APPLY OPENJSON(c.Base) WITH (
          [days] nvarchar(max) '$.days') b
      WHERE c.TableName = N'aligner_batches' AND c.Outcome IS NULL
      UPDATE x SET
        [ev_days] = CASE WHEN x.[e_days] LIKE N'%[0-9]%' THEN TRY_CONVERT(int, x.[e_days]) END,
        [bv_days] = CASE WHEN x.[b_days] LIKE N'%[0-9]%' THEN TRY_CONVERT(int, x.[b_days]) END
      FROM @aligner_batches x

      -- The rows are locked as for a write, all at once and without waiting. If somebody holds one of them (1222), one by one:
      -- that one is left for later. Locks that were taken stay. By key only: a scan would lock, or meet, other rows.
      SET XACT_ABORT OFF
      SET LOCK_TIMEOUT 0
      SELECT @each = 0, @from = MIN(RecordID), @to = MAX(RecordID) FROM @aligner_batches
      WHILE @from IS NOT NULL
      BEGIN
        SET @held = 0
        BEGIN TRY
          UPDATE x SET
            Found = 1,
            IsShared = 1,
            [c_days] = t.[Days],
            IsSame = CASE WHEN EXISTS (
              SELECT CONVERT(nvarchar(40), t.[AlignerSetID]), CONVERT(nvarchar(40), t.[BatchSequence]),
                CONVERT(nvarchar(40), t.[UpperAlignerCount]), CONVERT(nvarchar(40), t.[LowerAlignerCount]),
                CONVERT(nvarchar(40), t.[UpperAlignerStartSequence]), CONVERT(nvarchar(40), t.[UpperAlignerEndSequence]),
                CONVERT(nvarchar(40), t.[LowerAlignerStartSequence]), CONVERT(nvarchar(40), t.[LowerAlignerEndSequence]),
                CONVERT(nvarchar(10), t.[ManufactureDate], 23), CONVERT(nvarchar(10), t.[DeliveredToPatientDate], 23),
                CONVERT(nvarchar(40), t.[Days]), CONVERT(nvarchar(40), t.[ValidityPeriod]),
                CONVERT(nvarchar(10), t.[BatchExpiryDate], 23),
                COALESCE(REPLACE(t.[Notes] COLLATE Latin1_General_BIN2, NCHAR(0), N''), t.[Notes]) COLLATE Latin1_General_BIN2,
                DATALENGTH(COALESCE(REPLACE(t.[Notes] COLLATE Latin1_General_BIN2, NCHAR(0), N''), t.[Notes])),
                CASE t.[IsActive] WHEN 1 THEN N'true' WHEN 0 THEN N'false' END
              INTERSECT
              SELECT x.[e_aligner_set_id], x.[e_batch_sequence], x.[e_upper_aligner_count], x.[e_lower_aligner_count],
                x.[e_upper_aligner_start_sequence], x.[e_upper_aligner_end_sequence], x.[e_lower_aligner_start_sequence],
                x.[e_lower_aligner_end_sequence], x.[e_manufacture_date], x.[e_delivered_to_patient_date], x.[e_days],
                x.[e_validity_period], x.[e_batch_expiry_date], x.[e_notes] COLLATE Latin1_General_BIN2, DATALENGTH(x.[e_notes]),
                x.[e_is_active]) THEN 1 ELSE 0 END
          FROM @aligner_batches x
            INNER LOOP JOIN dbo.[tblAlignerBatches] t WITH (XLOCK, ROWLOCK, FORCESEEK) ON t.[AlignerBatchID] = x.RecordID
          WHERE x.RecordID BETWEEN @from AND @to
        END TRY
        BEGIN CATCH
          IF ERROR_NUMBER() <> 1222 THROW;
          SET @held = 1
        END CATCH
        IF @held = 0 AND @each = 0 BREAK
        IF @held = 1 AND @each = 1
          UPDATE @aligner_batches SET Outcome = N'retry', Code = N'1222', Reason = N'locked in the clinic' WHERE RecordID = @from
        SET @from = (SELECT MIN(RecordID) FROM @aligner_batches WHERE @each = 0 OR RecordID > @from)
        SELECT @to = @from, @each = 1
      END
      SET LOCK_TIMEOUT 250
      SET XACT_ABORT ON

      -- 1: equal already. 2: the doctor did not touch it. 3: the clinic did not touch it. 4: both did. 0: not shared in this row.
      UPDATE x SET
        [r_days] = CASE
          WHEN x.IsShared = 0 THEN 0
          WHEN (x.[e_days] IS NULL OR x.[ev_days] IS NOT NULL) AND EXISTS (SELECT x.[c_days] INTERSECT SELECT x.[ev_days]) THEN 1
          WHEN x.HasBase = 1
            AND (x.[ev_days] = x.[bv_days] OR EXISTS (SELECT x.[e_days] INTERSECT SELECT x.[b_days])) THEN 2
          WHEN x.HasBase = 1
            AND (x.[b_days] IS NULL OR x.[bv_days] IS NOT NULL) AND EXISTS (SELECT x.[c_days] INTERSECT SELECT x.[bv_days]) THEN 3
          ELSE 4 END
      FROM @aligner_batches x
      WHERE x.Found = 1 AND x.HasRow = 1 AND x.Outcome IS NULL

      UPDATE x SET Action = CASE
          WHEN x.HasRow = 1 AND x.Found = 1 AND (x.[r_days] IN (3, 4)) THEN N'UPDATE' END
      FROM @aligner_batches x
      WHERE x.Outcome IS NULL

      -- What the clinic cannot take. Nothing of it is recorded, so that it can be replayed once it can be taken.
      UPDATE x SET Outcome = N'dead', Code = N'SYNC_BAD_VALUE',
        Reason = LEFT(N'aligner_batches/' + CONVERT(nvarchar(11), x.RecordID) + N': ' + j.Broken, 1000)
      FROM @aligner_batches x
        CROSS APPLY (SELECT CASE
          WHEN x.[r_days] IN (3, 4)
            AND x.[e_days] IS NULL AND COLUMNPROPERTY(OBJECT_ID(N'dbo.[tblAlignerBatches]'), N'Days', 'AllowsNull') = 0
            THEN N'days must not be null'
          WHEN x.[r_days] IN (3, 4)
            AND x.[e_days] IS NOT NULL AND x.[ev_days] IS NULL
            THEN N'days: outside the range of int' END AS Broken) j
      WHERE x.Action IN (N'INSERT', N'UPDATE') AND x.Outcome IS NULL AND j.Broken IS NOT NULL

      IF EXISTS (SELECT 1 FROM @aligner_batches WHERE Action = N'UPDATE' AND Outcome IS NULL)
        UPDATE t SET
          [Days] = CASE WHEN x.[r_days] IN (3, 4) THEN x.[ev_days] ELSE t.[Days] END
        FROM @aligner_batches x
          INNER LOOP JOIN dbo.[tblAlignerBatches] t WITH (ROWLOCK) ON t.[AlignerBatchID] = x.RecordID
        WHERE x.Action = N'UPDATE' AND x.Outcome IS NULL

      INSERT INTO sync.Conflicts (TableName, RecordID, ColumnName, ClinicValue, PortalValue, BaseValue, Ruling, PortalVersion)
      SELECT N'aligner_batches', x.RecordID, v.ColumnName, v.ClinicValue, v.PortalValue, v.BaseValue, v.Ruling, c.Version
      FROM @aligner_batches x
        INNER JOIN @change c ON c.TableName = N'aligner_batches' AND c.RecordID = x.RecordID
        CROSS APPLY (VALUES
          (N'days', CONVERT(nvarchar(40), x.[c_days]), x.[e_days], x.[b_days], N'portal-wins', x.[r_days])) v (ColumnName, ClinicValue, PortalValue, BaseValue, Ruling, DecidedBy)
      WHERE x.Outcome IS NULL AND x.HasRow = 1 AND x.Found = 1 AND v.DecidedBy = 4

      INSERT INTO sync.Conflicts (TableName, RecordID, ColumnName, ClinicValue, PortalValue, BaseValue, Ruling, PortalVersion)
      SELECT N'aligner_batches', x.RecordID, NULL, NULL, c.RowData, NULL, N'deleted', c.Version
      FROM @aligner_batches x
        INNER JOIN @change c ON c.TableName = N'aligner_batches' AND c.RecordID = x.RecordID
      WHERE x.Outcome IS NULL AND x.HasRow = 1 AND x.Found = 0 AND x.Action IS NULL

      UPDATE c SET
        Outcome = COALESCE(x.Outcome, CASE
          WHEN x.HasRow = 1 AND x.Found = 1 AND (x.[r_days] = 4) THEN N'conflict'
          WHEN x.HasRow = 1 AND x.Found = 0 AND x.Action IS NULL THEN N'conflict'
          WHEN x.Action IS NOT NULL THEN N'applied'
          ELSE N'unchanged' END),
        Code = x.Code,
        Reason = COALESCE(x.Reason, CASE
          WHEN x.HasRow = 1 AND x.Found = 1 AND (x.[r_days] = 4) THEN STUFF(
            CASE WHEN x.[r_days] = 4 THEN N', days: portal-wins' ELSE N'' END, 1, 2, N'')
          WHEN x.HasRow = 1 AND x.Found = 0 AND x.Action IS NULL THEN N'the clinic does not have it any more'
          WHEN x.HasRow = 0 AND x.Found = 1 AND x.Action IS NULL THEN N'deletes do not travel from the portal: it gets the row back' END),
        -- The portal hears again what it does not have as the clinic has it; our own write has queued the row already.
        Operation = CASE
          WHEN x.Outcome IS NOT NULL OR x.Action IS NOT NULL THEN NULL
          WHEN x.HasRow = 1 AND x.Found = 0 AND x.Action IS NULL THEN N'DELETE'
          WHEN x.HasRow = 0 AND x.Found = 1 AND x.Action IS NULL THEN N'UPDATE'
          WHEN x.HasRow = 1 AND x.Found = 1 AND (x.IsSame = 0 OR x.Inexact = 1) THEN N'UPDATE' END,
        PortalValues = CASE WHEN x.HasRow = 1 THEN (SELECT x.[ev_days] AS [days]
          FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES) END
      FROM @change c
        INNER JOIN @aligner_batches x ON x.RecordID = c.RecordID
      WHERE c.TableName = N'aligner_batches'
    END

    IF EXISTS (SELECT 1 FROM @change WHERE TableName = N'aligner_notes' AND Outcome IS NULL)
    BEGIN
      -- aligner_notes
      INSERT INTO @aligner_notes (RecordID, HasRow, HasBase, IsFirst, Inexact,
        [e_aligner_set_id], [e_note_type], [e_note_text], [e_created_at], [e_is_edited], [e_edited_at], [e_is_read],
        [b_note_text], [b_is_edited], [b_edited_at], [b_is_read])
      SELECT c.RecordID, CASE WHEN c.RowData IS NULL THEN 0 ELSE 1 END, CASE WHEN c.Base IS NULL THEN 0 ELSE 1 END,
        CASE WHEN c.Seen = 0 THEN 1 ELSE 0 END, c.Inexact,
        e.[aligner_set_id], e.[note_type], (SELECT j.[value] FROM OPENJSON(c.RowData) j WHERE j.[key] = N'note_text'),
        e.[created_at], e.[is_edited], e.[edited_at], e.[is_read],
        (SELECT j.[value] FROM OPENJSON(c.Base) j WHERE j.[key] = N'note_text'), b.[is_edited], b.[edited_at],
        b.[is_read]
      FROM @change c
        OUTER APPLY OPENJSON(c.RowData) WITH (
          [aligner_set_id] nvarchar(max) '$.aligner_set_id', [note_type] nvarchar(max) '$.note_type',
          [created_at] nvarchar(max) '$.created_at', [is_edited] nvarchar(max) '$.is_edited',
          [edited_at] nvarchar(max) '$.edited_at', [is_read] nvarchar(max) '$.is_read') e
        OUTER APPLY OPENJSON(c.Base) WITH (
          [is_edited] nvarchar(max) '$.is_edited', [edited_at] nvarchar(max) '$.edited_at',
          [is_read] nvarchar(max) '$.is_read') b
      WHERE c.TableName = N'aligner_notes' AND c.Outcome IS NULL
      UPDATE x SET
        [ev_aligner_set_id] = CASE WHEN x.[e_aligner_set_id] LIKE N'%[0-9]%' THEN TRY_CONVERT(int, x.[e_aligner_set_id]) END,
        [ev_created_at] = CASE WHEN x.[e_created_at] LIKE N'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T%:%:%.[0-9][0-9][0-9]'
            AND TRY_CONVERT(datetime2(3), x.[e_created_at], 126) BETWEEN '1753-01-01T00:00:00.000' AND '9999-12-31T23:59:59.998'
          THEN CONVERT(datetime, TRY_CONVERT(datetime2(3), x.[e_created_at], 126)) END,
        [ev_is_edited] = CAST(CASE x.[e_is_edited] WHEN N'true' THEN 1 WHEN N'false' THEN 0 END AS bit),
        [ev_edited_at] = CASE WHEN x.[e_edited_at] LIKE N'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T%:%:%.[0-9][0-9][0-9]'
            AND TRY_CONVERT(datetime2(3), x.[e_edited_at], 126) BETWEEN '1753-01-01T00:00:00.000' AND '9999-12-31T23:59:59.998'
          THEN CONVERT(datetime, TRY_CONVERT(datetime2(3), x.[e_edited_at], 126)) END,
        [ev_is_read] = CAST(CASE x.[e_is_read] WHEN N'true' THEN 1 WHEN N'false' THEN 0 END AS bit),
        [bv_is_edited] = CAST(CASE x.[b_is_edited] WHEN N'true' THEN 1 WHEN N'false' THEN 0 END AS bit),
        [bv_edited_at] = CASE WHEN x.[b_edited_at] LIKE N'[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]T%:%:%.[0-9][0-9][0-9]'
            AND TRY_CONVERT(datetime2(3), x.[b_edited_at], 126) BETWEEN '1753-01-01T00:00:00.000' AND '9999-12-31T23:59:59.998'
          THEN CONVERT(datetime, TRY_CONVERT(datetime2(3), x.[b_edited_at], 126)) END,
        [bv_is_read] = CAST(CASE x.[b_is_read] WHEN N'true' THEN 1 WHEN N'false' THEN 0 END AS bit)
      FROM @aligner_notes x

      -- The rows are locked as for a write, all at once and without waiting. If somebody holds one of them (1222), one by one:
      -- that one is left for later. Locks that were taken stay. By key only: a scan would lock, or meet, other rows.
      SET XACT_ABORT OFF
      SET LOCK_TIMEOUT 0
      SELECT @each = 0, @from = MIN(RecordID), @to = MAX(RecordID) FROM @aligner_notes
      WHILE @from IS NOT NULL
      BEGIN
        SET @held = 0
        BEGIN TRY
          UPDATE x SET
            Found = 1,
            IsShared = CASE WHEN EXISTS (SELECT CAST(t.[NoteType] AS nvarchar(max)) COLLATE Latin1_General_BIN2, DATALENGTH(CAST(t.[NoteType] AS nvarchar(max))) INTERSECT SELECT N'Doctor' COLLATE Latin1_General_BIN2, DATALENGTH(N'Doctor')) THEN 1 ELSE 0 END,
            [c_note_text] = COALESCE(REPLACE(t.[NoteText] COLLATE Latin1_General_BIN2, NCHAR(0), N''), t.[NoteText]),
            [c_is_edited] = t.[IsEdited],
            [c_edited_at] = t.[EditedAt],
            [c_is_read] = t.[IsRead],
            IsSame = CASE WHEN EXISTS (
              SELECT CONVERT(nvarchar(40), t.[AlignerSetID]),
                COALESCE(REPLACE(CAST(t.[NoteType] AS nvarchar(max)) COLLATE Latin1_General_BIN2, NCHAR(0), N''), CAST(t.[NoteType] AS nvarchar(max))) COLLATE Latin1_General_BIN2,
                DATALENGTH(COALESCE(REPLACE(CAST(t.[NoteType] AS nvarchar(max)) COLLATE Latin1_General_BIN2, NCHAR(0), N''), CAST(t.[NoteType] AS nvarchar(max)))),
                COALESCE(REPLACE(t.[NoteText] COLLATE Latin1_General_BIN2, NCHAR(0), N''), t.[NoteText]) COLLATE Latin1_General_BIN2,
                DATALENGTH(COALESCE(REPLACE(t.[NoteText] COLLATE Latin1_General_BIN2, NCHAR(0), N''), t.[NoteText])),
                STUFF(CONVERT(nvarchar(23), t.[CreatedAt], 121), 11, 1, N'T'),
                CASE t.[IsEdited] WHEN 1 THEN N'true' WHEN 0 THEN N'false' END,
                STUFF(CONVERT(nvarchar(23), t.[EditedAt], 121), 11, 1, N'T'),
                CASE t.[IsRead] WHEN 1 THEN N'true' WHEN 0 THEN N'false' END
              INTERSECT
              SELECT x.[e_aligner_set_id], x.[e_note_type] COLLATE Latin1_General_BIN2, DATALENGTH(x.[e_note_type]),
                x.[e_note_text] COLLATE Latin1_General_BIN2, DATALENGTH(x.[e_note_text]), x.[e_created_at], x.[e_is_edited],
                x.[e_edited_at], x.[e_is_read]) THEN 1 ELSE 0 END
          FROM @aligner_notes x
            INNER LOOP JOIN dbo.[tblAlignerNotes] t WITH (XLOCK, ROWLOCK, FORCESEEK) ON t.[NoteID] = x.RecordID
          WHERE x.RecordID BETWEEN @from AND @to

          UPDATE x SET [p_aligner_set_id] = 1
          FROM @aligner_notes x
            INNER LOOP JOIN dbo.[tblAlignerSets] t WITH (REPEATABLEREAD, ROWLOCK, FORCESEEK) ON t.[AlignerSetID] = x.[ev_aligner_set_id]
          WHERE x.RecordID BETWEEN @from AND @to AND x.Found = 0 AND x.HasRow = 1 AND x.IsFirst = 1 AND x.RecordID < 0
        END TRY
        BEGIN CATCH
          IF ERROR_NUMBER() <> 1222 THROW;
          SET @held = 1
        END CATCH
        IF @held = 0 AND @each = 0 BREAK
        IF @held = 1 AND @each = 1
          UPDATE @aligner_notes SET Outcome = N'retry', Code = N'1222', Reason = N'locked in the clinic' WHERE RecordID = @from
        SET @from = (SELECT MIN(RecordID) FROM @aligner_notes WHERE @each = 0 OR RecordID > @from)
        SELECT @to = @from, @each = 1
      END
      SET LOCK_TIMEOUT 250
      SET XACT_ABORT ON

      -- 1: equal already. 2: the doctor did not touch it. 3: the clinic did not touch it. 4: both did. 0: not shared in this row.
      UPDATE x SET
        [r_note_text] = CASE
          WHEN x.IsShared = 0 THEN 0
          WHEN EXISTS (SELECT x.[c_note_text] COLLATE Latin1_General_BIN2, DATALENGTH(x.[c_note_text]) INTERSECT SELECT x.[e_note_text] COLLATE Latin1_General_BIN2, DATALENGTH(x.[e_note_text])) THEN 1
          WHEN x.HasBase = 1
            AND EXISTS (SELECT x.[e_note_text] COLLATE Latin1_General_BIN2, DATALENGTH(x.[e_note_text]) INTERSECT SELECT x.[b_note_text] COLLATE Latin1_General_BIN2, DATALENGTH(x.[b_note_text])) THEN 2
          WHEN x.HasBase = 1
            AND EXISTS (SELECT x.[c_note_text] COLLATE Latin1_General_BIN2, DATALENGTH(x.[c_note_text]) INTERSECT SELECT x.[b_note_text] COLLATE Latin1_General_BIN2, DATALENGTH(x.[b_note_text])) THEN 3
          ELSE 4 END,
        [r_is_edited] = CASE
          WHEN x.IsShared = 0 THEN 0
          WHEN (x.[e_is_edited] IS NULL OR x.[ev_is_edited] IS NOT NULL) AND EXISTS (SELECT x.[c_is_edited] INTERSECT SELECT x.[ev_is_edited]) THEN 1
          WHEN x.HasBase = 1
            AND (x.[ev_is_edited] = x.[bv_is_edited] OR EXISTS (SELECT x.[e_is_edited] INTERSECT SELECT x.[b_is_edited])) THEN 2
          WHEN x.HasBase = 1
            AND (x.[b_is_edited] IS NULL OR x.[bv_is_edited] IS NOT NULL) AND EXISTS (SELECT x.[c_is_edited] INTERSECT SELECT x.[bv_is_edited]) THEN 3
          ELSE 4 END,
        [r_edited_at] = CASE
          WHEN x.IsShared = 0 THEN 0
          WHEN (x.[e_edited_at] IS NULL OR x.[ev_edited_at] IS NOT NULL) AND EXISTS (SELECT x.[c_edited_at] INTERSECT SELECT x.[ev_edited_at]) THEN 1
          WHEN x.HasBase = 1
            AND (x.[ev_edited_at] = x.[bv_edited_at] OR EXISTS (SELECT x.[e_edited_at] INTERSECT SELECT x.[b_edited_at])) THEN 2
          WHEN x.HasBase = 1
            AND (x.[b_edited_at] IS NULL OR x.[bv_edited_at] IS NOT NULL) AND EXISTS (SELECT x.[c_edited_at] INTERSECT SELECT x.[bv_edited_at]) THEN 3
          ELSE 4 END,
        [r_is_read] = CASE
          WHEN x.IsShared = 0 THEN 0
          WHEN (x.[e_is_read] IS NULL OR x.[ev_is_read] IS NOT NULL) AND EXISTS (SELECT x.[c_is_read] INTERSECT SELECT x.[ev_is_read]) THEN 1
          WHEN x.HasBase = 1
            AND (x.[ev_is_read] = x.[bv_is_read] OR EXISTS (SELECT x.[e_is_read] INTERSECT SELECT x.[b_is_read])) THEN 2
          WHEN x.HasBase = 1
            AND (x.[b_is_read] IS NULL OR x.[bv_is_read] IS NOT NULL) AND EXISTS (SELECT x.[c_is_read] INTERSECT SELECT x.[bv_is_read]) THEN 3
          ELSE 4 END
      FROM @aligner_notes x
      WHERE x.Found = 1 AND x.HasRow = 1 AND x.Outcome IS NULL

      UPDATE x SET Action = CASE
          WHEN x.HasRow = 1 AND x.Found = 1 AND (x.[r_note_text] = 3 OR x.[r_is_edited] = 3 OR x.[r_edited_at] = 3 OR x.[r_is_read] = 3) THEN N'UPDATE'
          WHEN x.HasRow = 1 AND x.Found = 0 AND x.IsFirst = 1 AND x.RecordID < 0 THEN N'INSERT' END
      FROM @aligner_notes x
      WHERE x.Outcome IS NULL

      -- What the clinic cannot take. Nothing of it is recorded, so that it can be replayed once it can be taken.
      UPDATE x SET Outcome = N'dead', Code = N'SYNC_BAD_VALUE',
        Reason = LEFT(N'aligner_notes/' + CONVERT(nvarchar(11), x.RecordID) + N': ' + j.Broken, 1000)
      FROM @aligner_notes x
        CROSS APPLY (SELECT CASE
          WHEN x.Action = N'INSERT'
            AND x.[e_aligner_set_id] IS NULL
            THEN N'aligner_set_id must not be null'
          WHEN x.Action = N'INSERT'
            AND x.[e_aligner_set_id] IS NOT NULL AND x.[ev_aligner_set_id] IS NULL
            THEN N'aligner_set_id: outside the range of int'
          WHEN x.Action = N'INSERT'
            AND x.[e_aligner_set_id] IS NOT NULL AND x.[p_aligner_set_id] IS NULL
            THEN N'aligner_set_id: the clinic has no aligner_sets ' + x.[e_aligner_set_id]
          WHEN x.Action = N'INSERT'
            AND x.[e_note_type] IS NULL
            THEN N'note_type must not be null'
          WHEN x.Action = N'INSERT'
            AND COALESCE(COL_LENGTH(N'dbo.[tblAlignerNotes]', N'NoteType'), 20) >= 0 AND DATALENGTH(CAST(x.[e_note_type] AS varchar(max))) > COALESCE(COL_LENGTH(N'dbo.[tblAlignerNotes]', N'NoteType'), 20)
            THEN N'note_type: longer than ' + CONVERT(nvarchar(10), COALESCE(COL_LENGTH(N'dbo.[tblAlignerNotes]', N'NoteType'), 20)) + N' characters'
          WHEN x.Action = N'INSERT'
            AND NOT EXISTS (SELECT x.[e_note_type] COLLATE Latin1_General_BIN2, DATALENGTH(x.[e_note_type]) INTERSECT SELECT CAST(CAST(x.[e_note_type] AS varchar(max)) AS nvarchar(max)) COLLATE Latin1_General_BIN2, DATALENGTH(CAST(CAST(x.[e_note_type] AS varchar(max)) AS nvarchar(max))))
            THEN N'note_type: a character that the clinic''s code page lacks'
          WHEN x.Action = N'INSERT'
            AND NOT EXISTS (SELECT x.[e_note_type] COLLATE Latin1_General_BIN2, DATALENGTH(x.[e_note_type]) INTERSECT SELECT N'Doctor' COLLATE Latin1_General_BIN2, DATALENGTH(N'Doctor'))
            THEN N'note_type: only ''Doctor'' notes come from the portal'
          WHEN (x.Action = N'INSERT' OR x.[r_note_text] = 3)
            AND x.[e_note_text] IS NULL
            THEN N'note_text must not be null'
          WHEN (x.Action = N'INSERT' OR x.[r_note_text] = 3)
            AND COALESCE(COL_LENGTH(N'dbo.[tblAlignerNotes]', N'NoteText'), -1) >= 0 AND LEN((x.[e_note_text] + N'.') COLLATE Latin1_General_BIN2) - 1 > COALESCE(COL_LENGTH(N'dbo.[tblAlignerNotes]', N'NoteText'), -1) / 2
            THEN N'note_text: longer than ' + CONVERT(nvarchar(10), COALESCE(COL_LENGTH(N'dbo.[tblAlignerNotes]', N'NoteText'), -1) / 2) + N' characters'
          WHEN x.Action = N'INSERT'
            AND x.[e_created_at] IS NULL AND COLUMNPROPERTY(OBJECT_ID(N'dbo.[tblAlignerNotes]'), N'CreatedAt', 'AllowsNull') = 0
            THEN N'created_at must not be null'
          WHEN x.Action = N'INSERT'
            AND x.[e_created_at] IS NOT NULL AND x.[ev_created_at] IS NULL
            THEN N'created_at: outside the years 1753 to 9999 of datetime'
          WHEN (x.Action = N'INSERT' OR x.[r_is_edited] = 3)
            AND x.[e_is_edited] IS NULL AND COLUMNPROPERTY(OBJECT_ID(N'dbo.[tblAlignerNotes]'), N'IsEdited', 'AllowsNull') = 0
            THEN N'is_edited must not be null'
          WHEN (x.Action = N'INSERT' OR x.[r_is_edited] = 3)
            AND x.[e_is_edited] IS NOT NULL AND x.[ev_is_edited] IS NULL
            THEN N'is_edited: not a boolean'
          WHEN (x.Action = N'INSERT' OR x.[r_edited_at] = 3)
            AND x.[e_edited_at] IS NULL AND COLUMNPROPERTY(OBJECT_ID(N'dbo.[tblAlignerNotes]'), N'EditedAt', 'AllowsNull') = 0
            THEN N'edited_at must not be null'
          WHEN (x.Action = N'INSERT' OR x.[r_edited_at] = 3)
            AND x.[e_edited_at] IS NOT NULL AND x.[ev_edited_at] IS NULL
            THEN N'edited_at: outside the years 1753 to 9999 of datetime'
          WHEN (x.Action = N'INSERT' OR x.[r_is_read] = 3)
            AND x.[e_is_read] IS NULL
            THEN N'is_read must not be null'
          WHEN (x.Action = N'INSERT' OR x.[r_is_read] = 3)
            AND x.[e_is_read] IS NOT NULL AND x.[ev_is_read] IS NULL
            THEN N'is_read: not a boolean' END AS Broken) j
      WHERE x.Action IN (N'INSERT', N'UPDATE') AND x.Outcome IS NULL AND j.Broken IS NOT NULL

      UPDATE x SET Outcome = N'dead', Code = N'SYNC_BAD_VALUE',
        Reason = N'aligner_notes/' + CONVERT(nvarchar(11), x.RecordID) + N': note_id: a record born in the portal has a key below 0'
      FROM @aligner_notes x
      WHERE x.HasRow = 1 AND x.Found = 0 AND x.IsFirst = 1 AND x.HasBase = 0 AND x.RecordID > 0 AND x.Outcome IS NULL

      IF EXISTS (SELECT 1 FROM @aligner_notes WHERE Action = N'UPDATE' AND Outcome IS NULL)
        UPDATE t SET
          [NoteText] = CASE WHEN x.[r_note_text] = 3 THEN x.[e_note_text] ELSE t.[NoteText] END,
          [IsEdited] = CASE WHEN x.[r_is_edited] = 3 THEN x.[ev_is_edited] ELSE t.[IsEdited] END,
          [EditedAt] = CASE WHEN x.[r_edited_at] = 3 THEN x.[ev_edited_at] ELSE t.[EditedAt] END,
          [IsRead] = CASE WHEN x.[r_is_read] = 3 THEN x.[ev_is_read] ELSE t.[IsRead] END
        FROM @aligner_notes x
          INNER LOOP JOIN dbo.[tblAlignerNotes] t WITH (ROWLOCK) ON t.[NoteID] = x.RecordID
        WHERE x.Action = N'UPDATE' AND x.Outcome IS NULL

      SET @rows = (
        SELECT x.RecordID AS [note_id],
          x.[e_aligner_set_id] AS [aligner_set_id], x.[e_note_type] AS [note_type], x.[e_note_text] AS [note_text],
          x.[e_created_at] AS [created_at], x.[e_is_edited] AS [is_edited], x.[e_edited_at] AS [edited_at],
          x.[e_is_read] AS [is_read]
        FROM @aligner_notes x
        WHERE x.Action = N'INSERT' AND x.Outcome IS NULL
        FOR JSON PATH, INCLUDE_NULL_VALUES)
      IF @rows IS NOT NULL EXEC sync.[Insert_aligner_notes] @rows

      INSERT INTO sync.Conflicts (TableName, RecordID, ColumnName, ClinicValue, PortalValue, BaseValue, Ruling, PortalVersion)
      SELECT N'aligner_notes', x.RecordID, v.ColumnName, v.ClinicValue, v.PortalValue, v.BaseValue, v.Ruling, c.Version
      FROM @aligner_notes x
        INNER JOIN @change c ON c.TableName = N'aligner_notes' AND c.RecordID = x.RecordID
        CROSS APPLY (VALUES
          (N'note_text', x.[c_note_text], x.[e_note_text], x.[b_note_text], N'clinic-wins', x.[r_note_text]),
          (N'is_edited', CASE x.[c_is_edited] WHEN 1 THEN N'true' WHEN 0 THEN N'false' END, x.[e_is_edited], x.[b_is_edited], N'clinic-wins', x.[r_is_edited]),
          (N'edited_at', STUFF(CONVERT(nvarchar(23), x.[c_edited_at], 121), 11, 1, N'T'), x.[e_edited_at], x.[b_edited_at], N'clinic-wins', x.[r_edited_at]),
          (N'is_read', CASE x.[c_is_read] WHEN 1 THEN N'true' WHEN 0 THEN N'false' END, x.[e_is_read], x.[b_is_read], N'clinic-wins', x.[r_is_read])) v (ColumnName, ClinicValue, PortalValue, BaseValue, Ruling, DecidedBy)
      WHERE x.Outcome IS NULL AND x.HasRow = 1 AND x.Found = 1 AND v.DecidedBy = 4

      INSERT INTO sync.Conflicts (TableName, RecordID, ColumnName, ClinicValue, PortalValue, BaseValue, Ruling, PortalVersion)
      SELECT N'aligner_notes', x.RecordID, NULL, NULL, c.RowData, NULL, N'deleted', c.Version
      FROM @aligner_notes x
        INNER JOIN @change c ON c.TableName = N'aligner_notes' AND c.RecordID = x.RecordID
      WHERE x.Outcome IS NULL AND x.HasRow = 1 AND x.Found = 0 AND x.Action IS NULL

      UPDATE c SET
        Outcome = COALESCE(x.Outcome, CASE
          WHEN x.HasRow = 1 AND x.Found = 1 AND (x.[r_note_text] = 4 OR x.[r_is_edited] = 4 OR x.[r_edited_at] = 4 OR x.[r_is_read] = 4) THEN N'conflict'
          WHEN x.HasRow = 1 AND x.Found = 0 AND x.Action IS NULL THEN N'conflict'
          WHEN x.Action IS NOT NULL THEN N'applied'
          ELSE N'unchanged' END),
        Code = x.Code,
        Reason = COALESCE(x.Reason, CASE
          WHEN x.HasRow = 1 AND x.Found = 1 AND (x.[r_note_text] = 4 OR x.[r_is_edited] = 4 OR x.[r_edited_at] = 4 OR x.[r_is_read] = 4) THEN STUFF(
            CASE WHEN x.[r_note_text] = 4 THEN N', note_text: clinic-wins' ELSE N'' END
            + CASE WHEN x.[r_is_edited] = 4 THEN N', is_edited: clinic-wins' ELSE N'' END
            + CASE WHEN x.[r_edited_at] = 4 THEN N', edited_at: clinic-wins' ELSE N'' END
            + CASE WHEN x.[r_is_read] = 4 THEN N', is_read: clinic-wins' ELSE N'' END, 1, 2, N'')
          WHEN x.HasRow = 1 AND x.Found = 0 AND x.Action IS NULL THEN N'the clinic does not have it any more'
          WHEN x.HasRow = 0 AND x.Found = 1 AND x.Action IS NULL THEN N'deletes do not travel from the portal: it gets the row back' END),
        -- The portal hears again what it does not have as the clinic has it; our own write has queued the row already.
        Operation = CASE
          WHEN x.Outcome IS NOT NULL OR x.Action IS NOT NULL THEN NULL
          WHEN x.HasRow = 1 AND x.Found = 0 AND x.Action IS NULL THEN N'DELETE'
          WHEN x.HasRow = 0 AND x.Found = 1 AND x.Action IS NULL THEN N'UPDATE'
          WHEN x.HasRow = 1 AND x.Found = 1 AND (x.IsSame = 0 OR x.Inexact = 1) THEN N'UPDATE' END,
        PortalValues = CASE WHEN x.HasRow = 1 THEN (SELECT x.[e_note_text] AS [note_text], x.[ev_is_edited] AS [is_edited], x.[e_edited_at] AS [edited_at],
          x.[ev_is_read] AS [is_read]
          FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES) END
      FROM @change c
        INNER JOIN @aligner_notes x ON x.RecordID = c.RecordID
      WHERE c.TableName = N'aligner_notes'
    END

    IF EXISTS (SELECT 1 FROM @change WHERE TableName = N'canary' AND Outcome IS NULL)
    BEGIN
      -- canary
      INSERT INTO @canary (RecordID, HasRow, HasBase, IsFirst, Inexact,
        [e_clinic_token], [e_portal_token], [b_portal_token])
      SELECT c.RecordID, CASE WHEN c.RowData IS NULL THEN 0 ELSE 1 END, CASE WHEN c.Base IS NULL THEN 0 ELSE 1 END,
        CASE WHEN c.Seen = 0 THEN 1 ELSE 0 END, c.Inexact,
        e.[clinic_token], e.[portal_token], b.[portal_token]
      FROM @change c
        OUTER APPLY OPENJSON(c.RowData) WITH (
          [clinic_token] nvarchar(max) '$.clinic_token', [portal_token] nvarchar(max) '$.portal_token') e
        OUTER APPLY OPENJSON(c.Base) WITH (
          [portal_token] nvarchar(max) '$.portal_token') b
      WHERE c.TableName = N'canary' AND c.Outcome IS NULL

      -- The rows are locked as for a write, all at once and without waiting. If somebody holds one of them (1222), one by one:
      -- that one is left for later. Locks that were taken stay. By key only: a scan would lock, or meet, other rows.
      SET XACT_ABORT OFF
      SET LOCK_TIMEOUT 0
      SELECT @each = 0, @from = MIN(RecordID), @to = MAX(RecordID) FROM @canary
      WHILE @from IS NOT NULL
      BEGIN
        SET @held = 0
        BEGIN TRY
          UPDATE x SET
            Found = 1,
            IsShared = 1,
            [c_portal_token] = COALESCE(REPLACE(t.[PortalToken] COLLATE Latin1_General_BIN2, NCHAR(0), N''), t.[PortalToken]),
            IsSame = CASE WHEN EXISTS (
              SELECT COALESCE(REPLACE(t.[ClinicToken] COLLATE Latin1_General_BIN2, NCHAR(0), N''), t.[ClinicToken]) COLLATE Latin1_General_BIN2,
                DATALENGTH(COALESCE(REPLACE(t.[ClinicToken] COLLATE Latin1_General_BIN2, NCHAR(0), N''), t.[ClinicToken])),
                COALESCE(REPLACE(t.[PortalToken] COLLATE Latin1_General_BIN2, NCHAR(0), N''), t.[PortalToken]) COLLATE Latin1_General_BIN2,
                DATALENGTH(COALESCE(REPLACE(t.[PortalToken] COLLATE Latin1_General_BIN2, NCHAR(0), N''), t.[PortalToken]))
              INTERSECT
              SELECT x.[e_clinic_token] COLLATE Latin1_General_BIN2, DATALENGTH(x.[e_clinic_token]),
                x.[e_portal_token] COLLATE Latin1_General_BIN2, DATALENGTH(x.[e_portal_token])) THEN 1 ELSE 0 END
          FROM @canary x
            INNER LOOP JOIN sync.[Canary] t WITH (XLOCK, ROWLOCK, FORCESEEK) ON t.[CanaryID] = x.RecordID
          WHERE x.RecordID BETWEEN @from AND @to
        END TRY
        BEGIN CATCH
          IF ERROR_NUMBER() <> 1222 THROW;
          SET @held = 1
        END CATCH
        IF @held = 0 AND @each = 0 BREAK
        IF @held = 1 AND @each = 1
          UPDATE @canary SET Outcome = N'retry', Code = N'1222', Reason = N'locked in the clinic' WHERE RecordID = @from
        SET @from = (SELECT MIN(RecordID) FROM @canary WHERE @each = 0 OR RecordID > @from)
        SELECT @to = @from, @each = 1
      END
      SET LOCK_TIMEOUT 250
      SET XACT_ABORT ON

      -- 1: equal already. 2: the doctor did not touch it. 3: the clinic did not touch it. 4: both did. 0: not shared in this row.
      UPDATE x SET
        [r_portal_token] = CASE
          WHEN x.IsShared = 0 THEN 0
          WHEN EXISTS (SELECT x.[c_portal_token] COLLATE Latin1_General_BIN2, DATALENGTH(x.[c_portal_token]) INTERSECT SELECT x.[e_portal_token] COLLATE Latin1_General_BIN2, DATALENGTH(x.[e_portal_token])) THEN 1
          WHEN x.HasBase = 1
            AND EXISTS (SELECT x.[e_portal_token] COLLATE Latin1_General_BIN2, DATALENGTH(x.[e_portal_token]) INTERSECT SELECT x.[b_portal_token] COLLATE Latin1_General_BIN2, DATALENGTH(x.[b_portal_token])) THEN 2
          WHEN x.HasBase = 1
            AND EXISTS (SELECT x.[c_portal_token] COLLATE Latin1_General_BIN2, DATALENGTH(x.[c_portal_token]) INTERSECT SELECT x.[b_portal_token] COLLATE Latin1_General_BIN2, DATALENGTH(x.[b_portal_token])) THEN 3
          ELSE 4 END
      FROM @canary x
      WHERE x.Found = 1 AND x.HasRow = 1 AND x.Outcome IS NULL

      UPDATE x SET Action = CASE
          WHEN x.HasRow = 1 AND x.Found = 1 AND (x.[r_portal_token] IN (3, 4)) THEN N'UPDATE' END
      FROM @canary x
      WHERE x.Outcome IS NULL

      -- What the clinic cannot take. Nothing of it is recorded, so that it can be replayed once it can be taken.
      UPDATE x SET Outcome = N'dead', Code = N'SYNC_BAD_VALUE',
        Reason = LEFT(N'canary/' + CONVERT(nvarchar(11), x.RecordID) + N': ' + j.Broken, 1000)
      FROM @canary x
        CROSS APPLY (SELECT CASE
          WHEN x.[r_portal_token] IN (3, 4)
            AND x.[e_portal_token] IS NULL AND COLUMNPROPERTY(OBJECT_ID(N'sync.[Canary]'), N'PortalToken', 'AllowsNull') = 0
            THEN N'portal_token must not be null'
          WHEN x.[r_portal_token] IN (3, 4)
            AND COALESCE(COL_LENGTH(N'sync.[Canary]', N'PortalToken'), 80) >= 0 AND LEN((x.[e_portal_token] + N'.') COLLATE Latin1_General_BIN2) - 1 > COALESCE(COL_LENGTH(N'sync.[Canary]', N'PortalToken'), 80) / 2
            THEN N'portal_token: longer than ' + CONVERT(nvarchar(10), COALESCE(COL_LENGTH(N'sync.[Canary]', N'PortalToken'), 80) / 2) + N' characters' END AS Broken) j
      WHERE x.Action IN (N'INSERT', N'UPDATE') AND x.Outcome IS NULL AND j.Broken IS NOT NULL

      IF EXISTS (SELECT 1 FROM @canary WHERE Action = N'UPDATE' AND Outcome IS NULL)
        UPDATE t SET
          [PortalToken] = CASE WHEN x.[r_portal_token] IN (3, 4) THEN x.[e_portal_token] ELSE t.[PortalToken] END
        FROM @canary x
          INNER LOOP JOIN sync.[Canary] t WITH (ROWLOCK) ON t.[CanaryID] = x.RecordID
        WHERE x.Action = N'UPDATE' AND x.Outcome IS NULL

      INSERT INTO sync.Conflicts (TableName, RecordID, ColumnName, ClinicValue, PortalValue, BaseValue, Ruling, PortalVersion)
      SELECT N'canary', x.RecordID, v.ColumnName, v.ClinicValue, v.PortalValue, v.BaseValue, v.Ruling, c.Version
      FROM @canary x
        INNER JOIN @change c ON c.TableName = N'canary' AND c.RecordID = x.RecordID
        CROSS APPLY (VALUES
          (N'portal_token', x.[c_portal_token], x.[e_portal_token], x.[b_portal_token], N'portal-wins', x.[r_portal_token])) v (ColumnName, ClinicValue, PortalValue, BaseValue, Ruling, DecidedBy)
      WHERE x.Outcome IS NULL AND x.HasRow = 1 AND x.Found = 1 AND v.DecidedBy = 4

      INSERT INTO sync.Conflicts (TableName, RecordID, ColumnName, ClinicValue, PortalValue, BaseValue, Ruling, PortalVersion)
      SELECT N'canary', x.RecordID, NULL, NULL, c.RowData, NULL, N'deleted', c.Version
      FROM @canary x
        INNER JOIN @change c ON c.TableName = N'canary' AND c.RecordID = x.RecordID
      WHERE x.Outcome IS NULL AND x.HasRow = 1 AND x.Found = 0 AND x.Action IS NULL

      UPDATE c SET
        Outcome = COALESCE(x.Outcome, CASE
          WHEN x.HasRow = 1 AND x.Found = 1 AND (x.[r_portal_token] = 4) THEN N'conflict'
          WHEN x.HasRow = 1 AND x.Found = 0 AND x.Action IS NULL THEN N'conflict'
          WHEN x.Action IS NOT NULL THEN N'applied'
          ELSE N'unchanged' END),
        Code = x.Code,
        Reason = COALESCE(x.Reason, CASE
          WHEN x.HasRow = 1 AND x.Found = 1 AND (x.[r_portal_token] = 4) THEN STUFF(
            CASE WHEN x.[r_portal_token] = 4 THEN N', portal_token: portal-wins' ELSE N'' END, 1, 2, N'')
          WHEN x.HasRow = 1 AND x.Found = 0 AND x.Action IS NULL THEN N'the clinic does not have it any more'
          WHEN x.HasRow = 0 AND x.Found = 1 AND x.Action IS NULL THEN N'deletes do not travel from the portal: it gets the row back' END),
        -- The portal hears again what it does not have as the clinic has it; our own write has queued the row already.
        Operation = CASE
          WHEN x.Outcome IS NOT NULL OR x.Action IS NOT NULL THEN NULL
          WHEN x.HasRow = 1 AND x.Found = 0 AND x.Action IS NULL THEN N'DELETE'
          WHEN x.HasRow = 0 AND x.Found = 1 AND x.Action IS NULL THEN N'UPDATE'
          WHEN x.HasRow = 1 AND x.Found = 1 AND (x.IsSame = 0 OR x.Inexact = 1) THEN N'UPDATE' END,
        PortalValues = CASE WHEN x.HasRow = 1 THEN (SELECT x.[e_portal_token] AS [portal_token]
          FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES) END
      FROM @change c
        INNER JOIN @canary x ON x.RecordID = c.RecordID
      WHERE c.TableName = N'canary'
    END

    UPDATE s SET SeenPortalVersion = c.Version, PortalValues = c.PortalValues
    FROM @change c INNER JOIN sync.RowState s WITH (ROWLOCK) ON s.TableName = c.TableName AND s.RecordID = c.RecordID
    WHERE c.Outcome IN (N'applied', N'unchanged', N'conflict')
    INSERT INTO sync.RowState (TableName, RecordID, SeenPortalVersion, PortalValues)
    SELECT c.TableName, c.RecordID, c.Version, c.PortalValues
    FROM @change c
    WHERE c.Outcome IN (N'applied', N'unchanged', N'conflict')
      AND NOT EXISTS (SELECT 1 FROM sync.RowState s WHERE s.TableName = c.TableName AND s.RecordID = c.RecordID)

    INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
    SELECT c.TableName, c.RecordID, c.Operation FROM @change c WHERE c.Operation IS NOT NULL ORDER BY c.Ordinal
    COMMIT TRANSACTION
  END TRY
  BEGIN CATCH
    IF XACT_STATE() <> 0 ROLLBACK TRANSACTION
    SET LOCK_TIMEOUT -1
    -- Alone in its batch, it is known which record it was. A lock, of an index or in a trigger of the clinic's: later.
    IF (SELECT COUNT(*) FROM @change) = 1 AND ERROR_NUMBER() = 1222
    BEGIN
      UPDATE @change SET Outcome = N'retry', Code = N'1222', Reason = N'locked in the clinic'
      SET @ruled = 1
    END
    -- A CHECK of the clinic's own: never. Its text holds a rule, and no value of a patient's.
    IF (SELECT COUNT(*) FROM @change) = 1 AND ERROR_NUMBER() = 547
    BEGIN
      UPDATE c SET Outcome = N'dead', Code = N'SYNC_BAD_VALUE', Reason = LEFT(c.TableName + N'/' + CONVERT(nvarchar(11), c.RecordID)
        + N': the clinic''s CHECK ' + k.name + N' refuses it: ' + k.definition, 1000)
      FROM @change c INNER JOIN sys.check_constraints k ON CHARINDEX(N'"' + k.name + N'"', ERROR_MESSAGE()) > 0
        AND k.parent_object_id = CASE c.TableName WHEN N'aligner_batches' THEN OBJECT_ID(N'dbo.[tblAlignerBatches]') WHEN N'aligner_notes' THEN OBJECT_ID(N'dbo.[tblAlignerNotes]') WHEN N'canary' THEN OBJECT_ID(N'sync.[Canary]') END
      SET @ruled = @@ROWCOUNT
    END
    IF @ruled = 0 THROW;
  END CATCH

  SELECT Ordinal, CAST(Outcome AS varchar(20)) AS Outcome, CAST(Code AS varchar(64)) AS Code, Reason FROM @change ORDER BY Ordinal

  SET LOCK_TIMEOUT -1
END
GO
