import type { Direction, OutcomeBatch } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import type { Failure, OutcomeHandler } from './api.ts'
import type { Delivered } from './consumer.ts'
import { deadCopy } from './failed.ts'
import { decodeOutcomes } from './message.ts'
import type { OutgoingMessage } from './publisher.ts'

export interface OutcomeWork {
  readonly direction: Direction
  readonly handler: OutcomeHandler
  readonly maxMessageBytes: number
  readonly appId: string
}

/** Hands decoded outcome batches on; returns dead-letter copies of those that are not valid. */
export async function handleOutcomes(batch: readonly Delivered[], work: OutcomeWork): Promise<OutgoingMessage[]> {
  const batches: OutcomeBatch[] = []
  const copies: OutgoingMessage[] = []
  for (const delivered of batch) {
    try {
      batches.push(decodeOutcomes(delivered.message, work.direction, work.maxMessageBytes))
    } catch (error) {
      if (!(error instanceof SyncError)) throw error
      copies.push(dead(delivered, { type: 'bad-message', code: error.code, message: error.message }, work))
    }
  }
  if (batches.length > 0) await work.handler(batches)
  return copies
}

/** Outcomes have no retries: what cannot be settled, though the database is there, is shown to the operator. */
export async function giveUpOutcomes(
  batch: readonly Delivered[],
  error: unknown,
  work: OutcomeWork,
): Promise<OutgoingMessage[]> {
  const failure: Failure = {
    type: 'unexpected',
    code: error instanceof SyncError ? error.code : error instanceof Error ? error.name : 'unknown',
    message:
      error instanceof SyncError ? error.message : 'an unforeseen failure; see the log of the ingress at this time',
  }
  return batch.map((delivered) => dead(delivered, failure, work))
}

const dead = ({ message, queue }: Delivered, failure: Failure, { direction, appId }: OutcomeWork) =>
  deadCopy(message, { direction, failure, queue, appId })
