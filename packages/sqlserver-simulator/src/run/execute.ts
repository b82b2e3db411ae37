import { demandAlter } from '../engine/permissions.ts'
import type { Session } from '../engine/session.ts'
import { NO_RESULT, type Result, type Work } from '../engine/work.ts'
import type { Statement, StatementOf } from '../sql/ast.ts'
import { convert } from '../values/convert.ts'
import { SqlError } from '../values/errors.ts'
import { setBroker } from './alter-database.ts'
import { addCheck, alterColumn, dropCheck } from './alter-table.ts'
import { atomically } from './atomically.ts'
import { call } from './call.ts'
import { compileCondition } from './conditions.ts'
import { compile } from './expressions.ts'
import { EMPTY, Scope } from './scope.ts'
import { compileSelect } from './select.ts'
import { setOption } from './options.ts'
import { runDelete, runInsert, runUpdate } from './write-statements.ts'

/** Gets what a batch gives, in its order. */
export interface Sink {
  result(result: Result): void
  error(error: SqlError): void
  info(message: string): void
}

/**
 * Runs statements one after the other, as SQL Server runs a batch: an error ends its statement, or the batch and the
 * transaction with it (its `abort`, or SET XACT_ABORT). False: the batch was ended.
 *
 * @throws what the signal was aborted with; the statement in flight is undone, the transaction stays.
 */
export async function execute(
  statements: readonly Statement[],
  session: Session,
  sink: Sink,
  signal: AbortSignal,
): Promise<boolean> {
  for (const statement of statements) {
    signal.throwIfAborted()
    try {
      if (statement.kind === 'if') {
        const when = await atomically(session, signal, (work) =>
          compileCondition(statement.when, new Scope(null), work)(EMPTY),
        )
        if (!(await execute(when === true ? statement.statements : statement.otherwise, session, sink, signal)))
          return false
        continue
      }
      const results = await runStatement(statement, session, sink, signal)
      session.error = 0
      for (const result of results) {
        if (result.count !== null) session.rowCount = result.count
        else if (statement.kind !== 'print' && statement.kind !== 'declare' && statement.kind !== 'exec')
          session.rowCount = 0
        sink.result(result)
      }
    } catch (error) {
      if (!(error instanceof SqlError)) throw error
      session.error = error.number
      session.rowCount = 0
      if (error.line === 1) error.line = statement.line
      const rollback = session.transaction !== null && (session.xactAbort || rollsBack(error))
      if (rollback) session.rollback()
      sink.error(error)
      if (error.abort === 'batch' || session.xactAbort) return false
    }
  }
  return true
}

/** Errors of names and syntax end the batch and leave the transaction; deadlocks and failed conversions do not. */
const NAMES = new Set([
  102, 105, 107, 109, 110, 113, 120, 121, 137, 156, 174, 195, 206, 207, 208, 209, 213, 229, 264, 271, 334, 4104, 8102,
  8120, 1088,
])
const rollsBack = (error: SqlError) => error.abort === 'batch' && !NAMES.has(error.number) && error.number < 50_000

