import { syncsBack } from '../tables/index.ts'
import type { Table } from '../types.ts'
import { applyPortalChanges, assertApplicable } from './applying-changes.ts'
import { insertRows } from './applying-insert.ts'
import { script } from './text.ts'

const ABOUT = `-- The way back: the clinic rules on what doctors changed in the portal. Safe to run again.
-- The rules are those of docs/protocol.md, "Applying, portal → clinic".`

/** Every value that was overwritten or refused, and why. Kept for ever: it is the record of what a person wrote. */
const CONFLICTS = `IF OBJECT_ID(N'sync.Conflicts', N'U') IS NULL
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
  CREATE INDEX IX_Conflicts_Record ON sync.Conflicts (TableName, RecordID)`

/** Migration 05: `sync.ApplyPortalChanges` and what it needs, for those of `mapped` that sync back. */
export function applyingScript(mapped: readonly Table[]): string {
  const back = mapped.filter(syncsBack)
  for (const table of back) assertApplicable(table)
  return script(ABOUT, [
    CONFLICTS,
    ...back.filter(({ portalInserts }) => portalInserts).map(insertRows),
    applyPortalChanges(back),
  ])
}
