import type { Channel, ConsumeMessage } from 'amqplib'
import { RAW_QUEUES } from './raw-queues.ts'

/** Messages that each queue may have on their way to the consumer. */
const PREFETCH = 1_000

/**
 * Consumes `count` messages of the raw queues, in batches, and acknowledges each batch when `use` has done with it; batches end in the
 * order in which they came.
 *
 * @param use missing: nothing is done with them
 * @returns `performance.now()` when the last was acknowledged
 * @throws what `use` throws
 */
export async function consumeAll(
  channel: Channel,
  count: number,
  batchSize: number,
  use?: (batch: readonly ConsumeMessage[]) => Promise<void>,
): Promise<number> {
  await channel.prefetch(PREFETCH)
  return new Promise((resolve, reject) => {
    let [received, acknowledged] = [0, 0]
    let batch: ConsumeMessage[] = []
    let before: Promise<void> = Promise.resolve()
    const done = (delivered: readonly ConsumeMessage[]) => {
      const last = delivered.at(-1)
      if (last !== undefined) channel.ack(last, true)
      acknowledged += delivered.length
      if (acknowledged === count) resolve(performance.now())
    }
    const onMessage = (message: ConsumeMessage | null) => {
      if (message === null) return reject(new Error('RabbitMQ has cancelled a consumer.'))
      batch.push(message)
      received++
      if (batch.length < batchSize && received < count) return
      const full = batch
      batch = []
      if (use === undefined) return done(full)
      const used = use(full)
      before = Promise.all([before, used]).then(() => done(full))
      before.catch(reject)
    }
    for (const queue of RAW_QUEUES) channel.consume(queue, onMessage).catch(reject)
  })
}
