import type { ColumnDefinition } from '../engine/definition.ts'
import type { AddedCheck, Table } from '../engine/table.ts'
import { NO_RESULT, type Result, type Work } from '../engine/work.ts'
import { conflict } from '../engine/write.ts'
import type { StatementOf } from '../sql/ast.ts'
import { SqlError, unsupported } from '../values/errors.ts'
import { isText, MAX } from '../values/types.ts'
import { compileCondition } from './conditions.ts'
import { Scope } from './scope.ts'

/** Adds a CHECK; rows that are there must hold it. @throws SqlError 547, 2714 */
export function addCheck(
  { table: { schema, name: tableName }, name, when, definition }: StatementOf<'addCheck'>,
  work: Work,
): Result {
  const table = work.db.table(schema, tableName)
  if (table.checks.has(name.toLowerCase()) || table.definition.checks.some((c) => c.name === name))
    throw new SqlError(2714, `There is already an object named '${name}' in the database.`)
  const columns = new Set<string>()
  namesIn(when, columns)
  const check: AddedCheck = {
    name,
    definition,
    // SQL Server names the column only where there is one.
    column: columns.size === 1 ? ([...columns][0] as string) : null,
    holds(running, values) {
      const scope = new Scope(null)
      scope.sources.push({ alias: tableName, columns: table.columns })
      const env = { rows: [{ values, row: null }], parent: null, aggregates: [] }
      return compileCondition(when, scope, running)(env) !== false
    },
  }
  for (const row of table.scan())
    if (!row.deleted && !row.gone && !check.holds(work, row.values))
      throw conflict(work, 'ALTER TABLE', 'CHECK', name, table, check.column)
  table.checks.set(name.toLowerCase(), check)
  work.tx.did(() => table.checks.delete(name.toLowerCase()))
  return NO_RESULT
}

/** @throws SqlError 3728 for a constraint that ADD CONSTRAINT has not made */
export function dropCheck({ table: { schema, name: tableName }, name }: StatementOf<'dropCheck'>, work: Work): Result {
  const table = work.db.table(schema, tableName)
  const check = table.checks.get(name.toLowerCase())
  if (check === undefined) throw new SqlError(3728, `'${name}' is not a constraint.`)
  table.checks.delete(name.toLowerCase())
  work.tx.did(() => table.checks.set(name.toLowerCase(), check))
  return NO_RESULT
}

/** Changes a text's length, and whether NULL is taken. @throws SqlError 515, 2628 where rows do not fit; a refusal */
export function alterColumn(s: StatementOf<'alterColumn'>, work: Work): Result {
  const table = work.db.table(s.table.schema, s.table.name)
  const ordinal = table.ordinals.get(s.column.toLowerCase())
  if (ordinal === undefined)
    throw new SqlError(4924, `ALTER TABLE ALTER COLUMN failed because column '${s.column}' does not exist.`)
  const before = table.columns[ordinal] as ColumnDefinition
  if (before.type.kind !== s.type.kind || !isText(s.type))
    throw unsupported('ALTER COLUMN but for the length of a text')
  for (const { values, deleted } of table.scan()) {
    const value = values[ordinal] as string | null
    if (deleted) continue
    if (value === null && !s.nullable)
      throw new SqlError(515, `Cannot insert the value NULL into column '${s.column}'.`)
    if (value !== null && s.type.length !== MAX && value.length > s.type.length)
      throw new SqlError(
        2628,
        `String or binary data would be truncated in table '${table.name}', column '${s.column}'.`,
      )
  }
  redefine(table, ordinal, { ...before, type: s.type, nullable: s.nullable })
  work.tx.did(() => redefine(table, ordinal, before))
  return NO_RESULT
}

function redefine(table: Table, ordinal: number, definition: ColumnDefinition): void {
  table.columns[ordinal] = definition
}

/** The columns that a condition or an expression names. */
function namesIn(node: unknown, found: Set<string>): void {
  if (node === null || typeof node !== 'object') return
  if ('node' in node && node.node === 'column' && 'name' in node) found.add(String(node.name))
  else for (const part of Object.values(node)) namesIn(part, found)
}
