import { byCode, type FailureRule, rules } from './rule.ts'

const LOGIN = { error: 'SYNC_LOGIN_REFUSED' } as const
const NO_DATABASE = {
  advice: 'Make the database, or name the right one in its URL; the service goes on by itself.',
} as const
const MIGRATE = { nature: 'misfit', error: 'SYNC_NOT_MIGRATED' } as const
const TRIGGER = {
  advice:
    "See what the portal's own trigger or function objects to; cure one or the other, then replay the dead letter.",
} as const
const FREE_DISK = { advice: 'Free disk space, or enlarge it; the service goes on by itself.' } as const
const DAMAGED = {
  advice: "The storage is damaged: see the server's log, and restore or repair it before anything else.",
} as const

/**
 * SQLSTATEs, or beginnings of them, of which the longest counts. Codes: https://www.postgresql.org/docs/current/errcodes-appendix.html.
 *
 * What blames the server is `down`, whatever the statement was: an hour of it must dead-letter nothing.
 */
export const POSTGRES_RULES: readonly FailureRule[] = [
  ...rules(
    'transient',
    ['03', 'the statement is not complete yet'],
    ['09', 'a trigger failed'],
    ['0B', 'the transaction could not begin'],
    ['2200H', 'a sequence is used up'],
    ['24', 'a cursor is in another state'],
    ['25', 'the transaction was ended'],
    ['25P04', 'took too long and was cancelled (transaction_timeout)', { nature: 'doubtful' }],
    ['26', 'a prepared statement is gone: a pooler in between has changed the connection'],
    ['2D', 'something ended the transaction from within'],
    ['38', 'a function in another language failed'],
    ['39', 'a function in another language could not be called'],
    ['3B', 'a savepoint is gone'],
    ['40', 'another transaction went first'],
    ['40001', 'another transaction went first', { nature: 'passing' }],
    ['40P01', 'a deadlock; the other transaction went first', { nature: 'passing' }],
    ['55', 'not in the state for it'],
    ['55P03', 'somebody holds a lock on it', { nature: 'passing' }],
    // Whoever cancels: the time limit of the statement, the login or the database, or an operator.
    ['57014', 'took too long and was cancelled', { nature: 'doubtful' }],
    ['72', 'the snapshot is too old'],
    ['HV', 'a foreign table could not be used'],
    ['XX', 'an internal error of Postgres', { advice: 'See the log of Postgres at this time.' }],
  ),
  ...rules(
    'parent',
    // Of a delete: a record that still refers to it. That one's delete is on its way, or its move to another parent.
    ['23001', 'a record still refers to it'],
    ['23503', 'a record that it refers to is missing'],
  ),
  ...rules(
    'permanent',
    ['20', 'no case fits, in a trigger or function of the portal', TRIGGER],
    ['21', 'not one row where one was needed'],
    ['22', 'a value that its column cannot hold'],
    ['22001', 'a text is longer than its column'],
    ['22003', "a number is out of its column's range"],
    ['22007', 'not a date or time'],
    ['22008', 'a date or time is out of range'],
    ['22021', "a character that the database's encoding does not have"],
    ['22P05', "a character that the database's encoding does not have"],
    ['23', 'violates a constraint'],
    ['23502', 'must not be null'],
    [
      '23505',
      'must be unique',
      {
        nature: 'freed',
        advice:
          'Two records have the value that only one may have: correct one of them in the clinic, then replay the dead letter if it still stands.',
      },
    ],
    ['23514', 'violates a check constraint'],
    ['23P01', 'violates an exclusion constraint', { nature: 'freed' }],
    ['27', 'a trigger of the portal changes the row that is being written', TRIGGER],
    ['2F', 'refused by a function of the portal', TRIGGER],
    ['44', "violates a view's check option"],
    ['54', 'exceeds a limit of Postgres'],
    ['P0', 'refused by a trigger or function of the portal', TRIGGER],
  ),
  ...rules(
    'down',
    ['CS001', 'the database was restored from a backup, and that is not repaired yet', { error: 'SYNC_RESTORED' }],
    ['08', 'the connection failed'],
    ['08P01', 'the server, or a pooler in between, refuses the settings sent with the login'],
    ['0A', 'not supported by this version of Postgres', { nature: 'misfit' }],
    ['0L', 'a role may not grant this'],
    ['0P', 'no such role'],
    [
      '25006',
      'the database is read-only',
      { advice: 'Make it writable again: a full disk (Supabase), a standby, or default_transaction_read_only.' },
    ],
    ['25P03', 'the session was ended: idle in a transaction'],
    ['28', 'the login was refused', LOGIN],
    ['3D000', 'there is no such database', NO_DATABASE],
    ['3F000', 'a schema is missing', MIGRATE],
    // Schema sync, one of its functions, or one of the portal's tables or columns is missing.
    ['42', 'the statement does not fit the schema', { nature: 'misfit' }],
    [
      '42501',
      'the login lacks a right (or a policy stops it)',
      { advice: 'Grant the right, or let the login bypass row level security (BYPASSRLS).' },
    ],
    ['42703', 'a column is missing', MIGRATE],
    ['42883', 'a function is missing', MIGRATE],
    ['42P01', 'a table is missing', MIGRATE],
    ['53', 'out of resources'],
    ['53100', 'the disk is full', FREE_DISK],
    ['53200', 'out of memory', { nature: 'narrow' }],
    [
      '53300',
      'too many connections',
      { advice: "Raise max_connections or the pooler's limit, or end sessions that nobody needs." },
    ],
    ['53400', 'a configured limit is exceeded'],
    ['55P02', 'a setting cannot be changed now'],
    ['57', 'the server is shutting down or starting'],
    ['57P01', 'the session was ended by an administrator'],
    ['57P02', 'the server has crashed and restarts'],
    ['57P03', 'the server is starting up, or takes no connections'],
    ['57P04', 'the database was dropped', NO_DATABASE],
    ['57P05', 'the session was ended: idle for too long'],
    ['58', 'the server has an input/output error'],
    ['F0', "the server's configuration file is wrong"],
    ['XX001', 'data on the disk is damaged', DAMAGED],
    [
      'XX002',
      'an index is damaged',
      { advice: 'REINDEX the index that the log of Postgres names; the service goes on by itself.' },
    ],
  ),
]

