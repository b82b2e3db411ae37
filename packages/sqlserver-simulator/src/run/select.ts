import { acquire } from '../engine/locks.ts'
import { demand } from '../engine/permissions.ts'
import type { Access, Found, Relation } from '../engine/relation.ts'
import type { ResultColumn, Work } from '../engine/work.ts'
import type { Condition, Expression, Select, SelectItem, TableRef } from '../sql/ast.ts'
import { compareValues, hashKey } from '../values/compare.ts'
import { convert } from '../values/convert.ts'
import { SqlError } from '../values/errors.ts'
import { BIGINT, type SqlValue } from '../values/types.ts'
import { compute } from './aggregates.ts'
import { compileCondition, type Test } from './conditions.ts'
import { compile } from './expressions.ts'
import type { Aggregate, Compiled, Env } from './scope.ts'
import type { Scope } from './scope.ts'

export interface CompiledSelect {
  readonly columns: readonly (ResultColumn & { readonly assign: string | null })[]
  rows(parent: Env | null): Iterable<readonly SqlValue[]>
}

/** How a table's hints and the session's isolation let a reader treat locked rows. */
export function accessFor(table: Pick<TableRef, 'hints'>, work: Work): Access {
  const has = (hint: TableRef['hints'][number]) => table.hints.includes(hint)
  const mode = has('xlock') ? 'X' : has('updlock') ? 'U' : 'S'
  const dirty =
    has('nolock') ||
    (work.session.isolation === 'READ UNCOMMITTED' && mode === 'S' && !has('readcommitted') && !has('holdlock'))
  return { tx: work.tx, mode, onLocked: dirty ? 'look' : has('readpast') ? 'skip' : 'wait' }
}

const holds = (table: TableRef, work: Work, access: Access) =>
  access.onLocked !== 'look' &&
  (access.mode !== 'S' ||
    table.hints.includes('holdlock') ||
    work.session.isolation === 'REPEATABLE READ' ||
    work.session.isolation === 'SERIALIZABLE')

/** `a AND b AND c` → its parts. */
export const conjuncts = (c: Condition | null): Condition[] =>
  c === null ? [] : c.node === 'and' ? [...conjuncts(c.left), ...conjuncts(c.right)] : [c]

/** The quickest way to a table's rows: by an equality with what is known before the table is read, or all of them. */
export function pathTo(
  relation: Relation,
  slot: number,
  conditions: readonly Condition[],
  scope: Scope,
  work: Work,
  access: Access,
): (env: Env) => Iterable<Found> {
  for (const condition of conditions) {
    if (condition.node !== 'compare' || condition.operator !== '=') continue
    for (const [left, right] of [
      [condition.left, condition.right],
      [condition.right, condition.left],
    ] as const) {
      if (left.node !== 'column') continue
      const at = compile(left, scope, work).column
      if (at === null || at.depth !== 0 || at.slot !== slot) continue
      scope.used = new Set()
      const value = compile(right, scope, work)
      if ([...scope.used].some((s) => s >= slot)) continue
      const { type } = at.definition
      // Only where the other value becomes the column's type; else the column's values would have to be converted.
      const direct =
        value.type.kind === type.kind ||
        value.type.kind === 'null' ||
        (type.kind === 'bigint' && value.type.kind === 'int') ||
        (type.kind === 'int' && (value.type.kind === 'tinyint' || value.type.kind === 'smallint'))
      const lookup = direct ? relation.lookup(at.ordinal, access) : null
      if (lookup === null) continue
      return (env) => {
        const key = convert(value.run(env), value.type, type)
        return key === null ? [] : lookup(key)
      }
    }
  }
  return () => relation.scan(access)
}

interface Step {
  readonly path: (env: Env) => Iterable<Found>
  readonly test: Test | null
  readonly outer: boolean
  readonly hold: ((found: Found) => void) | null
}

function* walk(steps: readonly Step[], env: Env, at = 0): Iterable<void> {
  const step = steps[at]
  if (step === undefined) {
    yield
    return
  }
  let matched = false
  for (const found of step.path(env)) {
    env.rows[at] = found
    if (step.test !== null && step.test(env) !== true) continue
    matched = true
    yield* walk(steps, env, at + 1)
  }
  env.rows[at] = null
  if (!matched && step.outer) yield* walk(steps, env, at + 1)
}

