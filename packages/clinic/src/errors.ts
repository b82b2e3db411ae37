import { DatabaseError, type FailureClass, SyncError } from '@clinic-sync/sync'
import { inWords, type Named, namedIn } from './named-in.ts'

/**
 * Error numbers of SQL Server (sys.messages) and what they mean for the work at hand. Others are permanent: our own 51200 (a
 * malformed argument) and 51201 (a table that is not synced) among them, since the same call fails again.
 */
const BY_NUMBER: ReadonlyMap<number, FailureClass> = new Map<number, FailureClass>([
  ...failing('transient', [
    601, // the scan met moved data
    701, // out of memory
    802, // out of buffer pool memory
    1204, // out of locks
    1205, // deadlock victim
    1222, // lock timeout
    2601, // a key that came meanwhile: the next look sees it
    2627, // the same
    1105, // the disk or filegroup is full
    3928, // the marked transaction failed
    3960, // snapshot update conflict
    3961, // snapshot met a change of the schema
    9002, // the transaction log is full
    8628, // no query plan in time
    8645, // no memory grant in time
    8651, // no memory for the query
    10928, // resource limit reached
    10929, // resource limit reached
    40501, // the service is busy
    51222, // another session of ours is in the outbox, or applying
  ]),
  ...failing('down', [
    233, // no process on the other end
    916, // the login is not a user of the database
    921, // the database is not recovered yet
    922, // the database is being recovered
    924, // the database is in single-user mode
    927, // the database is being restored
    942, // the database is offline
    945, // the database lacks files or memory
    976, // availability group: not the primary
    978, // availability group: read-intent only
    983, // availability group: role is resolving
    3906, // the database is read-only
    4060, // the database cannot be opened
    4064, // the login's default database cannot be opened
    15404, // the Windows account that is dbo cannot be looked up: no domain controller answers
    15517, // dbo is nobody: the database was restored on another server (ALTER AUTHORIZATION ON DATABASE:: … TO sa)
    6002, // shutdown in progress
    6005, // shutdown in progress
    10054, // connection reset
    10060, // connection timed out
    11001, // no such host
    17142, // the server is paused
    18401, // script upgrade mode
    18452, // login from an untrusted domain
    18456, // login failed
    18461, // single-user mode
    18470, // the account is disabled
    18486, // the account is locked
    18487, // the password has expired
    18488, // the password must be changed
    40197, // the service failed over
    40613, // the database is not available
  ]),
])

/** The server knows this login, or its password, not; or no longer. Others refuse it for a state of the server or database. */
const LOGIN_REFUSED = new Set([
  18452, // login from an untrusted domain
  18456, // login failed
  18470, // the account is disabled
  18486, // the account is locked
  18487, // the password has expired
  18488, // the password must be changed
])

/** Errors of mssql, tedious and Node that mean that no usable connection exists. */
const CONNECTION_CODES = new Set([
  'ESOCKET',
  'ELOGIN',
  'ECONNCLOSED',
  'ENOTOPEN',
  'ENOCONN',
  'ECLOSE',
  'EINVALIDSTATE',
  'EINSTLOOKUP',
  'EALREADYCONNECTED',
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'ENOTFOUND',
  'EAI_AGAIN',
])

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

const MISSING_OBJECT = new Set([208, 229, 2812, 15151])

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
  const { number, code, name, procedure, named } = facts(error)
  const lacking = number === undefined ? undefined : NO_DOORBELL.get(number)
  if (lacking !== undefined) {
    const message = lacking((error as Error).message)
    return new DatabaseError('down', message, { code: 'SYNC_NO_DOORBELL', number: String(number), cause: error })
  }
  if (number !== undefined && MISSING_OBJECT.has(number)) {
    return new DatabaseError(
      'down',
      `The clinic's database lacks what ${doing} needs (error ${number}): schema sync is not installed, is of another version, or the login may not use it.`,
      { code: 'SYNC_NOT_MIGRATED', number: String(number), cause: error },
    )
  }
  if (number !== undefined) {
    const where = procedure === undefined ? '' : ` in ${procedure}`
    return new DatabaseError(
      classOf(number, named),
      `SQL Server failed ${doing} with error ${number}${where}${inWords(named)}.`,
      {
        ...(LOGIN_REFUSED.has(number) && { code: 'SYNC_LOGIN_REFUSED' }),
        number: String(number),
        cause: error,
      },
    )
  }
  if (code === 'ETIMEOUT' && name === 'RequestError') {
    return new DatabaseError('transient', `SQL Server did not finish ${doing} in time.`, { number: '-2', cause: error })
  }
  if (code === 'ETIMEOUT' || name === 'TimeoutError') {
    return new DatabaseError('down', `SQL Server did not answer in time for ${doing}.`, { cause: error })
  }
  if (code === 'ELOGIN') {
    const known = loginNumber === undefined ? '' : ` (error ${loginNumber})`
    const refused = loginNumber === undefined || LOGIN_REFUSED.has(loginNumber)
    return new DatabaseError('down', `SQL Server refused the login${known}; check user, password and database.`, {
      ...(refused && { code: 'SYNC_LOGIN_REFUSED' }),
      number: loginNumber === undefined ? undefined : String(loginNumber),
      cause: error,
    })
  }
  if (code === 'ECANCEL' || code === 'EABORT') {
    return new DatabaseError('transient', `${doing} was cancelled.`, { cause: error })
  }
  if (code !== undefined && CONNECTION_CODES.has(code)) {
    const why = [code, ...codesBehind(error).filter((each) => each !== code)].join(', ')
    return new DatabaseError('down', `There is no connection to SQL Server for ${doing} (${why}).`, { cause: error })
  }
  return new DatabaseError('permanent', `${doing} failed (${code ?? name}).`, { cause: error })
}

/**
 * A foreign key (547) fails here only where the parent went between a look and a write, and the next look says so: what the
 * clinic is sent refers to its own rows, so no parent is on its way. A CHECK is for good.
 */
function classOf(number: number, { kind }: Named): FailureClass {
  if (number === 547) return kind === 'CHECK' || kind === 'REFERENCE' ? 'permanent' : 'transient'
  return BY_NUMBER.get(number) ?? 'permanent'
}

/** The statement that our own procedures name (51210), with the database's name; CURRENT where they do not. */
function enableBroker(message: string): string {
  const [name = 'CURRENT'] = /(?<=ALTER DATABASE )\[(?:[^\]]|\]\])+\](?= SET ENABLE_BROKER)/.exec(message) ?? []
  return `ALTER DATABASE ${name} SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE`
}

function failing(failure: FailureClass, numbers: readonly number[]): [number, FailureClass][] {
  return numbers.map((number) => [number, failure])
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

/** Whatever of the error is safe to say. A procedure's name is an object's name, never a value. */
function facts(error: unknown) {
  if (!(error instanceof Error))
    return { number: undefined, code: undefined, name: 'unknown error', procedure: undefined, named: {} }
  const { number, code, procName } = error as Error & { number?: unknown; code?: unknown; procName?: unknown }
  return {
    number: typeof number === 'number' ? number : undefined,
    code: typeof code === 'string' ? code : undefined,
    name: error.name,
    named: typeof number === 'number' ? namedIn(number, error.message) : {},
    procedure: typeof procName === 'string' && /^[\w.[\]]{1,128}$/.test(procName) ? procName : undefined,
  }
}
