import { byCode, type FailureRule, rules } from './rule.ts'

const PASSING = { nature: 'passing' } as const
const NARROW = { nature: 'narrow' } as const
const LOGIN = { error: 'SYNC_LOGIN_REFUSED' } as const
const MIGRATE = { nature: 'misfit', error: 'SYNC_NOT_MIGRATED' } as const
const RESTORED = { error: 'SYNC_RESTORED' } as const
const BELL = { error: 'SYNC_NO_DOORBELL' } as const
const FREE_DISK = { advice: 'Free disk space, or let the file grow; the service goes on by itself.' } as const
const DAMAGED = { advice: "The storage is damaged: see SQL Server's error log, and run DBCC CHECKDB." } as const
const TRIGGER = {
  advice: "See what the clinic's own trigger objects to; cure one or the other, then replay the dead letter.",
} as const
const DEFECT = { advice: 'This is a defect of clinic-sync: report it.' } as const

/** Number that the driver gives no error for: a request took longer than it may (SqlClient's number for it). */
export const REQUEST_TIMED_OUT = '-2'

/**
 * Error numbers: https://learn.microsoft.com/sql/relational-databases/errors-events/database-engine-events-and-errors, the
 * transient ones also as EF Core's SqlServerTransientExceptionDetector has them.
 *
 * What blames the server is `down`, whatever the statement was: an hour of it must dead-letter nothing.
 */
