import type { ChannelModel } from 'amqplib'

/**
 * Bytes of messages in hand at a time, for all consumers of a connection. A prefetch counts messages only: 120 of 5 MB took 0.9 GB, where now it is 0.27 GB at most.
 * Four batches of 16 MiB, so that the next one is there when one is done.
 */
const MAX_BYTES = 64 * 1024 * 1024

/**
 * RabbitMQ resets a connection on which one message cannot be sent within 30 s: 64 KiB, what the socket gives at a time, every 75 ms
 * are 15 MiB in 18 s. (At four seconds, enough for the heartbeats, the connection was lost every 30 s, each time with a delivery counted.)
 */
const SIP_MS = 75

/**
 * All but stops reading from a connection while more than so many bytes of its messages are in hand; RabbitMQ, whose socket is full, then
 * waits. A sip now and then lets its heartbeats and the rest of a message through, so that neither takes the other for dead, and
 * a peer that is dead goes on being noticed.
 */
export class Intake {
  readonly #maxBytes: number
  #bytes = 0
  #stream: NodeJS.ReadableStream | null = null
  #sips = 0
  #sipping: NodeJS.Timeout | null = null

  constructor(maxBytes = MAX_BYTES) {
    this.#maxBytes = maxBytes
  }

  /** Bytes of messages in hand. */
  get bytes(): number {
    return this.#bytes
  }

  /** Nothing but sips is read. */
  get isFull(): boolean {
    return this.#bytes >= this.#maxBytes
  }

  /** Sips have doubled it: what is in hand has been there for too long. */
  get overflows(): boolean {
    return this.#bytes >= 2 * this.#maxBytes
  }

  /** From now on reading from this connection depends on what is in hand. Safe to repeat; a new connection takes the old one's place. */
  attach(model: ChannelModel): void {
    // Which amqplib's types do not show.
    const { stream } = model.connection as unknown as { readonly stream: NodeJS.ReadableStream }
    if (this.#stream === stream) return
    this.#stream = stream
    const read = stream.read.bind(stream)
    // amqplib reads until there is nothing more. With a size, 0, it is Node that asks the socket for more.
    stream.read = (size) => (size !== undefined || this.#mayRead() ? read(size) : (null as unknown as Buffer))
  }

  take(bytes: number): void {
    this.#bytes += bytes
    if (this.isFull) this.#sipping ??= setInterval(() => this.#sip(), SIP_MS)
  }

  give(bytes: number): void {
    this.#bytes -= bytes
    if (this.isFull || this.#sipping === null) return
    clearInterval(this.#sipping)
    this.#sipping = null
    this.#sips = 0
    setImmediate(() => this.#stream?.emit('readable'))
  }

  #mayRead(): boolean {
    if (!this.isFull) return true
    if (this.#sips === 0) return false
    this.#sips--
    return true
  }

  #sip(): void {
    this.#sips = 1
    this.#stream?.emit('readable')
  }
}
