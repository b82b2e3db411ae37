import type { Channel } from 'amqplib'
import { EVENTS, queueDefinitions, RETRY_DELAYS_MS } from '@clinic-sync/broker'

/** Topic, durable, as `sync.events`; with queues that only the references know, no service hears what they publish. */
export const RAW_EXCHANGE = 'bench.events'
const PREFIX = 'bench.'

/** As the real event queues in all but the name: the same arguments, the same bindings. */
const DEFINITIONS = queueDefinitions(RETRY_DELAYS_MS)
  .filter(({ exchange }) => exchange === EVENTS)
  .map(({ name, pattern, options }) => ({ name: `${PREFIX}${name}`, pattern, options }))

/** Queues that events of clinic → portal reach. */
export const RAW_QUEUES = DEFINITIONS.map(({ name }) => name).filter((name) => name.includes('sql-to-postgres'))

/** Declares exchange and queues, and empties them. */
export async function declareRaw(channel: Channel): Promise<void> {
  await channel.assertExchange(RAW_EXCHANGE, 'topic', { durable: true })
  for (const { name, pattern, options } of DEFINITIONS) {
    await channel.assertQueue(name, options)
    await channel.bindQueue(name, RAW_EXCHANGE, pattern)
    await channel.purgeQueue(name)
  }
}
