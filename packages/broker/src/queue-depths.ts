import type { Channel } from 'amqplib'
import type { QueueDepth } from './api.ts'
import type { Connection } from './connection.ts'
import { within } from './wait.ts'

/** For all queues together: who asks is a scrape, which has a time limit of its own. */
const READ_MS = 3_000
const CLOSE_MS = 2_000

/** Asks RabbitMQ how much each queue holds, by passive declarations on one channel, which stays open from one time to the next. */
export class QueueDepths {
  readonly #connection: Connection
  readonly #queues: readonly string[]
  #channel: Channel | null = null

  constructor(connection: Connection, queues: readonly string[]) {
    this.#connection = connection
    this.#queues = queues
  }

  /** What RabbitMQ answers within 3 s; a queue that is missing, or has no leader now, is left out. Never rejects. */
  async read(): Promise<readonly QueueDepth[]> {
    const depths: QueueDepth[] = []
    const over = new AbortController()
    await within(READ_MS, this.#readInto(depths, over.signal))
    over.abort()
    return depths
  }

  async #readInto(depths: QueueDepth[], over: AbortSignal): Promise<void> {
    for (const queue of this.#queues) {
      const channel = this.#channel ?? (await this.#open(over))
      if (channel === null || over.aborted) return
      try {
        const { messageCount, consumerCount } = await channel.checkQueue(queue)
        if (!over.aborted) depths.push({ queue, messages: messageCount, consumers: consumerCount })
      } catch {
        // 404 closes the channel; so does a lost connection.
        if (this.#channel === channel) this.#channel = null
      }
    }
  }

  async #open(over: AbortSignal): Promise<Channel | null> {
    const model = await this.#connection.opened(over)
    if (model === null) return null
    const channel = await model.createChannel()
    const forget = () => {
      if (this.#channel === channel) this.#channel = null
    }
    // Without a listener the refusal would end the process.
    channel.on('error', forget)
    channel.on('close', forget)
    // Another who asks, a scrape or a status, was first: one channel that nobody uses would stay for each such time.
    if (this.#channel === null) this.#channel = channel
    else void within(CLOSE_MS, channel.close())
    return this.#channel
  }
}
