import { declareBroker } from '@clinic-sync/broker'
import { type Environment, readSettings } from '@clinic-sync/runtime'

export interface MigrateBrokerOptions {
  readonly environment: Environment
  /** Says what would be declared and does nothing. */
  readonly dryRun: boolean
  readonly onLine: (line: string) => void
}

/** Whether there is an address of RabbitMQ. */
export const namesBroker = ({ RABBITMQ_URL, RABBITMQ_URL_FILE }: Environment): boolean =>
  [RABBITMQ_URL, RABBITMQ_URL_FILE].some((value) => value !== undefined && value !== '')

/**
 * Declares RabbitMQ's exchanges, queues and bindings, which services with a login of their own may not do themselves.
 *
 * @throws SyncError SYNC_BROKER_DOWN, SYNC_BROKER_UNPREPARED, SYNC_CONFIG
 */
export async function migrateBroker({ environment, dryRun, onLine }: MigrateBrokerOptions): Promise<void> {
  const { RABBITMQ_URL: url } = readSettings(['RABBITMQ_URL'], environment)
  const { made, mayDeclare, total } = await declareBroker({ url, dryRun })
  for (const each of made) onLine(`broker: ${each} ${dryRun ? 'would be declared' : 'declared'}`)
  if (made.length > 0) return
  onLine(
    mayDeclare
      ? `broker: up to date (${total} exchanges and queues)`
      : `broker: all ${total} exchanges and queues are there; whether they are bound this login may not set right`,
  )
}
