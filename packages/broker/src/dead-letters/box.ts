import type { Direction } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import { connect, type Channel, type ChannelModel, type ConsumeMessage } from 'amqplib'
import { brokerAddress } from '../address.ts'
import { reasonOf, rightsLack } from '../errors.ts'
import { type DeadLetter, readDeadLetter } from '../headers.ts'
import { deadQueue, DIRECTIONS, UNROUTED } from '../topology.ts'
import { sleep, within } from '../wait.ts'
import { lockDeadLetters } from './lock.ts'

/** A dead letter that lies in a queue: all of it but its body. */
export interface BoxedLetter extends DeadLetter {
  /** Where it lies: `sync.dead.<direction>`, or `sync.dead.unrouted`. */
  readonly queue: string
  /** Of its body. */
  readonly bytes: number
  /** AMQP's `message-id` and `type`: an event's id and kind. Null: it has none. */
  readonly messageId: string | null
  readonly type: string | null
}

/** A dead letter with its body. */
export interface OpenedLetter {
  readonly letter: BoxedLetter
  readonly message: ConsumeMessage
}

export interface OpenBoxOptions {
  readonly url: string
  /** Which queues to look into; default: both directions' and the unrouted ones. */
  readonly queues?: readonly string[]
  /** How long to wait for another command's end, and for a connection. Milliseconds. Default 10 s. */
  readonly waitMs?: number
  /** Shown in RabbitMQ's list of connections. */
  readonly name?: string
  /** Letters that one channel holds at most. AMQP's own limit is 65,535. */
  readonly perChannel?: number
}

/**
 * The dead letters, held in hand: nobody else has them until it is closed, and then all that were not removed are in their
 * queues again, in their order. So they are if the process dies.
 */
export interface DeadLetterBox {
  /** Everything that lay there, oldest first in each queue. */
  readonly letters: readonly BoxedLetter[]
  /**
   * Gets some of them with their bodies, all at once: ask for as many as the memory may hold.
   *
   * @throws SyncError SYNC_BROKER_DOWN
   */
  take(letters: readonly BoxedLetter[]): Promise<readonly OpenedLetter[]>
  /** Removes a letter for good: it must be stored elsewhere, or be given up. */
  remove(letter: BoxedLetter): void
  /** Gives back what was not removed. Resolves when RabbitMQ has it. */
  close(): Promise<void>
}

export const deadLetterQueues = (direction?: Direction): readonly string[] =>
  direction === undefined ? [...DIRECTIONS.map(deadQueue), UNROUTED] : [deadQueue(direction), UNROUTED]

const WAIT_MS = 10_000
/** After such a silence RabbitMQ is asked whether there is more to come. */
const SILENCE_MS = 500
/** What is not there by then is not on its way. */
const SETTLE_MS = 30
/** For RabbitMQ to deliver again what was given back. */
const TAKE_MS = 30_000
const CLOSE_MS = 2_000
const NEVER = new AbortController().signal
/** A prefetch of 0, "unlimited", means 2,000 for a quorum queue. */
const PER_CHANNEL = 65_000

/**
 * Takes all dead letters in hand, unacknowledged, and keeps what their headers say. A queue that does not exist is empty.
 *
 * @throws SyncError SYNC_BROKER_DOWN, SYNC_BROKER_RIGHTS, SYNC_DEAD_LETTERS_BUSY, SYNC_CONFIG
 */
export async function openDeadLetterBox(options: OpenBoxOptions): Promise<DeadLetterBox> {
  const {
    url,
    queues = deadLetterQueues(),
    waitMs = WAIT_MS,
    name = 'dead letters',
    perChannel = PER_CHANNEL,
  } = options
  const model = await open(url, name, waitMs)
  const box = new Box(model, perChannel)
  try {
    await lockDeadLetters(model, waitMs)
    for (const queue of queues) await box.fill(queue)
    return box
  } catch (error) {
    await box.close()
    if (error instanceof SyncError) throw error
    throw rightsLack(error) ?? new SyncError('SYNC_BROKER_DOWN', `RabbitMQ: ${reasonOf(error)}`, { cause: error })
  }
}

