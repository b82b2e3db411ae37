import { sharedColumns } from '../tables/index.ts'
import type { Column, Table } from '../types.ts'
import { batchOf, insertedColumns, lines } from './applying-batch.ts'
import { isText, variable, wire } from './applying-column.ts'
import { writes } from './applying-rules.ts'
import { wrap } from './row.ts'
import { inClinic, literal, name } from './text.ts'

const BOTH = 'x.HasRow = 1 AND x.Found = 1'
/** A doctor's edit of a record that the clinic has deleted. */
const GONE = 'x.HasRow = 1 AND x.Found = 0 AND x.Action IS NULL'
/** A doctor's delete that is ruled against. */
const RESTORED = 'x.HasRow = 0 AND x.Found = 1 AND x.Action IS NULL'

/** The procedure that inserts a table's new rows under the portal's keys. */
export const insertProcedure = (table: Table) => `sync.${name(`Insert_${table.name}`)}`

/** What the rules decided, written: one statement a kind, so that the clinic's own triggers fire once. */
export function writeRows(table: Table): string {
  return [
    ...(table.deletes.portal === 'propagate' ? [deletes(table)] : []),
    updates(table),
    ...(table.portalInserts ? [inserts(table)] : []),
  ].join('\n\n')
}

/** Row by row by key. (FORCESEEK is not for the target of a write.) */
const joined = (table: Table) => `FROM ${batchOf(table)} x
    INNER LOOP JOIN ${inClinic(table)} t WITH (ROWLOCK) ON t.${name(table.key.clinic)} = x.RecordID`

/** A statement that has nothing to do would fire the clinic's triggers all the same. */
const ifAny = (table: Table, action: string, statement: string) =>
  `IF EXISTS (SELECT 1 FROM ${batchOf(table)} WHERE Action = N'${action}' AND Outcome IS NULL)\n  ${statement}`

const deletes = (table: Table) =>
  ifAny(table, 'DELETE', `DELETE t\n  ${joined(table)}\n  WHERE x.Action = N'DELETE' AND x.Outcome IS NULL`)

const updates = (table: Table) =>
  ifAny(
    table,
    'UPDATE',
    `UPDATE t SET
    ${lines(sharedColumns(table).map(assigned), 4)}
  ${joined(table)}
  WHERE x.Action = N'UPDATE' AND x.Outcome IS NULL`,
  )

function assigned(column: Column): string {
  const target = name(column.clinic)
  const value = `x.${variable('ev', column)}`
  return `${target} = CASE WHEN ${writes(column)} THEN ${value} ELSE t.${target} END`
}

function inserts(table: Table): string {
  const [key, ...columns] = insertedColumns(table)
  if (key === undefined) throw new Error(`${table.name} has no key`)
  return `SET @rows = (
  SELECT x.RecordID AS ${name(key.name)},
    ${wrap(columns.map((column) => `x.${variable('e', column)} AS ${name(column.name)}`))}
  FROM ${batchOf(table)} x
  WHERE x.Action = N'INSERT' AND x.Outcome IS NULL
  FOR JSON PATH, INCLUDE_NULL_VALUES)
IF @rows IS NOT NULL EXEC ${insertProcedure(table)} @rows`
}

/** The log of conflicts: what lost against what, column by column, or the whole row. */
export function logConflicts(table: Table): string {
  const columns = 'TableName, RecordID, ColumnName, ClinicValue, PortalValue, BaseValue, Ruling, PortalVersion'
  const insert = (values: string, from: string, where: string) => `INSERT INTO sync.Conflicts (${columns})
SELECT ${literal(table.name)}, x.RecordID, ${values}, c.Version
FROM ${batchOf(table)} x
  INNER JOIN @change c ON c.TableName = ${literal(table.name)} AND c.RecordID = x.RecordID${from}
WHERE x.Outcome IS NULL AND ${where}`
  const logged = sharedColumns(table).map((column) => {
    const clinic = `x.${variable('c', column)}`
    return `(${literal(column.name)}, ${isText(column) ? clinic : wire(column, clinic)}, x.${variable('e', column)}, x.${variable('b', column)}, N'${column.policy}', x.${variable('r', column)})`
  })
  return [
    insert(
      'v.ColumnName, v.ClinicValue, v.PortalValue, v.BaseValue, v.Ruling',
      `
  CROSS APPLY (VALUES
    ${lines(logged, 4)}) v (ColumnName, ClinicValue, PortalValue, BaseValue, Ruling, DecidedBy)`,
      `${BOTH} AND v.DecidedBy = 4`,
    ),
    insert("NULL, NULL, c.RowData, NULL, N'deleted'", '', GONE),
    ...(table.deletes.portal === 'propagate'
      ? [insert("NULL, x.ClinicRow, NULL, NULL, N'clinic-wins'", '', RESTORED)]
      : []),
  ].join('\n\n')
}

/** What the portal reported, as it travels; in PortalValues a number is a number. */
const reported = (column: Column) =>
  `x.${variable(column.type === 'int' || column.type === 'boolean' ? 'ev' : 'e', column)} AS ${name(column.name)}`

/** Outcomes, what the clinic now knows of the portal's row, and what the portal has to hear again. */
export function reportRows(table: Table): string {
  const shared = sharedColumns(table)
  const propagates = table.deletes.portal === 'propagate'
  const conflicting = `${BOTH} AND (${shared.map((column) => `x.${variable('r', column)} = 4`).join(' OR ')})`
  const named = shared.map(
    (column) =>
      `CASE WHEN x.${variable('r', column)} = 4 THEN ${literal(`, ${column.name}: ${column.policy}`)} ELSE N'' END`,
  )
  const restored = propagates
    ? "the portal's delete met a row of the clinic: it gets the row back"
    : 'deletes do not travel from the portal: it gets the row back'
  return `UPDATE c SET
  Outcome = COALESCE(x.Outcome, CASE
    WHEN ${conflicting} THEN N'conflict'
    WHEN ${GONE} THEN N'conflict'${propagates ? `\n    WHEN ${RESTORED} THEN N'conflict'` : ''}
    WHEN x.Action IS NOT NULL THEN N'applied'
    ELSE N'unchanged' END),
  Code = x.Code,
  Reason = COALESCE(x.Reason, CASE
    WHEN ${conflicting} THEN STUFF(
      ${named.join('\n      + ')}, 1, 2, N'')
    WHEN ${GONE} THEN N'the clinic does not have it any more'
    WHEN ${RESTORED} THEN ${literal(restored)} END),
  -- The portal hears again what it does not have as the clinic has it; our own write has queued the row already.
  Operation = CASE
    WHEN x.Outcome IS NOT NULL OR x.Action IS NOT NULL THEN NULL
    WHEN ${GONE} THEN N'DELETE'
    WHEN ${RESTORED} THEN N'UPDATE'
    WHEN ${BOTH} AND (x.IsSame = 0 OR x.Inexact = 1) THEN N'UPDATE' END,
  PortalValues = CASE WHEN x.HasRow = 1 THEN (SELECT ${wrap(shared.map(reported))}
    FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES) END
FROM @change c
  INNER JOIN ${batchOf(table)} x ON x.RecordID = c.RecordID
WHERE c.TableName = ${literal(table.name)}`
}
