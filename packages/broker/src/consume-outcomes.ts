import { randomUUID } from 'node:crypto'
import type { Direction, Outcome, OutcomeBatch } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import type { Failure, OutcomeHandler, RefusedOutcome } from './api.ts'
import type { Delivered } from './consumer.ts'
import { deadCopy } from './failed.ts'
import { decodeOutcomes, outcomeMessage } from './message.ts'
import type { OutgoingMessage } from './publisher.ts'
import { strayed } from './strayed.ts'
import { outcomeQueue } from './topology.ts'

export interface OutcomeWork {
  readonly direction: Direction
  readonly handler: OutcomeHandler
  readonly maxMessageBytes: number
  readonly appId: string
  /** Told what was settled, each time. */
  readonly onSettled?: (outcomes: readonly Outcome[]) => void
}

/** Hands decoded outcome batches on; returns dead-letter copies of those that are not valid, or refused for good. */
export async function handleOutcomes(batch: readonly Delivered[], work: OutcomeWork): Promise<OutgoingMessage[]> {
  const batches: OutcomeBatch[] = []
  const copies: OutgoingMessage[] = []
  for (const delivered of batch) {
    try {
      const stray = strayed(delivered.message, work.direction, delivered.queue)
      if (stray !== null) throw stray
      batches.push(decodeOutcomes(delivered.message, work.direction, work.maxMessageBytes))
    } catch (error) {
      if (!(error instanceof SyncError)) throw error
      copies.push(dead(delivered, { type: 'bad-message', code: error.code, message: error.message }, work))
    }
  }
  const refused = (batches.length > 0 && (await work.handler(batches))) || []
  copies.push(...refused.map((each) => refusedCopy(each, work)))
  work.onSettled?.(outcomesOf(batches, refused))
  return copies
}

function outcomesOf(batches: readonly OutcomeBatch[], refused: readonly RefusedOutcome[]): readonly Outcome[] {
  const not = new Set(refused.map(({ outcome }) => outcome))
  return batches.flatMap(({ outcomes }) => outcomes.filter((outcome) => !not.has(outcome)))
}

/** A message with this outcome alone: the others of its message are settled. */
function refusedCopy({ outcome, failure }: RefusedOutcome, { direction, appId }: OutcomeWork): OutgoingMessage {
  const { content, options } = outcomeMessage({ direction, outcomes: [outcome] }, appId, randomUUID())
  const { table, key, version } = outcome
  const about = { table, key, version }
  return deadCopy(
    { content, properties: { ...options, headers: {} } },
    { direction, failure, queue: outcomeQueue(direction), appId, about },
  )
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
