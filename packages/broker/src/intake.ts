import type { ChannelModel } from 'amqplib'

/**
 * Bytes of messages in hand at a time, for all consumers of a connection. A prefetch counts messages only: 120 of 5 MB took 0.9 GB, where now it is 0.27 GB at most.
 * Four batches of 16 MiB, so that the next one is there when one is done.
 */
const MAX_BYTES = 64 * 1024 * 1024

/** The part of amqplib's connection that its types do not show. */
interface Inside {
  readonly stream: NodeJS.ReadableStream
  /** Seconds, as negotiated; 0: none. */
  readonly heartbeat: number
}

/**
 * Stops reading from a connection while more than so many bytes of its messages are in hand; RabbitMQ, whose socket is full, then
 * waits. Twice in a heartbeat's time it reads once nevertheless, at most 64 KiB: nothing heard in two of them means a dead peer,
 * which goes on being noticed.
 */
export class Intake {
  readonly #maxBytes: number
  #bytes = 0
  #stream: NodeJS.ReadableStream | null = null
  #sips = 0
  #sipMs = 0
  #sipping: NodeJS.Timeout | null = null

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes
  }

  /** Bytes of messages in hand. */
  get bytes(): number {
    return this.#bytes
  }

  /** From now on reading from this connection depends on what is in hand. Safe to repeat; a new connection takes the old one's place. */
  attach(model: ChannelModel): void {
    const { stream, heartbeat } = model.connection as unknown as Inside
    if (this.#stream === stream) return
    this.#stream = stream
    this.#sipMs = (heartbeat > 0 ? heartbeat : 10) * 500
    const read = stream.read.bind(stream)
    // amqplib reads until there is nothing more. With a size, 0, it is Node that asks the socket for more.
    stream.read = (size) => (size !== undefined || this.#mayRead() ? read(size) : (null as unknown as Buffer))
  }

  take(bytes: number): void {
    this.#bytes += bytes
    if (this.#isFull) this.#sipping ??= setInterval(() => this.#sip(), this.#sipMs)
  }

  give(bytes: number): void {
    this.#bytes -= bytes
    if (this.#isFull || this.#sipping === null) return
    clearInterval(this.#sipping)
    this.#sipping = null
    this.#sips = 0
    setImmediate(() => this.#stream?.emit('readable'))
  }

  get #isFull(): boolean {
    return this.#bytes >= this.#maxBytes
  }

  #mayRead(): boolean {
    if (!this.#isFull) return true
    if (this.#sips === 0) return false
    this.#sips--
    return true
  }

  #sip(): void {
    this.#sips = 1
    this.#stream?.emit('readable')
  }
}