export const SQL_SERVER_RULES: readonly FailureRule[] = [
  ...rules(
    'transient',
    [REQUEST_TIMED_OUT, 'did not finish in time', { nature: 'doubtful' }],
    // What the portal sends refers to the clinic's own rows: a parent can only have gone between a look and a write.
    [547, 'a record that it refers to is missing', PASSING],
    [601, 'data moved while it was read', PASSING],
    [1203, 'a lock was lost'],
    [1205, 'a deadlock; the other transaction went first', PASSING],
    [1206, 'a distributed transaction was cancelled'],
    [1221, 'the server is starting to manage its locks'],
    [1222, 'somebody holds a lock on it', PASSING],
    // A key or parent that came or went between a look and a write: the next look sees it.
    [2601, 'must be unique, in an index of the clinic'],
    [2627, 'must be unique, in a constraint of the clinic'],
    [3928, 'a marked transaction failed'],
    [3935, 'a file stream could not be opened'],
    [3960, 'a snapshot met a newer change', PASSING],
    [3961, 'a snapshot met a change of the schema'],
    [3966, 'a snapshot needs a version of the row that is gone'],
    [4891, 'the table was changed meanwhile'],
    [8628, 'no plan was found in time', NARROW],
    [40549, 'the session was ended: a long transaction', NARROW],
    [40550, 'the session was ended: too many locks', NARROW],
    [41301, 'a transaction that this one has read from failed', PASSING],
    [41302, 'another transaction went first', PASSING],
    [41305, 'another transaction went first', PASSING],
    [41325, 'another transaction went first', PASSING],
    [41839, 'too many transactions depend on each other', PASSING],
    // After 10 s: that was not for milliseconds.
    [51222, 'another session of clinic-sync is at work in the clinic'],
  ),
  ...rules(
    'permanent',
    [217, 'triggers or procedures call each other too deeply', TRIGGER],
    [220, "a number is out of its column's range"],
    [232, "a number is out of its column's range"],
    [241, 'not a date or time'],
    [242, 'a date or time is out of range'],
    [244, "a number is out of its column's range"],
    [245, 'a value that its column cannot hold'],
    [248, "a number is out of its column's range"],
    [512, 'more than one value where one was needed', TRIGGER],
    [515, 'must not be null'],
    [517, 'a date that is computed from it is out of range'],
    [2628, 'a text is longer than its column'],
    [3609, "a trigger of the clinic's ended the transaction", TRIGGER],
    [3616, "a trigger of the clinic's failed", TRIGGER],
    [3930, "a trigger of the clinic's doomed the transaction", TRIGGER],
    [8114, 'a value that its column cannot hold'],
    [8115, "a number is out of its column's range"],
    [8134, 'a division by zero', TRIGGER],
    [8152, 'a text is longer than its column'],
    [50000, "refused by a trigger of the clinic's", TRIGGER],
    [51200, 'an argument of another shape', DEFECT],
    [51201, 'not a synced table', DEFECT],
  ),
  ...rules(
    'down',
    [20, 'the server does not take encrypted connections'],
    [64, 'the connection failed during the login'],
    [121, 'the connection timed out'],
    [201, 'a procedure wants other parameters', MIGRATE],
    [207, 'a column is missing', MIGRATE],
    [208, 'a table is missing', MIGRATE],
    [213, 'a table has other columns', MIGRATE],
    [229, 'the login lacks a right', MIGRATE],
    [230, 'the login lacks a right', MIGRATE],
    [233, 'no process is on the other end'],
    [300, 'the login lacks a right', MIGRATE],
    [334, 'a trigger stands in the way of OUTPUT', MIGRATE],
    [605, 'data on the disk is damaged', DAMAGED],
    [615, 'the database cannot be found'],
    [669, 'the row versions of the database are not available'],
    [701, 'out of memory', NARROW],
    [802, 'out of memory for data pages', NARROW],
    [823, 'the disk failed', DAMAGED],
    [824, 'data on the disk is damaged', DAMAGED],
    [825, 'the disk answers only when asked again', DAMAGED],
    [911, 'there is no such database'],
    [916, 'the login is not a user of the database'],
    [921, 'the database is not recovered yet'],
    [922, 'the database is being recovered'],
    [924, 'the database is in single-user mode'],
    [926, 'the database is suspect', DAMAGED],
    [927, 'the database is being restored'],
    [942, 'the database is offline'],
    [945, 'the database lacks files, memory or disk'],
    [976, 'this replica does not take connections'],
    [978, 'this replica is for reading only'],
    [979, 'this replica is for reading only'],
    [981, 'this replica takes no connections now'],
    [982, 'this replica takes no connections now'],
    [983, 'the availability group is choosing its primary'],
    [988, 'the availability group lacks replicas'],
    [997, 'the connection timed out'],
    [1101, 'the disk is full', FREE_DISK],
    [1105, 'the disk or the filegroup is full', FREE_DISK],
    [1204, 'the server is out of locks', NARROW],
    [1807, 'the model database is locked'],
    [1934, 'an index or view wants other SET options', MIGRATE],
    [1935, 'an index or view wants other SET options', MIGRATE],
    [2812, 'a procedure is missing', MIGRATE],
    [3314, 'the log could not be undone', DAMAGED],
    [3906, 'the database is read-only', { advice: 'Make it writable again: ALTER DATABASE … SET READ_WRITE.' }],
    [3908, 'the database is read-only or not available'],
    [3952, 'snapshots are not allowed in the database'],
    [3957, 'snapshots were switched on or off meanwhile'],
    [4060, 'the database cannot be opened'],
    [4064, "the login's default database cannot be opened"],
    [4221, 'this replica is not ready yet'],
    [5123, 'a file could not be made'],
    [5128, 'a sparse file could not be written: the disk is full', FREE_DISK],
    [5149, 'a file could not grow: the disk is full', FREE_DISK],
    [6002, 'shutdown in progress'],
    [6005, 'shutdown in progress'],
    [8144, 'a procedure takes fewer parameters', MIGRATE],
    [8145, 'a procedure takes other parameters', MIGRATE],
    [8623, 'the query processor is out of resources', NARROW],
    [8645, 'no memory in time', NARROW],
    [8651, 'not enough memory for the query', NARROW],
    [8657, 'not enough memory for the query', NARROW],
    [9001, 'the transaction log is not available', DAMAGED],
    [
      9002,
      'the transaction log is full',
      {
        advice:
          'Back up the log or let it grow (see log_reuse_wait_desc in sys.databases); the service goes on by itself.',
      },
    ],
    [9515, 'the server has an XML error of its own'],
    [10053, 'the connection was cut'],
    [10054, 'the connection was cut'],
    [10060, 'the connection timed out'],
    [10922, 'the server failed; to be tried again'],
    [10928, 'a resource limit is reached'],
    [10929, 'the server is too busy for this database'],
    [10936, 'a resource limit of the elastic pool is reached'],
    [11001, 'no such host'],
    [14355, 'the agent is busy'],
    [15151, 'an object is missing, or the login may not see it', MIGRATE],
    [15404, 'the Windows account that is dbo cannot be looked up: no domain controller answers'],
    [
      15517,
      'dbo is nobody: the database was restored on another server',
      { advice: 'ALTER AUTHORIZATION ON DATABASE::… TO sa' },
    ],
    [17142, 'the server is paused'],
    [17197, 'the login timed out'],
    [17803, 'out of memory for the connection'],
    [18401, 'the server runs its upgrade scripts'],
    [18451, 'the server takes administrators only'],
    [18452, 'the login is from an untrusted domain', LOGIN],
    [18456, 'the login failed', LOGIN],
    [18461, 'the server is in single-user mode'],
    [18470, 'the account is disabled', LOGIN],
    [18486, 'the account is locked', LOGIN],
    [18487, 'the password has expired', LOGIN],
    [18488, 'the password must be changed', LOGIN],
    [40143, 'the service has an error'],
    [40166, 'the service failed over'],
    [40197, 'the service failed over'],
    [40501, 'the service is busy'],
    [40540, 'the service was interrupted'],
    [40544, 'the database has reached its size', FREE_DISK],
    [40551, 'the session was ended: too much tempdb', NARROW],
    [40552, 'the session was ended: too much log', NARROW],
    [40553, 'the session was ended: too much memory', NARROW],
    [40613, 'the database is not available'],
    [41823, 'the database has reached its memory for tables in memory', FREE_DISK],
    [41840, 'the pool has reached its memory for tables in memory', FREE_DISK],
    [49918, 'the service lacks resources'],
    [49919, 'the service is busy'],
    [49920, 'the service is busy'],
    [49977, 'the elastic pool is busy'],
    [49983, 'an operation of the service has to be tried again'],
    [51210, "Service Broker is off in the clinic's database", BELL],
    [51211, 'Service Broker is not the doorbell that is switched on', BELL],
    [51212, 'this doorbell is not installed', BELL],
    [51231, 'the original system was not taken over yet', { error: 'SYNC_NOT_TAKEN_OVER' }],
    [51230, 'the database was restored from a backup, and that is not repaired yet', RESTORED],
  ),
]

