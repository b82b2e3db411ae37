import { allColumns, tables } from '@clinic-sync/mapping'
import { DatabaseError, type ErrorCode, type FailureClass } from '@clinic-sync/sync'

/**
 * What an SQLSTATE means for the work at hand; the first entry that is a prefix of it counts.
 * Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html
 */
const CLASSES: readonly (readonly [state: string, failure: FailureClass, words: string])[] = [
  ['23503', 'parent', 'a record that it refers to is missing'],
  ['23502', 'permanent', 'must not be null'],
  ['23505', 'permanent', 'must be unique'],
  ['23514', 'permanent', 'violates a check constraint'],
  ['23', 'permanent', 'violates a constraint'],
  ['22001', 'permanent', 'a text is longer than its column'],
  ['22003', 'permanent', "a number is out of its column's range"],
  ['22007', 'permanent', 'not a date or time'],
  ['22008', 'permanent', 'a date or time is out of range'],
  ['22', 'permanent', 'a value that its column cannot hold'],
  ['21', 'permanent', 'not one row where one was needed'],
  ['0A', 'permanent', 'not supported by the database'],
  ['44', 'permanent', "violates a view's check option"],
  ['54', 'permanent', 'exceeds a limit of Postgres'],
  // A trigger of the portal's own refused the row.
  ['P0', 'permanent', 'refused by a trigger or function of the portal'],
  ['40P01', 'transient', 'a deadlock; the other transaction went first'],
  ['40', 'transient', 'another transaction went first'],
  ['55P03', 'transient', 'somebody holds a lock on it'],
  ['55', 'transient', 'not in the state for it'],
  ['57014', 'transient', 'took too long and was cancelled'],
  ['53100', 'down', 'the disk is full'],
  ['53300', 'down', 'too many connections'],
  ['53400', 'down', 'a configured limit is exceeded'],
  ['53', 'transient', 'out of resources'],
  ['25006', 'down', 'the database is read-only'],
  ['25', 'transient', 'the transaction was ended'],
  ['57', 'down', 'the server is shutting down or starting'],
  ['58', 'down', 'the server has an input/output error'],
  ['08P01', 'down', 'the server, or a pooler in between, refuses the settings sent with the login'],
  ['08', 'down', 'the connection failed'],
  ['28', 'down', 'the login was refused'],
  ['3D000', 'down', 'there is no such database'],
  ['42501', 'down', 'the login lacks a right (or a policy stops it)'],
  // Schema sync, one of its functions, or one of the portal's tables or columns is missing.
  ['3F000', 'down', 'a schema is missing'],
  ['42P01', 'down', 'a table is missing'],
  ['42883', 'down', 'a function is missing'],
  ['42703', 'down', 'a column is missing'],
  ['42', 'down', 'the statement does not fit the schema'],
]
const NOT_MIGRATED = new Set(['3F000', '42P01', '42883', '42703'])

/** The parts of pg's errors that never hold a row's values; its message and detail do. */
interface ServerError {
  readonly code: string
  readonly table?: string | undefined
  readonly column?: string | undefined
  readonly constraint?: string | undefined
}

export const isServerError = (error: unknown): error is ServerError =>
  error instanceof Error && 'severity' in error && 'code' in error && /^[0-9A-Z]{5}$/.test(String(error.code))

/** `table.column` as far as Postgres tells; from a unique constraint's usual name, `table_column_key`, its column. */
function place({ table, column, constraint }: ServerError): string {
  if (table === undefined) return ''
  if (column !== undefined) return `${table}.${column}`
  const mapped = tables.find(({ name }) => name === table)
  const named = mapped && allColumns(mapped).find(({ name }) => constraint?.includes(`_${name}_`))
  if (named && constraint?.startsWith(`${table}_`)) return `${table}.${named.name}`
  return constraint === undefined ? table : `${table} (${constraint})`
}

/**
 * Puts an error of pg into the project's words: names of tables, columns and constraints, and the SQLSTATE; no text from
 * the server, which may quote a row's values, and so no `cause` either.
 */
export function toDatabaseError(error: unknown, prefix = ''): DatabaseError {
  if (error instanceof DatabaseError) return error
  if (!isServerError(error)) return connectionError(error)
  const state = error.code
  const [, failure, words] =
    CLASSES.find(([start]) => state.startsWith(start)) ?? (['', 'transient', 'failed'] as const)
  const where = place(error)
  const message = [where || prefix, `${words} (${state})`].filter(Boolean).join(where && !prefixed(words) ? ' ' : ': ')
  const code: ErrorCode | undefined = NOT_MIGRATED.has(state)
    ? 'SYNC_NOT_MIGRATED'
    : state.startsWith('28')
      ? 'SYNC_LOGIN_REFUSED'
      : undefined
  return new DatabaseError(failure, message, { number: state, ...(code && { code }) })
}

const prefixed = (words: string) => !/^(must|violates)/.test(words)

/** No answer from the server: the connection failed, whatever the reason. Node's code says which way. */
function connectionError(error: unknown): DatabaseError {
  const code = error instanceof Error && 'code' in error ? String(error.code) : undefined
  const known =
    error instanceof Error && /^(Connection terminated|timeout e|Query read timeout|The server)/.test(error.message)
  const reason = code ?? (known ? (error as Error).message : 'no answer')
  return new DatabaseError('down', `the portal's database cannot be reached: ${reason}`, { number: code })
}