function runStatement(
  s: Exclude<Statement, { kind: 'if' }>,
  session: Session,
  sink: Sink,
  signal: AbortSignal,
): Promise<readonly Result[]> | readonly Result[] {
  switch (s.kind) {
    case 'select':
      return one(session, signal, (work) => runSelect(s, work))
    case 'insert':
      return one(session, signal, (work) => runInsert(s, work))
    case 'update':
      return one(session, signal, (work) => runUpdate(s, work))
    case 'delete':
      return one(session, signal, (work) => runDelete(s, work))
    case 'declare':
      session.variables.set(s.name, { type: s.type, value: null })
      return s.value === null
        ? [NO_RESULT]
        : one(session, signal, (work) => setVariable(s.name, s.value as NonNullable<typeof s.value>, work))
    case 'setVariable':
      return one(session, signal, (work) => setVariable(s.name, s.value, work))
    case 'setOption':
      setOption(session, s.option, s.value)
      return [NO_RESULT]
    case 'identityInsert':
      demandAlter(session, s.table)
      return one(session, signal, (work) => setIdentityInsert(s, work))
    case 'begin':
      session.begin()
      return [NO_RESULT]
    case 'commit':
      session.commit()
      return [NO_RESULT]
    case 'rollback':
      session.rollbackTo(s.savepoint)
      return [NO_RESULT]
    case 'save':
      session.save(s.name)
      return [NO_RESULT]
    case 'exec':
      return call(s, session, signal)
    case 'trigger':
      demandAlter(session, s.table)
      return one(session, signal, (work) => setTrigger(s, work))
    case 'addCheck':
      demandAlter(session, s.table)
      return one(session, signal, (work) => addCheck(s, work))
    case 'dropCheck':
      demandAlter(session, s.table)
      return one(session, signal, (work) => dropCheck(s, work))
    case 'alterColumn':
      demandAlter(session, s.table)
      return one(session, signal, (work) => alterColumn(s, work))
    case 'setBroker':
      setBroker(s, session)
      return [NO_RESULT]
    case 'print':
      return one(session, signal, (work) => {
        const value = compile(s.value, new Scope(null), work)
        sink.info(String(value.run(EMPTY) ?? ' '))
        return NO_RESULT
      })
    case 'use':
      if (s.database.toLowerCase() === session.db.name.toLowerCase()) return [NO_RESULT]
      throw new SqlError(
        911,
        `Database '${s.database}' does not exist. Make sure that the name is entered correctly.`,
        { abort: 'batch' },
      )
  }
}

async function one(session: Session, signal: AbortSignal, body: (work: Work) => Result): Promise<readonly Result[]> {
  return [await atomically(session, signal, body)]
}

function runSelect(s: StatementOf<'select'>, work: Work): Result {
  const select = compileSelect(s, new Scope(null), work)
  const assigns = select.columns.filter((c) => c.assign !== null)
  if (assigns.length === 0) {
    const rows = [...select.rows(null)]
    return { columns: select.columns, rows, count: rows.length }
  }
  if (assigns.length < select.columns.length)
    throw new SqlError(
      141,
      'A SELECT statement that assigns a value to a variable must not be combined with data-retrieval operations.',
      { severity: 15, abort: 'batch' },
    )
  let count = 0
  for (const row of select.rows(null)) {
    count++
    select.columns.forEach((c, i) => {
      const variable = declared(c.assign as string, work)
      variable.value = convert(row[i] ?? null, c.type, variable.type)
    })
  }
  return { columns: null, rows: [], count }
}

function declared(name: string, work: Work) {
  const variable = work.session.variables.get(name)
  if (variable === undefined)
    throw new SqlError(137, `Must declare the scalar variable "${name}".`, { severity: 15, abort: 'batch' })
  return variable
}

function setVariable(name: string, e: Parameters<typeof compile>[0], work: Work): Result {
  const variable = declared(name, work)
  const value = compile(e, new Scope(null), work)
  variable.value = convert(value.run(EMPTY), value.type, variable.type)
  return NO_RESULT
}

function setIdentityInsert(s: StatementOf<'identityInsert'>, { db, session }: Work): Result {
  const table = db.table(s.table.schema, s.table.name)
  if (!table.columns.some((c) => c.identity))
    throw new SqlError(
      8106,
      `Table '${s.table.name}' does not have the identity property. Cannot perform SET operation.`,
    )
  const other = session.identityInsert
  if (s.on && other !== null && other !== table)
    throw new SqlError(
      8107,
      `IDENTITY_INSERT is already ON for table '${db.name}.${other.name}'. Cannot perform SET operation for table '${s.table.name}'.`,
    )
  if (s.on) session.identityInsert = table
  else if (other === table) session.identityInsert = null
  return NO_RESULT
}

function setTrigger(s: StatementOf<'trigger'>, { db, tx }: Work): Result {
  const table = db.table(s.table.schema, s.table.name)
  const triggers = db.triggers.filter(
    (t) => t.table === table && (s.trigger === null || t.name.toLowerCase() === s.trigger.toLowerCase()),
  )
  if (s.trigger !== null && triggers.length === 0)
    throw new SqlError(
      4902,
      `Cannot find the object "${s.trigger}" because it does not exist or you do not have permissions.`,
    )
  for (const trigger of triggers) db.enableTrigger(tx, trigger, s.enable)
  return NO_RESULT
}
