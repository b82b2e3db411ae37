import { SqlError } from '../values/errors.ts'

export type TokenKind =
  | 'word'
  | 'quoted'
  | 'variable'
  | 'number'
  | 'float'
  | 'string'
  | 'nstring'
  | 'binary'
  | 'symbol'
  | 'end'

/** `text` is the token's meaning: a quoted name or string without its quotes. `start` and `end` are offsets in the source. */
export interface Token {
  readonly kind: TokenKind
  readonly text: string
  readonly line: number
  readonly start: number
  readonly end: number
}

const SPACE = /[\s\ufeff]/
const WORD = /[\p{L}_#][\p{L}\p{N}_#$@]*/uy
const VARIABLE = /@@?[\p{L}\p{N}_#$@]+/uy
const NUMBER = /(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?/y
const BINARY = /0[xX][0-9a-fA-F]*/y
const SYMBOLS = ['<>', '!=', '<=', '>=', '!<', '!>', '+=', '-=', '*=', '/=', '%=', '||', '::']

const at = (pattern: RegExp, source: string, offset: number): string | undefined => {
  pattern.lastIndex = offset
  return pattern.exec(source)?.[0]
}

/**
 * Splits T-SQL into tokens; comments (nested ones too) and blanks are left out.
 * @throws SqlError 105 (unclosed quote), 113 (unclosed comment).
 */
export function tokenize(source: string): Token[] {
  const tokens: Token[] = []
  let line = 1
  let offset = 0
  const push = (kind: TokenKind, text: string, end: number) => {
    tokens.push({ kind, text, line, start: offset, end })
    for (let i = offset; i < end; i++) if (source.charCodeAt(i) === 10) line++
    offset = end
  }
  const quoted = (start: number, close: string): [text: string, end: number] => {
    let text = ''
    for (let from = start + 1; ;) {
      const stop = source.indexOf(close, from)
      if (stop < 0)
        throw new SqlError(105, 'Unclosed quotation mark after the character string.', { severity: 15, abort: 'batch' })
      text += source.slice(from, stop)
      if (source[stop + 1] !== close) return [text, stop + 1]
      text += close
      from = stop + 2
    }
  }
  while (offset < source.length) {
    const c = source[offset] as string
    const next = source[offset + 1]
    if (SPACE.test(c)) {
      if (c === '\n') line++
      offset++
    } else if (c === '-' && next === '-') {
      const stop = source.indexOf('\n', offset)
      offset = stop < 0 ? source.length : stop
    } else if (c === '/' && next === '*') {
      const end = endOfComment(source, offset)
      for (let i = offset; i < end; i++) if (source.charCodeAt(i) === 10) line++
      offset = end
    } else if (c === "'") push('string', ...quoted(offset, "'"))
    else if ((c === 'N' || c === 'n') && next === "'") push('nstring', ...quoted(offset + 1, "'"))
    else if (c === '"') push('quoted', ...quoted(offset, '"'))
    else if (c === '[') push('quoted', ...quoted(offset, ']'))
    else {
      const binary = at(BINARY, source, offset)
      const number = binary === undefined ? at(NUMBER, source, offset) : undefined
      const variable = at(VARIABLE, source, offset)
      const word = at(WORD, source, offset)
      const symbol = SYMBOLS.find((s) => source.startsWith(s, offset)) ?? c
      if (binary !== undefined) push('binary', binary, offset + binary.length)
      else if (number !== undefined) push(/e/i.test(number) ? 'float' : 'number', number, offset + number.length)
      else if (variable !== undefined) push('variable', variable, offset + variable.length)
      else if (word !== undefined) push('word', word, offset + word.length)
      else push('symbol', symbol, offset + symbol.length)
    }
  }
  tokens.push({ kind: 'end', text: '', line, start: source.length, end: source.length })
  return tokens
}

function endOfComment(source: string, start: number): number {
  let depth = 0
  for (let i = start; i < source.length; i++) {
    if (source.startsWith('/*', i)) {
      depth++
      i++
    } else if (source.startsWith('*/', i)) {
      depth--
      i++
      if (depth === 0) return i + 1
    }
  }
  throw new SqlError(113, "Missing end comment mark '*/'.", { severity: 15, abort: 'batch' })
}
