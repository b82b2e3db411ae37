import { connect } from 'amqplib'
import type { Measure } from '../measure.ts'
import { CONSUMING, PUBLISHING } from '../report/targets.ts'
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
    const model = await connect(stage.addresses.rabbit, { noDelay: true })
    try {
      const channel = await model.createChannel()
      await declareRaw(channel)
      const published = await publishRaw(stage, scale)
      const since = performance.now()
      const consumed = (await consumeAll(channel, messages.length, BATCH)) - since
      await channel.close()
      const figure = { unit: 'changes/s', better: 'more' } as const
      return [
        { ...figure, name: PUBLISHING, value: (messages.length * 1_000) / published },
        { ...figure, name: CONSUMING, value: (messages.length * 1_000) / consumed },
      ]
    } finally {
      await model.close()
    }
  },
}
