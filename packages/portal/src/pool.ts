import { TLSSocket } from 'node:tls'
import pg from 'pg'
import { toDatabaseError } from './failure.ts'

/** What this package needs of a logger; pino's fits. */
export interface Log {
  info(details: object, message: string): void
  warn(details: object, message: string): void
}

/** Every value as the text that Postgres printed: JavaScript's numbers would round bigint and numeric. */
const AS_TEXT = { getTypeParser: () => (text: string) => text } as unknown as pg.CustomTypesConfig

/** Settings of every connection to the portal. */
export const connectionSettings = (url: string): pg.ClientConfig => ({
  connectionString: url,
  application_name: 'clinic-sync',
  // A dead peer is noticed after 10 s of silence and 10 probes, without one query. pg's own delay is 0: the kernel's 2 hours.
  keepAlive: true,
  keepAliveInitialDelayMillis: 10_000,
  connectionTimeoutMillis: 10_000,
  // A batch takes milliseconds; a minute means that something is badly wrong, and the work is tried again.
  statement_timeout: 60_000,
  idle_in_transaction_session_timeout: 60_000,
  types: AS_TEXT,
})

export interface Database {
  /** Runs one statement; every value comes back as text or null. Rejects with a DatabaseError. */
  query(text: string, values?: readonly unknown[]): Promise<Record<string, string | null>[]>
  /** Runs several statements in one round trip, and gives each one's rows. After an error the connection is dropped. */
  script(text: string): Promise<Record<string, string | null>[][]>
  close(): Promise<void>
}

/**
 * A few connections, made when needed and dropped when idle.
 *
 * @param onConnection told of each new one whether it is encrypted.
 */
export function openPool(url: string, log: Log, onConnection?: (encrypted: boolean) => void): Database {
  const pool = new pg.Pool({ ...connectionSettings(url), max: 4, idleTimeoutMillis: 30_000, allowExitOnIdle: true })
  // Without a listener, an idle connection that dies would end the process. The next query makes a new one.
  pool.on('error', (error) =>
    log.warn({ reason: toDatabaseError(error).message }, 'an idle portal connection was lost'),
  )
  if (onConnection) pool.on('connect', (client) => onConnection(isEncrypted(client)))
  let closing: Promise<void> | undefined
  return {
    async query(text, values = []) {
      try {
        return (await pool.query<Record<string, string | null>>(text, [...values])).rows
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

/** Our own end of the connection: the server's pg_stat_ssl tells of a pooler's connection to it, where one is in between. */
const isEncrypted = (client: object): boolean =>
  client instanceof pg.Client && client.connection.stream instanceof TLSSocket
