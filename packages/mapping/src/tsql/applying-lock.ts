import { sharedColumns } from '../tables/index.ts'
import type { Table } from '../types.ts'
import { batchOf, lines, referencesOf } from './applying-batch.ts'
import { clinicText, comparedInFull, isText, sharedCondition, variable } from './applying-column.ts'
import { rowAsJson, wrap } from './row.ts'
import { inClinic, indent, name } from './text.ts'

/**
 * Locks the clinic's rows, and reads them. A locked row is held up by itself: the sync waits for nobody's transaction, and
 * a write that follows waits for nobody's rows. XLOCK rather than UPDLOCK, since a reader that keeps its lock (REPEATABLE
 * READ, a slow client) would otherwise stop the write, and with it the whole batch, half-way.
 */
export function lockRows(table: Table): string {
  const batch = batchOf(table)
  const parents = table.portalInserts ? referencesOf(table) : []
  return `-- The rows are locked as for a write, all at once and without waiting. If somebody holds one of them (1222), one by one:
-- that one is left for later. Locks that were taken stay. By key only: a scan would lock, or meet, other rows.
SET XACT_ABORT OFF
SET LOCK_TIMEOUT 0
SELECT @each = 0, @from = MIN(RecordID), @to = MAX(RecordID) FROM ${batch}
WHILE @from IS NOT NULL
BEGIN
  SET @held = 0
  BEGIN TRY
    ${[lockRow(table), ...parents.map((parent) => lockParent(table, parent))].map((text) => indent(text, 4)).join('\n\n    ')}
  END TRY
  BEGIN CATCH
    IF ERROR_NUMBER() <> 1222 THROW;
    SET @held = 1
  END CATCH
  IF @held = 0 AND @each = 0 BREAK
  IF @held = 1 AND @each = 1
    UPDATE ${batch} SET Outcome = N'retry', Code = N'1222', Reason = N'locked in the clinic' WHERE RecordID = @from
  SET @from = (SELECT MIN(RecordID) FROM ${batch} WHERE @each = 0 OR RecordID > @from)
  SELECT @to = @from, @each = 1
END
SET LOCK_TIMEOUT 250
SET XACT_ABORT ON`
}

function lockRow(table: Table): string {
  const shared = sharedCondition(table, 't')
  const compared = table.columns.map(comparedInFull)
  const sets = [
    'Found = 1',
    `IsShared = ${shared === null ? '1' : `CASE WHEN ${shared} THEN 1 ELSE 0 END`}`,
    ...sharedColumns(table).map(
      (column) => `${variable('c', column)} = ${isText(column) ? clinicText(column) : `t.${name(column.clinic)}`}`,
    ),
    ...(table.deletes.portal === 'propagate' ? [`ClinicRow = ${indent(rowAsJson(table), 2)}`] : []),
    `IsSame = CASE WHEN EXISTS (
    SELECT ${wrap(
      compared.flatMap(({ clinic }) => clinic),
      6,
    )}
    INTERSECT
    SELECT ${wrap(
      compared.flatMap(({ event }) => event),
      6,
    )}) THEN 1 ELSE 0 END`,
  ]
  return `UPDATE x SET
  ${lines(sets)}
FROM ${batchOf(table)} x
  INNER LOOP JOIN ${inClinic(table)} t WITH (XLOCK, ROWLOCK, FORCESEEK) ON t.${name(table.key.clinic)} = x.RecordID
WHERE x.RecordID BETWEEN @from AND @to`
}

/** A parent stays locked against its deletion, as by the foreign key's own check, until the new row is there. */
function lockParent(table: Table, { column, parent }: ReturnType<typeof referencesOf>[number]): string {
  return `UPDATE x SET ${variable('p', column)} = 1
FROM ${batchOf(table)} x
  INNER LOOP JOIN ${inClinic(parent)} t WITH (REPEATABLEREAD, ROWLOCK, FORCESEEK) ON t.${name(parent.key.clinic)} = x.${variable('ev', column)}
WHERE x.RecordID BETWEEN @from AND @to AND x.Found = 0 AND x.HasRow = 1 AND x.IsFirst = 1 AND x.RecordID < 0`
}
