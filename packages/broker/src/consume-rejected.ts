import type { Direction, Outcome } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import { randomUUID } from 'node:crypto'
import type { Log } from './api.ts'
import type { Delivered } from './consumer.ts'
import { type About, aboutOf, type Labelled, unannotated } from './headers.ts'
import { decodeEvent, outcomeMessage } from './message.ts'
import type { OutgoingMessage } from './publisher.ts'
import { strayed } from './strayed.ts'

export interface RejectedWork {
  readonly direction: Direction
  readonly maxMessageBytes: number
  readonly appId: string
  readonly log: Log
}

/**
 * What RabbitMQ itself has dead-lettered, where no consumer could report it: returns the outcomes to publish, so that the outbox does
 * not say Queued for ever. The dead letter itself lies in the dead-letter queue: this is only its second copy.
 */
export function handleRejected(batch: readonly Delivered[], work: RejectedWork): OutgoingMessage[] {
  const { direction, appId, log } = work
  const outcomes = batch.flatMap(({ message, queue }): Outcome[] => {
    const stray = strayed(message, direction, queue)
    if (stray !== null) {
      log.error(
        { direction, code: stray.code, reason: stray.message },
        'a message that RabbitMQ has not given up is passed over',
      )
      return []
    }
    const about = changeOf(message, work)
    const { code, message: reason } = unannotated(message)
    log.error({ direction, about, code, reason }, 'RabbitMQ has dead-lettered a message')
    return about === null ? [] : [{ ...about, outcome: 'dead', code, reason }]
  })
  return outcomes.length === 0 ? [] : [outcomeMessage({ direction, outcomes }, appId, randomUUID())]
}

/** By its headers, or else by its body. */
export function changeOf(message: Labelled, work: Pick<RejectedWork, 'direction' | 'maxMessageBytes'>): About | null {
  const about = aboutOf(message)
  if (about !== null) return about
  try {
    const { table, key, version } = decodeEvent(message, work.direction, work.maxMessageBytes).data
    return { table, key, version }
  } catch (error) {
    if (error instanceof SyncError) return null
    throw error
  }
}
