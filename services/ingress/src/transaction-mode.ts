import { isTransactionMode } from '@clinic-sync/portal'
import { SyncError } from '@clinic-sync/sync'
import type { PortalDoorbell } from './start-lines.ts'

/**
 * In transaction mode nothing is ever heard: said at the start already.
 *
 * @throws SyncError SYNC_CONFIG
 */
export function refuseTransactionMode(settings: {
  readonly POSTGRES_URL: string
  readonly PORTAL_DOORBELL: PortalDoorbell
}): void {
  if (settings.PORTAL_DOORBELL !== 'listen' || !isTransactionMode(settings.POSTGRES_URL)) return
  throw new SyncError(
    'SYNC_CONFIG',
    'POSTGRES_URL has port 6543, which is transaction mode: PORTAL_DOORBELL=listen hears nothing there. Take port 5432, ' +
      'the direct or the session-mode connection (see POSTGRES_URL in .env.example).',
  )
}
