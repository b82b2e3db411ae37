import type { Procedure } from '../engine/database.ts'
import { demand } from '../engine/permissions.ts'
import type { Session } from '../engine/session.ts'
import type { Result } from '../engine/work.ts'
import type { StatementOf } from '../sql/ast.ts'
import { convert } from '../values/convert.ts'
import { SqlError, unsupported } from '../values/errors.ts'
import { INT, type SqlValue } from '../values/types.ts'
import { atomically } from './atomically.ts'
import { compile } from './expressions.ts'
import { EMPTY, Scope } from './scope.ts'

/** EXEC of a procedure. */
export async function call(s: StatementOf<'exec'>, session: Session, signal: AbortSignal): Promise<readonly Result[]> {
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

/** @throws SqlError 201, 229, 2812, 8144, 8145 and what the procedure throws */
export async function callProcedure(
  name: { schema: string; name: string },
  given: readonly Given[],
  session: Session,
  signal: AbortSignal,
): Promise<readonly Result[]> {
  const procedure = session.db.procedure(name.schema, name.name)
  if (procedure === undefined)
    throw new SqlError(2812, `Could not find stored procedure '${name.schema ? `${name.schema}.` : ''}${name.name}'.`)
  demand(session, 'EXECUTE', name)
  const values = bind(procedure, given, session.db.applied)
  const beatMs = procedure.beatMs?.(values) ?? null
  const beat =
    beatMs === null
      ? undefined
      : setInterval(() => session.say(`${procedure.name}: still waiting`), Math.max(1, beatMs))
  try {
    return await atomically(session, signal, (work) => procedure.run(work, values, signal), procedure.lockTimeout)
  } catch (error) {
    if (!(error instanceof SqlError) || error.number !== 1222 || procedure.busy === undefined) throw error
    throw new SqlError(51_222, procedure.busy, { abort: 'batch' })
  } finally {
    clearInterval(beat)
  }
}

/** The parameters' values, in their order. */
function bind(
  { name, parameters: all }: Procedure,
  given: readonly Given[],
  applied: ReadonlySet<string>,
): readonly SqlValue[] {
  const parameters = all.filter(({ since }) => since === undefined || applied.has(since))
  const values = parameters.map((p): SqlValue | undefined => p.default)
  for (const [i, arg] of given.entries()) {
    const at = arg.name === '' ? i : parameters.findIndex((p) => p.name.toLowerCase() === arg.name.toLowerCase())
    const parameter = parameters[at]
    if (parameter === undefined)
      throw arg.name === ''
        ? new SqlError(8144, `Procedure or function ${name} has too many arguments specified.`)
        : new SqlError(8145, `@${arg.name} is not a parameter for procedure ${name}.`)
    if (arg.value !== undefined) values[at] = convert(arg.value, arg.type, parameter.type)
  }
  return values.map((value, i) => {
    if (value !== undefined) return value
    throw new SqlError(
      201,
      `Procedure or function '${name}' expects parameter '@${parameters[i]?.name}', which was not supplied.`,
    )
  })
}
