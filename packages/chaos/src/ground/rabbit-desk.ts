import { type Channel, type ChannelModel, connect, type ConfirmChannel, type GetMessage } from 'amqplib'
import { patiently } from './patience.ts'

const PAGE = 200

/** A connection of our own to RabbitMQ that comes back by itself: to look into queues, and to do what an operator or a fault does. */
export class RabbitDesk {
  readonly #url: string
  #open: Promise<{ connection: ChannelModel; channel: ConfirmChannel }> | null = null
  #closed = false

  constructor(url: string) {
    this.#url = url
  }

  /** Uses a channel; where that fails, with a new connection once more, until it works. */
  use<T>(work: (channel: ConfirmChannel) => Promise<T>, patienceMs = 60_000): Promise<T> {
    return patiently(async () => {
      const { connection, channel } = await this.#connected()
      try {
        return await withLimit(work(channel))
      } catch (error) {
        this.#open = null
        void connection.close().catch(() => undefined)
        throw error
      }
    }, patienceMs)
  }

  /** Messages that wait in these queues, all together. */
  waiting(queues: readonly string[]): Promise<number> {
    return this.use(async (channel) => {
      let count = 0
      for (const name of queues) count += (await channel.checkQueue(name)).messageCount
      return count
    })
  }

  /** Takes the messages out of a queue. */
  async empty(queue: string): Promise<readonly GetMessage[]> {
    const messages: GetMessage[] = []
    // By and by: thousands take longer than one call may.
    for (let before = -1; messages.length > before;) {
      before = messages.length
      await this.use(async (channel) => {
        for (let i = 0; i < PAGE; i++) {
          const message = await get(channel, queue)
          if (message === false) return
          channel.ack(message)
          messages.push(message)
        }
      })
    }
    return messages
  }

  /** Moves what waits for a retry back to its partition, as an operator may. Returns how many. */
  hurry(queues: readonly string[]): Promise<number> {
    return this.use(async (channel) => {
      let moved = 0
      for (const name of queues) {
        for (let message = await get(channel, name); message !== false; message = await get(channel, name)) {
          const { fields, content, properties } = message
          const own = Object.entries(properties.headers ?? {}).filter(([header]) => !header.startsWith('x-'))
          channel.publish('sync.events', fields.routingKey, content, {
            ...properties,
            headers: Object.fromEntries(own),
          })
          await channel.waitForConfirms()
          channel.ack(message)
          moved++
        }
      }
      return moved
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    const open = await this.#open?.catch(() => null)
    await withLimit(open?.connection.close() ?? Promise.resolve()).catch(() => undefined)
  }

  #connected(): Promise<{ connection: ChannelModel; channel: ConfirmChannel }> {
    if (this.#closed) return Promise.reject(new Error('Stopping.'))
    this.#open ??= this.#connect().catch((error: unknown) => {
      this.#open = null
      throw error
    })
    return this.#open
  }

  async #connect() {
    const connection = await withLimit(connect(this.#url, { timeout: 5_000, noDelay: true }))
    const gone = () => {
      this.#open = null
    }
    connection.on('error', gone)
    connection.on('close', gone)
    const channel = await withLimit(connection.createConfirmChannel())
    channel.on('error', gone)
    channel.on('close', gone)
    return { connection, channel }
  }
}

const get = (channel: Channel, queue: string) => channel.get(queue, { noAck: false })

/** A call over a connection that dies may never be answered: it is given up. */
function withLimit<T>(work: Promise<T>, ms = 20_000): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error('RabbitMQ does not answer')), ms)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
