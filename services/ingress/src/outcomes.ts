import type { Outcome, OutcomeBatch } from '@clinic-sync/contracts'
import { Backoff, type Delays, bisect, DatabaseError, type SyncDatabase } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe } from './describe.ts'

const RETRY: Delays = { min: 200, max: 30_000 }

export interface OutcomesOptions {
  /** The side whose outbox the outcomes belong to: the source of their events. */
  readonly outbox: Pick<SyncDatabase, 'side' | 'settleChanges'>
  readonly log: FastifyBaseLogger
  /** Aborted when the service stops: nothing is retried any more. */
  readonly signal?: AbortSignal
  readonly retry?: Delays
}

/**
 * Makes the handler that settles one side's outbox by what the consumers report. The broker acknowledges the messages
 * after it resolves; settling is safe to repeat. It rejects only while the database is down (the broker then pauses and
 * delivers again) or when the service stops; a deadlock or the like is retried here.
 */
export function settleOutcomes(options: OutcomesOptions): (batches: readonly OutcomeBatch[]) => Promise<void> {
  const { outbox, signal } = options
  const log = options.log.child({ outbox: outbox.side })

  async function send(outcomes: readonly Outcome[]): Promise<readonly Outcome[]> {
    const backoff = new Backoff(options.retry ?? RETRY)
    for (;;) {
      try {
        await outbox.settleChanges(outcomes)
        return outcomes
      } catch (error) {
        if (classOf(error) !== 'transient' || signal?.aborted) throw error
        log.debug(describe(error), 'outcomes are settled again')
        await sleep(backoff.next(), undefined, { signal }).catch(() => undefined)
      }
    }
  }

  return async (batches) => {
    const outcomes = batches.flatMap((batch) => batch.outcomes)
    const results = await bisect(outcomes, send, (error) => classOf(error) !== 'permanent')
    outcomes.forEach(({ table, key, version, outcome }, i) => {
      const result = results[i]
      if (result?.ok !== false) return log.debug({ table, key, version, outcome }, 'settled')
      // One refused outcome must not hold up the others; its row stays Queued.
      log.error(
        { table, key, version, ...describe(result.error) },
        'an outcome cannot be settled: its row stays Queued',
      )
    })
  }
}

const classOf = (error: unknown) => (error instanceof DatabaseError ? error.failure : undefined)