/** @throws SqlError for names and types that do not fit. */
export function compileSelect(select: Select, scope: Scope, work: Work): CompiledSelect {
  const tables = select.from === null ? [] : [{ kind: 'inner' as const, table: select.from, on: null }, ...select.joins]
  const relations = tables.map(({ table }) => work.db.relation(table.name.schema, table.name.name))
  for (const { table } of tables) demand(work.session, 'SELECT', table.name)
  const where = conjuncts(select.where)
  const steps: Step[] = []
  for (const [slot, { kind, table, on }] of tables.entries()) {
    const relation = relations[slot] as Relation
    if (scope.sources.some((s) => s.alias.toLowerCase() === table.alias.toLowerCase()))
      throw new SqlError(
        1013,
        `The objects "${table.alias}" and "${table.alias}" in the FROM clause have the same exposed names. Use correlation names to distinguish them.`,
        { abort: 'batch' },
      )
    scope.sources.push({ alias: table.alias, columns: relation.columns })
    void kind
    void on
  }
  for (const [slot, { kind, table, on }] of tables.entries()) {
    const access = accessFor(table, work)
    const path = pathTo(
      relations[slot] as Relation,
      slot,
      kind === 'left' ? conjuncts(on) : [...conjuncts(on), ...where],
      scope,
      work,
      access,
    )
    const hold = holds(table, work, access) ? ({ row }: Found) => row && acquire(work.tx, row, access.mode) : null
    steps.push({ path, test: on === null ? null : compileCondition(on, scope, work), outer: kind === 'left', hold })
  }
  const filter = select.where === null ? null : compileCondition(select.where, scope, work)
  const output = compileOutput(select, scope, work)

  function* matches(parent: Env | null): Iterable<Env> {
    const env: Env = { rows: steps.map(() => null), parent, aggregates: [] }
    for (const _ of walk(steps, env)) {
      if (filter !== null && filter(env) !== true) continue
      for (const [i, step] of steps.entries()) if (step.hold && env.rows[i]) step.hold(env.rows[i])
      yield env
    }
  }
  return { columns: output.columns, rows: (parent) => output.rows(matches(parent), parent) }
}

interface Output {
  readonly columns: CompiledSelect['columns']
  rows(matches: Iterable<Env>, parent: Env | null): Iterable<readonly SqlValue[]>
}

/** The select list: `*` becomes its columns. */
export function expandItems(items: readonly SelectItem[], scope: Scope): SelectItem[] {
  return items.flatMap((item) => {
    if (item.star === null) return [item]
    const sources = scope.sources.filter((s) => item.star === '' || s.alias.toLowerCase() === item.star?.toLowerCase())
    if (sources.length === 0)
      throw new SqlError(
        107,
        `The column prefix '${item.star}' does not match with a table name or alias name used in the query.`,
        { abort: 'batch' },
      )
    return sources.flatMap((s) =>
      s.columns.map((c): SelectItem => ({
        star: null,
        alias: null,
        assign: null,
        expression: { node: 'column', qualifier: s.alias, name: c.name },
      })),
    )
  })
}

const hasAggregate = (e: unknown): boolean => {
  if (typeof e !== 'object' || e === null) return false
  if (
    'node' in e &&
    e.node === 'call' &&
    'name' in e &&
    ['COUNT', 'COUNT_BIG', 'SUM', 'MIN', 'MAX', 'AVG'].includes(String(e.name))
  )
    return true
  if ('kind' in e && e.kind === 'select') return false
  return Object.values(e).some(hasAggregate)
}

