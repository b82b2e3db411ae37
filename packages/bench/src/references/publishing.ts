import type { ConfirmChannel } from 'amqplib'
import { RAW_EXCHANGE } from './raw-queues.ts'
import type { Recorded } from './payload.ts'

/**
 * Publishes all, persistent and mandatory, with at most `window` that RabbitMQ has not confirmed yet.
 *
 * @throws Error if one is refused, or reaches no queue
 */
export function publishAll(channel: ConfirmChannel, messages: readonly Recorded[], window: number): Promise<void> {
  return new Promise((resolve, reject) => {
    let [next, confirmed, full] = [0, 0, false]
    channel.once('return', () => reject(new Error('RabbitMQ returned a message: it reached no queue.')))
    channel.once('close', () => reject(new Error('The channel has closed.')))
    const onConfirm = (error: unknown) => {
      if (error !== null && error !== undefined) return reject(new Error('RabbitMQ refused a message.'))
      confirmed++
      if (confirmed === messages.length) resolve()
      else if (!full) pump()
    }
    const pump = () => {
      while (next - confirmed < window && !full) {
        const message = messages[next]
        if (message === undefined) return
        next++
        const { routingKey, content, properties } = message
        full = !channel.publish(RAW_EXCHANGE, routingKey, content, { ...properties, mandatory: true }, onConfirm)
      }
    }
    // amqplib's buffer is full.
    channel.on('drain', () => {
      full = false
      pump()
    })
    pump()
  })
}
