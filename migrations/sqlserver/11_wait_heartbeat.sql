-- Who waits in sync.AwaitTransaction is told every @BeatMs that it still waits, by a message from within the one request: so a
-- connection on which nothing arrives any more is noticed, without a query. Replaces the procedure of 06, which it needs; callers
-- that give no @BeatMs wait as before. Safe to run again.

SET ANSI_NULLS, ANSI_PADDING, ANSI_WARNINGS, ARITHABORT, CONCAT_NULL_YIELDS_NULL, QUOTED_IDENTIFIER ON
SET NUMERIC_ROUNDABORT OFF
SET NOCOUNT ON
SET XACT_ABORT ON
GO

IF OBJECT_ID(N'sync.AwaitTransaction', N'P') IS NULL
BEGIN
  RAISERROR (N'The doorbells are not installed: run 06_doorbells.sql first.', 16, 1)
  SET NOEXEC ON
END
GO

ALTER PROCEDURE sync.AwaitTransaction @QueueID bigint, @BeatMs int = NULL AS
BEGIN
  -- Returns once the transaction that wrote that row has ended, however long it takes: one read that waits for the row's lock.
  -- @BeatMs: how often it says that it still waits, at least (SET LOCK_TIMEOUT takes no variable); NULL: it does not.
  SET NOCOUNT ON
  SET TRANSACTION ISOLATION LEVEL READ COMMITTED
  -- A transaction that comes to need a lock on the row's whole page deadlocks with who waits here: it goes on, and this waits anew.
  SET DEADLOCK_PRIORITY LOW
  DECLARE @rows int

  IF @QueueID IS NULL
  BEGIN;
    THROW 51200, N'sync.AwaitTransaction: @QueueID is missing', 1;
  END
  IF @BeatMs < 1
  BEGIN;
    THROW 51200, N'sync.AwaitTransaction: @BeatMs is below 1', 1;
  END

  IF @BeatMs IS NULL SET LOCK_TIMEOUT -1
  ELSE IF @BeatMs >= 10000 SET LOCK_TIMEOUT 10000
  ELSE IF @BeatMs >= 1000 SET LOCK_TIMEOUT 1000
  ELSE SET LOCK_TIMEOUT 50

  WHILE @rows IS NULL
  BEGIN
    BEGIN TRY
      SELECT @rows = COUNT(*) FROM dbo.SyncQueue WITH (READCOMMITTEDLOCK) WHERE QueueID = @QueueID
    END TRY
    BEGIN CATCH
      IF ERROR_NUMBER() NOT IN (1205, 1222) THROW;
      IF ERROR_NUMBER() = 1222 RAISERROR (N'sync.AwaitTransaction: still waiting', 0, 1) WITH NOWAIT
    END CATCH
  END

  SELECT CAST(1 AS bit) AS Ended
END
GO
SET NOEXEC OFF
GO
