import { SyncError } from '@clinic-sync/sync'
import { connect, type ChannelModel } from 'amqplib'
import { brokerAddress } from './address.ts'
import { attempt } from './attempt.ts'
import { reasonOf } from './errors.ts'
import { versionOf } from './server-version.ts'
import { type QueueDefinition, queueDefinitions, RETRY_DELAYS_MS } from './topology.ts'
import { within } from './wait.ts'

/** A queue as it is. `misfit`: it was declared with other arguments than ours. */
export interface QueueFacts {
  readonly name: string
  readonly state: 'ok' | 'missing' | 'misfit'
  /** Messages that nobody has taken. */
  readonly messages: number
  /** Those that stand by included. */
  readonly consumers: number
}

/** What the doctor command shows of RabbitMQ. */
export interface BrokerFacts {
  /** Such as `3.13.7`; null where the server does not say. */
  readonly version: string | null
  readonly queues: readonly QueueFacts[]
}

export interface InspectBrokerOptions {
  readonly url: string
  readonly retryDelaysMs?: readonly number[]
  /** For the connection, milliseconds. */
  readonly connectMs?: number
}

/**
 * Looks at RabbitMQ without making anything: a queue that a passive declaration does not find is not declared. One that is there
 * is declared as ours would be, which RabbitMQ refuses (406) where an argument differs, and which otherwise changes nothing.
 *
 * @throws SyncError SYNC_BROKER_DOWN, in RabbitMQ's or the socket's words, without the URL.
 */
export async function inspectBroker(options: InspectBrokerOptions): Promise<BrokerFacts> {
  const { url, retryDelaysMs = RETRY_DELAYS_MS, connectMs = 8_000 } = options
  const model = await open(url, connectMs)
  try {
    const queues: QueueFacts[] = []
    for (const definition of queueDefinitions(retryDelaysMs)) queues.push(await inspectQueue(model, definition))
    return { version: versionOf(model), queues }
  } catch (cause) {
    throw new SyncError('SYNC_BROKER_DOWN', `RabbitMQ: ${reasonOf(cause)}`, { cause })
  } finally {
    await within(1_000, model.close())
  }
}

async function open(url: string, timeout: number): Promise<ChannelModel> {
  const address = brokerAddress(url)
  try {
    const model = await connect(address.url, {
      ...address.tls,
      timeout,
      clientProperties: { connection_name: 'clinic-sync doctor' },
    })
    // The call under way is rejected as well; without a listener the process would end.
    model.on('error', () => undefined)
    return model
  } catch (cause) {
    throw new SyncError('SYNC_BROKER_DOWN', `RabbitMQ: ${reasonOf(cause)}`, { cause })
  }
}

async function inspectQueue(model: ChannelModel, { name, options }: QueueDefinition): Promise<QueueFacts> {
  const found = await attempt(model, (channel) => channel.checkQueue(name), 404)
  if ('refused' in found) return { name, state: 'missing', messages: 0, consumers: 0 }
  // A login that may not declare (403) cannot find out whether the arguments are ours.
  const declared = await attempt(model, (channel) => channel.assertQueue(name, options), 403, 406)
  return {
    name,
    state: 'refused' in declared && declared.refused === 406 ? 'misfit' : 'ok',
    messages: found.answer.messageCount,
    consumers: found.answer.consumerCount,
  }
}
