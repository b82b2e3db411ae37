import type { ConsumeMessage } from 'amqplib'
import type { Waited } from './api.ts'
import type { Intake } from './intake.ts'

export interface BatchLimits {
  readonly maxBatch: number
  /** Milliseconds that a batch waits for more after its first message: where the one before was small, and while messages flow. */
  readonly quietWaitMs: number
  readonly flowWaitMs: number
  readonly maxBatchBytes: number
}

/** A message as it is handed out. */
export interface TakenMessage {
  readonly message: ConsumeMessage
  /** Null: it has not been put off before. */
  readonly waited: Waited | null
}

interface Late {
  readonly message: ConsumeMessage
  readonly times: number
  /** When it was put off first, and when it is to be handed out again (ms, monotonic). */
  readonly since: number
  readonly due: number
}

/** What is due within this time goes along with what is due now: one round trip less. */
const SLACK_MS = 5

/** A batch of fresh messages that is a twentieth full or more tells of a flow: then it pays to wait for the next to fill. */
const FLOW = 0.05

/** The deliveries of one channel, handed out in batches and in order; those put off come again when their time has come. */
export class Deliveries {
  readonly #limits: BatchLimits
  readonly #intake: Intake
  readonly #ended: AbortSignal
  /** Of all that is not acknowledged, whether handed out or not. */
  #inHand = 0
  #over = false
  #messages: ConsumeMessage[] = []
  #late: Late[] = []
  /** Handed out, and neither done with nor put off. */
  readonly #out = new Set<ConsumeMessage>()
  #flows = false
  #interrupted = false
  #bytes = 0
  /** When the oldest message in hand arrived (ms, monotonic). */
  #since = 0
  #wake: () => void = () => undefined

  /** @param ended aborts when no more batches are wanted: the channel is lost, or the consumer closes. */
  constructor(limits: BatchLimits, intake: Intake, ended: AbortSignal) {
    this.#limits = limits
    this.#intake = intake
    this.#ended = ended
    ended.addEventListener('abort', () => this.#wake(), { once: true })
  }

  /** How many messages are put off now. */
  get late(): number {
    return this.#late.length
  }

  push(message: ConsumeMessage): void {
    if (this.#over) return
    if (this.#messages.length === 0) this.#since = performance.now()
    this.#messages.push(message)
    this.#bytes += message.content.length
    this.#inHand += message.content.length
    this.#intake.take(message.content.length)
    if (this.#messages.length === 1 || this.#isFull()) this.#wake()
  }

  /** Wakes who waits for the next batch: it gets an empty one, whether it waits now or asks later. */
  interrupt(): void {
    this.#interrupted = true
    this.#wake()
  }

  /** Whether nothing older than this message is still in hand: an acknowledgement may be of all up to it. */
  isOldest({ fields: { deliveryTag } }: ConsumeMessage): boolean {
    // What is not handed out yet is newer: fresh messages are taken in the order of delivery.
    if (this.#late.length > 0) return false
    for (const { fields } of this.#out) if (fields.deliveryTag < deliveryTag) return false
    return true
  }

  /** With these all is done: no longer in hand. */
  done(messages: readonly ConsumeMessage[]): void {
    for (const message of messages) this.#out.delete(message)
    const bytes = bytesOf(messages)
    this.#inHand -= bytes
    this.#intake.give(bytes)
  }

  /** Takes everything that is not handed out, also what is put off. */
  takeAll(): TakenMessage[] {
    const fresh = this.#messages.map((message) => ({ message, waited: null }))
    const late = this.#late.map(({ message }) => ({ message, waited: null }))
    this.#messages = []
    this.#late = []
    this.#bytes = 0
    return this.#handOut([...late, ...fresh])
  }

  /** What was handed out is no longer worked on, and the channel closes: nothing is in hand, and what still comes is ignored. */
  end(): void {
    this.#over = true
    this.#out.clear()
    this.#messages = []
    this.#late = []
    this.#bytes = 0
    this.#intake.give(this.#inHand)
    this.#inHand = 0
  }

  /** Hands a message out again after `ms`, in a batch of such messages. */
  putOff({ message, waited }: TakenMessage, ms: number): void {
    const now = performance.now()
    const times = (waited?.times ?? 0) + 1
    this.#out.delete(message)
    this.#late.push({ message, times, since: now - (waited?.ms ?? 0), due: now + ms })
    // Who waits for the next batch does not know of this one.
    this.#wake()
  }

  /**
   * The next batch: those put off whose time has come, or fresh ones: full, or some milliseconds after the first, if they flow. Never
   * both: one that is still locked may fail its batch, and would have the fresh ones bisected with it. Empty when interrupted, null
   * when ended.
   */
  async next(): Promise<TakenMessage[] | null> {
    while (!this.#ended.aborted) {
      if (this.#interrupted) {
        this.#interrupted = false
        return []
      }
      const now = performance.now()
      const due = this.#late.reduce((earliest, late) => Math.min(earliest, late.due), Number.POSITIVE_INFINITY)
      if (due <= now) return this.#takeLate(now)
      const ready =
        this.#messages.length === 0
          ? Number.POSITIVE_INFINITY
          : this.#isFull()
            ? now
            : this.#since + (this.#flows ? this.#limits.flowWaitMs : this.#limits.quietWaitMs)
      if (ready <= now) return this.#takeFresh()
      await this.#woken(Math.min(due, ready) - now)
    }
    return null
  }

  #isFull(): boolean {
    return this.#messages.length >= this.#limits.maxBatch || this.#bytes >= this.#limits.maxBatchBytes
  }

  #takeFresh(): TakenMessage[] {
    const taken = this.#messages.splice(0, this.#fitting(this.#messages))
    this.#bytes -= bytesOf(taken)
    this.#flows = taken.length >= this.#limits.maxBatch * FLOW
    // What stays has waited already: its time runs from its own arrival at the latest, so it goes at once.
    return this.#handOut(taken.map((message) => ({ message, waited: null })))
  }

  #takeLate(now: number): TakenMessage[] {
    const due = this.#late.filter((late) => late.due <= now + SLACK_MS)
    const taken = new Set(due.slice(0, this.#fitting(due.map(({ message }) => message))))
    this.#late = this.#late.filter((late) => !taken.has(late))
    return this.#handOut(
      Array.from(taken, ({ message, times, since }) => ({ message, waited: { times, ms: now - since } })),
    )
  }

  #handOut(taken: TakenMessage[]): TakenMessage[] {
    for (const { message } of taken) this.#out.add(message)
    return taken
  }

  /** How many of `messages` fit into a batch: at least one. */
  #fitting(messages: readonly ConsumeMessage[]): number {
    let count = 0
    let bytes = 0
    for (const { content } of messages) {
      bytes += content.length
      if (count > 0 && (count >= this.#limits.maxBatch || bytes > this.#limits.maxBatchBytes)) break
      count++
    }
    return count
  }

  #woken(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = Number.isFinite(ms) ? setTimeout(() => this.#wake(), ms) : undefined
      this.#wake = () => {
        clearTimeout(timer)
        this.#wake = () => undefined
        resolve()
      }
    })
  }
}

const bytesOf = (messages: readonly ConsumeMessage[]) =>
  messages.reduce((bytes, { content }) => bytes + content.length, 0)
