-- The clinic's own tables, as a real clinic's database has them (columns that nothing reads are left out), for tests and
-- the demo on a real engine. A real clinic has these already: this file is never part of a migration.
-- GO-separated, safe to run again. The simulator's tables (src/schema) say the same in TypeScript; keep the two equal.
-- Create the database with COLLATE Arabic_CI_AS to have the clinic's collation.

IF OBJECT_ID(N'dbo.tblpatients', N'U') IS NULL
CREATE TABLE dbo.tblpatients (
  PersonID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_tblpatients PRIMARY KEY,
  patientID nvarchar(6) NULL,
  PatientName nvarchar(255) NOT NULL,
  Phone nvarchar(255) NULL,
  FirstName nvarchar(255) NULL,
  LastName nvarchar(255) NULL,
  DateofBirth date NULL,
  Gender int NULL,
  Phone2 nvarchar(255) NULL,
  AddressID int NULL,
  DateAdded datetime2(0) NULL CONSTRAINT DF_tblpatients_DateAdded DEFAULT (SYSDATETIME()),
  Email nchar(255) NULL,
  Language tinyint NULL,
  Notes nvarchar(100) NULL,
  CountryCode nvarchar(5) NULL
)
GO

-- Babelfish stores every computed column, so it has none that depends on today.
IF SERVERPROPERTY('Babelfish') IS NULL AND COL_LENGTH(N'dbo.tblpatients', N'Age') IS NULL
EXEC (N'ALTER TABLE dbo.tblpatients ADD Age AS (DATEDIFF(year, DateofBirth, GETDATE())
  - CASE WHEN DATEADD(year, DATEDIFF(year, DateofBirth, GETDATE()), DateofBirth) > CAST(GETDATE() AS date) THEN 1 ELSE 0 END)')
GO

IF OBJECT_ID(N'dbo.tblwork', N'U') IS NULL
CREATE TABLE dbo.tblwork (
  workid int IDENTITY(1,1) NOT NULL CONSTRAINT PK_tblwork PRIMARY KEY,
  PersonID int NOT NULL CONSTRAINT FK_tblwork_tblpatients REFERENCES dbo.tblpatients (PersonID),
  TotalRequired int NOT NULL,
  Currency nvarchar(255) NULL,
  Typeofwork int NOT NULL,
  Notes nvarchar(255) NULL,
  AdditionDate datetime2(0) NULL CONSTRAINT DF_tblwork_AdditionDate DEFAULT (SYSDATETIME()),
  StartDate date NULL,
  DebondDate date NULL,
  DrID int NOT NULL,
  Status tinyint NOT NULL CONSTRAINT DF_tblwork_Status DEFAULT (1),
  Discount int NULL
)
GO

IF OBJECT_ID(N'dbo.AlignerDoctors', N'U') IS NULL
CREATE TABLE dbo.AlignerDoctors (
  DrID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_AlignerDoctors PRIMARY KEY,
  DoctorName nvarchar(100) NOT NULL,
  DoctorEmail nvarchar(255) NULL,
  LogoPath nvarchar(100) NULL
)
GO

IF OBJECT_ID(N'dbo.tblAlignerSets', N'U') IS NULL
CREATE TABLE dbo.tblAlignerSets (
  AlignerSetID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_tblAlignerSets PRIMARY KEY,
  WorkID int NOT NULL CONSTRAINT FK_tblAlignerSets_tblwork REFERENCES dbo.tblwork (workid),
  SetSequence int NULL,
  Type nvarchar(50) NULL,
  UpperAlignersCount int NULL,
  LowerAlignersCount int NULL,
  RemainingUpperAligners int NULL,
  RemainingLowerAligners int NULL,
  CreationDate date NULL CONSTRAINT DF_tblAlignerSets_CreationDate DEFAULT (GETDATE()),
  Days int NULL,
  IsActive bit NULL CONSTRAINT DF_tblAlignerSets_IsActive DEFAULT (1),
  Notes nvarchar(255) NULL,
  FolderPath nvarchar(255) NULL,
  AlignerDrID int NOT NULL CONSTRAINT FK_tblAlignerSets_AlignerDoctors REFERENCES dbo.AlignerDoctors (DrID),
  SetUrl nvarchar(2000) NULL,
  SetPdfUrl nvarchar(2000) NULL,
  SetVideo nvarchar(2000) NULL,
  SetCost decimal(10,2) NULL,
  Currency nvarchar(3) NULL,
  PdfUploadedAt datetime NULL,
  PdfUploadedBy nvarchar(255) NULL,
  DriveFileId nvarchar(255) NULL,
  ArchformID int NULL,
  CONSTRAINT UQ_tblAlignerSets_WorkID_SetSequence UNIQUE (WorkID, SetSequence)
)
GO

