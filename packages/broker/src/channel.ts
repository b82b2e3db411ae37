import { backoffMs } from '@clinic-sync/sync'
import type { Channel, ChannelModel } from 'amqplib'
import type { Log } from './api.ts'
import { sleep, within } from './wait.ts'
import type { Connection } from './connection.ts'
import { reasonOf } from './errors.ts'

/** A channel and the news of its end. */
export interface Watched<C extends Channel> {
  readonly channel: C
  /** Aborts when the channel is no longer usable, for whatever reason. */
  readonly lost: AbortSignal
  /** Gives up the channel: what is unacknowledged returns to its queue. `reason` is logged. */
  abandon(reason: string): void
}

export interface KeepOptions<C extends Channel> {
  readonly connection: Connection
  readonly open: (model: ChannelModel) => Promise<C>
  /** Works with the channel, and returns when it is lost or no longer wanted. */
  readonly use: (watched: Watched<C>) => Promise<void>
  readonly signal: AbortSignal
  readonly label: string
  readonly log: Log
}

const STABLE_MS = 5_000

/**
 * Opens a channel, uses it, and opens the next when it is lost (a channel error, a deleted queue, the connection), until
 * `signal` aborts. Never rejects.
 */
export async function keepChannel<C extends Channel>(options: KeepOptions<C>): Promise<void> {
  const { connection, signal, label, log } = options
  let attempt = 0
  const said = new Set<string>()
  while (!signal.aborted) {
    const model = await connection.opened(signal)
    if (model === null) return
    const since = Date.now()
    let reason = ''
    let watched: (Watched<C> & { why(): string; close(): Promise<void> }) | undefined
    try {
      watched = watchChannel(await options.open(model))
      await options.use(watched)
    } catch (error) {
      reason = reasonOf(error)
    }
    if (watched !== undefined) {
      reason = watched.why() || reason
      await watched.close()
    }
    if (Date.now() - since > STABLE_MS) {
      attempt = 0
      said.clear()
    }
    if (reason !== '' && !said.has(reason) && !signal.aborted) {
      log.warn({ channel: label, reason }, 'a RabbitMQ channel was lost; opening it again')
      said.add(reason)
    }
    await sleep(backoffMs(attempt++), signal)
  }
}

function watchChannel<C extends Channel>(channel: C): Watched<C> & { why(): string; close(): Promise<void> } {
  const lost = new AbortController()
  let why = ''
  channel.on('error', (error) => {
    why = reasonOf(error)
  })
  const closed = new Promise<void>((resolve) => {
    channel.on('close', () => {
      lost.abort()
      resolve()
    })
  })
  return {
    channel,
    lost: lost.signal,
    abandon(reason) {
      why ||= reason
      lost.abort()
    },
    why: () => why,
    async close() {
      lost.abort()
      // amqplib's promise never settles when the connection dies before the broker's answer.
      await within(2_000, Promise.race([channel.close(), closed]))
    },
  }
}
