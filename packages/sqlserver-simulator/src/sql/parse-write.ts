import type { Delete, Expression, Insert, SelectItem, Update } from './ast.ts'
import type { Cursor } from './cursor.ts'
import { ExpressionParser } from './parse-expression.ts'
import { parseHints, parseItems, parseSelect, parseTop } from './parse-query.ts'
import { SqlError } from '../values/errors.ts'

const MAX_ROWS = 1000

function parseOutput(c: Cursor, parser: ExpressionParser): SelectItem[] | null {
  if (!c.takeWord('OUTPUT')) return null
  const items = parseItems(c, parser)
  if (c.isWord('INTO')) throw c.refuse('OUTPUT … INTO')
  return items
}

export function parseInsert(c: Cursor): Insert {
  const parser = new ExpressionParser(c, parseSelect)
  c.word('INSERT')
  if (c.isWord('BULK')) throw c.refuse('bulk inserts')
  if (c.isWord('TOP')) throw c.refuse('INSERT TOP')
  c.takeWord('INTO')
  if (c.token.kind === 'variable') throw c.refuse('table variables')
  const table = c.objectName()
  parseHints(c)
  let columns: string[] | null = null
  if (c.takeSymbol('(')) {
    columns = []
    do columns.push(c.name())
    while (c.takeSymbol(','))
    c.symbol(')')
  }
  const output = parseOutput(c, parser)
  const base = { kind: 'insert', table, columns, output } as const
  if (c.takeWord('DEFAULT')) {
    c.word('VALUES')
    return { ...base, values: null, select: null }
  }
  if (c.isWord('EXEC', 'EXECUTE')) throw c.refuse('INSERT … EXEC')
  if (c.isWord('SELECT')) return { ...base, values: null, select: parseSelect(c) }
  c.word('VALUES')
  const values: (Expression | null)[][] = []
  do {
    c.symbol('(')
    const row: (Expression | null)[] = []
    do row.push(c.takeWord('DEFAULT') ? null : parser.expression())
    while (c.takeSymbol(','))
    c.symbol(')')
    values.push(row)
  } while (c.takeSymbol(','))
  if (values.length > MAX_ROWS)
    throw new SqlError(
      10738,
      'The number of row value expressions in the INSERT statement exceeds the maximum allowed number of 1000 row values.',
      { severity: 15, abort: 'batch' },
    )
  return { ...base, values, select: null }
}

export function parseUpdate(c: Cursor): Update {
  const parser = new ExpressionParser(c, parseSelect)
  c.word('UPDATE')
  const top = parseTop(c, parser)
  const table = c.objectName()
  const hints = parseHints(c)
  c.word('SET')
  const set: { column: string; value: Expression | null }[] = []
  do {
    if (c.token.kind === 'variable') throw c.refuse('variables in SET of an UPDATE')
    const column = c.name()
    if (c.isSymbol('.')) throw c.refuse('qualified columns and methods in SET')
    const compound = c.token.kind === 'symbol' && /^[-+*/%]=$/.test(c.token.text) ? c.next().text[0] : null
    if (compound === null) c.symbol('=')
    const right = c.takeWord('DEFAULT') ? null : parser.expression()
    const left: Expression = { node: 'column', qualifier: '', name: column }
    set.push({ column, value: compound && right ? { node: 'binary', operator: compound as '+', left, right } : right })
  } while (c.takeSymbol(','))
  const output = parseOutput(c, parser)
  if (c.isWord('FROM')) throw c.refuse('UPDATE … FROM')
  return { kind: 'update', table, hints, top, set, output, where: parseWhere(c, parser) }
}

export function parseDelete(c: Cursor): Delete {
  const parser = new ExpressionParser(c, parseSelect)
  c.word('DELETE')
  const top = parseTop(c, parser)
  c.takeWord('FROM')
  const table = c.objectName()
  const hints = parseHints(c)
  const output = parseOutput(c, parser)
  if (c.isWord('FROM')) throw c.refuse('DELETE … FROM … FROM')
  return { kind: 'delete', table, hints, top, output, where: parseWhere(c, parser) }
}

function parseWhere(c: Cursor, parser: ExpressionParser) {
  if (!c.takeWord('WHERE')) return null
  if (c.isWord('CURRENT')) throw c.refuse('cursors')
  const where = parser.condition()
  if (c.isWord('OPTION')) throw c.refuse('OPTION')
  return where
}
