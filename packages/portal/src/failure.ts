import { allColumns, tables } from '@clinic-sync/mapping'
import { DatabaseError, driverFailure, postgresFailure } from '@clinic-sync/sync'

/** The parts of pg's errors that never hold a row's values; its message and detail do. */
interface ServerError {
  readonly code: string
  readonly table?: string | undefined
  readonly column?: string | undefined
  readonly constraint?: string | undefined
  readonly severity?: string | undefined
  readonly routine?: string | undefined
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
  const { code: number, severity, routine } = error
  const { failure, words, error: code } = postgresFailure(number, { severity, routine })
  const where = place(error)
  const message = [where || prefix, `${words} (${number})`].filter(Boolean).join(where && !prefixed(words) ? ' ' : ': ')
  return new DatabaseError(failure, message, { number, ...(code && { code }) })
}

const prefixed = (words: string) => !/^(must|violates)/.test(words)

/** No answer from the server: the connection failed, whatever the reason. Node's code says which way. */
function connectionError(error: unknown): DatabaseError {
  // Not of the connection's kind: a value that cannot be sent. That is nothing to stop for.
  if (error instanceof TypeError || error instanceof RangeError) {
    return new DatabaseError('transient', `the driver could not send the work (${error.name})`)
  }
  const number = error instanceof Error && 'code' in error ? String(error.code) : undefined
  const known =
    error instanceof Error && /^(Connection terminated|timeout e|Query read timeout|The server)/.test(error.message)
  const reason = number ?? (known ? error.message : 'no answer')
  const words = number === undefined ? undefined : driverFailure(number)?.words
  const message = `the portal's database cannot be reached: ${words === undefined ? reason : `${words} (${reason})`}`
  return new DatabaseError('down', message, { number })
}