/** What lies in the dead-letter queues; all of it is back when this resolves. */
export async function browseDeadLetters(options: OpenBoxOptions): Promise<readonly BoxedLetter[]> {
  const box = await openDeadLetterBox(options)
  await box.close()
  return box.letters
}

async function open(url: string, name: string, timeout: number): Promise<ChannelModel> {
  try {
    const address = brokerAddress(url)
    const model = await connect(address.url, {
      ...address.tls,
      timeout,
      clientProperties: { connection_name: `clinic-sync ${name}` },
    })
    model.on('error', () => undefined)
    return model
  } catch (cause) {
    if (cause instanceof SyncError) throw cause
    throw new SyncError('SYNC_BROKER_DOWN', `RabbitMQ: ${reasonOf(cause)}`, { cause })
  }
}

/** Where a letter is: RabbitMQ knows it by channel and tag. */
interface Held {
  readonly channel: Channel
  readonly tag: number
}

class Box implements DeadLetterBox {
  readonly letters: BoxedLetter[] = []
  readonly #model: ChannelModel
  readonly #perChannel: number
  readonly #channels = new Set<Channel>()
  readonly #held = new Map<BoxedLetter, Held>()
  /** Letters given back so that they come again, with their bodies: by id, since two may have the same. */
  readonly #awaited = new Map<string, BoxedLetter[]>()
  /** Bodies that came again, for who has asked for them. */
  #opened: OpenedLetter[] = []
  #filled = false
  #lost: string | null = null
  #closed = false
  #wake: () => void = () => undefined

