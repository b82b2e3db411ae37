import type { RefusedOutcome } from '@clinic-sync/broker'
import type { Outcome, OutcomeBatch } from '@clinic-sync/contracts'
import { Backoff, type Delays, bisect, DatabaseError, type SyncDatabase } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe } from './describe.ts'

const RETRY: Delays = { min: 200, max: 30_000 }
/** How often a batch that met a passing fault is settled as it is, before it is bisected: with the pauses between, about 6 s. */
const TRIES = 6

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
 * after it resolves; settling is safe to repeat. A deadlock or the like is retried here, and one bad outcome is found by
 * bisection.
 *
 * @returns those that the outbox refuses while it takes others. The broker dead-letters these, and their rows stay Queued.
 * @throws DatabaseError of class `down` while nothing can be settled (the broker then pauses, and delivers again), or when the
 *   service stops.
 */
export function settleOutcomes(
  options: OutcomesOptions,
): (batches: readonly OutcomeBatch[]) => Promise<readonly RefusedOutcome[]> {
  const { outbox, signal } = options
  const log = options.log.child({ outbox: outbox.side })
  const isTold = log.level === 'debug' || log.level === 'trace'

  return async (batches) => {
    const outcomes = batches.flatMap((batch) => batch.outcomes)
    const backoff = new Backoff(options.retry ?? RETRY)
    let tries = TRIES

    async function send(some: readonly Outcome[]): Promise<readonly Outcome[]> {
      for (;;) {
        try {
          await outbox.settleChanges(some)
          return some
        } catch (error) {
          if (classOf(error) !== 'transient' || signal?.aborted || --tries <= 0) throw error
          log.debug(describe(error), 'outcomes are settled again')
          await sleep(backoff.next(), undefined, { signal }).catch(() => undefined)
        }
      }
    }

    const results = await bisect(outcomes, send, (error) => classOf(error) === 'down' || signal?.aborted === true)
    const refused: RefusedOutcome[] = []
    for (const [i, outcome] of outcomes.entries()) {
      const { table, key, version, outcome: kind } = outcome
      const result = results[i]
      if (result?.ok !== false) {
        if (isTold) log.debug({ table, key, version, outcome: kind }, 'settled')
        continue
      }
      const { error } = result
      if (classOf(error) !== 'permanent' && !results.some(({ ok }) => ok)) throw asDown(error)
      refused.push({ outcome, failure: failureOf(error) })
      // One refused outcome must not hold up the others.
      const fields = { table, key, version, outcome: kind, ...describe(error) }
      log.error(fields, 'an outcome cannot be settled: it goes to the dead-letter queue, and its row stays Queued')
    }
    return refused
  }
}

const classOf = (error: unknown) => (error instanceof DatabaseError ? error.failure : undefined)

/** Nothing goes through: then the outcomes are not to blame. What is no database's error is a defect, and stays one. */
function asDown(error: unknown): unknown {
  if (!(error instanceof DatabaseError)) return error
  return new DatabaseError('down', `no outcome can be settled: ${error.message}`, { number: error.number })
}

function failureOf(error: unknown): RefusedOutcome['failure'] {
  if (!(error instanceof DatabaseError)) {
    const code = error instanceof Error ? error.name : 'unknown'
    return {
      type: 'unexpected',
      code,
      message: 'the outcome could not be settled; see the log of the ingress at this time',
    }
  }
  const { failure: type, number, code, message } = error
  return { type, code: number ?? code, message: `the outcome could not be settled: ${message}` }
}
