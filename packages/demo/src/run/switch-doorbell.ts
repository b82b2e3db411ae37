import { useDoorbell } from '@clinic-sync/cli'
import { openScriptConnection } from '@clinic-sync/clinic'
import { SyncError } from '@clinic-sync/sync'

/** How SQL Server rings: with `http` nothing in it does, and whoever edits has to. */
export type Doorbell = 'service-broker' | 'http'

/**
 * Switches on Service Broker, as `npm run sync -- doorbell` does; where the engine lacks it, or the database's broker is off,
 * switches off whatever rings.
 *
 * @param url with the login that installs.
 * @returns what CLINIC_DOORBELL has to be.
 */
export async function switchDoorbell(url: string): Promise<Doorbell> {
  const connection = openScriptConnection(url)
  const use = (doorbell: Doorbell) => useDoorbell(connection, { doorbell, ingressUrl: '', secret: '' })
  try {
    await use('service-broker')
    return 'service-broker'
  } catch (error) {
    if (!(error instanceof SyncError && error.code === 'SYNC_NO_DOORBELL')) throw error
    await use('http')
    return 'http'
  } finally {
    await connection.close()
  }
}
