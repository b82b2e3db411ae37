import { randomUUID } from 'node:crypto'
import type { Channel, ConsumeMessage } from 'amqplib'
import { backoffMs } from '@clinic-sync/sync'
import type { ConsumeOptions, Consumer, ConsumerState, Log, Waited } from './api.ts'
import { BatchWork } from './batch-work.ts'
import { keepChannel, type Watched } from './channel.ts'
import type { Connection } from './connection.ts'
import { Deliveries } from './deliveries.ts'
import { describe, reasonOf } from './errors.ts'
import type { Intake } from './intake.ts'
import type { Topology } from './prepare.ts'
import type { OutgoingMessage, Publisher } from './publisher.ts'
import { sleep, within } from './wait.ts'

const CLOSE_MS = 10_000
/**
 * Two batches and a half in hand for each queue: one whose traces are being stored, one that is worked on, and the next is there when
 * that is done. And a batch more: so many may be put off, and must not stop a queue.
 */
const PREFETCH_BATCHES = 3.5
/** Milliseconds that a batch waits for more while messages flow: enough for some dozens of them. */
const FLOW_WAIT_MS = 5

/** A delivered message and its queue. */
export interface Delivered {
  readonly message: ConsumeMessage
  readonly queue: string
  /** Null: it has not been put off. */
  readonly waited: Waited | null
}

export interface Handled {
  /** Publishes what is to be known of the batch, before the copies are. The next batch is handled meanwhile. */
  readonly report?: () => Promise<void>
  /** Published before the batch is acknowledged. */
  readonly copies: readonly OutgoingMessage[]
  /** Not acknowledged, but handled again after so many milliseconds. `room` of them at most. */
  readonly later?: ReadonlyMap<Delivered, number>
}

export interface BatchConsumerOptions {
  readonly connection: Connection
  /** The connection's. */
  readonly intake: Intake
  readonly publisher: Publisher
  readonly log: Log
  readonly label: string
  readonly queues: readonly string[]
  readonly topology: Topology
  readonly consume: ConsumeOptions
  /** Works on a batch. `room`: how many of it may be put off. */
  readonly handle: (batch: readonly Delivered[], room: number) => Promise<Handled>
  /** The message as it was, for the end of its own queue. Missing: it stays in hand, however long. */
  readonly again?: (delivered: Delivered) => OutgoingMessage
  /** `handle` has failed several times in a way nobody foresaw: what to publish instead. */
  readonly giveUp: (batch: readonly Delivered[], error: unknown) => Promise<readonly OutgoingMessage[]>
  /** Told of copies that are stored now, before the batch is acknowledged. */
  readonly onCopies?: (copies: readonly OutgoingMessage[]) => void
}

/** What one channel has. */
export interface Open {
  readonly channel: Channel
  readonly deliveries: Deliveries
  /** The channel is gone. */
  readonly lost: AbortSignal
  /** The channel is gone, or the consumer closes. */
  readonly noMore: AbortSignal
}

/** Consumes queues in batches on one channel, handled one at a time; each is acknowledged when all its traces are stored. See `BatchWork`. */
export class BatchConsumer implements Consumer {
  readonly #options: BatchConsumerOptions
  readonly #limits
  /** Aborts when no more batches are to be taken. */
  readonly #stopping = new AbortController()
  /** Aborts when there is nothing left to finish. */
  readonly #stop = new AbortController()
  readonly #loop: Promise<void>
  #state: ConsumerState = 'connecting'

