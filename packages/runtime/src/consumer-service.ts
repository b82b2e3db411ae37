import {
  connectBroker,
  eventQueues,
  startEventConsumer,
  type Broker,
  type BrokerOptions,
  type EventConsumerOptions,
  type Step,
} from '@clinic-sync/broker'
import { DatabaseError } from '@clinic-sync/sync'
import { startHealth, type Health } from './health.ts'
import { createMetrics } from './metrics/metrics.ts'
import { observeDatabase } from './metrics/observe-database.ts'
import { untilUp } from './outage.ts'
import type { Running, ServiceContext } from './run-service.ts'
import type { Settings } from './settings.ts'

/** The database that a consumer applies events to, and how it is called. */
export interface ConsumerTarget {
  readonly side: 'clinic' | 'portal'
  readonly url: string
  readonly database: EventConsumerOptions['target'] & { close(): Promise<void> }
}

export interface ConsumerServiceOptions {
  /** The service's name as well. */
  readonly direction: EventConsumerOptions['direction']
  readonly target: ConsumerTarget
  /** What the log says at the start. */
  readonly says: string
  /** Where RabbitMQ is, and the health port (0: none; then nobody could ask for metrics either). */
  readonly settings: Pick<Settings, 'RABBITMQ_URL' | 'HEALTH_HOST' | 'HEALTH_PORT'>
}

/** For tests: shorter retries, and a look at each step. */
export interface ConsumerTestOptions {
  readonly retryDelaysMs?: BrokerOptions['retryDelaysMs']
  readonly onStep?: (step: Step) => void | Promise<void>
}

/**
 * Runs a consumer: waits for its target, then applies the direction's events to it until closed. It owns the target from now
 * on, and closes it whatever happens.
 *
 * @throws SyncError SYNC_CONFIG, or SYNC_NOT_MIGRATED when the target has no (or an older) schema sync
 */
export async function startConsumerService(
  { log, recent, signal }: ServiceContext,
  options: ConsumerServiceOptions,
  { retryDelaysMs, onStep }: ConsumerTestOptions = {},
): Promise<Running> {
  const { direction, target, says, settings } = options
  const { side } = target
  const metrics = settings.HEALTH_PORT === 0 ? undefined : createMetrics({ service: direction })
  const observer = metrics?.observer
  const database = observeDatabase(side, target.database, observer)
  let broker: Broker | undefined
  let health: Health | undefined
  const close = async () => {
    // The batch in flight needs the database, and /healthz is asked for to the end.
    await broker?.close()
    await Promise.all([database.close(), health?.close()])
  }
  try {
    const opened = await connectBroker({
      url: settings.RABBITMQ_URL,
      log,
      name: direction,
      ...(observer && { observer }),
      ...(retryDelaysMs && { retryDelaysMs }),
    })
    broker = opened
    let isUp = false
    health = await startHealth({
      host: settings.HEALTH_HOST,
      port: settings.HEALTH_PORT,
      metrics,
      recent,
      ready: () => {
        const { publisher, consumers } = opened.state()
        return [
          ...(isUp && !consumers.includes('paused') ? [] : [`the ${side}'s database cannot be used`]),
          ...(publisher === 'up' && !consumers.includes('connecting') ? [] : [`RabbitMQ: ${publisher}`]),
        ]
      },
    })
    log.info({ direction, queues: eventQueues(direction), [side]: placeOf(target.url), health: health.url }, says)
    isUp = await untilUp(() => database.check(), {
      signal,
      isOutage: (error) => error instanceof DatabaseError && error.code !== 'SYNC_NOT_MIGRATED',
      onDown: ({ message }) => log.warn({ reason: message }, `waiting for the ${side}'s database`),
      onBack: () => log.info({}, `the ${side}'s database is there`),
    })
    if (isUp) startEventConsumer({ broker, direction, target: database, log, observer, ...(onStep && { onStep }) })
  } catch (error) {
    await close()
    throw error
  }
  return { close }
}

/** Host, port and database; never the credentials. */
function placeOf(url: string): string {
  const { host, pathname } = new URL(url)
  return `${host}${pathname}`
}
