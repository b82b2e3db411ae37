import type { Unlined } from './ast.ts'
import type { Cursor } from './cursor.ts'
import type { ExpressionParser } from './parse-expression.ts'

/** `ALTER DATABASE`: Service Broker on and off. */
export function parseAlterDatabase(c: Cursor): Unlined {
  c.word('ALTER')
  c.word('DATABASE')
  const database = c.takeWord('CURRENT') === null ? c.name() : null
  if (!c.takeWord('SET')) throw c.refuse('ALTER DATABASE')
  const option = c.takeWord('ENABLE_BROKER', 'DISABLE_BROKER')
  if (option === null) throw c.refuse('ALTER DATABASE SET')
  if (!c.takeWord('WITH')) throw c.refuse(`${option} that waits for everybody: say WITH ROLLBACK IMMEDIATE`)
  c.word('ROLLBACK')
  c.word('IMMEDIATE')
  return { kind: 'setBroker', database, enable: option === 'ENABLE_BROKER' }
}

/** `ALTER TABLE`: triggers on and off, CHECK constraints, and a column's type. */
export function parseAlterTable(c: Cursor, parser: ExpressionParser): Unlined {
  c.word('ALTER')
  c.word('TABLE')
  const table = c.objectName()
  const action = c.takeWord('ENABLE', 'DISABLE')
  if (action !== null) {
    c.word('TRIGGER')
    return { kind: 'trigger', enable: action === 'ENABLE', trigger: c.takeWord('ALL') ? null : c.name(), table }
  }
  if (c.isWord('ADD') && c.peek(1).text.toUpperCase() === 'CONSTRAINT') {
    c.next()
    c.next()
    const name = c.name()
    if (!c.takeWord('CHECK')) throw c.refuse('constraints other than CHECK')
    const { start } = c.token
    c.symbol('(')
    const when = parser.condition()
    c.symbol(')')
    return { kind: 'addCheck', table, name, when, definition: c.source.slice(start, c.peek(-1).end) }
  }
  if (c.isWord('DROP') && c.peek(1).text.toUpperCase() === 'CONSTRAINT') {
    c.next()
    c.next()
    return { kind: 'dropCheck', table, name: c.name() }
  }
  if (c.isWord('ALTER') && c.peek(1).text.toUpperCase() === 'COLUMN') {
    c.next()
    c.next()
    const column = c.name()
    const type = parser.typeName(1)
    const not = c.takeWord('NOT') !== null
    const nullable = c.takeWord('NULL') === null ? null : !not
    if (not && nullable === null) throw c.unexpected()
    return { kind: 'alterColumn', table, column, type, nullable: nullable ?? true }
  }
  throw c.refuse('ALTER TABLE')
}
