import { SqlError, unsupported } from '../values/errors.ts'
import { throughCodePage } from '../values/codepage.ts'
import { parseDecimal } from '../values/decimal.ts'
import { BIGINT, decimal, INT, MAX, NULL, nvarchar, parseType, type SqlType, type } from '../values/types.ts'
import type { Comparison, Condition, Expression, Select } from './ast.ts'
import type { Cursor } from './cursor.ts'

/** Parses a SELECT at the cursor; given by the statements' parser, which also needs expressions. */
export type SelectParser = (cursor: Cursor) => Select

const COMPARISONS: Readonly<Record<string, Comparison>> = {
  '=': '=',
  '<>': '<>',
  '!=': '<>',
  '<': '<',
  '<=': '<=',
  '>': '>',
  '>=': '>=',
  '!<': '>=',
  '!>': '<=',
}
const PART_FUNCTIONS = new Set(['DATEADD', 'DATEDIFF', 'DATEDIFF_BIG', 'DATEPART', 'DATENAME'])
const BARE_FUNCTIONS = new Set(['CURRENT_TIMESTAMP', 'CURRENT_USER', 'SYSTEM_USER'])

/** Parses values and conditions. One class, since the two refer to each other. */
export class ExpressionParser {
  readonly #c: Cursor
  readonly #select: SelectParser

  constructor(cursor: Cursor, select: SelectParser) {
    this.#c = cursor
    this.#select = select
  }

  expression(): Expression {
    let left = this.#term()
    for (;;) {
      const operator = this.#c.token.kind === 'symbol' ? this.#c.token.text : ''
      if (operator === '+' || operator === '-') {
        this.#c.next()
        left = { node: 'binary', operator, left, right: this.#term() }
      } else if (operator === '&' || operator === '|' || operator === '^' || operator === '||')
        throw this.#c.refuse(`the operator ${operator}`)
      else return left
    }
  }

  #term(): Expression {
    let left = this.#unary()
    for (;;) {
      const operator = this.#c.token.kind === 'symbol' ? this.#c.token.text : ''
      if (operator !== '*' && operator !== '/' && operator !== '%') return left
      this.#c.next()
      left = { node: 'binary', operator, left, right: this.#unary() }
    }
  }

  #unary(): Expression {
    if (this.#c.takeSymbol('-')) {
      const operand = this.#unary()
      return operand.node === 'literal' && (typeof operand.value === 'number' || typeof operand.value === 'bigint')
        ? negateLiteral(operand)
        : { node: 'negate', operand }
    }
    if (this.#c.takeSymbol('+')) return this.#unary()
    const value = this.#primary()
    if (this.#c.isWord('COLLATE')) throw this.#c.refuse('COLLATE')
    return value
  }

  #primary(): Expression {
    const c = this.#c
    const token = c.token
    switch (token.kind) {
      case 'number':
        c.next()
        return numberLiteral(token.text)
      case 'float':
        c.next()
        return { node: 'literal', value: Number(token.text), type: type('float') }
      case 'string':
        c.next()
        return {
          node: 'literal',
          value: throughCodePage(token.text),
          type: literalType('varchar', token.text.length, 8000),
        }
      case 'nstring':
        c.next()
        return { node: 'literal', value: token.text, type: literalType('nvarchar', token.text.length, 4000) }
      case 'binary': {
        c.next()
        const digits = token.text.slice(2)
        const bytes = Buffer.from(digits.length % 2 ? `0${digits}` : digits, 'hex')
        return { node: 'literal', value: bytes, type: type('varbinary', Math.max(1, bytes.length)) }
      }
      case 'variable':
        c.next()
        return { node: 'variable', name: token.text.toLowerCase() }
      case 'symbol':
        return this.#parenthesis()
      case 'end':
        throw c.unexpected()
      default:
        return this.#word()
    }
  }

  #parenthesis(): Expression {
    this.#c.symbol('(')
    if (this.#c.isWord('SELECT')) {
      const select = this.#select(this.#c)
      this.#c.symbol(')')
      return { node: 'subquery', select }
    }
    const inner = this.expression()
    this.#c.symbol(')')
    return inner
  }

