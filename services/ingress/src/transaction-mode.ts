import { SyncError } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import type { PortalDoorbell } from './start-lines.ts'

/** Where Supabase's poolers, and PgBouncer's habit, offer transaction mode. */
const PORT = '6543'

/**
 * In transaction mode a connection is another one after each transaction: LISTEN succeeds, and nothing is ever heard. So it
 * is said at the start, before the portal's doorbell is silent without a reason. Another host may have a plain Postgres at
 * that port: there it is a warning.
 *
 * @throws SyncError SYNC_CONFIG for an address of Supabase's
 */
export function refuseTransactionMode(
  { POSTGRES_URL, PORTAL_DOORBELL }: { readonly POSTGRES_URL: string; readonly PORTAL_DOORBELL: PortalDoorbell },
  log: Pick<FastifyBaseLogger, 'warn'>,
): void {
  const { port, hostname } = new URL(POSTGRES_URL)
  if (PORTAL_DOORBELL !== 'listen' || port !== PORT) return
  const what =
    'POSTGRES_URL has port 6543, which is transaction mode: PORTAL_DOORBELL=listen hears nothing there. Take port 5432, ' +
    'the direct or the session-mode connection (see POSTGRES_URL in .env.example).'
  if (/\.supabase\.(com|co)$/i.test(hostname)) throw new SyncError('SYNC_CONFIG', what)
  log.warn({ code: 'SYNC_CONFIG' }, `${what} If it is a plain Postgres, all is well.`)
}
