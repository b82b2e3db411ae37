import type { ColumnDefinition } from '../engine/definition.ts'
import { acquire } from '../engine/locks.ts'
import { demand } from '../engine/permissions.ts'
import { type Found, tableRelation } from '../engine/relation.ts'
import type { Row } from '../engine/row.ts'
import type { Table } from '../engine/table.ts'
import type { Result, Work } from '../engine/work.ts'
import { complete, deleteRows, insertRows, nextIdentity, updateRows } from '../engine/write.ts'
import type { Condition, Delete, Expression, Hint, Insert, ObjectName, SelectItem, Update } from '../sql/ast.ts'
import { convert } from '../values/convert.ts'
import { SqlError, unsupported } from '../values/errors.ts'
import { BIGINT, isBinary, isText, MAX, type SqlType, type SqlValue } from '../values/types.ts'
import { compileCondition } from './conditions.ts'
import { compile } from './expressions.ts'
import type { Compiled, Env } from './scope.ts'
import { Scope } from './scope.ts'
import { compileSelect, conjuncts, expandItems, pathTo } from './select.ts'

/** Converts a value for a column: what does not fit is error 2628, but for trailing blanks. */
export function assign(
  value: SqlValue,
  from: SqlType,
  column: ColumnDefinition,
  table: Table,
  database: string,
): SqlValue {
  const { type } = column
  if (typeof value === 'string' && isText(type) && type.length !== MAX && value.length > type.length) {
    const kept = value.slice(0, type.length)
    if (value.slice(type.length).trim() !== '' || /[^ ]/.test(value.slice(type.length)))
      throw new SqlError(
        2628,
        `String or binary data would be truncated in table '${database}.${table.name}', column '${column.name}'. Truncated value: '${kept}'.`,
      )
  }
  if (Buffer.isBuffer(value) && isBinary(type) && type.length !== MAX && value.length > type.length)
    throw new SqlError(
      2628,
      `String or binary data would be truncated in table '${database}.${table.name}', column '${column.name}'. Truncated value: ''.`,
    )
  return convert(value, from, type)
}

/** @throws SqlError 208, 229 */
function target(work: Work, name: ObjectName, permission: 'INSERT' | 'UPDATE' | 'DELETE'): Table {
  work.db.relation(name.schema, name.name)
  demand(work.session, permission, name)
  if (work.db.isView(name.schema, name.name)) throw unsupported('writing through a view')
  return work.db.table(name.schema, name.name)
}

/** Rows for OUTPUT: `inserted` and `deleted` are its two tables. */
function compileOutput(items: readonly SelectItem[] | null, table: Table, work: Work) {
  if (items === null) return null
  if (work.db.triggersOn(table).length > 0)
    throw new SqlError(
      334,
      `The target table '${table.definition.name}' of the DML statement cannot have any enabled triggers if the statement contains an OUTPUT clause without INTO clause.`,
      { abort: 'batch' },
    )
  const scope = new Scope(null)
  scope.sources.push({ alias: 'inserted', columns: table.columns }, { alias: 'deleted', columns: table.columns })
  const expanded = expandItems(items, scope)
  const compiled = expanded.map((item) => compile(item.expression as Expression, scope, work))
  const columns = compiled.map((c, i) => ({
    name: expanded[i]?.alias ?? c.column?.definition.name ?? '',
    type: c.type,
    nullable: true,
    identity: false,
    computed: false,
  }))
  return {
    columns,
    row: (after: readonly SqlValue[] | null, before: readonly SqlValue[] | null) => {
      const found = (values: readonly SqlValue[] | null): Found | null =>
        values === null ? null : { values, row: null }
      return compiled.map((c) => c.run({ rows: [found(after), found(before)], parent: null, aggregates: [] }))
    },
  }
}

const resultOf = (
  output: ReturnType<typeof compileOutput>,
  pairs: readonly (readonly [after: readonly SqlValue[] | null, before: readonly SqlValue[] | null])[],
): Result => ({
  columns: output?.columns ?? null,
  rows: output === null ? [] : pairs.map(([after, before]) => output.row(after, before)),
  count: pairs.length,
})

