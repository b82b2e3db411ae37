import { randomUUID } from 'node:crypto'
import type { Channel } from 'amqplib'
import type { Direction, Outcome } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import type { BrokerOptions } from './api.ts'
import { attempt } from './attempt.ts'
import { replyCodeOf } from './errors.ts'
import { within } from './wait.ts'
import { keepChannel, type Watched } from './channel.ts'
import { Connection } from './connection.ts'
import { decodeOutcomes } from './message.ts'
import { OUTCOMES } from './topology.ts'

export interface WatchOutcomesOptions extends Pick<BrokerOptions, 'url' | 'log' | 'name'> {
  readonly direction: Direction
  /** Gets each batch as it is published. Must not throw. */
  readonly onOutcomes: (outcomes: readonly Outcome[]) => void
  /** Milliseconds to wait for the first connection. Default 15 s. */
  readonly connectMs?: number
}

/** A listener beside the ingress: it settles nothing and takes nothing away from the ingress. */
export interface OutcomeWatch {
  close(): Promise<void>
}

const REFUSED = 403
const MAX_BYTES = 15 * 1024 * 1024

/**
 * Watches the outcomes of a direction through an exclusive queue of its own, which goes with the connection. Resolves when
 * it hears: whatever is published from then on is reported, except while the connection is lost, which it makes again
 * by itself. So a watcher must have another way to learn what it missed.
 *
 * @throws SyncError SYNC_BROKER_DOWN if RabbitMQ cannot be reached in time; SYNC_BROKER_RIGHTS if the login may not; SYNC_CONFIG if the
 *   URL is none.
 */
export async function watchOutcomes(options: WatchOutcomesOptions): Promise<OutcomeWatch> {
  const { url, log, name, connectMs = 15_000 } = options
  const connection = new Connection(url, `${name} watching`, log)
  const stop = new AbortController()
  let told: (what: 'hearing' | 'refused') => void = () => undefined
  const heard = new Promise<'hearing' | 'refused'>((resolve) => (told = resolve))
  connection.start()
  const loop = keepChannel<Channel>({
    connection,
    signal: stop.signal,
    label: `${name} watching outcomes`,
    log,
    open: async (model) => {
      // A service's own login may not declare what lasts, and need not.
      await attempt(model, (channel) => channel.assertExchange(OUTCOMES, 'topic', { durable: true }), REFUSED)
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
  const late = new Promise<'late'>((resolve) => {
    timer = setTimeout(() => resolve('late'), connectMs)
  })
  const first = await Promise.race([heard, late])
  clearTimeout(timer)
  if (first === 'hearing') return { close }
  await close()
  if (first === 'refused') {
    throw new SyncError('SYNC_BROKER_RIGHTS', "RabbitMQ does not let this login listen to the consumers' outcomes")
  }
  throw new SyncError('SYNC_BROKER_DOWN', `RabbitMQ could not be reached within ${connectMs / 1000} s.`)
}

async function listen(
  { channel, lost, abandon }: Watched<Channel>,
  { direction, onOutcomes, log }: WatchOutcomesOptions,
  stop: AbortSignal,
  hearing: () => void,
): Promise<void> {
  const queue = `${OUTCOMES}.watch.${randomUUID()}`
  await channel.assertQueue(queue, { exclusive: true, durable: false, autoDelete: true })
  await channel.bindQueue(queue, OUTCOMES, `${direction}.#`)
  await channel.consume(
    queue,
    (message) => {
      if (message === null) return abandon('RabbitMQ cancelled the watch of outcomes')
      try {
        onOutcomes(decodeOutcomes(message, direction, MAX_BYTES).outcomes)
      } catch (error) {
        if (!(error instanceof SyncError)) throw error
        log.warn({ code: error.code }, 'an outcome message that is not valid was passed over')
      }
    },
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