/**
 * Postgres refuses all writes to avoid a wraparound of transaction or multixact ids, with the same SQLSTATE (54000) as a row that is
 * too large: told apart by the server's routine, which is in no language (src/backend/access/transam/varsup.c, multixact.c).
 */
const WRAPAROUND = new Set(['GetNewTransactionId', 'GetNewMultiXactId'])
const WRAPPED: FailureRule = {
  code: '54000',
  failure: 'down',
  words: 'takes no writes, to avoid a wraparound of transaction ids',
  advice: 'VACUUM the database, as the log of Postgres says; the service goes on by itself.',
}
const UNKNOWN: FailureRule = { code: '', failure: 'transient', words: 'failed' }

const RULES = byCode(POSTGRES_RULES)

export interface PostgresFacts {
  /** As the server calls it, in its own language: FATAL (most languages) and PANIC end the session. */
  readonly severity?: string | undefined
  /** The function in Postgres' source that raised it. */
  readonly routine?: string | undefined
}

/** What an SQLSTATE means. One that nobody knows (a trigger may raise any) is `transient`. */
export function postgresFailure(state: string, { severity, routine }: PostgresFacts = {}): FailureRule {
  if (state === WRAPPED.code && WRAPAROUND.has(routine ?? '')) return WRAPPED
  let rule = UNKNOWN
  for (let length = state.length; length >= 2 && rule === UNKNOWN; length--)
    rule = RULES.get(state.slice(0, length)) ?? UNKNOWN
  // The session is gone, and so is the work's error with it: poolers give their own troubles codes of statements (XX000).
  return rule.failure !== 'down' && /^(FATAL|PANIC)$/.test(severity ?? '') ? { ...rule, failure: 'down' } : rule
}
