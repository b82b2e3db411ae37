import { openClinic } from '@clinic-sync/clinic'
import {
  readSettings,
  startConsumerService,
  type ConsumerTestOptions,
  type Running,
  type ServiceContext,
} from '@clinic-sync/runtime'

/**
 * Wires the consumer that applies the doctors' edits to the clinic.
 *
 * @throws SyncError SYNC_CONFIG, or SYNC_NOT_MIGRATED when the clinic has no (or an older) schema sync
 */
export async function start(context: ServiceContext, options?: ConsumerTestOptions): Promise<Running> {
  const settings = readSettings(
    ['SQLSERVER_URL', 'CLINIC_TIME_ZONE', 'RABBITMQ_URL', 'HEALTH_HOST', 'HEALTH_PORT'],
    context.environment,
  )
  const { SQLSERVER_URL: url, CLINIC_TIME_ZONE: timeZone } = settings
  const target = { side: 'clinic', url, database: await openClinic({ url, timeZone, log: context.log }) } as const
  const says = "applies the doctors' edits to the clinic"
  return startConsumerService(context, { direction: 'postgres-to-sql', target, says, settings }, options)
}
