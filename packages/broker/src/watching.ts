import { randomUUID } from 'node:crypto'
import type { Channel, ConsumeMessage } from 'amqplib'
import { SyncError } from '@clinic-sync/sync'
import type { BrokerOptions } from './api.ts'
import { attempt } from './attempt.ts'
import { keepChannel, type Watched } from './channel.ts'
import { Connection } from './connection.ts'
import { replyCodeOf } from './errors.ts'
import { OUTCOMES } from './topology.ts'
import { within } from './wait.ts'

export interface WatchOptions extends Pick<BrokerOptions, 'url' | 'log' | 'name'> {
  /** Milliseconds to wait for the first connection. Default 15 s. */
  readonly connectMs?: number
}

/** A listener beside the services: it settles nothing and takes nothing away from anybody. */
export interface Watch {
  close(): Promise<void>
}

export interface Watching extends WatchOptions {
  /** What is listened to, in words for a log or a person. */
  readonly what: string
  /** Topic exchanges and the routing keys to hear of each. */
  readonly bindings: readonly { readonly exchange: string; readonly key: string }[]
  /** Must not throw. */
  readonly onMessage: (message: ConsumeMessage) => void
}

const REFUSED = 403

/**
 * Listens through an exclusive queue of its own, which goes with the connection. Resolves when it hears: whatever is published from
 * then on is reported, except while the connection is lost, which it makes again by itself. So a watcher must have another way to
 * learn what it missed.
 *
 * @throws SyncError SYNC_BROKER_DOWN if RabbitMQ cannot be reached in time; SYNC_BROKER_RIGHTS if the login may not; SYNC_CONFIG if the
 *   URL is none.
 */
export async function watch(options: Watching): Promise<Watch> {
  const { url, log, name, what, bindings, connectMs = 15_000 } = options
  const connection = new Connection(url, `${name} watching`, log)
  const stop = new AbortController()
  let told: (what: 'hearing' | 'refused') => void = () => undefined
  const heard = new Promise<'hearing' | 'refused'>((resolve) => (told = resolve))
  connection.start()
  const loop = keepChannel<Channel>({
    connection,
    signal: stop.signal,
    label: `${name} watching ${what}`,
    log,
    open: async (model) => {
      // A service's own login may not declare what lasts, and need not.
      for (const exchange of new Set(bindings.map((each) => each.exchange))) {
        await attempt(model, (channel) => channel.assertExchange(exchange, 'topic', { durable: true }), REFUSED)
      }
      const channel = await model.createChannel()
      channel.on('error', (error: Error) => replyCodeOf(error) === REFUSED && told('refused'))
      return channel
    },
    use: (watched) => listen(watched, options, stop.signal, () => told('hearing')),
  })
  const close = async () => {
    stop.abort()
    await within(2_000, loop)
    await connection.close()
  }
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<'late'>((resolve) => (timer = setTimeout(() => resolve('late'), connectMs)))
  const first = await Promise.race([heard, late])
  clearTimeout(timer)
  if (first === 'hearing') return { close }
  await close()
  if (first === 'refused')
    throw new SyncError('SYNC_BROKER_RIGHTS', `RabbitMQ does not let this login listen to ${what}`)
  throw new SyncError('SYNC_BROKER_DOWN', `RabbitMQ could not be listened to within ${connectMs / 1000} s.`)
}

async function listen(
  { channel, lost, abandon }: Watched<Channel>,
  { what, bindings, onMessage }: Watching,
  stop: AbortSignal,
  hearing: () => void,
): Promise<void> {
  const queue = `${OUTCOMES}.watch.${randomUUID()}`
  await channel.assertQueue(queue, { exclusive: true, durable: false, autoDelete: true })
  for (const { exchange, key } of bindings) await channel.bindQueue(queue, exchange, key)
  await channel.consume(
    queue,
    (message) => (message === null ? abandon(`RabbitMQ cancelled the watch of ${what}`) : onMessage(message)),
    { noAck: true },
  )
  hearing()
  await new Promise<void>((resolve) => {
    const ended = () => resolve()
    if (lost.aborted || stop.aborted) return ended()
    lost.addEventListener('abort', ended, { once: true })
    stop.addEventListener('abort', ended, { once: true })
  })
}