/** A column by name, for writing. @throws SqlError 207, 271 */
function writable(table: Table, name: string): number {
  const ordinal = table.ordinals.get(name.toLowerCase())
  if (ordinal === undefined) throw new SqlError(207, `Invalid column name '${name}'.`, { abort: 'batch' })
  if (table.columns[ordinal]?.computed)
    throw new SqlError(
      271,
      `The column "${table.columns[ordinal]?.name}" cannot be modified because it is either a computed column or is the result of a UNION operator.`,
      { abort: 'batch' },
    )
  return ordinal
}

export function runInsert(s: Insert, work: Work): Result {
  const table = target(work, s.table, 'INSERT')
  const identity = table.columns.findIndex((c) => c.identity)
  const explicit = work.session.identityInsert === table
  const open = table.columns.flatMap((c, i) => (c.computed || (c.identity && !explicit) ? [] : [i]))
  const ordinals =
    s.columns === null ? (s.values === null && s.select === null ? [] : open) : s.columns.map((c) => writable(table, c))
  if (new Set(ordinals).size < ordinals.length)
    throw new SqlError(
      264,
      'The column name is specified more than once in the SET clause or column list of an INSERT.',
      { abort: 'batch' },
    )
  if (identity >= 0 && ordinals.includes(identity) !== explicit) {
    throw explicit
      ? new SqlError(
          545,
          `Explicit value must be specified for identity column in table '${table.definition.name}' either when IDENTITY_INSERT is set to ON or when a replication user is inserting into a NOT FOR REPLICATION identity column.`,
        )
      : new SqlError(
          544,
          `Cannot insert explicit value for identity column in table '${table.definition.name}' when IDENTITY_INSERT is set to OFF.`,
        )
  }
  const output = compileOutput(s.output, table, work)
  const rows = [...sourceRows(s, ordinals.length, work)].map((source) => {
    const values: SqlValue[] = table.columns.map((c) => (c.default !== null ? undefined : null) as SqlValue)
    ordinals.forEach((ordinal, i) => {
      const given = source[i]
      if (given)
        values[ordinal] = assign(
          given.value,
          given.type,
          table.columns[ordinal] as ColumnDefinition,
          table,
          work.db.name,
        )
    })
    table.columns.forEach((c, i) => {
      if (values[i] === undefined) values[i] = c.default?.(work.session.id) ?? null
    })
    return values
  })
  const last = takeIdentities(table, identity, explicit, rows, work)
  const completed = rows.map((values) => complete(table, values))
  insertRows(work, table, completed)
  if (last !== null) work.session.inserted(BigInt(last))
  return resultOf(
    output,
    completed.map((values) => [values, null]),
  )
}

function takeIdentities(
  table: Table,
  identity: number,
  explicit: boolean,
  rows: readonly SqlValue[][],
  work: Work,
): number | null {
  if (identity < 0) return null
  let last: number | null = null
  for (const values of rows) {
    if (!explicit) values[identity] = nextIdentity(work, table)
    last = values[identity] as number | null
    if (last !== null && last > table.identity) {
      if (!work.identities.has(table)) work.identities.set(table, table.identity)
      table.identity = last
    }
  }
  return last
}

type Given = { readonly value: SqlValue; readonly type: SqlType } | null

function* sourceRows(s: Insert, width: number, work: Work): Iterable<readonly Given[]> {
  const mismatch = (more: boolean) =>
    s.columns === null
      ? new SqlError(213, 'Column name or number of supplied values does not match table definition.', {
          abort: 'batch',
        })
      : new SqlError(
          more ? 110 : 109,
          `There are ${more ? 'fewer' : 'more'} columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement.`,
          { severity: 15, abort: 'batch' },
        )
  if (s.select !== null) {
    const select = compileSelect(s.select, new Scope(null), work)
    if (select.columns.length !== width)
      throw new SqlError(
        select.columns.length < width ? 120 : 121,
        `The select list for the INSERT statement contains ${select.columns.length < width ? 'fewer' : 'more'} items than the insert list. The number of SELECT values must match the number of INSERT columns.`,
        { severity: 15, abort: 'batch' },
      )
    // All first: the table may be the one that is written.
    const found = [...select.rows(null)]
    for (const row of found)
      yield row.map((value, i) => ({ value, type: (select.columns[i] as { type: SqlType }).type }))
    return
  }
  if (s.values === null) {
    yield []
    return
  }
  const env: Env = { rows: [], parent: null, aggregates: [] }
  const scope = new Scope(null)
  const compiled = s.values.map((row) => {
    if (row.length !== width) throw mismatch(row.length > width === false)
    return row.map((e) => (e === null ? null : compile(e, scope, work)))
  })
  for (const row of compiled) yield row.map((c) => (c === null ? null : { value: c.run(env), type: c.type }))
}

