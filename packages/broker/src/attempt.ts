import type { Channel, ChannelModel } from 'amqplib'
import { replyCodeOf } from './errors.ts'
import { within } from './wait.ts'

const CLOSE_MS = 1_000

/**
 * Asks RabbitMQ something on a channel of its own, which a refusal closes.
 *
 * @returns the answer, or with which of `codes` RabbitMQ has refused. @throws any other failure
 */
export async function attempt<T>(
  model: ChannelModel,
  ask: (channel: Channel) => Promise<T>,
  ...codes: readonly number[]
): Promise<{ readonly answer: T } | { readonly refused: number }> {
  const channel = await model.createChannel()
  let refusal: unknown
  channel.on('error', (error: unknown) => {
    refusal = error
  })
  try {
    const answer = await ask(channel)
    await within(CLOSE_MS, channel.close())
    return { answer }
  } catch (cause) {
    for (const error of [refusal, cause]) {
      const code = error instanceof Error ? replyCodeOf(error) : undefined
      if (code !== undefined && codes.includes(code)) return { refused: code }
    }
    throw refusal ?? cause
  }
}