-- ValidityPeriod: the larger jaw's aligners, those that a template stands for left out, but never fewer than none, times Days.
-- BatchExpiryDate repeats it: a computed column may not refer to another.
IF OBJECT_ID(N'dbo.tblAlignerBatches', N'U') IS NULL
CREATE TABLE dbo.tblAlignerBatches (
  AlignerBatchID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_tblAlignerBatches PRIMARY KEY,
  AlignerSetID int NOT NULL CONSTRAINT FK_tblAlignerBatches_tblAlignerSets REFERENCES dbo.tblAlignerSets (AlignerSetID) ON DELETE CASCADE,
  BatchSequence int NOT NULL,
  UpperAlignerCount int NOT NULL,
  LowerAlignerCount int NOT NULL,
  UpperAlignerStartSequence int NULL,
  LowerAlignerStartSequence int NULL,
  UpperAlignerEndSequence AS (CASE WHEN UpperAlignerStartSequence IS NOT NULL AND UpperAlignerCount > 0
    THEN UpperAlignerStartSequence + UpperAlignerCount - 1 END) PERSISTED,
  LowerAlignerEndSequence AS (CASE WHEN LowerAlignerStartSequence IS NOT NULL AND LowerAlignerCount > 0
    THEN LowerAlignerStartSequence + LowerAlignerCount - 1 END) PERSISTED,
  ManufactureDate date NULL,
  DeliveredToPatientDate date NULL,
  Days int NULL,
  ValidityPeriod AS (CASE
    WHEN UpperAlignerCount - CONVERT(int, HasUpperTemplate) > 0
      AND UpperAlignerCount - CONVERT(int, HasUpperTemplate) >= LowerAlignerCount - CONVERT(int, HasLowerTemplate)
      THEN (UpperAlignerCount - CONVERT(int, HasUpperTemplate)) * Days
    WHEN LowerAlignerCount - CONVERT(int, HasLowerTemplate) > 0
      THEN (LowerAlignerCount - CONVERT(int, HasLowerTemplate)) * Days
    ELSE 0 * Days END),
  BatchExpiryDate AS (DATEADD(day, CASE
    WHEN UpperAlignerCount - CONVERT(int, HasUpperTemplate) > 0
      AND UpperAlignerCount - CONVERT(int, HasUpperTemplate) >= LowerAlignerCount - CONVERT(int, HasLowerTemplate)
      THEN (UpperAlignerCount - CONVERT(int, HasUpperTemplate)) * Days
    WHEN LowerAlignerCount - CONVERT(int, HasLowerTemplate) > 0
      THEN (LowerAlignerCount - CONVERT(int, HasLowerTemplate)) * Days
    ELSE 0 * Days END, DeliveredToPatientDate)),
  Notes nvarchar(255) NULL,
  IsActive bit NULL CONSTRAINT DF_tblAlignerBatches_IsActive DEFAULT (0),
  IsLast bit NOT NULL CONSTRAINT DF_tblAlignerBatches_IsLast DEFAULT (0),
  HasUpperTemplate bit NOT NULL CONSTRAINT DF_tblAlignerBatches_HasUpperTemplate DEFAULT (0),
  HasLowerTemplate bit NOT NULL CONSTRAINT DF_tblAlignerBatches_HasLowerTemplate DEFAULT (0),
  CreationDate datetime NOT NULL CONSTRAINT DF_tblAlignerBatches_CreationDate DEFAULT (GETDATE()),
  CONSTRAINT UQ_tblAlignerBatches_AlignerSetID_BatchSequence UNIQUE (AlignerSetID, BatchSequence)
)
GO

