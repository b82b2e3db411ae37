import { openClinic } from '@clinic-sync/clinic'
import { openYard as openWith, type Yard } from '@clinic-sync/operations'
import { openPortal } from '@clinic-sync/portal'
import { createLogger, type Environment, readSettings } from '@clinic-sync/runtime'

/**
 * All dead letters in hand, and both databases, until it is closed.
 *
 * @throws SyncError SYNC_CONFIG, SYNC_BROKER_DOWN, SYNC_DEAD_LETTERS_BUSY. A database that is away is none: see `unasked`.
 */
export async function openYard(environment: Environment): Promise<Yard> {
  const settings = readSettings(['SQLSERVER_URL', 'POSTGRES_URL', 'RABBITMQ_URL', 'CLINIC_TIME_ZONE'], environment)
  const log = createLogger({ name: 'dead-letters', level: 'silent' })
  const clinic = await openClinic({ url: settings.SQLSERVER_URL, timeZone: settings.CLINIC_TIME_ZONE, log })
  const portal = await openPortal({ url: settings.POSTGRES_URL, log })
  const closeBoth = () => Promise.all([clinic.close(), portal.close()])
  try {
    const databases = { clinic, portal }
    const yard = await openWith({ rabbitmqUrl: settings.RABBITMQ_URL, databases, log, name: 'dead-letters' })
    const close = async () => {
      await yard.close()
      await closeBoth()
    }
    return { ...yard, close }
  } catch (error) {
    await closeBoth()
    throw error
  }
}
