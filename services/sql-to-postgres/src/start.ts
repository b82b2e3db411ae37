import { openPortal } from '@clinic-sync/portal'
import {
  readSettings,
  startConsumerService,
  type ConsumerTestOptions,
  type Running,
  type ServiceContext,
} from '@clinic-sync/runtime'

/**
 * Wires the consumer that applies the clinic's events to the portal.
 *
 * @throws SyncError SYNC_CONFIG, or SYNC_NOT_MIGRATED when the portal has no (or an older) schema sync
 */
export async function start(context: ServiceContext, options?: ConsumerTestOptions): Promise<Running> {
  const settings = readSettings(['POSTGRES_URL', 'RABBITMQ_URL', 'HEALTH_HOST', 'HEALTH_PORT'], context.environment)
  const url = settings.POSTGRES_URL
  const target = { side: 'portal', url, database: await openPortal({ url, log: context.log }) } as const
  const says = "applies the clinic's changes to the portal"
  return startConsumerService(context, { direction: 'sql-to-postgres', target, says, settings }, options)
}