  constructor(model: ChannelModel, perChannel: number) {
    this.#model = model
    this.#perChannel = perChannel
    model.on('close', (error: unknown) => this.#lose(reasonOf(error)))
  }

  async fill(queue: string): Promise<void> {
    const there = await this.#ready(queue)
    if (there === null || there === 0) return
    this.#filled = false
    const before = this.letters.length
    const count = () => this.letters.length - before
    for (let opened = 0, expected = there; ;) {
      if (count() >= opened * this.#perChannel) {
        await this.#consume(queue)
        opened++
      }
      const isThere = () => count() >= Math.min(expected, opened * this.#perChannel)
      await this.#until(isThere, SILENCE_MS)
      if (count() < expected && count() >= opened * this.#perChannel) continue
      // What another's end has given back a moment ago comes now; what somebody has taken in the UI does not come.
      if (isThere()) await this.#until(() => false, SETTLE_MS)
      const left = await this.#ready(queue)
      // Where none lies any more RabbitMQ may still have many to hand over. On one channel it answers in order.
      await Promise.all(Array.from(this.#channels, (channel) => channel.checkQueue(queue)))
      if (left === null || left === 0) break
      expected = count() + left
    }
    this.#filled = true
  }

  async take(letters: readonly BoxedLetter[]): Promise<readonly OpenedLetter[]> {
    this.#opened = []
    for (const letter of letters) {
      const held = this.#held.get(letter)
      if (held === undefined) throw new TypeError('this letter is not in the box')
      this.#held.delete(letter)
      this.#awaited.set(letter.id, [...(this.#awaited.get(letter.id) ?? []), letter])
      this.#guarded(() => held.channel.nack(asMessage(held.tag), false, true))
    }
    // On one channel RabbitMQ delivers again at once what is given back. Somebody in its UI may come in between.
    if (!(await this.#until(() => this.#opened.length >= letters.length, TAKE_MS))) throw this.#down('gave no letter')
    const order = new Map(letters.map((letter, index) => [letter, index]))
    const opened = this.#opened.toSorted((a, b) => (order.get(a.letter) ?? 0) - (order.get(b.letter) ?? 0))
    this.#opened = []
    return opened
  }

  remove(letter: BoxedLetter): void {
    const held = this.#held.get(letter)
    if (held === undefined) return
    this.#held.delete(letter)
    this.#guarded(() => held.channel.ack(asMessage(held.tag)))
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const back = new Map<string, number>()
    for (const { queue } of this.#held.keys()) back.set(queue, (back.get(queue) ?? 0) + 1)
    // By closing, not by nack: of what is nacked RabbitMQ 3.10 loses the order.
    await within(CLOSE_MS, Promise.all(Array.from(this.#channels, (channel) => channel.close())))
    // The answer comes before they are back. Until they are, the lock is kept.
    for (const [queue, count] of back) await within(CLOSE_MS, this.#returned(queue, count))
    await within(CLOSE_MS, this.#model.close())
  }

  async #returned(queue: string, count: number): Promise<void> {
    const deadline = performance.now() + CLOSE_MS
    while (this.#lost === null && performance.now() < deadline && ((await this.#ready(queue)) ?? count) < count) {
      await sleep(10, NEVER)
    }
  }

  /** How many lie in a queue that nobody has in hand; null: there is no such queue. */
  async #ready(queue: string): Promise<number | null> {
    const channel = await this.#model.createChannel()
    let missing = false
    channel.on('error', (error: { code?: unknown }) => {
      missing = error.code === 404
    })
    try {
      const { messageCount } = await channel.checkQueue(queue)
      await within(CLOSE_MS, channel.close())
      return messageCount
    } catch (error) {
      if (missing || (error as { code?: unknown }).code === 404) return null
      throw error
    }
  }

  async #consume(queue: string): Promise<void> {
    const channel = await this.#model.createChannel()
    channel.on('error', (error: unknown) => this.#lose(reasonOf(error)))
    channel.on('close', () => this.#lose('the channel closed'))
    this.#channels.add(channel)
    await channel.prefetch(this.#perChannel)
    await channel.consume(queue, (message) => {
      if (message === null) this.#lose(`RabbitMQ cancelled the consumer of ${queue}: was the queue deleted?`)
      else this.#receive(queue, channel, message)
    })
  }

  #receive(queue: string, channel: Channel, message: ConsumeMessage): void {
    const held: Held = { channel, tag: message.fields.deliveryTag }
    const facts = readDeadLetter(message)
    const awaited = this.#awaited.get(facts.id)?.shift()
    if (awaited !== undefined) {
      if (this.#awaited.get(facts.id)?.length === 0) this.#awaited.delete(facts.id)
      this.#held.set(awaited, held)
      this.#opened.push({ letter: awaited, message })
    } else if (!this.#filled) {
      // What comes later has failed meanwhile: it goes back with the others, and is none of this box.
      const { messageId, type } = message.properties as { messageId?: unknown; type?: unknown }
      const letter: BoxedLetter = {
        ...facts,
        queue,
        bytes: message.content.length,
        messageId: typeof messageId === 'string' ? messageId : null,
        type: typeof type === 'string' ? type : null,
      }
      this.letters.push(letter)
      this.#held.set(letter, held)
    }
    this.#wake()
  }

  /** Waits until `condition` holds; false: nothing has come for `silenceMs`. @throws SyncError SYNC_BROKER_DOWN */
  async #until(condition: () => boolean, silenceMs: number): Promise<boolean> {
    for (;;) {
      if (this.#lost !== null) throw this.#down(this.#lost)
      if (condition()) return true
      const woken = new AbortController()
      this.#wake = () => woken.abort()
      await sleep(silenceMs, woken.signal)
      if (!woken.signal.aborted && this.#lost === null) return condition()
    }
  }

  #lose(why: string): void {
    if (this.#closed) return
    this.#lost ??= why
    this.#wake()
  }

  /** amqplib throws where a channel has just closed. */
  #guarded(action: () => void): void {
    if (this.#lost !== null) throw this.#down(this.#lost)
    try {
      action()
    } catch (error) {
      throw this.#down(reasonOf(error))
    }
  }

  #down(why: string): SyncError {
    return new SyncError('SYNC_BROKER_DOWN', `RabbitMQ: ${why}`)
  }
}

/** All that amqplib uses of a message to settle it. */
const asMessage = (deliveryTag: number) => ({ fields: { deliveryTag } }) as ConsumeMessage
