import type { ChannelModel } from 'amqplib'

/** Bytes that a socket takes before amqplib waits for it to be empty: a hundred events go in one call instead of twenty. */
export const WRITES = { writableHighWaterMark: 64 * 1024 }

interface Writable {
  cork(): void
  uncork(): void
  write(...args: readonly unknown[]): boolean
}

/**
 * Has what is written to a connection at one go sent at one go. amqplib writes each frame by itself, which is a system call and, with
 * `noDelay`, a packet for each event; RabbitMQ wakes up for each packet. Nothing waits longer for it: all goes at the end of the turn.
 */
export function writeTogether(model: ChannelModel): void {
  // Which amqplib's types do not show.
  const { stream } = model.connection as unknown as { readonly stream: Writable }
  const write = stream.write.bind(stream)
  let corked = false
  const uncork = () => {
    corked = false
    stream.uncork()
  }
  stream.write = (...args) => {
    if (!corked) {
      corked = true
      stream.cork()
      process.nextTick(uncork)
    }
    return write(...args)
  }
}
