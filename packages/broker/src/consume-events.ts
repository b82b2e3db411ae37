import type { Direction } from '@clinic-sync/contracts'
import { partitionOf, SyncError } from '@clinic-sync/sync'
import { context } from '@opentelemetry/api'
import type { BadDelivery, Disposition, EventDelivery, EventHandler, Failure } from './api.ts'
import type { Delivered, Handled } from './consumer.ts'
import { deadCopy, retryCopy } from './failed.ts'
import { aboutOf } from './headers.ts'
import { attemptOf, decodeEvent } from './message.ts'
import type { OutgoingMessage } from './publisher.ts'
import { strayed } from './strayed.ts'

export interface EventWork {
  readonly direction: Direction
  readonly handler: EventHandler
  readonly retries: number
  readonly maxMessageBytes: number
  readonly appId: string
}

interface Decoded extends EventDelivery {
  readonly delivered: Delivered
}
interface Refused extends BadDelivery {
  readonly delivered: Delivered
}

/** Decodes a batch, lets the handler rule on it, and returns the copies for retry and dead-letter queues, and what is put off. */
export async function handleEvents(batch: readonly Delivered[], room: number, work: EventWork): Promise<Handled> {
  const events: Decoded[] = []
  const bad: Refused[] = []
  for (const delivered of batch) {
    const { message, queue, waited } = delivered
    const error = strayed(message, work.direction, queue)
    if (error !== null) {
      // Its headers may name a change that is none of theirs.
      bad.push({ delivered, error, about: null })
      continue
    }
    try {
      const event = decodeEvent(message, work.direction, work.maxMessageBytes)
      events.push({ delivered, event, attempt: attemptOf(message), ...(waited !== null && { waited }) })
    } catch (error) {
      if (!(error instanceof SyncError)) throw error
      bad.push({ delivered, error, about: aboutOf(message) })
    }
  }
  let publish: (() => Promise<void>) | null = null
  const dispositions = await work.handler({
    events,
    bad,
    room,
    // Called outside of the span that is active here, to which what is published belongs.
    report: (given) => {
      publish = context.bind(context.active(), given)
    },
  })
  if (dispositions.length !== events.length) {
    throw new TypeError(`the handler returned ${dispositions.length} dispositions for ${events.length} events`)
  }
  const copies = bad.map(({ delivered: { message, queue }, error }) =>
    deadCopy(message, {
      direction: work.direction,
      failure: { type: 'bad-message', code: error.code, message: error.message },
      queue,
      appId: work.appId,
    }),
  )
  const later = new Map<Delivered, number>()
  events.forEach((decoded, index) => {
    const disposition = dispositions[index]
    if (disposition === undefined || disposition.action === 'done') return
    if (disposition.action === 'later') later.set(decoded.delivered, disposition.afterMs)
    else copies.push(copyOf(decoded, disposition, work))
  })
  // More would fill a queue's prefetch, and stop it.
  if (later.size > room) throw new TypeError(`the handler put off ${later.size} events where ${room} had room`)
  return { copies, later, ...(publish !== null && { report: publish }) }
}

/** Every event of the batch is retried, as far as its retries go. */
export async function giveUpEvents(
  batch: readonly Delivered[],
  error: unknown,
  work: EventWork,
): Promise<readonly OutgoingMessage[]> {
  const failure: Failure = {
    type: 'unexpected',
    code: error instanceof Error ? error.name : 'unknown',
    message: 'an unforeseen failure; see the log of the consumer at this time',
  }
  const handler: EventHandler = ({ events }) => Promise.resolve(events.map(() => ({ action: 'retry', failure })))
  return (await handleEvents(batch, 0, { ...work, handler })).copies
}

function copyOf(
  { delivered: { message, queue }, event, attempt }: Decoded,
  { action, failure }: Exclude<Disposition, { action: 'done' | 'later' }>,
  { direction, retries, appId }: EventWork,
): OutgoingMessage {
  const { table, key, version } = event.data
  if (action === 'dead' || attempt >= retries) {
    return deadCopy(message, { direction, failure, queue, appId, about: { table, key, version } })
  }
  const partition = partitionOf(table, key)
  return retryCopy(message, { direction, partition, retry: attempt + 1, failure, appId })
}
