import type { Direction, Outcome } from '@clinic-sync/contracts'
import type { Observer, SyncDatabase } from '@clinic-sync/sync'
import type { BadDelivery, Broker, ConsumeOptions, Consumer, Log } from './api.ts'
import { applyBatch, PATIENCE_MS, recordOf, type Ruling } from './apply-batch.ts'
import { latencyOf } from './latency.ts'
import { appliedOf } from './observe.ts'

/** The instants between which a crash must lose nothing and apply nothing twice. The next batch may be applied from `applied` on. */
export type Step = 'received' | 'applied' | 'outcomes-published' | 'acked'

export interface EventConsumerOptions {
  readonly broker: Broker
  readonly direction: Direction
  /** The database that the events are applied to. */
  readonly target: Pick<SyncDatabase, 'applyChanges' | 'check'>
  readonly log: Log
  /** Milliseconds for which a locked record is tried again before it goes to the retry queue. Default 1,000. */
  readonly patienceMs?: number
  /** Awaited after each step of each batch; tests kill the process here. */
  readonly onStep?: (step: Step) => void | Promise<void>
  readonly limits?: Pick<ConsumeOptions, 'maxBatch' | 'maxWaitMs' | 'maxBatchBytes'>
  readonly onState?: ConsumeOptions['onState']
  readonly observer?: Observer | undefined
}

/**
 * Applies a direction's events to its target: a batch at a time, each record once, outcomes to the ingress, and only then the
 * acknowledgement; the next batch is applied while RabbitMQ stores the outcomes. A crash anywhere in between brings the batch back, where its versions make it a duplicate. What somebody's
 * transaction holds is tried again within a second, while everything else goes on: see `applyBatch`.
 *
 * Returns at once; consumes until closed. See `EventHandler` for what happens while a database or RabbitMQ is down.
 */
export function startEventConsumer(options: EventConsumerOptions): Consumer {
  const {
    broker,
    direction,
    target,
    log,
    limits,
    onState,
    observer,
    patienceMs = PATIENCE_MS,
    onStep = () => undefined,
  } = options
  const willDie = (attempt: number) => broker.willDie(attempt)
  return broker.consumeEvents(
    direction,
    async ({ events, bad, room, report: behind }) => {
      await onStep('received')
      const since = performance.now()
      const rulings = await applyBatch(events, { target, room, patienceMs, willDie })
      const seconds = (performance.now() - since) / 1000
      const latency = latencyOf(rulings, Date.now())
      await onStep('applied')
      const outcomes = [...rulings.flatMap(({ outcome }) => outcome ?? []), ...bad.flatMap(outcomeOfBad)]
      report(log, direction, rulings, bad)
      const publish = async () => {
        if (outcomes.length > 0) await broker.publishOutcomes({ direction, outcomes, ...(latency && { latency }) })
        observer?.applied?.({ direction, seconds, events: appliedOf(rulings, bad) })
        await onStep('outcomes-published')
      }
      if (behind === undefined) await publish()
      else behind(publish)
      return rulings.map(({ disposition }) => disposition)
    },
    {
      ...limits,
      check: () => target.check(),
      onAcked: () => onStep('acked'),
      ...(onState !== undefined && { onState }),
    },
  )
}

function outcomeOfBad({ about, error }: BadDelivery): Outcome[] {
  return about === null ? [] : [{ ...about, outcome: 'dead', code: error.code, reason: error.message.slice(0, 1000) }]
}

/** One line a batch at debug; one for each event that failed. Keys and names only. */
function report(log: Log, direction: Direction, rulings: readonly Ruling[], bad: readonly BadDelivery[]): void {
  const counts: Record<string, number> = {}
  for (const { outcome, disposition } of rulings) {
    const kind = outcome?.outcome ?? (disposition.action === 'later' ? 'locked' : 'superseded')
    counts[kind] = (counts[kind] ?? 0) + 1
  }
  log.debug({ direction, events: rulings.length, ...counts, bad: bad.length }, 'batch applied')
  for (const { delivery, disposition } of rulings) {
    if (disposition.action === 'done' || disposition.action === 'later') continue
    const { event, attempt } = delivery
    const { code, message } = disposition.failure
    const fields = {
      direction,
      record: recordOf(delivery),
      version: event.data.version,
      attempt: attempt + 1,
      code,
      reason: message,
    }
    if (disposition.action === 'dead') log.error(fields, 'an event goes to the dead-letter queue')
    else log.warn(fields, 'an event waits for a retry')
  }
  for (const { error, about } of bad) {
    log.error({ direction, about, code: error.code, reason: error.message }, 'a message goes to the dead-letter queue')
  }
}
