import type { ConfirmChannel, Message, Options } from 'amqplib'
import { SyncError } from '@clinic-sync/sync'
import type { Log } from './api.ts'
import { sleep, within } from './wait.ts'
import { keepChannel } from './channel.ts'
import type { Connection } from './connection.ts'
import { meaningOf, PublishError, reasonOf, rightsLack } from './errors.ts'
import type { Topology } from './prepare.ts'

/**
 * Messages on their way at a time. Of 1, 200 and 1000 the last published most: 1.0k, 13k, 17k a second (two cores,
 * 500 bytes, RabbitMQ 3.10.8).
 */
const WINDOW = 1_000
/** Large notes must not fill the memory: the window is also bounded in bytes. */
const WINDOW_BYTES = 32 * 1024 * 1024

export interface OutgoingMessage {
  readonly exchange: string
  readonly routingKey: string
  readonly content: Buffer
  readonly options: Options.Publish & { readonly messageId: string }
}

interface Pending {
  readonly message: OutgoingMessage
  readonly settle: (error: SyncError | null) => void
}

export interface PublisherOptions {
  readonly connection: Connection
  readonly log: Log
  readonly label: string
  readonly topology: Topology
  readonly onReady: () => void
}

/** Publishes with confirms and `mandatory`, on a channel of its own: a channel's end fails all that it has not confirmed. */
export class Publisher {
  readonly #options: PublisherOptions
  readonly #stop = new AbortController()
  readonly #idle = new Set<() => void>()
  #loop: Promise<void> | null = null
  #channel: ConfirmChannel | null = null
  #queue: Pending[] = []
  /** Index of the next one in the queue: shifting an array of thousands costs more than publishing. */
  #next = 0
  #outstanding = 0
  #bytes = 0
  /** amqplib's buffer is full; it still takes messages, but should not get any. */
  #full = false
  #returned = new Map<string, number>()
  #refusal: SyncError | null = null

  constructor(options: PublisherOptions) {
    this.#options = options
    options.connection.onBlocked = () => this.#pump()
  }

  get up(): boolean {
    return this.#channel !== null
  }

  /** SYNC_BROKER_RIGHTS, where RabbitMQ has closed a channel of this one since it lacks a right; null: it has not. */
  get refusal(): SyncError | null {
    return this.#refusal
  }

