import { connect, type ChannelModel } from 'amqplib'
import { backoffMs, type Delays } from '@clinic-sync/sync'
import { type BrokerAddress, brokerAddress } from './address.ts'
import { watchAnswers } from './answers.ts'
import type { Log } from './api.ts'
import { sleep, within } from './wait.ts'
import { reasonOf } from './errors.ts'
import { versionOf } from './server-version.ts'
import { WRITES, writeTogether } from './write-together.ts'

/** A connection that lived this long was a good one: the next attempt comes soon again. */
const STABLE_MS = 5_000
/**
 * Between two attempts. A service has several connections, which come back one by one, and needs them all: after an outage of seconds the last
 * of them must not be half a minute behind the first. An attempt that is refused costs microseconds.
 */
const DELAYS: Delays = { min: 100, max: 5_000 }
/** For the TCP connection and each step of the handshake: longer without a byte from there, and the attempt is given up. */
const CONNECT_TIMEOUT_MS = 10_000

/**
 * One connection to RabbitMQ that comes back until closed.
 *
 * Not amqplib's own recovery: its listeners bind only after its `setup`, so that a connection which dies during setup
 * is an uncaught exception or hangs for good; it does not reopen a channel that closed; and its `setup` would have to redo
 * by itself what {@link keepChannel} does anyway. Here the listeners are in place before anything is sent, and all
 * that happens on a connection is raced against its end.
 */
export class Connection {
  readonly #address: BrokerAddress
  readonly #label: string
  readonly #log: Log
  readonly #connectTimeoutMs: number
  readonly #answerMs: number | undefined
  readonly #closing = new AbortController()
  readonly #waiting = new Set<() => void>()
  #model: ChannelModel | null = null
  #blocked = false
  #loop: Promise<void> | null = null
  /** Called for each connection made but the first. */
  onReconnected: () => void = () => undefined
  /** Called when RabbitMQ blocks this connection (memory or disk alarm) and when it lets go. */
  onBlocked: (blocked: boolean) => void = () => undefined
  /** Whether answers lie unread, since nobody reads from this connection for now. */
  isDeaf: () => boolean = () => false

  /** @throws SyncError SYNC_CONFIG for a URL that cannot be used */
  constructor(url: string, label: string, log: Log, connectTimeoutMs = CONNECT_TIMEOUT_MS, answerMs?: number) {
    this.#connectTimeoutMs = connectTimeoutMs
    this.#answerMs = answerMs
    this.#address = brokerAddress(url)
    this.#label = label
    this.#log = log
  }

  get blocked(): boolean {
    return this.#blocked
  }

  /** RabbitMQ's version, of the connection that there is; null: there is none now. */
  get serverVersion(): string | null {
    return this.#model === null ? null : versionOf(this.#model)
  }

  /** Starts connecting, and never stops until `close`. */
  start(): void {
    this.#loop = this.#run()
  }

  /** The open connection, as soon as there is one; null when closed or `signal` aborts. */
  async opened(signal: AbortSignal): Promise<ChannelModel | null> {
    while (!signal.aborted && !this.#closing.signal.aborted) {
      if (this.#model !== null) return this.#model
      await new Promise<void>((resolve) => {
        const done = () => {
          this.#waiting.delete(done)
          signal.removeEventListener('abort', done)
          resolve()
        }
        this.#waiting.add(done)
        signal.addEventListener('abort', done)
      })
    }
    return null
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#wake()
    const model = this.#model
    if (model !== null) await within(2_000, Promise.race([model.close(), this.#loop]))
    if (model !== null) destroySocket(model)
    // An attempt under way cannot be cancelled: it ends by itself, and is closed at once if it succeeds.
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing
    let attempt = 0
    const said = new Set<string>()
    let isFirst = true
    while (!signal.aborted) {
      try {
        const model = await this.#open()
        writeTogether(model)
        const ended = watch(model, (blocked) => this.#setBlocked(blocked))
        if (signal.aborted) {
          await within(1_000, model.close())
          destroySocket(model)
          return
        }
        const since = Date.now()
        said.clear()
        this.#log.info({ connection: this.#label }, 'connected to RabbitMQ')
        this.#model = model
        if (!isFirst) this.onReconnected()
        isFirst = false
        this.#wake()
        const watched = watchAnswers(model, {
          answerMs: this.#answerMs,
          isDeaf: () => this.#blocked || this.isDeaf(),
          onSilent: (error) => destroySocket(model, error),
        })
        const error = await ended.finally(watched)
        if (Date.now() - since > STABLE_MS) attempt = 0
        this.#model = null
        this.#setBlocked(false)
        destroySocket(model)
        if (signal.aborted) return
        this.#log.warn(
          { connection: this.#label, reason: reasonOf(error) },
          'lost the connection to RabbitMQ; reconnecting',
        )
      } catch (error) {
        // One line for each reason in an outage, not for each attempt.
        const reason = reasonOf(error)
        if (!signal.aborted && !said.has(reason)) {
          this.#log.warn(
            { connection: this.#label, reason },
            'cannot connect to RabbitMQ; trying again until it is there',
          )
        }
        said.add(reason)
      }
      await sleep(backoffMs(attempt++, DELAYS), signal)
    }
  }

  #open(): Promise<ChannelModel> {
    return connect(this.#address.url, {
      ...this.#address.tls,
      // Without it, Nagle's algorithm holds an acknowledgement back for up to 40 ms.
      noDelay: true,
      // A socket's option, which amqplib's types do not know.
      ...WRITES,
      timeout: this.#connectTimeoutMs,
      keepAlive: true,
      keepAliveDelay: 10_000,
      clientProperties: { connection_name: this.#label },
    })
  }

  #setBlocked(blocked: boolean): void {
    if (blocked === this.#blocked) return
    this.#blocked = blocked
    if (blocked) this.#log.warn({ connection: this.#label }, 'RabbitMQ is out of memory or disk: publishing waits')
    else if (this.#model !== null) this.#log.info({ connection: this.#label }, 'RabbitMQ takes messages again')
    this.onBlocked(blocked)
  }

  #wake(): void {
    for (const done of this.#waiting) done()
  }
}

/** Resolves when the connection has ended, with the error if there was one. Never rejects, never lets an event throw. */
function watch(model: ChannelModel, onBlocked: (blocked: boolean) => void): Promise<Error | undefined> {
  return new Promise((resolve) => {
    let reason: Error | undefined
    model.on('error', (error) => {
      reason = error
    })
    model.on('close', (error) => resolve(error ?? reason))
    model.on('blocked', () => onBlocked(true))
    model.on('unblocked', () => onBlocked(false))
    // Closed between the end of the handshake and this line: no event will come, but any use of it fails.
    if (!isOpen(model)) resolve(undefined)
  })
}

type Inside = { stream?: { destroy?: (error?: Error) => void; destroyed?: boolean }; expectSocketClose?: boolean }
/** amqplib's own state, which its types do not show. */
const inside = (model: ChannelModel): Inside => model.connection as unknown as Inside
const isOpen = (model: ChannelModel) =>
  inside(model).expectSocketClose !== true && inside(model).stream?.destroyed !== true

/** After a heartbeat timeout amqplib only ends its half of the socket, which would stay open to a dead peer. */
function destroySocket(model: ChannelModel, error?: Error): void {
  inside(model).stream?.destroy?.(error)
}
