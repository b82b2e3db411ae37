import { writeFile } from 'node:fs/promises'
import { serialize } from 'node:v8'
import { EVENTS } from '@clinic-sync/broker'
import type { SyncEvent } from '@clinic-sync/contracts'
import type { Scale } from '../measure.ts'
import { drainClinic } from '../measures/sustained.ts'
import { purge } from '../measures/outboxes.ts'
import { filled } from '../stage/filled.ts'
import { inMode } from '../stage/mode.ts'
import type { Stage } from '../stage/stage.ts'
import { withChannel } from './connection.ts'

const DIRECTION = 'sql-to-postgres'

/** A message as the ingress has published it. */
export interface Recorded {
  readonly routingKey: string
  readonly content: Buffer
  /** As amqplib takes them: id, type, content type, timestamp, app id, headers, persistence. */
  readonly properties: Readonly<Record<string, unknown>>
}

export interface Payload {
  readonly messages: readonly Recorded[]
  /** The same, for a process of its own: see `messagesIn`. */
  readonly file: string
}

const recorded = new WeakMap<Stage, Promise<Payload>>()

/**
 * The very messages of one sustained drain, clinic → portal: recorded once, while the pipeline publishes them, in a queue that hears
 * the same exchange. Every reference uses these.
 */
export function payloadOf(stage: Stage, scale: Scale): Promise<Payload> {
  const payload = recorded.get(stage) ?? record(stage, scale)
  recorded.set(stage, payload)
  return payload
}

async function record(stage: Stage, scale: Scale): Promise<Payload> {
  await filled(stage, scale)
  await inMode(stage, 'by hand')
  await purge(stage)
  const messages: Recorded[] = []
  await withChannel(stage, async (channel) => {
    const { queue } = await channel.assertQueue('', { exclusive: true })
    await channel.bindQueue(queue, EVENTS, `${DIRECTION}.#`)
    let complete: () => void = () => undefined
    const all = new Promise<void>((resolve) => (complete = resolve))
    await channel.consume(
      queue,
      (message) => {
        if (message === null) return
        const { fields, content, properties } = message
        const defined = Object.entries(properties).filter(([, value]) => value !== undefined)
        // What amqplib has read from its buffer is copied: the buffer is much larger.
        messages.push({
          routingKey: fields.routingKey,
          content: Buffer.from(content),
          properties: { ...Object.fromEntries(defined), persistent: properties.deliveryMode === 2 },
        })
        if (messages.length === scale.clinicChanges) complete()
      },
      { noAck: true },
    )
    await drainClinic(stage, scale.clinicChanges)
    await all
  })
  await purge(stage)
  const file = `${stage.folder}/payload`
  await writeFile(file, serialize(messages))
  return { messages, file }
}

export const eventIn = ({ content }: Pick<Recorded, 'content'>): SyncEvent =>
  JSON.parse(content.toString()) as SyncEvent
