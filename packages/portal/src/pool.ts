import { TLSSocket } from 'node:tls'
import { PATIENCE, type Patience } from '@clinic-sync/sync'
import pg from 'pg'
import { portalAddress } from './address.ts'
import { toDatabaseError } from './failure.ts'

/** What this package needs of a logger; pino's fits. */
export interface Log {
  info(details: object, message: string): void
  warn(details: object, message: string): void
}

/** Every value as the text that Postgres printed: JavaScript's numbers would round bigint and numeric. */
const AS_TEXT = { getTypeParser: () => (text: string) => text } as unknown as pg.CustomTypesConfig

/** Settings of every connection to the portal. @throws SyncError SYNC_CONFIG for a URL that cannot be used */
export const connectionSettings = (url: string, patience: Patience = PATIENCE): pg.ClientConfig => ({
  ...portalAddress(url),
  application_name: 'clinic-sync',
  // A dead peer is noticed after 10 s of silence and 10 probes, without one query. pg's own delay is 0: the kernel's 2 hours.
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
  connectionTimeoutMillis: patience.connectMs,
  // A batch takes milliseconds; these mean that something is badly wrong, and the work is tried again.
  statement_timeout: patience.statementMs,
  idle_in_transaction_session_timeout: patience.statementMs,
  // No answer at all, not even that it took too long.
  query_timeout: patience.answerMs,
  types: AS_TEXT,
})

/** A goodbye that is not answered is not waited for any longer. Milliseconds. */
const GOODBYE_MS = 1000

/** pg's own end() waits for the server to close the socket: for ever, where it has gone silent. */
class Client extends pg.Client {
  override end(): Promise<void>
  override end(callback: (error: Error) => void): void
  override end(callback?: (error: Error) => void): Promise<void> | void {
    setTimeout(() => this.connection.stream.destroy(), GOODBYE_MS).unref()
    return callback === undefined ? super.end() : super.end(callback)
  }
}

export interface Database {
  /** Runs one statement; every value comes back as text or null. Rejects with a DatabaseError. */
  query(text: string, values?: readonly unknown[]): Promise<Record<string, string | null>[]>
  /** Runs several statements in one round trip, and gives each one's rows. After an error the connection is dropped. */
  script(text: string): Promise<Record<string, string | null>[][]>
  close(): Promise<void>
}

/**
 * A few connections, made when needed and dropped when idle. Where one of them gets no answer, those that idle are dropped with
 * it: each of them would take as long to find out.
 *
 * @param onConnection told of each new one whether it is encrypted.
 */
export function openPool(
  url: string,
  log: Log,
  onConnection?: (encrypted: boolean) => void,
  patience: Patience = PATIENCE,
): Database {
  const settings = connectionSettings(url, patience)
  const pool = new pg.Pool({ ...settings, Client, max: 4, idleTimeoutMillis: 30_000, allowExitOnIdle: true })
  // Without a listener, an idle connection that dies would end the process. The next query makes a new one.
  pool.on('error', (error) =>
    log.warn({ reason: toDatabaseError(error).message }, 'an idle portal connection was lost'),
  )
  const idle = new Set<pg.PoolClient>()
  for (const event of ['acquire', 'remove'] as const) pool.on(event, (client) => void idle.delete(client))
  pool.on('release', (error, client) => {
    if (!error) idle.add(client)
    else if (isNoAnswer(error)) for (const each of idle) giveUp(each, error)
  })
  if (onConnection) pool.on('connect', (client) => onConnection(isEncrypted(client)))
  let closing: Promise<void> | undefined
  return {
    async query(text, values = []) {
      try {
        return await queryOn(pool, text, values)
      } catch (error) {
        throw toDatabaseError(error)
      }
    },
    async script(text) {
      try {
        const results: unknown = await pool.query(text)
        return [results].flat().map((result) => (result as pg.QueryResult<Record<string, string | null>>).rows)
      } catch (error) {
        throw toDatabaseError(error)
      }
    },
    close: () => (closing ??= pool.end()),
  }
}

/**
 * As `pool.query`, which drops the connection after every error: a new one has to log in, and to compile sync.apply_clinic_changes
 * again. Bisecting a batch of 200 rows that all are refused took 7.6 s so, and takes 0.35 s. Where the row is to blame, and not the
 * session, it is kept.
 */
async function queryOn(pool: pg.Pool, text: string, values: readonly unknown[]) {
  const client = await pool.connect()
  let failure: Error | undefined
  const onError = (error: Error) => {
    failure = error
  }
  // Without a listener, a connection that dies meanwhile would end the process.
  client.on('error', onError)
  try {
    return (await client.query<Record<string, string | null>>(text, [...values])).rows
  } catch (error) {
    if (!blamesTheRow(error)) failure ??= error instanceof Error ? error : new Error(String(error))
    throw error
  } finally {
    client.off('error', onError)
    client.release(failure)
  }
}

/** Data exceptions, and violated constraints. */
const blamesTheRow = (error: unknown): boolean =>
  error instanceof pg.DatabaseError && error.severity === 'ERROR' && /^(22|23)/.test(error.code ?? '')

/** What pg says when `query_timeout` has passed. */
const isNoAnswer = (error: Error) => error.message === 'Query read timeout'

/** As if its socket had failed: the pool lets go of it at once. */
function giveUp(client: pg.PoolClient, error: Error): void {
  socketOf(client).destroy()
  client.emit('error', error)
}

const socketOf = (client: object) => (client as pg.Client).connection.stream

/** Our own end of the connection: the server's pg_stat_ssl tells of a pooler's connection to it, where one is in between. */
const isEncrypted = (client: object): boolean => socketOf(client) instanceof TLSSocket