  #word(): Expression {
    const c = this.#c
    const upper = c.token.kind === 'word' ? c.token.text.toUpperCase() : ''
    if (upper === 'NULL') {
      c.next()
      return { node: 'literal', value: null, type: NULL }
    }
    if (upper === 'CASE') return this.#case()
    if (BARE_FUNCTIONS.has(upper)) {
      c.next()
      return { node: 'call', name: upper, args: [], star: false, distinct: false }
    }
    const next = c.peek(1)
    if (next.kind === 'symbol' && next.text === '(' && c.token.kind === 'word') return this.#call()
    const parts = [c.name()]
    while (c.takeSymbol('.')) parts.push(c.name())
    if (c.isSymbol('(')) throw c.refuse('functions of a schema')
    return { node: 'column', qualifier: parts.at(-2) ?? '', name: parts.at(-1) as string }
  }

  #call(): Expression {
    const c = this.#c
    const name = c.next().text.toUpperCase()
    c.symbol('(')
    if (name === 'CAST' || name === 'TRY_CAST') {
      const operand = this.expression()
      c.word('AS')
      const to = this.typeName(30)
      c.symbol(')')
      return { node: 'cast', operand, type: to, style: null, lenient: name === 'TRY_CAST' }
    }
    if (name === 'CONVERT' || name === 'TRY_CONVERT') {
      const to = this.typeName(30)
      c.symbol(',')
      const operand = this.expression()
      const style = c.takeSymbol(',') ? this.expression() : null
      c.symbol(')')
      return { node: 'cast', operand, type: to, style, lenient: name === 'TRY_CONVERT' }
    }
    if (name === 'IIF') {
      const when = this.condition()
      c.symbol(',')
      const result = this.expression()
      c.symbol(',')
      const otherwise = this.expression()
      c.symbol(')')
      return { node: 'iif', when, result, otherwise }
    }
    const part = PART_FUNCTIONS.has(name) ? c.name().toLowerCase() : null
    if (part !== null) c.symbol(',')
    const star = c.takeSymbol('*')
    const distinct = c.takeWord('DISTINCT') !== null
    const args: Expression[] = []
    if (!star && !c.isSymbol(')'))
      do args.push(this.expression())
      while (c.takeSymbol(','))
    c.symbol(')')
    if (c.isWord('OVER')) throw c.refuse('window functions')
    return part === null ? { node: 'call', name, args, star, distinct } : { node: 'datepart', name, part, args }
  }

  #case(): Expression {
    const c = this.#c
    c.word('CASE')
    const subject = c.isWord('WHEN') ? null : this.expression()
    const branches: { when: Condition; result: Expression }[] = []
    while (c.takeWord('WHEN')) {
      const when: Condition =
        subject === null
          ? this.condition()
          : { node: 'compare', operator: '=', left: subject, right: this.expression() }
      c.word('THEN')
      branches.push({ when, result: this.expression() })
    }
    if (branches.length === 0) throw c.unexpected()
    const otherwise = c.takeWord('ELSE') ? this.expression() : null
    c.word('END')
    return { node: 'case', branches, otherwise }
  }

  /** A type's name; `fallback` is the length of a text without one: 1 in declarations, 30 in CAST. */
  typeName(fallback: number): SqlType {
    const c = this.#c
    const start = c.token.start
    c.name()
    let end = c.peek(-1).end
    if (c.takeSymbol('(')) {
      while (!c.isSymbol(')')) {
        if (c.atEnd) throw c.unexpected()
        c.next()
      }
      end = c.next().end
    }
    const text = c.source.slice(start, end)
    if (text.length > 100) throw unsupported('such a type')
    return parseType(text, fallback)
  }

  condition(): Condition {
    let left = this.#conjunction()
    while (this.#c.takeWord('OR')) left = { node: 'or', left, right: this.#conjunction() }
    return left
  }
  #conjunction(): Condition {
    let left = this.#negation()
    while (this.#c.takeWord('AND')) left = { node: 'and', left, right: this.#negation() }
    return left
  }
  #negation(): Condition {
    if (this.#c.takeWord('NOT')) return { node: 'not', operand: this.#negation() }
    return this.#predicate()
  }

  #predicate(): Condition {
    const c = this.#c
    if (c.takeWord('EXISTS')) {
      c.symbol('(')
      const select = this.#select(c)
      c.symbol(')')
      return { node: 'exists', select }
    }
    if (c.isSymbol('(') && this.#isCondition()) {
      c.symbol('(')
      const inner = this.condition()
      c.symbol(')')
      return inner
    }
    const left = this.expression()
    const operator = c.token.kind === 'symbol' ? COMPARISONS[c.token.text] : undefined
    if (operator !== undefined) {
      c.next()
      if (c.isWord('ALL', 'ANY', 'SOME')) throw c.refuse('ALL, ANY and SOME')
      return { node: 'compare', operator, left, right: this.expression() }
    }
    if (c.takeWord('IS')) {
      const negated = c.takeWord('NOT') !== null
      if (c.isWord('DISTINCT')) throw c.refuse('IS DISTINCT FROM')
      c.word('NULL')
      return { node: 'null', operand: left, negated }
    }
    const negated = c.takeWord('NOT') !== null
    if (c.takeWord('BETWEEN')) {
      const low = this.expression()
      c.word('AND')
      const high = this.expression()
      const between: Condition = {
        node: 'and',
        left: { node: 'compare', operator: '>=', left, right: low },
        right: { node: 'compare', operator: '<=', left, right: high },
      }
      return negated ? { node: 'not', operand: between } : between
    }
    if (c.takeWord('LIKE')) {
      const pattern = this.expression()
      return { node: 'like', operand: left, pattern, escape: c.takeWord('ESCAPE') ? this.expression() : null, negated }
    }
    if (!c.takeWord('IN')) throw c.unexpected()
    c.symbol('(')
    if (c.isWord('SELECT')) {
      const select = this.#select(c)
      c.symbol(')')
      return { node: 'inSelect', operand: left, select, negated }
    }
    const list = [this.expression()]
    while (c.takeSymbol(',')) list.push(this.expression())
    c.symbol(')')
    return { node: 'in', operand: left, list, negated }
  }

  /** Whether the parenthesis at the cursor holds a condition: one with a comparing token at its own depth. */
  #isCondition(): boolean {
    let depth = 0
    let cases = 0
    for (let ahead = 0; ; ahead++) {
      const token = this.#c.peek(ahead)
      if (token.kind === 'end') return false
      const text = token.text.toUpperCase()
      if (token.kind === 'symbol' && text === '(') depth++
      if (token.kind === 'symbol' && text === ')') {
        depth--
        // (( a = 1 ) AND …) and ((1) + 2) * 3 differ only in what is inside.
        if (depth === 0) return false
      }
      if (token.kind === 'word' && text === 'CASE') cases++
      if (token.kind === 'word' && text === 'END') cases--
      if (cases > 0 || (depth === 1 && token.kind === 'word' && text === 'SELECT')) {
        if (text === 'SELECT') return false
        continue
      }
      if (token.kind === 'word' && text === 'SELECT') {
        // A subquery: skip to its end.
        for (let inner = 1; inner > 0;) {
          ahead++
          const t = this.#c.peek(ahead)
          if (t.kind === 'end') return false
          if (t.kind === 'symbol' && t.text === '(') inner++
          if (t.kind === 'symbol' && t.text === ')') inner--
        }
        depth--
        continue
      }
      if (token.kind === 'symbol' && COMPARISONS[text] !== undefined) return true
      if (token.kind === 'word' && ['IS', 'IN', 'LIKE', 'BETWEEN', 'EXISTS', 'NOT', 'AND', 'OR'].includes(text))
        return true
    }
  }
}

