import type { ConsumeMessage } from 'amqplib'

export interface BatchLimits {
  readonly maxBatch: number
  readonly maxWaitMs: number
  readonly maxBatchBytes: number
}

/** The deliveries of one channel, handed out in batches and in order. */
export class Deliveries {
  readonly #limits: BatchLimits
  readonly #ended: AbortSignal
  #messages: ConsumeMessage[] = []
  #bytes = 0
  /** When the oldest message in hand arrived (ms, monotonic). */
  #since = 0
  #wake: () => void = () => undefined

  /** @param ended aborts when no more batches are wanted: the channel is lost, or the consumer closes. */
  constructor(limits: BatchLimits, ended: AbortSignal) {
    this.#limits = limits
    this.#ended = ended
    ended.addEventListener('abort', () => this.#wake(), { once: true })
  }

  push(message: ConsumeMessage): void {
    if (this.#messages.length === 0) this.#since = performance.now()
    this.#messages.push(message)
    this.#bytes += message.content.length
    if (this.#messages.length === 1 || this.#isFull()) this.#wake()
  }

  /** The next batch: full, or `maxWaitMs` after its first message. Null when ended. */
  async next(): Promise<ConsumeMessage[] | null> {
    while (!this.#ended.aborted) {
      if (this.#messages.length === 0) await this.#woken(null)
      else {
        const left = this.#since + this.#limits.maxWaitMs - performance.now()
        if (this.#isFull() || left <= 0) return this.#take()
        await this.#woken(left)
      }
    }
    return null
  }

  #isFull(): boolean {
    return this.#messages.length >= this.#limits.maxBatch || this.#bytes >= this.#limits.maxBatchBytes
  }

  #take(): ConsumeMessage[] {
    let count = 0
    let bytes = 0
    for (const { content } of this.#messages) {
      if (count > 0 && (count >= this.#limits.maxBatch || bytes + content.length > this.#limits.maxBatchBytes)) break
      count++
      bytes += content.length
    }
    this.#bytes -= bytes
    // What stays has waited already: its time runs from its own arrival at the latest, so it goes at once.
    return this.#messages.splice(0, count)
  }

  #woken(ms: number | null): Promise<void> {
    return new Promise((resolve) => {
      const timer = ms === null ? undefined : setTimeout(() => this.#wake(), ms)
      this.#wake = () => {
        clearTimeout(timer)
        this.#wake = () => undefined
        resolve()
      }
    })
  }
}