function compileOutput(select: Select, scope: Scope, work: Work): Output {
  const items = expandItems(select.items, scope)
  const grouping =
    select.groupBy.length > 0 || select.having !== null || hasAggregate(items) || hasAggregate(select.orderBy)
  const keys = select.groupBy.map((e) => compile(e, scope, work))
  const aggregates: Aggregate[] = []
  if (grouping) {
    for (const key of keys)
      if (key.column === null)
        throw new SqlError(
          164,
          'Each GROUP BY expression must contain at least one column that is not an outer reference.',
          { abort: 'batch' },
        )
    scope.aggregates = aggregates
    scope.grouped = new Set(keys.map((k) => (k.column?.slot ?? 0) * 1000 + (k.column?.ordinal ?? 0)))
  }
  const compiled = items.map((item) => compile(item.expression as Expression, scope, work))
  const having = select.having === null ? null : compileCondition(select.having, scope, work)
  const order = select.orderBy.map((o) => ({
    by: orderBy(o.expression, items, compiled, scope, work),
    sign: o.descending ? -1 : 1,
  }))
  scope.aggregates = null
  scope.grouped = null
  const limit = compileCount(select.top ?? select.fetch, scope, work)
  const skip = compileCount(select.offset, scope, work)

  const columns = compiled.map((c, i) => {
    const item = items[i] as SelectItem
    const definition = c.column?.definition
    const named = item.expression?.node === 'column' ? (definition?.name ?? '') : ''
    return {
      name: item.alias ?? named,
      type: c.type,
      nullable: definition?.nullable ?? true,
      identity: definition?.identity ?? false,
      computed: definition?.computed != null,
      assign: item.assign,
    }
  })

  return {
    columns,
    *rows(matches, parent) {
      const maximum = limit === null ? Number.POSITIVE_INFINITY : limit(parent)
      let toSkip = skip === null ? 0 : skip(parent)
      if (maximum <= 0) return
      const sorted = order.length > 0
      const buffered: { row: readonly SqlValue[]; sort: SqlValue[] }[] = []
      const seen = new Set<string>()
      let given = 0
      const envs = grouping ? groups(matches, keys, aggregates, having, parent, scope.sources.length) : matches
      for (const env of envs) {
        const row = compiled.map((c) => c.run(env))
        if (select.distinct) {
          const key = JSON.stringify(row.map((v, i) => String(hashKey(v, (compiled[i] as Compiled).type)) + typeof v))
          if (seen.has(key)) continue
          seen.add(key)
        }
        if (sorted) buffered.push({ row, sort: order.map((o) => o.by.run(env)) })
        else {
          yield row
          if (++given >= maximum) return
        }
      }
      buffered.sort((a, b) => {
        for (let i = 0; i < order.length; i++) {
          const result = compareNullable(a.sort[i] ?? null, b.sort[i] ?? null) * (order[i]?.sign ?? 1)
          if (result !== 0) return result
        }
        return 0
      })
      for (const { row } of buffered) {
        if (toSkip-- > 0) continue
        yield row
        if (++given >= maximum) return
      }
    },
  }
}

const compareNullable = (a: SqlValue, b: SqlValue) =>
  a === null ? (b === null ? 0 : -1) : b === null ? 1 : compareValues(a, b)

function compileCount(e: Expression | null, scope: Scope, work: Work): ((parent: Env | null) => number) | null {
  if (e === null) return null
  const count = compile(e, scope, work)
  return (parent) => {
    const value = convert(count.run({ rows: [], parent, aggregates: [] }), count.type, BIGINT)
    if (value === null || (value as bigint) < 0n)
      throw new SqlError(
        1060,
        'The number of rows provided for a TOP or FETCH clauses row count parameter must be an integer.',
      )
    return Number(value)
  }
}

/** ORDER BY takes a place in the list, an alias, or any expression. */
function orderBy(
  e: Expression,
  items: readonly SelectItem[],
  compiled: readonly Compiled[],
  scope: Scope,
  work: Work,
): Compiled {
  if (e.node === 'literal' && typeof e.value === 'number') {
    const at = compiled[e.value - 1]
    if (at === undefined)
      throw new SqlError(
        108,
        `The ORDER BY position number ${e.value} is out of range of the number of items in the select list.`,
        { abort: 'batch' },
      )
    return at
  }
  if (e.node === 'column' && e.qualifier === '') {
    const index = items.findIndex((item) => item.alias?.toLowerCase() === e.name.toLowerCase())
    if (index >= 0) return compiled[index] as Compiled
  }
  return compile(e, scope, work)
}

function* groups(
  matches: Iterable<Env>,
  keys: readonly Compiled[],
  aggregates: readonly Aggregate[],
  having: Test | null,
  parent: Env | null,
  slots: number,
): Iterable<Env> {
  const found = new Map<string, Env[]>()
  for (const env of matches) {
    const key = JSON.stringify(
      keys.map((k) => {
        const value = k.run(env)
        return value === null ? null : `${typeof value}${String(hashKey(value, k.type))}`
      }),
    )
    const copy: Env = { rows: [...env.rows], parent, aggregates: [] }
    const rows = found.get(key)
    if (rows === undefined) found.set(key, [copy])
    else rows.push(copy)
  }
  // Without GROUP BY there is one group, even of no rows.
  if (keys.length === 0 && found.size === 0) found.set('', [])
  for (const rows of found.values()) {
    const env: Env = {
      rows: rows[0]?.rows ?? Array.from({ length: slots }, () => null),
      parent,
      aggregates: aggregates.map((a) => compute(a, rows)),
    }
    if (having === null || having(env) === true) yield env
  }
}
