import type { Scale } from '../measure.ts'
import type { Stage } from '../stage/stage.ts'
import { type Helper, startHelper } from './child.ts'
import { payloadOf } from './payload.ts'

/** Messages that RabbitMQ has not confirmed yet, at most. Of 200 to 8,000, 2,000 and 4,000 published most (two cores, RabbitMQ 3.10.8). */
export const WINDOW = 2_000

const publishers = new WeakMap<Stage, Promise<Helper>>()

/** Publishes all that was recorded, from a process of its own. @returns milliseconds until the last confirm */
export async function publishRaw(stage: Stage, scale: Scale): Promise<number> {
  const { messages, file } = await payloadOf(stage, scale)
  const starting = publishers.get(stage) ?? startHelper(stage, 'publisher-child', [stage.addresses.rabbit, file])
  publishers.set(stage, starting)
  const publisher = await starting
  const { ms } = await publisher.ask<{ ms: number }>({ count: messages.length, window: WINDOW })
  return ms
}
