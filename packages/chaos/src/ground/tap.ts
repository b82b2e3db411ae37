import { type ChannelModel, connect, type ConsumeMessage } from 'amqplib'
import { outcomeBatchValidator } from '@clinic-sync/contracts'
import { setTimeout as delay } from 'node:timers/promises'
import type { Happening } from '@clinic-sync/prove/parts'

/** Durable, and on every node: what is published while nobody listens waits. */
const QUEUE = 'chaos.tap'
/**
 * RabbitMQ's own copy of what is published. A queue of ours bound to the exchanges themselves would take what has no other queue to go
 * to, and `mandatory` would never tell.
 */
const TRACE = 'amq.rabbitmq.trace'
const EVENTS = 'sync.events'
const OUTCOMES = 'sync.outcomes'
const PREFETCH = 2_000
const MOST_HAPPENINGS = 200_000

/** One version of one record on its way in one direction. */
export interface Version {
  readonly direction: string
  readonly record: string
  readonly version: string
}

/** What is known of a version that was published. */
export interface Fate {
  /** `performance.now()` of its first event. */
  readonly at: number
  /** The latest outcome that settles it; null: none has been reported. */
  final: string | null
  /** Messages that reported it as written. */
  readonly writes: Set<string>
}

/** The headers of a copy. */
interface Traced {
  readonly exchange_name?: string
  readonly routing_keys?: readonly string[]
  readonly properties?: { readonly headers?: Record<string, unknown>; readonly message_id?: string }
}

const WRITES = new Set(['applied', 'conflict'])
const NOT_FINAL = new Set(['retry'])

/**
 * Listens beside the services to every event and outcome. What it hears waits for it while it is cut off; what a node has taken just
 * before it was killed it may miss.
 */
export class Tap {
  readonly fates = new Map<string, Fate>()
  events = 0
  /** What happened to which record, for whoever looks for the cause of a failure: the first so many. */
  readonly happenings: Happening[] = []
  readonly #url: string
  #connection: ChannelModel | null = null
  #closed = false

  private constructor(url: string) {
    this.#url = url
  }

  /** The services have declared the exchanges. */
  static async open(url: string): Promise<Tap> {
    const tap = new Tap(url)
    await new Promise<void>((resolve) => {
      void tap.#keep(resolve)
    })
    return tap
  }

  happened(record: string, what: string): void {
    if (this.happenings.length < MOST_HAPPENINGS) this.happenings.push({ record, at: performance.now(), what })
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.race([this.#connection?.close().catch(() => undefined), delay(3_000)])
  }

  async #keep(onOpen: () => void): Promise<void> {
    while (!this.#closed) {
      try {
        const connection = await connect(this.#url, { timeout: 5_000, noDelay: true })
        this.#connection = connection
        const gone = new Promise<void>((resolve) => {
          connection.on('close', () => resolve())
          connection.on('error', () => resolve())
        })
        await Promise.race([gone, this.#listen(connection)])
        onOpen()
        await gone
      } catch {
        // The broker is away: again in a moment.
      }
      if (!this.#closed) await delay(200)
    }
  }

  async #listen(connection: ChannelModel): Promise<void> {
    const channel = await connection.createChannel()
    channel.on('error', () => undefined)
    channel.on('close', () => void connection.close().catch(() => undefined))
    await channel.assertQueue(QUEUE, {
      durable: true,
      arguments: { 'x-queue-type': 'quorum', 'x-delivery-limit': 1_000_000 },
    })
    for (const exchange of [EVENTS, OUTCOMES]) await channel.bindQueue(QUEUE, TRACE, `publish.${exchange}`)
    await channel.prefetch(PREFETCH)
    await channel.consume(QUEUE, (message) => {
      if (message === null) {
        void connection.close().catch(() => undefined)
        return
      }
      this.#hear(message)
      channel.ack(message)
    })
  }

  #hear({ content, properties }: ConsumeMessage): void {
    const { exchange_name: exchange, routing_keys: keys, properties: own } = (properties.headers ?? {}) as Traced
    if (exchange === EVENTS) {
      const headers = own?.headers ?? {}
      const { 'sync-entity-key': record, 'sync-version': version } = headers
      if (typeof record !== 'string' || typeof version !== 'string') return
      const routingKey = keys?.[0] ?? ''
      const direction = routingKey.split('.')[0] ?? ''
      this.events++
      this.#fateOf(keyOf({ direction, record, version }))
      const attempt = Number(headers['sync-attempt']) > 0 ? `, attempt ${Number(headers['sync-attempt']) + 1}` : ''
      this.happened(record, `${routingKey} event ${version}${attempt}`)
      return
    }
    let batch: unknown
    try {
      batch = JSON.parse(content.toString())
    } catch {
      return
    }
    if (!outcomeBatchValidator.Check(batch)) return
    const { direction } = batch
    for (const { table, key, version, outcome, code, reason } of batch.outcomes) {
      this.happened(`${table}/${key}`, `${direction} ${outcome} ${version} ${code ?? ''} ${reason ?? ''}`.trimEnd())
      if (NOT_FINAL.has(outcome)) continue
      const fate = this.#fateOf(keyOf({ direction, record: `${table}/${key}`, version }))
      fate.final = outcome
      if (WRITES.has(outcome)) fate.writes.add(String(own?.message_id))
    }
  }

  #fateOf(key: string): Fate {
    let fate = this.fates.get(key)
    if (fate === undefined) {
      fate = { at: performance.now(), final: null, writes: new Set() }
      this.fates.set(key, fate)
    }
    return fate
  }
}

const keyOf = ({ direction, record, version }: Version) => `${direction} ${record} ${version}`

export function versionOf(key: string): Version {
  const [direction = '', record = '', version = ''] = key.split(' ')
  return { direction, record, version }
}
