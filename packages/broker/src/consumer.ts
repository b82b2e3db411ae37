import { randomUUID } from 'node:crypto'
import type { Channel, ConsumeMessage } from 'amqplib'
import { backoffMs, DatabaseError } from '@clinic-sync/sync'
import type { ConsumeOptions, Consumer, ConsumerState, Log, Waited } from './api.ts'
import { sleep, within } from './wait.ts'
import { keepChannel, type Watched } from './channel.ts'
import type { Connection } from './connection.ts'
import { describe, isBrokerTrouble, reasonOf } from './errors.ts'
import type { OutgoingMessage, Publisher } from './publisher.ts'
import { Deliveries, type TakenMessage } from './deliveries.ts'
import type { Intake } from './intake.ts'
import type { Topology } from './prepare.ts'

/**
 * RabbitMQ closes the channel of a delivery unacknowledged for 30 minutes, and each return to the queue counts as a delivery. So what
 * cannot be settled for so long, though the database is there, is stored anew, behind what is in its queue, and then acknowledged.
 */
const HOLD_MS = 10 * 60_000
const CLOSE_MS = 10_000
/**
 * A batch and a half in hand for each queue: the next batch is there when one is done. And a batch more: so many may be put
 * off, and must not stop a queue.
 */
const PREFETCH_BATCHES = 2.5
const UNEXPECTED_TRIES = 3
/** Deliveries of 20 after which a message that the consumer itself gives back is stored anew instead. */
const WORN = 10

/** A delivered message and its queue. */
export interface Delivered {
  readonly message: ConsumeMessage
  readonly queue: string
  /** Null: it has not been put off. */
  readonly waited: Waited | null
}

export interface Handled {
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

/**
 * `settled`: acknowledged. `lost`: the channel is gone, all will be delivered again. `down`: the database is. `held`: in hand for too
 * long.
 */
type Result = 'settled' | 'lost' | 'down' | 'held'

/** What one channel has. */
interface Open {
  readonly channel: Channel
  readonly deliveries: Deliveries
  /** The channel is gone. */
  readonly lost: AbortSignal
  /** The channel is gone, or the consumer closes. */
  readonly noMore: AbortSignal
}

/** Consumes queues in batches on one channel, one batch at a time, and acknowledges a batch when all its traces are stored. */
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
    const { maxBatch = 200, maxWaitMs = 5, maxBatchBytes = 16 * 1024 * 1024 } = options.consume
    this.#limits = { maxBatch, maxWaitMs, maxBatchBytes }
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
      const result = await this.#work(open, queueOf)
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

  /** One batch after the other, until no more are wanted or the channel is no longer usable. */
  async #work(open: Open, queueOf: ReadonlyMap<string, string>): Promise<Result> {
    const { deliveries } = open
    const named = ({ message, waited }: TakenMessage): Delivered => {
      return { message, waited, queue: queueOf.get(message.fields.consumerTag) ?? '' }
    }
    for (let batch = await deliveries.next(); batch !== null; batch = await deliveries.next()) {
      let inHand = batch.map(named)
      let result = await this.#settle(inHand, open)
      for (let round = 0; result === 'held'; round++) {
        inHand = inOrder([...inHand, ...deliveries.takeAll().map(named)])
        result = await this.#sendRound(inHand, open, round)
        // Its own queue may be full, for as long as nobody takes from it, and that is us: so they are worked on once more.
        for (; result === 'held' && inHand.length > 0; inHand = inHand.slice(this.#fitting(inHand))) {
          const again = await this.#settle(inHand.slice(0, this.#fitting(inHand)), open)
          if (again === 'settled') continue
          result = again
          break
        }
        if (result === 'held' && inHand.length === 0) result = 'settled'
      }
      if (result === 'down') await this.#renew([...inHand, ...deliveries.takeAll().map(named)], open)
      if (result !== 'settled') return result
    }
    return 'settled'
  }

