/** The original system's side of the clinic, as far as it is known: its outbox, what writes into it, and what rings for it. */

/** Its table: an IDENTITY, and columns that may be empty. */
export const ORIGINAL = `CREATE TABLE dbo.SyncQueue (
  QueueID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_SyncQueue PRIMARY KEY,
  TableName nvarchar(100) NULL,
  RecordID int NULL,
  Operation nvarchar(50) NULL,
  JsonData nvarchar(max) NULL,
  Status nvarchar(50) NULL CONSTRAINT DF_SyncQueue_Status DEFAULT (N'Pending'),
  CreatedAt datetime NULL CONSTRAINT DF_SyncQueue_CreatedAt DEFAULT (GETDATE()),
  Attempts int NULL CONSTRAINT DF_SyncQueue_Attempts DEFAULT (0),
  LastAttempt datetime NULL,
  LastError nvarchar(max) NULL)`

/** Its capture triggers, one of which has the name of ours, and its doorbell, which here notes that it was rung. */
export const ORIGINAL_TRIGGERS = [
  'CREATE TABLE dbo.Rung (At datetime2(3) NOT NULL)',
  `CREATE PROCEDURE dbo.sp_NotifyAppOfSync AS
BEGIN
  SET NOCOUNT ON
  INSERT INTO dbo.Rung (At) VALUES (SYSDATETIME())
END`,
  `CREATE TRIGGER dbo.trg_SyncQueue_NotifyApp ON dbo.SyncQueue AFTER INSERT AS
BEGIN
  SET NOCOUNT ON
  EXEC dbo.sp_NotifyAppOfSync
END`,
  `CREATE TRIGGER dbo.trg_Patients_Sync ON dbo.tblpatients AFTER INSERT, UPDATE AS
BEGIN
  SET NOCOUNT ON
  INSERT INTO SyncQueue (TableName, RecordID, Operation, JsonData, Status)
  SELECT 'patients', i.PersonID, CASE WHEN EXISTS (SELECT 1 FROM deleted) THEN 'UPDATE' ELSE 'INSERT' END, NULL, 'Pending'
  FROM inserted i
END`,
  `CREATE TRIGGER dbo.trg_sync_tblwork ON dbo.tblwork AFTER INSERT, UPDATE AS
BEGIN
  SET NOCOUNT ON
  INSERT INTO SyncQueue (TableName, RecordID, Operation) SELECT 'work', i.workid, 'UPDATE' FROM inserted i
END`,
] as const

/** What its application does once it has brought over a row. */
export const settledByTheOriginal = (queueId: number) =>
  `UPDATE SyncQueue SET Status = 'Synced', LastAttempt = GETDATE(), Attempts = Attempts + 1 WHERE QueueID = ${queueId}`
