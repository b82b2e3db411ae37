import type { Argument, Statement, Unlined } from './ast.ts'
import { Cursor } from './cursor.ts'
import { parseAlterDatabase, parseAlterTable } from './parse-alter.ts'
import { ExpressionParser } from './parse-expression.ts'
import { parseSelect } from './parse-query.ts'
import { parseDelete, parseInsert, parseUpdate } from './parse-write.ts'
import { parseSet } from './parse-set.ts'

/** Statements that exist in T-SQL, named in the refusal so that nobody searches for a typing error. */
const REFUSED = new Set(
  `ALTER BACKUP BREAK CLOSE CONTINUE CREATE CURSOR DBCC DEALLOCATE DENY DROP FETCH GOTO GRANT KILL MERGE OPEN RAISERROR RECONFIGURE RESTORE
  RETURN REVERT REVOKE SHUTDOWN THROW TRUNCATE WAITFOR WHILE WITH BULK RECEIVE SEND`.split(/\s+/),
)

/**
 * Parses a whole batch before anything of it runs, as SQL Server does.
 * @throws SqlError 102, 105, 113, 156 or a refusal.
 */
export function parseBatch(text: string): Statement[] {
  const c = new Cursor(text)
  const statements: Statement[] = []
  while (c.takeSymbol(';')) {}
  while (!c.atEnd) {
    statements.push(...parseStatement(c, statements.length === 0))
    while (c.takeSymbol(';')) {}
  }
  return statements
}

function parseStatement(c: Cursor, first = false): Statement[] {
  const line = c.token.line
  const found = parseOne(c, first)
  return (Array.isArray(found) ? found : [found]).map((statement) => ({ ...statement, line }) as Statement)
}

function parseOne(c: Cursor, first: boolean): Unlined | Unlined[] {
  const parser = new ExpressionParser(c, parseSelect)
  const word = c.token.kind === 'word' ? c.token.text.toUpperCase() : ''
  switch (word) {
    case 'SELECT':
      return parseSelect(c)
    case 'INSERT':
      return parseInsert(c)
    case 'UPDATE':
      if (c.peek(1).text.toUpperCase() === 'STATISTICS') throw c.refuse('UPDATE STATISTICS')
      return parseUpdate(c)
    case 'DELETE':
      return parseDelete(c)
    case 'SET':
      return parseSet(c, parser)
    case 'DECLARE':
      return parseDeclare(c, parser)
    case 'BEGIN':
      return parseBegin(c)
    case 'COMMIT':
      c.next()
      skipTransactionName(c)
      return { kind: 'commit' }
    case 'ROLLBACK':
      c.next()
      return { kind: 'rollback', savepoint: skipTransactionName(c) }
    case 'SAVE':
      c.next()
      c.word('TRAN', 'TRANSACTION')
      return { kind: 'save', name: c.name().toLowerCase() }
    case 'EXEC':
    case 'EXECUTE':
      return parseExec(c, parser)
    case 'ENABLE':
    case 'DISABLE':
      return parseTrigger(c, word === 'ENABLE')
    case 'IF': {
      c.next()
      const when = parser.condition()
      const statements = parseBlock(c)
      while (c.isSymbol(';') && c.peek(1).text.toUpperCase() === 'ELSE') c.next()
      return { kind: 'if', when, statements, otherwise: c.takeWord('ELSE') ? parseBlock(c) : [] }
    }
    case 'PRINT':
      c.next()
      return { kind: 'print', value: parser.expression() }
    case 'USE':
      c.next()
      return { kind: 'use', database: c.name() }
    case 'ALTER':
      if (c.peek(1).text.toUpperCase() === 'TABLE') return parseAlterTable(c, parser)
      if (c.peek(1).text.toUpperCase() === 'DATABASE') return parseAlterDatabase(c)
      throw c.refuse(`ALTER ${c.peek(1).text.toUpperCase().slice(0, 40)}`)
    default:
      if (REFUSED.has(word))
        throw c.refuse(
          `${word}${word === 'CREATE' || word === 'DROP' ? ` ${c.peek(1).text.toUpperCase().slice(0, 40)}` : ''}`,
        )
      // A batch may begin with a procedure's name alone.
      if (first && c.isName()) return parseCall(c, parser, null)
      throw c.unexpected()
  }
}