const RULES = byCode(SQL_SERVER_RULES)

export interface SqlServerFacts {
  /** The error's class, 0 to 25. */
  readonly severity?: number | undefined
  /** Of 547, what kind of constraint it was, where the message says so. */
  readonly constraint?: string | undefined
  /** A trigger or procedure of the clinic's own raised it. */
  readonly theirs?: boolean
}

/**
 * What an error number means.
 *
 * A number that the table does not have goes by its severity: 13 is a deadlock of some kind; 14 a right, 15 a syntax error, and from 17
 * on the server lacks a resource or is broken, whatever the row was. What is left is `permanent`: the same call fails again. From
 * 50000 on they are raised by somebody's procedure or trigger, with whatever severity.
 */
export function sqlServerFailure(number: number, { severity, constraint, theirs }: SqlServerFacts = {}): FailureRule {
  const code = String(number)
  const rule = RULES.get(code) ?? bySeverity(code, number >= 50_000 ? 16 : (severity ?? 16))
  // A foreign key fails only where the parent went between a look and a write, and the next look says so; these two stay.
  if (number === 547 && constraint === 'CHECK')
    return { ...rule, failure: 'permanent', words: 'violates a check constraint' }
  if (number === 547 && constraint === 'REFERENCE')
    return { ...rule, failure: 'permanent', words: 'a record still refers to it' }
  // It holds up its own rows only, not all the others as a database that is down does.
  if (rule.nature === 'misfit' && theirs)
    return { code, failure: 'transient', words: `${rule.words}, in a trigger of the clinic's`, ...TRIGGER }
  return rule
}

function bySeverity(code: string, severity: number): FailureRule {
  if (severity === 13) return { code, failure: 'transient', words: 'another transaction went first' }
  if (severity === 14) return { code, failure: 'down', words: 'the login lacks a right' }
  if (severity === 15) return { code, failure: 'down', words: 'a statement does not fit the server', nature: 'misfit' }
  if (severity >= 17) return { code, failure: 'down', words: 'the server lacks a resource, or is broken' }
  return { code, failure: 'permanent', words: 'refused by the server' }
}
