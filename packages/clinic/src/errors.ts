import { DatabaseError, driverFailure, REQUEST_TIMED_OUT, sqlServerFailure, SyncError } from '@clinic-sync/sync'
import { inWords, type Named, namedIn } from './named-in.ts'

/** Numbers of our own: what a doorbell lacks. Each is for an operator to cure; nothing in the work is to blame. */
const NO_DOORBELL: ReadonlyMap<number, (message: string) => string> = new Map([
  [
    51210,
    (message: string) =>
      `Service Broker is off in the clinic's database. To switch it on: ${enableBroker(message)}; it needs the database to ` +
      'itself: every transaction that is open in it is rolled back, so run it when nobody works there.',
  ],
  [51211, () => "Service Broker is not the doorbell that is switched on in the clinic's database."],
  [
    51212,
    () =>
      "The clinic's database lacks this doorbell: `npm run sync -- migrate` installs it where the engine has what it needs.",
  ],
])

/** The one procedure of ours in which triggers of the clinic's own run. */
const APPLYING = 'sync.ApplyPortalChanges'
/** What is ours in there, with or without its schema: before SQL Server 2017 the server does not name that. */
const OURS = /^(\[?sync\]?\.|\[?dbo\]?\.\[?trg_sync)|^\[?(ApplyPortalChanges|Insert_aligner|trg_sync)/i

/**
 * Puts a failure of the driver or the server into the words and classes of clinic-sync. SQL Server's own texts hold
 * columns' values (2627, 2628, 245, 8114 …), so none of them is repeated: the message is the error number, `doing`, and of
 * some the names of table, column and constraint. The driver's error stays on `cause`, which the loggers leave out.
 *
 * @param doing what was being done, in our own words: names of procedures and tables, never a value.
 * @param loginNumber the last error number that the server sent during a login, for a failed login has none itself.
 */
export function toDatabaseError(error: unknown, doing: string, loginNumber?: number): SyncError {
  if (error instanceof SyncError) return error
  const { number, code, name, procedure, named, severity } = facts(error)
  const lacking = number === undefined ? undefined : NO_DOORBELL.get(number)
  if (lacking !== undefined) {
    const message = lacking((error as Error).message)
    return new DatabaseError('down', message, { code: 'SYNC_NO_DOORBELL', number: String(number), cause: error })
  }
  if (number !== undefined) {
    const theirs = doing === APPLYING && procedure !== undefined && !OURS.test(procedure)
    const { failure, words, error: known } = sqlServerFailure(number, { severity, constraint: named.kind, theirs })
    if (known === 'SYNC_NOT_MIGRATED') {
      return new DatabaseError(
        'down',
        `The clinic's database lacks what ${doing} needs (error ${number}): schema sync is not installed, is of another version, or the login may not use it.`,
        { code: known, number: String(number), cause: error },
      )
    }
    const where = procedure === undefined ? '' : ` in ${procedure}`
    return new DatabaseError(
      failure,
      `SQL Server failed ${doing} with error ${number}${where}${inWords(named)}: ${words}.`,
      { ...(known && { code: known }), number: String(number), cause: error },
    )
  }
  if (code === 'ETIMEOUT' && name === 'RequestError') {
    return new DatabaseError('transient', `SQL Server did not finish ${doing} in time.`, {
      number: REQUEST_TIMED_OUT,
      cause: error,
    })
  }
  if (code === 'ETIMEOUT' || name === 'TimeoutError') {
    return new DatabaseError('down', `SQL Server did not answer in time for ${doing}.`, { cause: error })
  }
  if (code === 'ELOGIN') {
    const known = loginNumber === undefined ? '' : ` (error ${loginNumber})`
    const refused = loginNumber === undefined || sqlServerFailure(loginNumber).error === 'SYNC_LOGIN_REFUSED'
    return new DatabaseError('down', `SQL Server refused the login${known}; check user, password and database.`, {
      ...(refused && { code: 'SYNC_LOGIN_REFUSED' }),
      number: loginNumber === undefined ? undefined : String(loginNumber),
      cause: error,
    })
  }
  const rule = code === undefined ? undefined : driverFailure(code)
  if (rule?.failure === 'transient') return new DatabaseError('transient', `${doing} was cancelled.`, { cause: error })
  // A system error that the table does not have is one of the connection, too.
  if (rule?.failure === 'down' || (error instanceof Error && 'syscall' in error)) {
    const why = [code, ...codesBehind(error).filter((each) => each !== code)].join(', ')
    return new DatabaseError('down', `There is no connection to SQL Server for ${doing} (${why}).`, { cause: error })
  }
  // What nobody has foreseen may pass; what the driver cannot send will not.
  return new DatabaseError(rule?.failure ?? 'transient', `${doing} failed (${code ?? name}).`, { cause: error })
}

/** The statement that our own procedures name (51210), with the database's name; CURRENT where they do not. */
function enableBroker(message: string): string {
  const [name = 'CURRENT'] = /(?<=ALTER DATABASE )\[(?:[^\]]|\]\])+\](?= SET ENABLE_BROKER)/.exec(message) ?? []
  return `ALTER DATABASE ${name} SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE`
}

/** What Node says of a connection that the driver only calls failed (ESOCKET): ECONNREFUSED, or what is wrong with a certificate. */
function codesBehind(error: unknown): string[] {
  const codes: string[] = []
  let inner = error
  for (let depth = 0; depth < 4 && inner instanceof Error; depth++) {
    const { cause, originalError, errors } = inner as Error & { originalError?: unknown; errors?: readonly unknown[] }
    // Several: one an address of the host.
    inner = cause ?? originalError ?? errors?.[0]
    const code = inner instanceof Error && 'code' in inner ? String(inner.code) : ''
    if (/^[A-Z][A-Z0-9_]{2,60}$/.test(code) && !codes.includes(code)) codes.push(code)
  }
  return codes
}

interface Facts {
  readonly name: string
  readonly number?: number | undefined
  readonly code?: string | undefined
  readonly procedure?: string | undefined
  readonly severity?: number | undefined
  readonly named: Named
}

/** Whatever of the error is safe to say. A procedure's name is an object's name, never a value. */
function facts(error: unknown): Facts {
  if (!(error instanceof Error)) return { name: 'unknown error', named: {} }
  const { number, code, procName, class: severity } = error as Error & Record<string, unknown>
  return {
    number: typeof number === 'number' ? number : undefined,
    code: typeof code === 'string' ? code : undefined,
    name: error.name,
    severity: typeof severity === 'number' ? severity : undefined,
    named: typeof number === 'number' ? namedIn(number, error.message) : {},
    procedure: typeof procName === 'string' && /^[\w.[\]]{1,128}$/.test(procName) ? procName : undefined,
  }
}
