/** A piece of T-SQL. Blanks and comments are left out. */
export interface Token {
  /** `word`: a bare word; `quoted`: a [name] or "name"; `variable`: @x or @@x; `temp`: #x. */
  readonly kind: 'word' | 'quoted' | 'variable' | 'temp' | 'string' | 'number' | 'sign'
  /** As written; of quoted names and strings what is between the quotes, unescaped. */
  readonly text: string
  /** In capitals, for comparing words; of all else the text. */
  readonly upper: string
  /** Line, from 1. */
  readonly line: number
  /** Of a string: N'…'. */
  readonly national?: boolean
}

const PIECE =
  /(?<blank>\s+|--[^\n]*)|(?<comment>\/\*)|(?<national>[Nn](?='))?'(?<string>(?:[^']|'')*)'|\[(?<bracketed>(?:[^\]]|\]\])*)\]|"(?<double>(?:[^"]|"")*)"|(?<variable>@{1,2}[\p{L}\p{N}_@#$]+)|(?<temp>#{1,2}[\p{L}\p{N}_@#$]+)|(?<word>[\p{L}_][\p{L}\p{N}_@#$]*)|(?<number>0x[\da-fA-F]*|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?<sign><>|<=|>=|!=|\+=|-=|\|\||::|[^\s])/uy

/** Reads T-SQL into tokens. `line` is that on which the text begins. @throws Error at a string or comment that never ends */
export function tokensOf(sql: string, line = 1): Token[] {
  const tokens: Token[] = []
  let at = 0
  while (at < sql.length) {
    PIECE.lastIndex = at
    const found = PIECE.exec(sql)
    if (found === null) throw new Error(`line ${line}: cannot be read`)
    const g = found.groups ?? {}
    const begins = line
    const end = g.comment === undefined ? PIECE.lastIndex : endOfComment(sql, at, line)
    line += sql.slice(at, end).split('\n').length - 1
    at = end
    if (g.blank !== undefined || g.comment !== undefined) continue
    const push = (kind: Token['kind'], text: string, more: Partial<Token> = {}) =>
      tokens.push({ kind, text, upper: kind === 'word' ? text.toUpperCase() : text, line: begins, ...more })
    if (g.string !== undefined) push('string', g.string.replaceAll("''", "'"), { national: g.national !== undefined })
    else if (g.bracketed !== undefined) push('quoted', g.bracketed.replaceAll(']]', ']'))
    else if (g.double !== undefined) push('quoted', g.double.replaceAll('""', '"'))
    else if (g.variable !== undefined) push('variable', g.variable)
    else if (g.temp !== undefined) push('temp', g.temp)
    else if (g.word !== undefined) push('word', g.word)
    else if (g.number !== undefined) push('number', g.number)
    else if (found[0] === "'" || found[0] === '"' || found[0] === '[')
      throw new Error(`line ${begins}: ${found[0]} never ends`)
    else push('sign', found[0])
  }
  return tokens
}

/** Block comments nest. */
function endOfComment(sql: string, from: number, line: number): number {
  let depth = 0
  for (let i = from; i < sql.length; i++) {
    const two = sql.slice(i, i + 2)
    if (two === '/*') depth++
    else if (two === '*/' && --depth === 0) return i + 2
    else continue
    i++
  }
  throw new Error(`line ${line}: a comment never ends`)
}

/** The tokens as one line, words in capitals, names bare, strings as '': for regular expressions about constructs. */
export const codeOf = (tokens: readonly Token[]): string =>
  tokens.map((token) => (token.kind === 'string' ? (token.national ? "N''" : "''") : token.upper)).join(' ')

const STATEMENT =
  /^(?:ALTER|BACKUP|BEGIN|CREATE|DECLARE|DELETE|DENY|DISABLE|DROP|ENABLE|EXEC|GRANT|IF|INSERT|MERGE|REVOKE|SELECT|SET|TRUNCATE|UPDATE)$/

/** Strings that hold statements themselves (for EXEC), read as well; their lines are the string's. */
export function statementsWithin(tokens: readonly Token[]): Token[][] {
  return tokens.flatMap((token) => {
    if (token.kind !== 'string') return []
    const inner = readable(token)
    return inner[0] !== undefined && STATEMENT.test(inner[0].upper) && inner.length > 1
      ? [inner, ...statementsWithin(inner)]
      : []
  })
}

/** A part of a statement, put together with others, may end in the middle of a string. */
function readable({ text, line }: Token): Token[] {
  try {
    return tokensOf(text).map((token) => ({ ...token, line }))
  } catch {
    return []
  }
}