/** The rows that UPDATE and DELETE are about, each held exclusively. */
function* targets(
  table: Table,
  alias: string,
  hints: readonly Hint[],
  where: Condition | null,
  top: Expression | null,
  scope: Scope,
  work: Work,
): Iterable<{ row: Row; env: Env }> {
  scope.sources.push({ alias, columns: table.columns })
  const relation = tableRelation(table)
  const access = { tx: work.tx, mode: 'U', onLocked: hints.includes('readpast') ? 'skip' : 'wait' } as const
  const path = pathTo(relation, 0, conjuncts(where), scope, work, access)
  const test = where === null ? null : compileCondition(where, scope, work)
  const limit = top === null ? null : compile(top, new Scope(null), work)
  const maximum =
    limit === null
      ? null
      : (convert(limit.run({ rows: [], parent: null, aggregates: [] }), limit.type, BIGINT) as bigint)
  const env: Env = { rows: [null], parent: null, aggregates: [] }
  let count = 0n
  for (const found of path(env)) {
    if (maximum !== null && count >= maximum) return
    env.rows[0] = found
    if (test !== null && test(env) !== true) continue
    const row = found.row as Row
    acquire(work.tx, row, 'X')
    count++
    yield { row, env }
  }
}

export function runUpdate(s: Update, work: Work): Result {
  const table = target(work, s.table, 'UPDATE')
  const scope = new Scope(null)
  const output = compileOutput(s.output, table, work)
  let compiled: { ordinal: number; value: Compiled | null }[] | null = null
  const updates: { row: Row; values: readonly SqlValue[] }[] = []
  const prepare = () => {
    const found = s.set.map(({ column, value }) => {
      const ordinal = writable(table, column)
      if (table.columns[ordinal]?.identity)
        throw new SqlError(8102, `Cannot update identity column '${column}'.`, { abort: 'batch' })
      if (table.key.includes(ordinal)) throw unsupported('changing a primary key')
      return { ordinal, value: value === null ? null : compile(value, scope, work) }
    })
    if (new Set(found.map((f) => f.ordinal)).size < found.length)
      throw new SqlError(
        264,
        'The column name is specified more than once in the SET clause or column list of an INSERT.',
        { abort: 'batch' },
      )
    return found
  }
  for (const { row, env } of targets(table, s.table.name, s.hints, s.where, s.top, scope, work)) {
    compiled ??= prepare()
    const values = [...row.values]
    for (const { ordinal, value } of compiled) {
      const column = table.columns[ordinal] as ColumnDefinition
      values[ordinal] =
        value === null
          ? (column.default?.(work.session.id) ?? null)
          : assign(value.run(env), value.type, column, table, work.db.name)
    }
    updates.push({ row, values: complete(table, values) })
  }
  // Names are checked even if no row was found.
  if (compiled === null) prepare()
  const before = updates.map(({ row }) => row.values)
  updateRows(work, table, updates)
  return resultOf(
    output,
    updates.map(({ values }, i) => [values, before[i] ?? null]),
  )
}

export function runDelete(s: Delete, work: Work): Result {
  const table = target(work, s.table, 'DELETE')
  const output = compileOutput(s.output, table, work)
  const rows = [...targets(table, s.table.name, s.hints, s.where, s.top, new Scope(null), work)].map((t) => t.row)
  deleteRows(work, table, rows)
  return resultOf(
    output,
    rows.map((row) => [null, row.values]),
  )
}