  start(): void {
    const { connection, log, label } = this.#options
    this.#loop = keepChannel<ConfirmChannel>({
      connection,
      log,
      label,
      signal: this.#stop.signal,
      open: async (model) => {
        await this.#options.topology.prepare(model)
        return model.createConfirmChannel()
      },
      use: async ({ channel, lost }) => {
        channel.on('error', (error: unknown) => {
          this.#refusal = rightsLack(error)
        })
        channel.on('return', (message) => this.#onReturn(message))
        channel.on('drain', () => {
          this.#full = false
          this.#pump()
        })
        if (lost.aborted) return
        this.#channel = channel
        this.#options.onReady()
        await untilAborted(AbortSignal.any([lost, this.#stop.signal]))
        this.#lose()
      },
    })
  }

  /** Resolves when all are confirmed. Rejects when every message has met its end, and not all were confirmed. @throws PublishError */
  publish(messages: readonly OutgoingMessage[]): Promise<void> {
    if (messages.length === 0) return Promise.resolve()
    return new Promise((resolve, reject) => {
      const failures = new Map<number, SyncError>()
      let open = messages.length
      messages.forEach((message, index) => {
        const settle = (error: SyncError | null) => {
          if (error !== null) failures.set(index, error)
          if (--open > 0) return
          if (failures.size === 0) resolve()
          else reject(new PublishError(failures, messages.length))
        }
        if (this.#channel === null || this.#stop.signal.aborted) settle(notConnected())
        else this.#queue.push({ message, settle })
      })
      this.#pump()
    })
  }

  /** Waits for the confirms of what is under way, `ms` at most; then the rest is rejected. */
  async close(ms: number): Promise<void> {
    // While RabbitMQ is blocked no confirm will come.
    const { blocked } = this.#options.connection
    if (this.#outstanding + this.#queue.length > 0 && this.#channel !== null && !blocked) {
      const over = new AbortController()
      await Promise.race([new Promise<void>((resolve) => this.#idle.add(resolve)), sleep(ms, over.signal)])
      over.abort()
    }
    this.#stop.abort()
    if (this.#loop !== null) await within(3_000, this.#loop)
  }

  #pump(): void {
    while (this.#next < this.#queue.length && this.#mayPublish()) {
      const pending = this.#queue[this.#next++]
      if (pending !== undefined) this.#send(pending)
    }
    if (this.#next === this.#queue.length) {
      this.#queue = []
      this.#next = 0
      if (this.#outstanding === 0) {
        for (const done of this.#idle) done()
        this.#idle.clear()
      }
    }
  }

  #mayPublish(): boolean {
    return (
      this.#channel !== null &&
      !this.#full &&
      !this.#options.connection.blocked &&
      this.#outstanding < WINDOW &&
      (this.#bytes < WINDOW_BYTES || this.#outstanding === 0)
    )
  }

  #send({ message, settle }: Pending): void {
    const { exchange, routingKey, content, options } = message
    const channel = this.#channel
    if (channel === null) return settle(notConnected())
    this.#outstanding++
    this.#bytes += content.length
    const done = (error: unknown) => {
      this.#outstanding--
      this.#bytes -= content.length
      settle(this.#verdict(message, error))
      if (this.#channel === channel) this.#pump()
    }
    try {
      const room = channel.publish(
        exchange,
        routingKey,
        content,
        { ...options, mandatory: true, persistent: true },
        done,
      )
      if (!room) this.#full = true
    } catch (error) {
      // The channel has just closed, or a header cannot be encoded; no confirm will come for it.
      this.#outstanding--
      this.#bytes -= content.length
      settle(new SyncError('SYNC_BROKER_DOWN', `could not publish: ${reasonOf(error)}`, { cause: error }))
    }
  }

  /** A message that reached no queue is returned first and confirmed afterwards. */
  #verdict(message: OutgoingMessage, error: unknown): SyncError | null {
    if (this.#returned.size > 0 && this.#wasReturned(message)) {
      return new SyncError('SYNC_UNROUTABLE', `no queue for ${message.exchange} ${message.routingKey}`)
    }
    if (error === null || error === undefined) return null
    const { error: code = 'SYNC_BROKER_DOWN', words } = meaningOf(error)
    return new SyncError(code, `${message.routingKey}: ${words}`, { cause: error })
  }

  #wasReturned({ exchange, routingKey, options }: OutgoingMessage): boolean {
    const key = returnKey(exchange, routingKey, options.messageId)
    const returned = this.#returned.get(key) ?? 0
    if (returned > 1) this.#returned.set(key, returned - 1)
    else this.#returned.delete(key)
    return returned > 0
  }

  #onReturn(message: Message): void {
    const key = returnKey(message.fields.exchange, message.fields.routingKey, String(message.properties.messageId))
    this.#returned.set(key, (this.#returned.get(key) ?? 0) + 1)
  }

  /** The channel is gone: amqplib has failed what was sent; what was not sent fails here. */
  #lose(): void {
    this.#channel = null
    this.#full = false
    this.#returned.clear()
    const unsent = this.#queue.slice(this.#next)
    this.#queue = []
    this.#next = 0
    for (const { settle } of unsent) settle(notConnected())
    this.#pump()
  }
}

const returnKey = (exchange: string, routingKey: string, messageId: string) => `${exchange} ${routingKey} ${messageId}`
const notConnected = () => new SyncError('SYNC_BROKER_DOWN', 'not connected to RabbitMQ')

function untilAborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
