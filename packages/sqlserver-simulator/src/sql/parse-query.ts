import type { Expression, Hint, Join, ObjectName, OrderItem, Select, SelectItem, TableRef } from './ast.ts'
import type { Cursor } from './cursor.ts'
import { ExpressionParser } from './parse-expression.ts'

const HINTS = new Set([
  'nolock',
  'readuncommitted',
  'readpast',
  'updlock',
  'xlock',
  'holdlock',
  'serializable',
  'repeatableread',
  'rowlock',
  'readcommitted',
  'nowait',
  'tablock',
  'paglock',
])
const SAME: Readonly<Record<string, Hint>> = {
  readuncommitted: 'nolock',
  serializable: 'holdlock',
  repeatableread: 'holdlock',
}

/** `WITH (hint, …)` after a table's name, if there. */
export function parseHints(c: Cursor): Hint[] {
  if (!c.isWord('WITH') || c.peek(1).text !== '(') return []
  c.next()
  c.symbol('(')
  const hints: Hint[] = []
  do {
    const name = c.next().text.toLowerCase()
    if (!HINTS.has(name)) throw c.refuse(`the table hint ${name.slice(0, 40)}`)
    hints.push(SAME[name] ?? (name as Hint))
  } while (c.takeSymbol(','))
  c.symbol(')')
  return hints
}

/** `TOP n` or `TOP (expression)`, if there. */
export function parseTop(c: Cursor, parser: ExpressionParser): Expression | null {
  if (!c.takeWord('TOP')) return null
  let top: Expression
  if (c.takeSymbol('(')) {
    top = parser.expression()
    c.symbol(')')
  } else if (c.token.kind === 'number') top = parser.expression()
  else throw c.unexpected()
  if (c.isWord('PERCENT')) throw c.refuse('TOP … PERCENT')
  if (c.isWord('WITH') && c.peek(1).text.toUpperCase() === 'TIES') throw c.refuse('WITH TIES')
  return top
}

/** The list after SELECT or OUTPUT. */
export function parseItems(c: Cursor, parser: ExpressionParser): SelectItem[] {
  const items: SelectItem[] = []
  do items.push(parseItem(c, parser))
  while (c.takeSymbol(','))
  return items
}

function parseItem(c: Cursor, parser: ExpressionParser): SelectItem {
  const none = { star: null, expression: null, alias: null, assign: null }
  if (c.takeSymbol('*')) return { ...none, star: '' }
  if (c.isName() && c.peek(1).text === '.' && c.peek(2).kind === 'symbol' && c.peek(2).text === '*') {
    const star = c.name()
    c.next()
    c.next()
    return { ...none, star }
  }
  if (c.token.kind === 'variable' && c.peek(1).kind === 'symbol' && c.peek(1).text === '=') {
    const assign = c.next().text.toLowerCase()
    c.next()
    return { ...none, expression: parser.expression(), assign }
  }
  if (c.isName() && c.peek(1).kind === 'symbol' && c.peek(1).text === '=') {
    const alias = c.name()
    c.next()
    return { ...none, expression: parser.expression(), alias }
  }
  const expression = parser.expression()
  if (c.takeWord('AS')) {
    const alias = c.token.kind === 'string' || c.token.kind === 'nstring' ? c.next().text : c.name()
    return { ...none, expression, alias }
  }
  if (c.token.kind === 'string') return { ...none, expression, alias: c.next().text }
  return { ...none, expression, alias: c.isName() ? c.name() : null }
}

function parseTable(c: Cursor): TableRef {
  if (c.isSymbol('(')) throw c.refuse('derived tables')
  if (c.token.kind === 'variable') throw c.refuse('table variables')
  const name: ObjectName = c.objectName()
  if (c.isSymbol('(')) throw c.refuse('table-valued functions')
  const alias = c.takeWord('AS') || c.isName() ? c.name() : name.name
  return { name, alias, hints: parseHints(c) }
}

function parseJoins(c: Cursor, parser: ExpressionParser): Join[] {
  const joins: Join[] = []
  for (;;) {
    if (c.isSymbol(',')) throw c.refuse('tables joined by commas: use JOIN')
    if (c.isWord('RIGHT', 'FULL')) throw c.refuse(`${c.token.text.toUpperCase()} JOIN`)
    let kind: Join['kind'] = 'inner'
    if (c.takeWord('LEFT')) {
      c.takeWord('OUTER')
      kind = 'left'
    } else if (c.takeWord('CROSS')) {
      if (c.isWord('APPLY')) throw c.refuse('APPLY')
      kind = 'cross'
    } else if (!c.takeWord('INNER') && !c.isWord('JOIN')) return joins
    c.word('JOIN')
    const table = parseTable(c)
    if (kind !== 'cross') c.word('ON')
    joins.push({ kind, table, on: kind === 'cross' ? null : parser.condition() })
  }
}

function parseOrder(c: Cursor, parser: ExpressionParser): OrderItem[] {
  if (!c.takeWord('ORDER')) return []
  c.word('BY')
  const items: OrderItem[] = []
  do {
    const expression = parser.expression()
    items.push({ expression, descending: c.takeWord('ASC', 'DESC') === 'DESC' })
  } while (c.takeSymbol(','))
  return items
}

/** SELECT … at the cursor. Set operations, CTEs, INTO and FOR are refused. */
export function parseSelect(c: Cursor): Select {
  const parser = new ExpressionParser(c, parseSelect)
  c.word('SELECT')
  const distinct = c.takeWord('ALL', 'DISTINCT') === 'DISTINCT'
  const top = parseTop(c, parser)
  const items = parseItems(c, parser)
  if (c.isWord('INTO')) throw c.refuse('SELECT … INTO')
  const from = c.takeWord('FROM') ? parseTable(c) : null
  const joins = from ? parseJoins(c, parser) : []
  const where = c.takeWord('WHERE') ? parser.condition() : null
  const groupBy: Expression[] = []
  if (c.takeWord('GROUP')) {
    c.word('BY')
    do groupBy.push(parser.expression())
    while (c.takeSymbol(','))
  }
  const having = c.takeWord('HAVING') ? parser.condition() : null
  if (c.isWord('UNION', 'EXCEPT', 'INTERSECT')) throw c.refuse(c.token.text.toUpperCase())
  const orderBy = parseOrder(c, parser)
  let offset: Expression | null = null
  let fetch: Expression | null = null
  if (orderBy.length > 0 && c.takeWord('OFFSET')) {
    offset = parser.expression()
    c.word('ROW', 'ROWS')
    if (c.takeWord('FETCH')) {
      c.word('NEXT', 'FIRST')
      fetch = parser.expression()
      c.word('ROW', 'ROWS')
      c.word('ONLY')
    }
  }
  if (c.isWord('FOR')) throw c.refuse('FOR JSON and FOR XML')
  if (c.isWord('OPTION')) throw c.refuse('OPTION')
  return { kind: 'select', distinct, top, items, from, joins, where, groupBy, having, orderBy, offset, fetch }
}