  constructor(options: BatchConsumerOptions) {
    this.#options = options
    const { maxBatch = 200, maxWaitMs, maxBatchBytes = 16 * 1024 * 1024 } = options.consume
    this.#limits = { maxBatch, maxBatchBytes, quietWaitMs: maxWaitMs ?? 0, flowWaitMs: maxWaitMs ?? FLOW_WAIT_MS }
    this.#loop = keepChannel<Channel>({
      connection: options.connection,
      signal: this.#stop.signal,
      label: options.label,
      log: options.log,
      open: async (model) => {
        options.intake.attach(model)
        await options.topology.prepare(model)
        return model.createChannel()
      },
      use: (watched) => this.#use(watched),
    })
  }

  get state(): ConsumerState {
    return this.#state
  }

  async close(): Promise<void> {
    this.#stopping.abort()
    if (this.#state !== 'consuming') this.#stop.abort()
    await within(CLOSE_MS, this.#loop)
    this.#stop.abort()
    await within(CLOSE_MS, this.#loop)
    this.#setState('closed')
  }

  async #use(watched: Watched<Channel>): Promise<void> {
    const { channel, lost } = watched
    const { queues, label } = this.#options
    // Made once a channel, not once a batch: Node 20's AbortSignal.any leaks while its sources live.
    const noMore = AbortSignal.any([lost, this.#stopping.signal])
    const deliveries = new Deliveries(this.#limits, this.#options.intake, noMore)
    const open: Open = { channel, deliveries, lost, noMore }
    await channel.prefetch(Math.ceil(this.#limits.maxBatch * PREFETCH_BATCHES))
    const queueOf = new Map<string, string>()
    const starting = queues.map((queue) => {
      const consumerTag = `${label}.${queue}.${randomUUID().slice(0, 8)}`
      queueOf.set(consumerTag, queue)
      const receive = (message: ConsumeMessage | null) => {
        if (message === null) watched.abandon(`RabbitMQ cancelled the consumer of ${queue}: was the queue deleted?`)
        else deliveries.push(message)
      }
      return channel.consume(queue, receive, { consumerTag })
    })
    // Not awaited: what one queue has delivered may be more than is read while nobody works on it, with the answer for the next behind.
    Promise.all(starting).then(
      () => lost.aborted || this.#setState('consuming'),
      (error: unknown) => watched.abandon(reasonOf(error)),
    )
    try {
      const work = new BatchWork({
        ...this.#options,
        limits: this.#limits,
        open,
        queueOf,
        stop: this.#stop.signal,
        onState: (state) => this.#setState(state),
      })
      const result = await work.run()
      if (result === 'down') await this.#pause(open)
      else if (this.#stopping.signal.aborted) {
        // What was not taken goes back, and the answers are behind it.
        deliveries.end()
        // Cancelled before the channel closes, so that a standby takes over from the first message not taken.
        await cancelAll(channel, queueOf.keys(), lost)
        this.#stop.abort()
      }
    } finally {
      deliveries.end()
    }
    if (!this.#stopping.signal.aborted) this.#setState('connecting')
  }

  /** Gives everything back at once, so that another instance may take over, and waits until the database is there again. */
  async #pause({ channel, deliveries, lost }: Open): Promise<void> {
    const { consume, log, label } = this.#options
    this.#setState('paused')
    deliveries.end()
    await within(2_000, Promise.race([channel.close(), aborted(lost)]))
    const stop = this.#stopping.signal
    const said = new Set<string>()
    for (let attempt = 0; !stop.aborted; attempt++) {
      const failure = await failureOf(consume.check)
      if (failure === null) {
        log.info({ consumer: label }, 'the database is there: consuming goes on')
        return
      }
      const fields = { consumer: label, ...describe(failure.error) }
      const line = JSON.stringify(fields)
      // One line for each reason, not for each time that it is looked at.
      if (!said.has(line)) log.warn(fields, 'the database cannot be used: consuming pauses until it can')
      said.add(line)
      await sleep(backoffMs(attempt), stop)
    }
    this.#stop.abort()
  }

  #setState(state: ConsumerState): void {
    if (state === this.#state) return
    this.#state = state
    this.#options.consume.onState?.(state)
  }
}

/** Why the database cannot be used; null: it can. */
export async function failureOf(check: () => Promise<void>): Promise<{ error: unknown } | null> {
  try {
    await check()
    return null
  } catch (error) {
    return { error }
  }
}

async function cancelAll(channel: Channel, tags: Iterable<string>, lost: AbortSignal): Promise<void> {
  const all = Promise.all(Array.from(tags, (tag) => channel.cancel(tag)))
  await within(2_000, Promise.race([all, aborted(lost)]))
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