function numberLiteral(text: string): Expression {
  if (/^\d+$/.test(text)) {
    const value = BigInt(text)
    if (value <= 2_147_483_647n) return { node: 'literal', value: Number(value), type: INT }
    if (text.length > 38)
      throw new SqlError(
        1007,
        `The number '${text.slice(0, 60)}' is out of the range for numeric representation (maximum precision 38).`,
        { severity: 15, abort: 'batch' },
      )
    return { node: 'literal', value, type: decimal(text.replace(/^0+/, '').length, 0) }
  }
  const { value, scale } = parseDecimal(text) ?? { value: 0n, scale: 0 }
  const digits = value.toString().length
  return { node: 'literal', value, type: decimal(Math.max(digits, scale, 1), scale) }
}

function negateLiteral(literal: Extract<Expression, { node: 'literal' }>): Expression {
  const { value, type: of } = literal
  if (typeof value === 'bigint') return { ...literal, value: -value }
  return { ...literal, value: -(value as number), type: of }
}

const literalType = (kind: 'varchar' | 'nvarchar', length: number, limit: number) =>
  kind === 'nvarchar'
    ? nvarchar(length > limit ? MAX : Math.max(1, length))
    : type(kind, length > limit ? MAX : Math.max(1, length))

export { BIGINT }
