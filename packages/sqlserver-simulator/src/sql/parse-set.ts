import { SqlError } from '../values/errors.ts'
import type { Unlined } from './ast.ts'
import type { Cursor } from './cursor.ts'
import type { ExpressionParser } from './parse-expression.ts'

/** Options and the values in force; another value is refused, since the engine would not behave so. */
const FIXED: Readonly<Record<string, readonly string[]>> = {
  ANSI_NULLS: ['ON'],
  ANSI_NULL_DFLT_ON: ['ON'],
  ANSI_PADDING: ['ON'],
  ANSI_WARNINGS: ['ON'],
  ARITHABORT: ['ON', 'OFF'],
  CONCAT_NULL_YIELDS_NULL: ['ON'],
  CURSOR_CLOSE_ON_COMMIT: ['ON', 'OFF'],
  IMPLICIT_TRANSACTIONS: ['OFF'],
  NUMERIC_ROUNDABORT: ['OFF'],
  QUOTED_IDENTIFIER: ['ON'],
  FMTONLY: ['OFF'],
  NOEXEC: ['OFF'],
  PARSEONLY: ['OFF'],
}
const KEPT = new Set(['NOCOUNT', 'XACT_ABORT'])
const VALUED = new Set([
  'DATEFIRST',
  'DATEFORMAT',
  'LANGUAGE',
  'TEXTSIZE',
  'LOCK_TIMEOUT',
  'DEADLOCK_PRIORITY',
  'ROWCOUNT',
])

export function parseSet(c: Cursor, parser: ExpressionParser): Unlined | Unlined[] {
  c.word('SET')
  if (c.isVariable()) {
    const name = c.next().text.toLowerCase()
    const operator = c.token
    const compound = operator.kind === 'symbol' && /^[-+*/%]=$/.test(operator.text) ? c.next().text[0] : null
    if (compound === null) c.symbol('=')
    const right = parser.expression()
    return {
      kind: 'setVariable',
      name,
      value: compound ? { node: 'binary', operator: compound as '+', left: { node: 'variable', name }, right } : right,
    }
  }
  if (c.takeWord('TRANSACTION')) {
    c.word('ISOLATION')
    c.word('LEVEL')
    const first = c.word('READ', 'REPEATABLE', 'SERIALIZABLE', 'SNAPSHOT')
    if (first === 'SNAPSHOT') throw c.refuse('SNAPSHOT isolation')
    const value = first === 'SERIALIZABLE' ? first : `${first} ${c.word('UNCOMMITTED', 'COMMITTED', 'READ')}`
    return { kind: 'setOption', option: 'ISOLATION', value }
  }
  if (c.takeWord('IDENTITY_INSERT')) {
    const table = c.objectName()
    return { kind: 'identityInsert', table, on: c.word('ON', 'OFF') === 'ON' }
  }
  const names: string[] = []
  do names.push(c.next().text.toUpperCase())
  while (c.takeSymbol(','))
  return names.map((option, i): Unlined => ({
    kind: 'setOption',
    option,
    value: parseValue(c, option, i < names.length - 1),
  }))
}

/** The value after an option; in a list of options the same token serves each, and the last moves on (`shared` false). */
function parseValue(c: Cursor, option: string, shared: boolean): string {
  const negative = c.takeSymbol('-') ? '-' : ''
  const value = negative + c.token.text.toUpperCase()
  const fixed = FIXED[option]
  const known = fixed !== undefined || KEPT.has(option) || VALUED.has(option)
  if (!known) {
    if (!/^[A-Z_]+$/.test(option)) throw c.unexpected()
    throw c.refuse(`SET ${option.slice(0, 40)}`)
  }
  if (c.atEnd) throw c.unexpected()
  if (fixed && !fixed.includes(value)) throw c.refuse(`SET ${option} ${value.slice(0, 40)}`)
  if (KEPT.has(option) && value !== 'ON' && value !== 'OFF') throw c.unexpected()
  if (option === 'ROWCOUNT' && value !== '0') throw c.refuse('SET ROWCOUNT')
  if (option === 'DATEFORMAT' && value !== 'MDY' && value !== 'YMD')
    throw c.refuse(`SET DATEFORMAT ${value.slice(0, 40)}`)
  if (option === 'LANGUAGE' && !/^(US_ENGLISH|ENGLISH)$/.test(value)) throw c.refuse('other languages than us_english')
  if (option === 'LOCK_TIMEOUT' && !/^-?\d+$/.test(value)) throw c.refuse('LOCK_TIMEOUT by a variable')
  if (option === 'DEADLOCK_PRIORITY' && !/^(LOW|NORMAL|HIGH|-?\d+)$/.test(value))
    throw new SqlError(102, `Incorrect syntax near '${value.slice(0, 40)}'.`, { severity: 15, abort: 'batch' })
  if (!shared) c.next()
  return value
}
