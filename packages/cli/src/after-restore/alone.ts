import { portalAddress } from '@clinic-sync/portal'
import { DatabaseError, PATIENCE, SyncError } from '@clinic-sync/sync'
import pg from 'pg'

/** As in migrate: 'sync' in ASCII, then 2. */
const LOCK = '495857635842'

/** pg waits for the server to close the connection: for ever, where it has gone silent. Milliseconds. */
const GOODBYE_MS = 1_000

/**
 * Runs one repair at a time, of whichever kind: a second one would go by what it saw before the first had ended. The lock goes with its connection.
 *
 * @param url of the portal, with the login that installs
 * @param name the command that repairs
 * @param work `unlocked` is aborted, with a DatabaseError, once the lock's connection is lost
 * @throws SyncError SYNC_USAGE where another one runs; DatabaseError
 */
export async function alone<T>(url: string, name: string, work: (unlocked: AbortSignal) => Promise<T>): Promise<T> {
  const unlocked = new AbortController()
  const client = new pg.Client({
    ...portalAddress(url, 'POSTGRES_ADMIN_URL'),
    application_name: `clinic-sync ${name}`,
    connectionTimeoutMillis: PATIENCE.connectMs,
    // It idles for as long as the repair takes, and whatever is in between forgets idle connections.
    keepAlive: true,
    keepAliveInitialDelayMillis: 10_000,
  })
  client.on('error', () => {
    const why = "the portal's database has ended the connection that keeps other repairs away"
    unlocked.abort(new DatabaseError('down', why))
  })
  try {
    const { rows } = await taken(client, name)
    if (rows[0]?.mine !== true)
      throw new SyncError(
        'SYNC_USAGE',
        'A repair is running already, here or elsewhere (after-restore, or verify --repair): wait for it, then run this again.',
      )
    return await work(unlocked.signal)
  } finally {
    const giveUp = setTimeout(() => client.connection.stream.destroy(), GOODBYE_MS)
    await client.end().catch(() => undefined)
    clearTimeout(giveUp)
  }
}

async function taken(client: pg.Client, name: string): Promise<pg.QueryResult<{ mine: boolean }>> {
  try {
    await client.connect()
    return await client.query('SELECT pg_try_advisory_lock($1) AS mine', [LOCK])
  } catch (cause) {
    // Postgres's own message may quote the address.
    throw new DatabaseError('down', `The portal failed while ${name} began.`, { cause })
  }
}
