import { connectBroker, eventQueues, startEventConsumer, type BrokerOptions, type Step } from '@clinic-sync/broker'
import { openPortal } from '@clinic-sync/portal'
import { readSettings, startHealth, untilUp, type Running, type ServiceContext } from '@clinic-sync/runtime'
import { DatabaseError } from '@clinic-sync/sync'

const NAME = 'sql-to-postgres'

/** For tests: shorter retries, and a look at each step. */
export interface StartOptions {
  readonly retryDelaysMs?: BrokerOptions['retryDelaysMs']
  readonly onStep?: (step: Step) => void | Promise<void>
}

/**
 * Wires the consumer that applies the clinic's events to the portal: waits for the portal's database, then consumes until closed.
 *
 * @throws SyncError SYNC_CONFIG, or SYNC_NOT_MIGRATED when the portal has no (or an older) schema sync
 */
export async function start(context: ServiceContext, options: StartOptions = {}): Promise<Running> {
  const { environment, log, signal } = context
  const settings = readSettings(['POSTGRES_URL', 'RABBITMQ_URL', 'HEALTH_PORT'], environment)
  const portal = await openPortal({ url: settings.POSTGRES_URL, log })
  const { retryDelaysMs, onStep } = options
  const broker = await connectBroker({
    url: settings.RABBITMQ_URL,
    log,
    name: NAME,
    ...(retryDelaysMs !== undefined && { retryDelaysMs }),
  })
  let portalIsUp = false
  const health = await startHealth({
    port: settings.HEALTH_PORT,
    ready: () => {
      const { publisher, consumers } = broker.state()
      return [
        ...(portalIsUp && !consumers.includes('paused') ? [] : ["the portal's database cannot be used"]),
        ...(publisher === 'up' && !consumers.includes('connecting') ? [] : [`RabbitMQ: ${publisher}`]),
      ]
    },
  })
  const close = async () => {
    await broker.close()
    await Promise.all([portal.close(), health.close()])
  }
  try {
    log.info(
      { direction: NAME, queues: eventQueues(NAME), portal: place(settings.POSTGRES_URL), health: health.url },
      "applies the clinic's changes to the portal",
    )
    portalIsUp = await untilUp(() => portal.check(), {
      signal,
      isOutage: (error) => error instanceof DatabaseError && error.code !== 'SYNC_NOT_MIGRATED',
      onDown: ({ message }) => log.warn({ reason: message }, "waiting for the portal's database"),
      onBack: () => log.info({}, "the portal's database is there"),
    })
    if (portalIsUp) {
      startEventConsumer({ broker, direction: NAME, target: portal, log, ...(onStep !== undefined && { onStep }) })
    }
  } catch (error) {
    await close()
    throw error
  }
  return { close }
}

/** Host, port and database; never the credentials. */
function place(url: string): string {
  const { host, pathname } = new URL(url)
  return `${host}${pathname}`
}
