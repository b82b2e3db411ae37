import { createHash } from 'node:crypto'
import { syncedTables, tables } from '../tables/index.ts'
import type { Source, Table } from '../types.ts'
import { comparedColumns } from './row.ts'
import { type Ancestor, broughtBy } from './scope.ts'
import { canaryTable } from './canary.ts'
import { inClinic, indent, literal, name, schemaOf, script } from './text.ts'

/** The trigger of the clinic's table of that name. */
export const triggerName = (clinicTable: string) => `trg_sync_${clinicTable}`

/** What one of the clinic's tables is watched for. */
export interface Watched {
  readonly schema: 'dbo' | 'sync'
  readonly clinicTable: string
  /** The record that a row of it is. */
  readonly own: Table | null
  /** Records that are computed from it. */
  readonly derived: readonly { readonly table: Table; readonly source: Source }[]
}

/** Every table that has a capture trigger, in the order of the mapping. Without an argument those of the clinic's own. */
export function watchedTables(mapped: readonly Table[] = tables): Watched[] {
  const names = new Set(
    mapped.flatMap((table) => (table.clinicIsView ? table.sources.map((s) => s.table) : [table.clinic])),
  )
  return [...names].map((clinicTable) => {
    const own = mapped.find((table) => !table.clinicIsView && table.clinic === clinicTable) ?? null
    return {
      schema: own === null ? 'dbo' : schemaOf(own),
      clinicTable,
      own,
      derived: mapped.flatMap((table) =>
        table.sources.filter((source) => source.table === clinicTable).map((source) => ({ table, source })),
      ),
    }
  })
}

/** Every capture trigger on the clinic's tables with the table that it is on, and its checksum as sync.Inspect gives it (`definition:…`). */
export function captureTriggers(): { table: string; trigger: string; checksum: string }[] {
  return watchedTables().map((watched) => ({
    table: watched.clinicTable,
    trigger: triggerName(watched.clinicTable),
    checksum: definitionChecksum(definition(watched)),
  }))
}

/** SHA-256, lower-case hex, of T-SQL in UTF-16LE without line ends, blanks and tabs, which editors change. */
const definitionChecksum = (sql: string) =>
  createHash('sha256')
    .update(Buffer.from(sql.replace(/[\r\n \t]/g, ''), 'utf16le'))
    .digest('hex')

/** Migration 02: the triggers that write the outbox. */
export function captureScript(): string {
  const about = `-- The capture triggers: each writes into dbo.SyncQueue which records an INSERT, UPDATE or DELETE really changed, in the
-- user's own transaction. Safe to run again. Each trigger is replaced in a transaction of its own, so that no change is missed.`
  return script(about, [canaryTable(), ...watchedTables(syncedTables).map(captureTrigger)])
}

/** The batches that put a table's capture trigger in place of the one before it. */
export function captureTrigger(watched: Watched): string {
  const full = fullName(watched)
  return `BEGIN TRANSACTION
GO
IF OBJECT_ID(${literal(full)}, N'TR') IS NOT NULL DROP TRIGGER ${full}
GO
${definition(watched)}
GO
-- If the trigger could not be made, the one before it stays.
IF @@TRANCOUNT > 0
BEGIN
  IF OBJECT_ID(${literal(full)}, N'TR') IS NOT NULL COMMIT TRANSACTION
  ELSE ROLLBACK TRANSACTION
END`
}

const fullName = ({ schema, clinicTable }: Watched) => `${schema}.${name(triggerName(clinicTable))}`