  /**
   * Works on a batch until its result is stored, or the channel is lost. Failures of the broker, or of a database that is there
   * when asked, are waited out with the batch in hand: giving it back would count as a delivery, and after 20 of
   * those RabbitMQ dead-letters a message that did nothing wrong.
   */
  async #settle(batch: readonly Delivered[], open: Open): Promise<Result> {
    const { lost, noMore } = open
    const { holdMs = HOLD_MS } = this.#options.consume
    const since = performance.now()
    const unexpected: unknown[] = []
    for (let attempt = 0; !lost.aborted && !this.#stop.signal.aborted; attempt++) {
      if (attempt > 0) {
        await sleep(backoffMs(attempt - 1), noMore)
        if (noMore.aborted) return 'lost'
      }
      let later: Handled['later']
      try {
        later = await this.#attempt(batch, unexpected, open)
      } catch (error) {
        if (lost.aborted) return 'lost'
        if (isDown(error)) {
          this.#setState('paused')
          if ((await failureOf(this.#options.consume.check)) !== null) return 'down'
        } else if (!isBrokerTrouble(error)) unexpected.push(error)
        this.#logFailure(batch, error, attempt)
        const tooLong = performance.now() - since > holdMs || this.#options.intake.overflows
        if (tooLong && this.#options.again !== undefined) return 'held'
        continue
      }
      if (lost.aborted) return 'lost'
      const acked = acknowledge(batch, later, open)
      this.#setState('consuming')
      if (acked) await this.#options.consume.onAcked?.()
      return 'settled'
    }
    return 'lost'
  }

  /** @returns what is to be handled again */
  async #attempt(
    batch: readonly Delivered[],
    unexpected: readonly unknown[],
    { lost, deliveries }: Open,
  ): Promise<Handled['later']> {
    const { handle, giveUp, publisher, onCopies } = this.#options
    const { copies, later }: Handled =
      unexpected.length < UNEXPECTED_TRIES
        ? await handle(batch, this.#limits.maxBatch - deliveries.late)
        : { copies: await giveUp(batch, unexpected.at(-1)) }
    // On a lost channel the batch will be delivered again: a copy now would only be one too many.
    if (lost.aborted) return later
    await publisher.publish(copies)
    onCopies?.(copies)
    return later
  }

  /**
   * Stores everything in hand anew at the end of its queue, and acknowledges it: its deliveries are counted anew, no attempt is
   * counted. Newer events of a record may pass it so: its version tells. Where RabbitMQ does not take it, it stays in hand: `held`.
   */
  async #sendRound(inHand: readonly Delivered[], open: Open, round: number): Promise<Result> {
    const { publisher, again, log, label } = this.#options
    if (again === undefined || open.noMore.aborted) return 'lost'
    try {
      await publisher.publish(inHand.map(again))
    } catch (error) {
      this.#logFailure(inHand, error, round)
      await sleep(backoffMs(round), open.noMore)
      return open.noMore.aborted ? 'lost' : 'held'
    }
    if (open.lost.aborted) return 'lost'
    acknowledge(inHand, undefined, open)
    log.warn({ consumer: label, messages: inHand.length }, 'held for too long: stored anew behind the others')
    return 'settled'
  }

  /** How many of these make a batch: at least one. */
  #fitting(inHand: readonly Delivered[]): number {
    const { maxBatch, maxBatchBytes } = this.#limits
    let [count, bytes] = [0, 0]
    for (const { message } of inHand) {
      bytes += message.content.length
      if (count > 0 && (count >= maxBatch || bytes > maxBatchBytes)) break
      count++
    }
    return count
  }

  /** Before all goes back to its queue: what has gone back often is stored anew, so that an outage never uses up its deliveries. */
  async #renew(inHand: readonly Delivered[], open: Open): Promise<void> {
    const worn = inHand.filter(({ message }) => deliveriesOf(message) >= WORN)
    const { publisher, again } = this.#options
    if (worn.length === 0 || again === undefined) return
    try {
      await publisher.publish(worn.map(again))
      if (!open.lost.aborted) for (const { message } of worn) open.channel.ack(message)
    } catch (error) {
      this.#logFailure(worn, error, 0)
    }
  }

  #logFailure(batch: readonly Delivered[], error: unknown, attempt: number): void {
    const fields = { consumer: this.#options.label, messages: batch.length, ...describe(error) }
    if (isDown(error) || isBrokerTrouble(error)) {
      if (attempt === 0) this.#options.log.warn(fields, 'a batch waits in hand')
    } else this.#options.log.error(fields, 'a batch failed in an unforeseen way')
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

/** As they were delivered: an acknowledgement may be of all up to one. */
const inOrder = (delivered: readonly Delivered[]) =>
  delivered.toSorted((a, b) => a.message.fields.deliveryTag - b.message.fields.deliveryTag)

/** Acknowledges a batch but for what is put off. @returns whether there was anything to acknowledge */
function acknowledge(batch: readonly Delivered[], later: Handled['later'], { channel, deliveries }: Open): boolean {
  const done: Delivered[] = []
  for (const delivered of batch) {
    const ms = later?.get(delivered)
    if (ms === undefined) done.push(delivered)
    else deliveries.putOff(delivered, ms)
  }
  const last = done.reduce<Delivered | null>((newest, delivered) => {
    return newest === null || delivered.message.fields.deliveryTag > newest.message.fields.deliveryTag
      ? delivered
      : newest
  }, null)
  if (last === null) return false
  // Fresh batches are taken in the order of delivery, so with nothing put off all that is older is done as well.
  if (deliveries.late === 0) channel.ack(last.message, true)
  else for (const { message } of done) channel.ack(message)
  deliveries.done(done.map(({ message }) => message))
  return true
}

async function failureOf(check: () => Promise<void>): Promise<{ error: unknown } | null> {
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

/** How often RabbitMQ says it has delivered a message before. */
function deliveriesOf({ properties }: ConsumeMessage): number {
  const count: unknown = properties.headers?.['x-delivery-count']
  return typeof count === 'number' ? count : 0
}

const isDown = (error: unknown): boolean => error instanceof DatabaseError && error.failure === 'down'
