import type { Measure } from '../measure.ts'
import { CONSUMING, PUBLISHING } from '../report/targets.ts'
import { withChannel } from './connection.ts'
import { consumeAll } from './consuming.ts'
import { payloadOf } from './payload.ts'
import { publishRaw } from './publisher.ts'
import { declareRaw } from './raw-queues.ts'
import { BATCH } from './upsert.ts'

/** The messages of a sustained drain published by amqplib alone while nobody consumes; then consumed by amqplib alone. */
export const rawBroker: Measure = {
  name: 'raw-broker',
  when: 'each',
  async prepare(stage, scale) {
    await payloadOf(stage, scale)
    await this.run(stage, scale, 0)
  },
  async run(stage, scale) {
    const { messages } = await payloadOf(stage, scale)
    return withChannel(stage, async (channel) => {
      await declareRaw(channel)
      const published = await publishRaw(stage, scale)
      const since = performance.now()
      const consumed = (await consumeAll(channel, messages.length, BATCH)) - since
      const figure = { unit: 'changes/s', better: 'more' } as const
      return [
        { ...figure, name: PUBLISHING, value: (messages.length * 1_000) / published },
        { ...figure, name: CONSUMING, value: (messages.length * 1_000) / consumed },
      ]
    })
  },
}
