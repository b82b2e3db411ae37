import { SyncError } from '@clinic-sync/sync'
import type { ChannelModel, ConfirmChannel } from 'amqplib'
import type { Connection } from './connection.ts'
import { reasonOf } from './errors.ts'
import { LEADER, NOTE, noteKey } from './topology.ts'
import { sleep, within } from './wait.ts'

/** For everything that one call does. */
const PATIENCE_MS = 5_000
const CLOSE_MS = 1_000

/**
 * One text that outlives whoever has written it, in a queue that holds one message: for the ingress that leads next. Made when it is
 * first needed, since nothing but alerts needs it. Read rarely, so each call has a channel of its own.
 */
export class Note {
  readonly #connection: Connection

  constructor(connection: Connection) {
    this.#connection = connection
  }

  /** Null: nobody has written one. @throws SyncError SYNC_BROKER_DOWN, in RabbitMQ's words */
  read(): Promise<string | null> {
    return this.#use(async (channel) => {
      const message = await channel.get(NOTE)
      if (message === false) return null
      channel.nack(message, false, true)
      return message.content.toString('utf8')
    })
  }

  /** Takes the place of the one before. @throws SyncError SYNC_BROKER_DOWN */
  write(text: string): Promise<void> {
    return this.#use(async (channel) => {
      channel.publish(LEADER, noteKey, Buffer.from(text), { persistent: true, contentType: 'application/json' })
      await channel.waitForConfirms()
    })
  }

  async #use<T>(work: (channel: ConfirmChannel) => Promise<T>): Promise<T> {
    const over = new AbortController()
    const late = sleep(PATIENCE_MS, over.signal).then(() => {
      throw new SyncError('SYNC_BROKER_DOWN', `RabbitMQ has not answered within ${PATIENCE_MS / 1000} s.`)
    })
    late.catch(() => undefined)
    try {
      const model = await Promise.race([this.#connection.opened(over.signal), late])
      if (model === null) throw new SyncError('SYNC_BROKER_DOWN', 'not connected to RabbitMQ')
      return await Promise.race([onChannel(model, work), late])
    } catch (cause) {
      throw cause instanceof SyncError
        ? cause
        : new SyncError('SYNC_BROKER_DOWN', `RabbitMQ: ${reasonOf(cause)}`, { cause })
    } finally {
      over.abort()
    }
  }
}

async function onChannel<T>(model: ChannelModel, work: (channel: ConfirmChannel) => Promise<T>): Promise<T> {
  const channel = await model.createConfirmChannel()
  // Without a listener a refusal would end the process; amqplib rejects what was called as well.
  const lost = new Promise<never>((_, reject) => {
    channel.on('error', reject)
    channel.on('close', () => reject(new SyncError('SYNC_BROKER_DOWN', 'the channel was closed')))
  })
  lost.catch(() => undefined)
  const use = async () => {
    await channel.assertQueue(NOTE, {
      durable: true,
      arguments: { 'x-queue-type': 'quorum', 'x-max-length': 1, 'x-delivery-limit': 1_000_000 },
    })
    await channel.bindQueue(NOTE, LEADER, noteKey)
    return work(channel)
  }
  try {
    return await Promise.race([use(), lost])
  } finally {
    await within(
      CLOSE_MS,
      channel.close().catch(() => undefined),
    )
  }
}
