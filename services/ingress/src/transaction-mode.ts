import { SyncError } from '@clinic-sync/sync'
import type { PortalDoorbell } from './start-lines.ts'

/** Where Supabase's poolers offer transaction mode. */
const PORT = '6543'

/**
 * In transaction mode a connection is another one after each transaction: LISTEN succeeds, and nothing is ever heard. Supabase's
 * address says so at the start already; another host's port may mean anything, and is found out by listening.
 *
 * @throws SyncError SYNC_CONFIG
 */
export function refuseTransactionMode(settings: {
  readonly POSTGRES_URL: string
  readonly PORTAL_DOORBELL: PortalDoorbell
}): void {
  const { port, hostname } = new URL(settings.POSTGRES_URL)
  if (settings.PORTAL_DOORBELL !== 'listen' || port !== PORT || !/\.supabase\.(com|co)$/i.test(hostname)) return
  throw new SyncError(
    'SYNC_CONFIG',
    'POSTGRES_URL has port 6543, which is transaction mode: PORTAL_DOORBELL=listen hears nothing there. Take port 5432, ' +
      'the direct or the session-mode connection (see POSTGRES_URL in .env.example).',
  )
}
