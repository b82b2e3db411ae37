import { type Channel, connect } from 'amqplib'
import type { Stage } from '../stage/stage.ts'

/** Gives `use` a channel on a connection of its own. @throws what `use` throws, or Error if the connection is lost meanwhile */
export async function withChannel<T>(
  { addresses }: Pick<Stage, 'addresses'>,
  use: (channel: Channel) => Promise<T>,
): Promise<T> {
  const model = await connect(addresses.rabbit, { noDelay: true })
  // Without listeners they would end the process, and leave all that it has started.
  model.on('error', () => undefined)
  const lost = new Promise<never>((_, reject) => model.once('close', () => reject(new Error('RabbitMQ is gone.'))))
  lost.catch(() => undefined)
  try {
    const channel = await model.createChannel()
    channel.on('error', () => undefined)
    return await Promise.race([use(channel), lost])
  } finally {
    await model.close().catch(() => undefined)
  }
}
