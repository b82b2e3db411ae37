import { Blocked, waitFor } from '../engine/locks.ts'
import { demand, demandAlter } from '../engine/permissions.ts'
import type { Session } from '../engine/session.ts'
import type { Transaction } from '../engine/transaction.ts'
import { NO_RESULT, type Result, type Work } from '../engine/work.ts'
import type { Statement, StatementOf } from '../sql/ast.ts'
import { convert } from '../values/convert.ts'
import { SqlError, unsupported } from '../values/errors.ts'
import { INT, type SqlValue } from '../values/types.ts'
import { setBroker } from './alter-database.ts'
import { addCheck, alterColumn, dropCheck } from './alter-table.ts'
import { compileCondition } from './conditions.ts'
import { compile } from './expressions.ts'
import { type Env, Scope } from './scope.ts'
import { compileSelect } from './select.ts'
import { setOption } from './options.ts'
import { runDelete, runInsert, runUpdate } from './write-statements.ts'

/** Gets what a batch gives, in its order. */
export interface Sink {
  result(result: Result): void
  error(error: SqlError): void
  info(message: string): void
}

const EMPTY: Env = { rows: [], parent: null, aggregates: [] }

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

/**
 * Runs `body` all or nothing, in the session's transaction or one of its own. If it meets another's lock it is undone,
 * waits and runs again from its beginning: nobody has seen what it did.
 */
export async function atomically<T>(
  session: Session,
  signal: AbortSignal,
  body: (work: Work) => T | Promise<T>,
  lockTimeout = session.lockTimeout,
): Promise<T> {
  const own = session.transaction === null ? session.newTransaction() : null
  const tx = own ?? (session.transaction as Transaction)
  try {
    for (;;) {
      const mark = tx.mark
      const work: Work = { db: session.db, tx, session, identities: new Map(), calls: [] }
      const queueId = session.db.queueId
      try {
        const result = body(work)
        const value = result instanceof Promise ? await result : result
        for (const call of work.calls) await call()
        signal.throwIfAborted()
        own?.commit()
        return value
      } catch (error) {
        tx.undoTo(mark)
        if (!(error instanceof Blocked)) throw error
        for (const [table, identity] of work.identities) table.identity = identity
        session.db.queueId = queueId
        await waitFor(tx, error, lockTimeout, signal)
      }
    }
  } catch (error) {
    own?.rollback()
    throw error
  }
}

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

async function call(s: StatementOf<'exec'>, session: Session, signal: AbortSignal): Promise<readonly Result[]> {
  if (s.args.some((a) => a.output)) throw unsupported('OUTPUT arguments of EXEC')
  const given = await atomically(session, signal, (work) =>
    s.args.map((a) => {
      const value = a.value === null ? null : compile(a.value, new Scope(null), work)
      return { name: a.name, value: value === null ? undefined : value.run(EMPTY), type: value?.type ?? INT }
    }),
  )
  const results = await callProcedure(s.procedure, given, session, signal)
  if (s.result !== null) {
    const variable = session.variables.get(s.result)
    if (variable === undefined)
      throw new SqlError(137, `Must declare the scalar variable "${s.result}".`, { severity: 15, abort: 'batch' })
    variable.value = convert(0, INT, variable.type)
  }
  return results
}

/** An argument: `name` without @, or empty for one by position; `value` undefined for DEFAULT. */
export interface Given {
  readonly name: string
  readonly value: SqlValue | undefined
  readonly type: typeof INT
}

/** @throws SqlError 201, 2812, 8144, 8145 and what the procedure throws */
export function callProcedure(
  name: { schema: string; name: string },
  given: readonly Given[],
  session: Session,
  signal: AbortSignal,
): Promise<readonly Result[]> {
  const procedure = session.db.procedure(name.schema, name.name)
  const full = `${name.schema ? `${name.schema}.` : ''}${name.name}`
  if (procedure === undefined) return Promise.reject(new SqlError(2812, `Could not find stored procedure '${full}'.`))
  try {
    demand(session, 'EXECUTE', name)
  } catch (error) {
    return Promise.reject(error)
  }
  const values = procedure.parameters.map((p): SqlValue | undefined => p.default)
  for (const [i, arg] of given.entries()) {
    const at =
      arg.name === '' ? i : procedure.parameters.findIndex((p) => p.name.toLowerCase() === arg.name.toLowerCase())
    const parameter = procedure.parameters[at]
    if (parameter === undefined)
      return Promise.reject(
        arg.name === ''
          ? new SqlError(8144, `Procedure or function ${procedure.name} has too many arguments specified.`)
          : new SqlError(8145, `@${arg.name} is not a parameter for procedure ${procedure.name}.`),
      )
    if (arg.value !== undefined) {
      try {
        values[at] = convert(arg.value, arg.type, parameter.type)
      } catch (error) {
        return Promise.reject(error)
      }
    }
  }
  const missing = values.indexOf(undefined)
  if (missing >= 0)
    return Promise.reject(
      new SqlError(
        201,
        `Procedure or function '${procedure.name}' expects parameter '@${procedure.parameters[missing]?.name}', which was not supplied.`,
      ),
    )
  const run = (work: Work) => procedure.run(work, values as SqlValue[], signal)
  return atomically(session, signal, run, procedure.lockTimeout).catch((error: unknown) => {
    if (!(error instanceof SqlError) || error.number !== 1222 || procedure.busy === undefined) throw error
    throw new SqlError(51_222, procedure.busy, { abort: 'batch' })
  })
}
