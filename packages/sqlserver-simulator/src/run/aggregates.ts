import type { Expression } from '../sql/ast.ts'
import type { Work } from '../engine/work.ts'
import { compareValues, hashKey } from '../values/compare.ts'
import { convert } from '../values/convert.ts'
import { fits } from '../values/decimal.ts'
import { overflow, SqlError } from '../values/errors.ts'
import { BIGINT, decimal, INT, isInteger, isText, nameOf, type SqlType, type SqlValue, type } from '../values/types.ts'
import { compile } from './expressions.ts'
import { type Aggregate, type Compiled, type Env, Scope } from './scope.ts'

const NAMES = new Set(['COUNT', 'COUNT_BIG', 'SUM', 'MIN', 'MAX', 'AVG'])
export const isAggregate = (name: string) => NAMES.has(name)

/** Notes an aggregate of the query being compiled; its value comes with the group. */
export function aggregate(e: Extract<Expression, { node: 'call' }>, scope: Scope, work: Work): Compiled {
  const list = scope.aggregates
  if (list === null)
    throw new SqlError(
      147,
      'An aggregate may not appear in the WHERE clause unless it is in a subquery contained in a HAVING clause or a select list, and the column being aggregated is an outer reference.',
      { severity: 15, abort: 'batch' },
    )
  const [grouped] = [scope.grouped]
  scope.aggregates = null
  scope.grouped = null
  const argument = e.star ? null : compile(e.args[0] ?? { node: 'literal', value: null, type: INT }, scope, work)
  scope.aggregates = list
  scope.grouped = grouped
  if (!e.star && e.args.length !== 1)
    throw new SqlError(174, `The ${e.name} function requires 1 argument(s).`, { severity: 15, abort: 'batch' })
  if (e.star && e.name !== 'COUNT' && e.name !== 'COUNT_BIG')
    throw new SqlError(102, "Incorrect syntax near '*'.", { severity: 15, abort: 'batch' })
  const index =
    list.push({ name: e.name, argument, distinct: e.distinct, type: resultType(e.name, argument?.type ?? INT) }) - 1
  return { type: (list[index] as Aggregate).type, column: null, run: (env) => env.aggregates[index] ?? null }
}

function resultType(name: string, of: SqlType): SqlType {
  if (name === 'COUNT') return INT
  if (name === 'COUNT_BIG') return BIGINT
  if (name === 'MIN' || name === 'MAX') return of
  if (isText(of) || of.kind === 'bit' || of.kind === 'null' || of.kind.startsWith('date'))
    throw new SqlError(8117, `Operand data type ${nameOf(of)} is invalid for ${name.toLowerCase()} operator.`, {
      abort: 'batch',
    })
  if (of.kind === 'decimal') return decimal(38, name === 'AVG' ? Math.max(of.scale, 6) : of.scale)
  if (of.kind === 'bigint') return BIGINT
  return isInteger(of) ? INT : type('float')
}

/** The value of an aggregate over a group's rows. */
export function compute({ name, argument, distinct, type: to }: Aggregate, rows: readonly Env[]): SqlValue {
  if (argument === null) return name === 'COUNT' ? rows.length : BigInt(rows.length)
  let values = rows.map((env) => argument.run(env)).filter((v) => v !== null)
  if (distinct) values = [...new Map(values.map((v) => [hashKey(v, argument.type), v])).values()]
  if (name === 'COUNT') return values.length
  if (name === 'COUNT_BIG') return BigInt(values.length)
  if (values.length === 0) return null
  if (name === 'MIN' || name === 'MAX') {
    const sign = name === 'MIN' ? 1 : -1
    return values.reduce((best, v) => (compareValues(v, best) * sign < 0 ? v : best))
  }
  if (to.kind === 'float') {
    const sum = (values as number[]).reduce((a, b) => a + b, 0)
    return name === 'AVG' ? sum / values.length : sum
  }
  const sum = values.reduce<bigint>((total, v) => total + BigInt(v as number), 0n)
  if (to.kind === 'decimal') {
    const scaled = sum * 10n ** BigInt(to.scale - argument.type.scale)
    const value = name === 'AVG' ? scaled / BigInt(values.length) : scaled
    if (!fits(value, 38)) throw overflow('numeric')
    return value
  }
  return convert(name === 'AVG' ? sum / BigInt(values.length) : sum, BIGINT, to)
}

export { Scope }