IF OBJECT_ID(N'dbo.tblAlignerNotes', N'U') IS NULL
CREATE TABLE dbo.tblAlignerNotes (
  NoteID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_tblAlignerNotes PRIMARY KEY,
  AlignerSetID int NOT NULL CONSTRAINT FK_tblAlignerNotes_tblAlignerSets REFERENCES dbo.tblAlignerSets (AlignerSetID) ON DELETE CASCADE,
  NoteType varchar(20) NOT NULL CONSTRAINT CK_tblAlignerNotes_NoteType CHECK (NoteType IN ('Lab', 'Doctor')),
  NoteText nvarchar(max) NOT NULL,
  CreatedAt datetime NULL CONSTRAINT DF_tblAlignerNotes_CreatedAt DEFAULT (GETDATE()),
  IsEdited bit NULL CONSTRAINT DF_tblAlignerNotes_IsEdited DEFAULT (0),
  EditedAt datetime NULL,
  IsRead bit NOT NULL CONSTRAINT DF_tblAlignerNotes_IsRead DEFAULT (0)
)
GO

-- System-versioned in the clinic, which changes nothing for its readers and writers.
IF OBJECT_ID(N'dbo.tblInvoice', N'U') IS NULL
CREATE TABLE dbo.tblInvoice (
  invoiceID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_tblInvoice PRIMARY KEY,
  workid int NULL CONSTRAINT FK_tblInvoice_tblwork REFERENCES dbo.tblwork (workid),
  AlignerSetID int NULL CONSTRAINT FK_tblInvoice_tblAlignerSets REFERENCES dbo.tblAlignerSets (AlignerSetID),
  Amountpaid int NOT NULL,
  Dateofpayment date NULL CONSTRAINT DF_tblInvoice_Dateofpayment DEFAULT (GETDATE())
)
GO

IF OBJECT_ID(N'dbo.tblAlignerActivityFlags', N'U') IS NULL
CREATE TABLE dbo.tblAlignerActivityFlags (
  ActivityID int IDENTITY(1,1) NOT NULL CONSTRAINT PK_tblAlignerActivityFlags PRIMARY KEY,
  AlignerSetID int NOT NULL,
  ActivityType nvarchar(50) NOT NULL,
  RelatedRecordID int NULL,
  CreatedAt datetime NOT NULL CONSTRAINT DF_tblAlignerActivityFlags_CreatedAt DEFAULT (GETDATE()),
  IsRead bit NOT NULL CONSTRAINT DF_tblAlignerActivityFlags_IsRead DEFAULT (0)
)
GO

IF OBJECT_ID(N'dbo.vw_AlignerSetPayments', N'V') IS NOT NULL DROP VIEW dbo.vw_AlignerSetPayments
GO
CREATE VIEW dbo.vw_AlignerSetPayments AS
SELECT s.AlignerSetID,
  CAST(COALESCE(p.TotalPaid, 0) AS decimal(10,2)) AS TotalPaid,
  CAST(s.SetCost - COALESCE(p.TotalPaid, 0) AS decimal(10,2)) AS Balance,
  CAST(CASE
    WHEN s.SetCost IS NULL OR s.SetCost = 0 THEN N'No Cost Set'
    WHEN COALESCE(p.TotalPaid, 0) = 0 THEN N'Unpaid'
    WHEN p.TotalPaid < s.SetCost THEN N'Partial'
    ELSE N'Paid' END AS nvarchar(20)) AS PaymentStatus
FROM dbo.tblAlignerSets s
LEFT JOIN (SELECT i.AlignerSetID, SUM(CAST(i.Amountpaid AS decimal(18,0))) AS TotalPaid
  FROM dbo.tblInvoice i WHERE i.AlignerSetID IS NOT NULL GROUP BY i.AlignerSetID) p ON p.AlignerSetID = s.AlignerSetID
GO

-- A trigger of the clinic's own: staff see that a batch's days changed. Others live beside it on these tables.
IF OBJECT_ID(N'dbo.trg_AlignerBatches_DaysActivity', N'TR') IS NOT NULL DROP TRIGGER dbo.trg_AlignerBatches_DaysActivity
GO
CREATE TRIGGER dbo.trg_AlignerBatches_DaysActivity ON dbo.tblAlignerBatches AFTER UPDATE AS
BEGIN
  SET NOCOUNT ON
  INSERT INTO dbo.tblAlignerActivityFlags (AlignerSetID, ActivityType, RelatedRecordID)
  SELECT i.AlignerSetID, N'DaysChanged', i.AlignerBatchID
  FROM inserted i INNER JOIN deleted d ON d.AlignerBatchID = i.AlignerBatchID
  WHERE COALESCE(i.Days, -2147483648) <> COALESCE(d.Days, -2147483648)
END
GO