/** A trigger's batch, which is what OBJECT_DEFINITION gives. ASCII only: an editor may save the file in a code page. */
function definition(watched: Watched): string {
  const { schema, clinicTable, own, derived } = watched
  const deletes = own === null || own.deletes.clinic === 'propagate' || derived.length > 0
  const brought = own === null ? [] : broughtBy(own)
  const parts = [
    ...brought.map((ancestor, i) => enteringAncestors(own as Table, ancestor, i)),
    ...(own === null ? [] : [changedRows(own, brought.length)]),
    ...derived.map(({ table, source }, i) => derivedRecords(table, source, brought.length + 2 + i)),
    ...(own?.deletes.clinic === 'propagate' ? [deletedRows(own, brought.length + 2 + derived.length)] : []),
  ]
  return `CREATE TRIGGER ${fullName(watched)} ON ${schema}.${name(clinicTable)} AFTER INSERT, UPDATE${deletes ? ', DELETE' : ''} AS
BEGIN
  IF NOT EXISTS (SELECT 1 FROM inserted)${deletes ? ' AND NOT EXISTS (SELECT 1 FROM deleted)' : ''} RETURN
  SET NOCOUNT ON
  -- A session that limits its statements with SET ROWCOUNT must not limit this; with it a sequence gives no numbers (11739).
  SET ROWCOUNT 0
  DECLARE @changed TABLE (Turn int NOT NULL, TableName nvarchar(100) NOT NULL, RecordID int NOT NULL, Operation nvarchar(20) NOT NULL)

  ${indent(parts.join('\n\n'), 2).replaceAll(/[ ]+$/gm, '')}

  -- No TRY around this, and nothing that could be left out of it: where the outbox cannot be written, the user's statement fails
  -- (and, as of any error in a trigger, their transaction with it). A change that passed without it would be lost, unseen.
  IF EXISTS (SELECT 1 FROM @changed)
    INSERT INTO dbo.SyncQueue (TableName, RecordID, Operation)
    SELECT TableName, RecordID, Operation FROM @changed ORDER BY Turn, RecordID
END`
}

function changedRows(table: Table, turn: number): string {
  const key = name(table.key.clinic)
  return `INSERT INTO @changed (Turn, TableName, RecordID, Operation)
SELECT ${turn}, ${literal(table.name)}, i.${key}, CASE WHEN d.${key} IS NULL THEN N'INSERT' ELSE N'UPDATE' END
FROM inserted i LEFT JOIN deleted d ON d.${key} = i.${key}
WHERE d.${key} IS NULL OR EXISTS (
  SELECT ${comparedColumns('i', table.columns)}
  EXCEPT
  SELECT ${comparedColumns('d', table.columns)})`
}

function deletedRows(table: Table, turn: number): string {
  const key = name(table.key.clinic)
  return `INSERT INTO @changed (Turn, TableName, RecordID, Operation)
SELECT ${turn}, ${literal(table.name)}, d.${key}, N'DELETE'
FROM deleted d LEFT JOIN inserted i ON i.${key} = d.${key}
WHERE i.${key} IS NULL`
}

/** A new row, and one that now refers to another parent, brings along what the portal has only for its sake. */
function enteringAncestors(child: Table, { table, path }: Ancestor, turn: number): string {
  const [first, ...further] = path
  if (first === undefined) throw new Error('an ancestor without a path')
  const childKey = name(child.key.clinic)
  let reference = `i.${name(first.column)}`
  const joins = further.map(({ from, column }, i) => {
    const join = `INNER JOIN ${inClinic(from)} a${i} ON a${i}.${name(from.key.clinic)} = ${reference}`
    reference = `a${i}.${name(column)}`
    return `\n${join}`
  })
  return `-- Comes into the portal with the row that refers to it, and must be there first.
INSERT INTO @changed (Turn, TableName, RecordID, Operation)
SELECT DISTINCT ${turn}, ${literal(table.name)}, ${reference}, N'UPDATE'
FROM inserted i LEFT JOIN deleted d ON d.${childKey} = i.${childKey}${joins.join('')}
WHERE (d.${childKey} IS NULL OR NOT EXISTS (SELECT i.${name(first.column)} INTERSECT SELECT d.${name(first.column)}))
  AND ${reference} IS NOT NULL`
}

/**
 * Records computed from these rows: those for which the rows before and after differ. Rows are counted rather than
 * matched by a key, which also finds a row that moves from one record to another.
 */
function derivedRecords(table: Table, source: Source, turn: number): string {
  const key = name(source.key)
  const columns = source.columns.map((column, i) => ({ as: `c${i}`, value: comparedColumns('x', [column]) }))
  const grouped = (from: string) => `SELECT k, ${columns.map(({ as }) => as).join(', ')}, COUNT(*) AS n
    FROM (SELECT x.${key} AS k, ${columns.map(({ as, value }) => `${value} AS ${as}`).join(', ')}
      FROM ${from} x WHERE x.${key} IS NOT NULL) g
    GROUP BY k, ${columns.map(({ as }) => as).join(', ')}`
  return `INSERT INTO @changed (Turn, TableName, RecordID, Operation)
SELECT ${turn}, ${literal(table.name)}, c.k, N'UPDATE'
FROM (
  SELECT k FROM (
    ${grouped('inserted')}
    EXCEPT
    ${grouped('deleted')}) a
  UNION
  SELECT k FROM (
    ${grouped('deleted')}
    EXCEPT
    ${grouped('inserted')}) b) c`
}
