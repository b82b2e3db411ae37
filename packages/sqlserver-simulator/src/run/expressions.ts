import type { Expression } from '../sql/ast.ts'
import { convert, toStyledText } from '../values/convert.ts'
import { SqlError, unsupported } from '../values/errors.ts'
import { commonType, INT, isText, NULL, type SqlType, type SqlValue } from '../values/types.ts'
import type { Work } from '../engine/work.ts'
import { aggregate, isAggregate } from './aggregates.ts'
import { arithmetic } from './arithmetic.ts'
import { compileCondition } from './conditions.ts'
import { compileCall, compileDatePart } from './functions.ts'
import { type Compiled, type Env, Scope } from './scope.ts'
import { compileSelect } from './select.ts'

export const computed = (type: SqlType, run: (env: Env) => SqlValue): Compiled => ({ type, run, column: null })

/** Compiles an expression for one run of a statement. @throws SqlError for names and types that do not fit. */
export function compile(e: Expression, scope: Scope, work: Work): Compiled {
  switch (e.node) {
    case 'literal':
      return computed(e.type, () => e.value)
    case 'column':
      return scope.resolve(e.qualifier, e.name)
    case 'variable':
      return e.name.startsWith('@@') ? work.session.globalVariable(e.name) : compileVariable(e.name, work)
    case 'negate': {
      const operand = compile(e.operand, scope, work)
      const { type, run } = arithmetic(
        '-',
        operand.type.kind === 'decimal' ? { ...operand.type, precision: operand.type.precision } : operand.type,
        operand.type,
      )
      const zero = convert(0, INT, operand.type.kind === 'null' ? INT : operand.type)
      const result = operand.type.kind === 'decimal' ? operand.type : type
      return computed(result, (env) => {
        const value = operand.run(env)
        return value === null ? null : convert(run(zero, value), type, result)
      })
    }
    case 'binary': {
      const [left, right] = [compile(e.left, scope, work), compile(e.right, scope, work)]
      const { type, run } = arithmetic(e.operator, left.type, right.type)
      return computed(type, (env) => {
        const [a, b] = [left.run(env), right.run(env)]
        return a === null || b === null ? null : run(a, b)
      })
    }
    case 'cast':
      return compileCast(e, scope, work)
    case 'case': {
      const branches = e.branches.map((b) => ({
        when: compileCondition(b.when, scope, work),
        result: compile(b.result, scope, work),
      }))
      const otherwise = e.otherwise ? compile(e.otherwise, scope, work) : computed(NULL, () => null)
      return choose(branches, otherwise)
    }
    case 'iif':
      return choose(
        [{ when: compileCondition(e.when, scope, work), result: compile(e.result, scope, work) }],
        compile(e.otherwise, scope, work),
      )
    case 'subquery':
      return compileSubquery(e, scope, work)
    case 'datepart':
      return compileDatePart(e, (inner) => compile(inner, scope, work))
    case 'call':
      if (isAggregate(e.name)) return aggregate(e, scope, work)
      if (e.star || e.distinct) throw unsupported(`${e.name.slice(0, 40)} with * or DISTINCT`)
      return compileCall(
        e.name,
        e.args.map((arg) => compile(arg, scope, work)),
        work,
      )
  }
}

function compileVariable(name: string, work: Work): Compiled {
  const variable = work.session.variables.get(name)
  if (variable === undefined)
    throw new SqlError(137, `Must declare the scalar variable "${name}".`, { severity: 15, abort: 'batch' })
  return computed(variable.type, () => variable.value)
}

function choose(
  branches: readonly { when: (env: Env) => boolean | null; result: Compiled }[],
  otherwise: Compiled,
): Compiled {
  const type = branches.reduce((t, b) => commonType(t, b.result.type), otherwise.type)
  return computed(type, (env) => {
    for (const { when, result } of branches) if (when(env) === true) return convert(result.run(env), result.type, type)
    return convert(otherwise.run(env), otherwise.type, type)
  })
}

function compileCast(e: Extract<Expression, { node: 'cast' }>, scope: Scope, work: Work): Compiled {
  const operand = compile(e.operand, scope, work)
  const style = e.style === null ? null : compile(e.style, scope, work)
  return computed(e.type, (env) => {
    const value = operand.run(env)
    const number = style === null ? null : convert(style.run(env), style.type, INT)
    try {
      return number !== null && isText(e.type) && !isText(operand.type)
        ? toStyledText(value, operand.type, e.type, number as number)
        : convert(value, operand.type, e.type)
    } catch (error) {
      if (e.lenient && error instanceof SqlError && [220, 241, 242, 244, 245, 248, 8114, 8115].includes(error.number))
        return null
      throw error
    }
  })
}

function compileSubquery(e: Extract<Expression, { node: 'subquery' }>, scope: Scope, work: Work): Compiled {
  const inner = new Scope(scope)
  const select = compileSelect(e.select, inner, work)
  if (select.columns.length !== 1)
    throw new SqlError(
      116,
      'Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.',
      { abort: 'batch' },
    )
  const type = select.columns[0]?.type ?? NULL
  let known: { value: SqlValue } | null = null
  return computed(type, (env) => {
    if (known !== null && !inner.correlated) return known.value
    const rows = [...select.rows(env)]
    if (rows.length > 1)
      throw new SqlError(
        512,
        'Subquery returned more than 1 value. This is not permitted when the subquery follows =, !=, <, <= , >, >= or when the subquery is used as an expression.',
      )
    known = { value: rows[0]?.[0] ?? null }
    return known.value
  })
}
