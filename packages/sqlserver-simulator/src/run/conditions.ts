import type { Comparison, Condition } from '../sql/ast.ts'
import { compareValues, fold } from '../values/compare.ts'
import { convert } from '../values/convert.ts'
import { SqlError, unsupported } from '../values/errors.ts'
import {
  commonType,
  isBinary,
  isText,
  isTime,
  MAX,
  nameOf,
  nvarchar,
  type SqlType,
  type SqlValue,
} from '../values/types.ts'
import type { Work } from '../engine/work.ts'
import { compile } from './expressions.ts'
import type { Compiled, Env } from './scope.ts'
import { Scope } from './scope.ts'
import { compileSelect } from './select.ts'

/** True, false, or null for unknown. */
export type Test = (env: Env) => boolean | null

const RESULTS: Readonly<Record<Comparison, (order: number) => boolean>> = {
  '=': (o) => o === 0,
  '<>': (o) => o !== 0,
  '<': (o) => o < 0,
  '<=': (o) => o <= 0,
  '>': (o) => o > 0,
  '>=': (o) => o >= 0,
}

/** Compares non-null values of two types. @throws SqlError 206, 402 for types that never meet. */
export function comparer(a: SqlType, b: SqlType): (x: SqlValue, y: SqlValue) => number {
  const type = commonType(a, b)
  const incompatible = (t: SqlType) => isTime(type) && !isTime(t) && !isText(t) && t.kind !== 'null'
  if (incompatible(a) || incompatible(b))
    throw new SqlError(206, `Operand type clash: ${nameOf(a)} is incompatible with ${nameOf(b)}`, { abort: 'batch' })
  if (isBinary(a) !== isBinary(b) && a.kind !== 'null' && b.kind !== 'null')
    throw unsupported('comparing a binary with another type')
  const cast = isText(type) ? nvarchar(MAX) : type
  const same = isText(a) && isText(b)
  return (x, y) => (same ? compareValues(x, y) : compareValues(convert(x, a, cast), convert(y, b, cast)))
}

function compare(operator: Comparison, left: Compiled, right: Compiled): Test {
  const order = comparer(left.type, right.type)
  const result = RESULTS[operator]
  return (env) => {
    const [a, b] = [left.run(env), right.run(env)]
    return a === null || b === null ? null : result(order(a, b))
  }
}

const not = (value: boolean | null) => (value === null ? null : !value)

export function compileCondition(c: Condition, scope: Scope, work: Work): Test {
  switch (c.node) {
    case 'compare':
      return compare(c.operator, compile(c.left, scope, work), compile(c.right, scope, work))
    case 'and': {
      const [left, right] = [compileCondition(c.left, scope, work), compileCondition(c.right, scope, work)]
      return (env) => {
        const a = left(env)
        if (a === false) return false
        const b = right(env)
        return b === false ? false : a === null || b === null ? null : true
      }
    }
    case 'or': {
      const [left, right] = [compileCondition(c.left, scope, work), compileCondition(c.right, scope, work)]
      return (env) => {
        const a = left(env)
        if (a === true) return true
        const b = right(env)
        return b === true ? true : a === null || b === null ? null : false
      }
    }
    case 'not': {
      const operand = compileCondition(c.operand, scope, work)
      return (env) => not(operand(env))
    }
    case 'null': {
      const operand = compile(c.operand, scope, work)
      return (env) => (operand.run(env) === null) !== c.negated
    }
    case 'in': {
      const left = compile(c.operand, scope, work)
      const tests = c.list.map((item) => compare('=', left, compile(item, scope, work)))
      return (env) => {
        let unknown = false
        for (const test of tests) {
          const result = test(env)
          if (result === true) return !c.negated
          if (result === null) unknown = true
        }
        return unknown ? null : c.negated
      }
    }
    case 'inSelect':
      return inSelect(c, scope, work)
    case 'exists': {
      const inner = new Scope(scope)
      const select = compileSelect(c.select, inner, work)
      let known: boolean | null = null
      return (env) => {
        if (known !== null && !inner.correlated) return known
        known = !select.rows(env)[Symbol.iterator]().next().done
        return known
      }
    }
    case 'like':
      return like(c, scope, work)
  }
}

function inSelect(c: Extract<Condition, { node: 'inSelect' }>, scope: Scope, work: Work): Test {
  const left = compile(c.operand, scope, work)
  const inner = new Scope(scope)
  const select = compileSelect(c.select, inner, work)
  const type = select.columns[0]?.type
  if (select.columns.length !== 1 || type === undefined)
    throw new SqlError(
      116,
      'Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.',
      { abort: 'batch' },
    )
  const order = comparer(left.type, type)
  let known: SqlValue[] | null = null
  return (env) => {
    const values = known !== null && !inner.correlated ? known : [...select.rows(env)].map((row) => row[0] ?? null)
    known = values
    const value = left.run(env)
    if (values.length === 0) return c.negated
    if (value === null) return null
    if (values.some((v) => v !== null && order(value, v) === 0)) return !c.negated
    return values.includes(null) ? null : c.negated
  }
}

function like(c: Extract<Condition, { node: 'like' }>, scope: Scope, work: Work): Test {
  const [left, pattern] = [compile(c.operand, scope, work), compile(c.pattern, scope, work)]
  const escape = c.escape ? compile(c.escape, scope, work) : null
  if (!isText(pattern.type) && pattern.type.kind !== 'null') throw unsupported('LIKE with a pattern that is no text')
  return (env) => {
    const [value, wanted] = [left.run(env), pattern.run(env)]
    const mark = escape === null ? '' : escape.run(env)
    if (value === null || wanted === null || mark === null) return null
    const matches = likePattern(String(wanted), String(mark)).test(String(convert(value, left.type, nvarchar(MAX))))
    return matches !== c.negated
  }
}

/** LIKE → RegExp. Trailing blanks count in the pattern; those of the text may be missing there. */
export function likePattern(pattern: string, escape: string): RegExp {
  let source = ''
  for (let i = 0; i < pattern.length; i++) {
    const ch = pattern.charAt(i)
    if (escape !== '' && ch === escape) source += literal(pattern.charAt(++i))
    else if (ch === '%') source += '[^]*'
    else if (ch === '_') source += '[^]'
    else if (ch === '[') {
      const end = pattern.indexOf(']', i + 2)
      if (end < 0) return /(?!)/
      const negated = pattern[i + 1] === '^'
      const body = pattern.slice(i + (negated ? 2 : 1), end).replace(/[\\\]^]/g, '\\$&')
      source += `[${negated ? '^' : ''}${body}]`
      i = end
    } else source += literal(ch)
  }
  return new RegExp(`^${source} *$`, 'i')
}
const literal = (ch: string) => ch.replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&')

export { fold }
