import { PublishError } from '@clinic-sync/broker'
import type { Settlement, SyncEvent } from '@clinic-sync/contracts'
import type { SyncError } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { describe } from './describe.ts'

export interface Publisher {
  /** Resolves once the broker has confirmed every event. @throws PublishError which says what it has not, and why. */
  publishEvents(events: readonly SyncEvent[]): Promise<void>
}

export interface Published {
  readonly settlements: readonly Settlement[]
  readonly confirmed: readonly SyncEvent[]
  /** Why the rest was not published. */
  readonly trouble: SyncError | undefined
}

const NONE: ReadonlyMap<number, SyncError> = new Map()

/** Publishes events, and says how their outbox rows are to be settled. */
export async function publishPage(
  { publisher, log }: { readonly publisher: Publisher; readonly log: FastifyBaseLogger },
  events: readonly SyncEvent[],
): Promise<Published> {
  const failures = events.length === 0 ? NONE : await failuresOf(publisher.publishEvents(events))
  // Asked once: most runs log none of these lines, and making them costs more than the rest of this.
  const isTold = log.level === 'debug' || log.level === 'trace'
  const settlements: Settlement[] = []
  const confirmed = failures.size === 0 ? events : events.filter((_, i) => !failures.has(i))
  for (const event of confirmed) {
    const { table, key, version } = event.data
    settlements.push({ table, key, version, outcome: 'queued' })
    if (isTold) log.debug({ event: event.id, captured: event.time }, 'published')
  }
  let trouble: SyncError | undefined
  for (const [i, failure] of failures) {
    const event = events[i]
    if (failure.code !== 'SYNC_BAD_MESSAGE') trouble ??= failure
    else if (event !== undefined) {
      const { table, key, version } = event.data
      settlements.push({ table, key, version, outcome: 'dead', code: failure.code, reason: failure.message })
      log.error({ event: event.id, ...describe(failure) }, 'a change cannot be published: its row is Failed')
    }
  }
  return { settlements, confirmed, trouble }
}

async function failuresOf(publishing: Promise<void>): Promise<ReadonlyMap<number, SyncError>> {
  try {
    await publishing
    return NONE
  } catch (error) {
    if (error instanceof PublishError) return error.failures
    throw error
  }
}