function parseBlock(c: Cursor): Statement[] {
  if (!c.isWord('BEGIN') || /^(TRAN|TRANSACTION|TRY|CATCH|DISTRIBUTED)$/i.test(c.peek(1).text)) return parseStatement(c)
  c.next()
  const statements: Statement[] = []
  while (!c.takeWord('END')) {
    statements.push(...parseStatement(c))
    while (c.takeSymbol(';')) {}
  }
  return statements
}

function parseBegin(c: Cursor): Unlined | Unlined[] {
  const next = c.peek(1).text.toUpperCase()
  if (next === 'TRAN' || next === 'TRANSACTION') {
    c.next()
    skipTransactionName(c)
    return { kind: 'begin' }
  }
  if (next === 'TRY' || next === 'CATCH' || next === 'DISTRIBUTED' || next === 'DIALOG' || next === 'CONVERSATION')
    throw c.refuse(`BEGIN ${next}`)
  return parseBlock(c) as Unlined[]
}

/** `[TRAN[SACTION] [name]]`: only ROLLBACK cares for the name, which may be a savepoint's. */
function skipTransactionName(c: Cursor): string | null {
  if (!c.takeWord('TRAN', 'TRANSACTION', 'WORK')) return null
  if (c.token.kind === 'variable') throw c.refuse('variables as names of transactions')
  return c.isName() && !/^(ENABLE|DISABLE)$/i.test(c.token.text) ? c.name().toLowerCase() : null
}

function parseDeclare(c: Cursor, parser: ExpressionParser): Unlined[] {
  c.word('DECLARE')
  const found: Unlined[] = []
  do {
    if (c.token.kind !== 'variable') throw c.refuse('DECLARE of a cursor')
    const name = c.next().text.toLowerCase()
    c.takeWord('AS')
    if (c.isWord('TABLE')) throw c.refuse('table variables')
    const type = parser.typeName(1)
    found.push({ kind: 'declare', name, type, value: c.takeSymbol('=') ? parser.expression() : null })
  } while (c.takeSymbol(','))
  return found
}

function parseExec(c: Cursor, parser: ExpressionParser): Unlined {
  c.next()
  if (c.isSymbol('(')) throw c.refuse('EXEC of a string')
  if (c.isWord('AS')) throw c.refuse('EXECUTE AS')
  let result: string | null = null
  if (c.token.kind === 'variable') {
    result = c.next().text.toLowerCase()
    if (!c.isSymbol('=')) throw c.refuse('EXEC of a procedure named by a variable')
    c.next()
  }
  return parseCall(c, parser, result)
}

function parseCall(c: Cursor, parser: ExpressionParser, result: string | null): Unlined {
  const procedure = c.objectName()
  const args: Argument[] = []
  if (!c.atEnd && !c.isSymbol(';') && startsArgument(c)) {
    do {
      let name = ''
      if (c.token.kind === 'variable' && c.peek(1).text === '=') {
        name = c.next().text.slice(1).toLowerCase()
        c.next()
      }
      const value = c.takeWord('DEFAULT') ? null : parser.expression()
      args.push({ name, value, output: c.takeWord('OUTPUT', 'OUT') !== null })
    } while (c.takeSymbol(','))
  }
  if (c.isWord('WITH')) throw c.refuse('WITH RECOMPILE and WITH RESULT SETS')
  return { kind: 'exec', procedure, args, result }
}

function startsArgument(c: Cursor): boolean {
  const { kind, text } = c.token
  return (
    kind === 'variable' ||
    kind === 'number' ||
    kind === 'float' ||
    kind === 'string' ||
    kind === 'nstring' ||
    kind === 'binary' ||
    (kind === 'symbol' && text === '-') ||
    (kind === 'word' && /^(NULL|DEFAULT)$/i.test(text))
  )
}

function parseTrigger(c: Cursor, enable: boolean): Unlined {
  c.next()
  c.word('TRIGGER')
  const trigger = c.takeWord('ALL') ? null : c.objectName().name
  if (c.isSymbol(',')) throw c.refuse('several triggers in one statement')
  c.word('ON')
  if (c.isWord('DATABASE', 'ALL')) throw c.refuse('triggers of the database')
  return { kind: 'trigger', enable, trigger, table: c.objectName() }
}
