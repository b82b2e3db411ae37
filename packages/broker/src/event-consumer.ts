import type { Direction, Outcome } from '@clinic-sync/contracts'
import { bisect, collapse, DatabaseError, type Bisected, type SyncDatabase } from '@clinic-sync/sync'
import type { BadDelivery, Broker, ConsumeOptions, Consumer, Disposition, EventDelivery, Failure, Log } from './api.ts'
import { describe } from './errors.ts'

/** The instants between which a crash must lose nothing and apply nothing twice. */
export type Step = 'received' | 'applied' | 'outcomes-published' | 'acked'

export interface EventConsumerOptions {
  readonly broker: Broker
  readonly direction: Direction
  /** The database that the events are applied to. */
  readonly target: Pick<SyncDatabase, 'applyChanges' | 'check'>
  readonly log: Log
  /** Awaited after each step of each batch; tests kill the process here. */
  readonly onStep?: (step: Step) => void | Promise<void>
  readonly limits?: Pick<ConsumeOptions, 'maxBatch' | 'maxWaitMs' | 'maxBatchBytes'>
  readonly onState?: ConsumeOptions['onState']
}

/**
 * Applies a direction's events to its target: a batch at a time, each record once, outcomes to the ingress, and only then the
 * acknowledgement. A crash anywhere in between brings the batch back, where its versions make it a duplicate.
 *
 * Returns at once; consumes until closed. See `EventHandler` for what happens while a database or RabbitMQ is down.
 */
export function startEventConsumer(options: EventConsumerOptions): Consumer {
  const { broker, direction, target, log, limits, onState, onStep = () => undefined } = options
  return broker.consumeEvents(
    direction,
    async ({ events, bad }) => {
      await onStep('received')
      const rulings = await applyBatch(events, target, (attempt) => broker.willDie(attempt))
      await onStep('applied')
      const outcomes = [...rulings.flatMap(({ outcome }) => outcome ?? []), ...bad.flatMap(outcomeOfBad)]
      report(log, direction, rulings, bad)
      if (outcomes.length > 0) await broker.publishOutcomes({ direction, outcomes })
      await onStep('outcomes-published')
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

/** Not the event's `subject`, which is for people. */
const recordOf = ({ event }: EventDelivery) => `${event.data.table}/${event.data.key}`

interface Ruling {
  readonly delivery: EventDelivery
  readonly disposition: Disposition
  /** Null: there is nothing to report. */
  readonly outcome: Outcome | null
}

/** @returns one ruling for each event, in order */
async function applyBatch(
  events: readonly EventDelivery[],
  target: EventConsumerOptions['target'],
  willDie: (attempt: number) => boolean,
): Promise<Ruling[]> {
  const { newest, superseded } = collapse(events, ({ event }) => event)
  const results = await bisect(
    newest,
    (deliveries) => target.applyChanges(deliveries.map(({ event }) => event)),
    (error) => error instanceof DatabaseError && error.failure === 'down',
  )
  if (results.length !== newest.length) throw new TypeError('the target returned an outcome too few or too many')
  const rulings = new Map<EventDelivery, Ruling>()
  const byRecord = new Map<string, Ruling>()
  newest.forEach((delivery, index) => {
    const result = results[index]
    if (result === undefined) return
    const ruling = ruleOn(delivery, result, willDie)
    rulings.set(delivery, ruling)
    byRecord.set(recordOf(delivery), ruling)
  })
  for (const delivery of superseded) {
    rulings.set(delivery, ruleOnSuperseded(delivery, byRecord.get(recordOf(delivery)), willDie))
  }
  return events.flatMap((delivery) => rulings.get(delivery) ?? [])
}

function ruleOn(delivery: EventDelivery, result: Bisected<Outcome>, willDie: (attempt: number) => boolean): Ruling {
  const failure = failureOf(result)
  if (failure === null) {
    return { delivery, disposition: { action: 'done' }, outcome: result.ok ? result.value : null }
  }
  const action = failure.dead || willDie(delivery.attempt) ? 'dead' : 'retry'
  return { delivery, disposition: { action, failure }, outcome: outcomeFor(delivery, action, failure) }
}

/**
 * An older event of a record whose newer one was in the same batch: it shares its fate. While the newer one waits for a retry,
 * so does this one, as long as it has retries left: should the newer one die, its outcome says nothing of older versions.
 */
function ruleOnSuperseded(
  delivery: EventDelivery,
  newer: Ruling | undefined,
  willDie: (attempt: number) => boolean,
): Ruling {
  const done = { delivery, disposition: { action: 'done' } } as const
  if (newer === undefined) return { ...done, outcome: null }
  const { disposition } = newer
  if (disposition.action === 'retry' && !willDie(delivery.attempt)) {
    return { delivery, disposition, outcome: outcomeFor(delivery, 'retry', disposition.failure) }
  }
  if (disposition.action !== 'done') {
    return { ...done, outcome: outcomeFor(delivery, 'dead', disposition.failure) }
  }
  const reason = `version ${newer.delivery.event.data.version} was applied instead`
  const { table, key, version } = delivery.event.data
  return { ...done, outcome: { table, key, version, outcome: 'stale', reason } }
}

function failureOf(result: Bisected<Outcome>): (Failure & { dead: boolean }) | null {
  if (result.ok) {
    const { outcome, code, reason } = result.value
    if (outcome !== 'retry' && outcome !== 'dead') return null
    const type = outcome === 'dead' ? 'permanent' : code === undefined || code === '23503' ? 'parent' : 'transient'
    return { dead: outcome === 'dead', type, code: code ?? outcome, message: reason ?? outcome }
  }
  const { error } = result
  if (!(error instanceof DatabaseError)) {
    const { error: name, at = 'an unknown place' } = describe(error)
    return { dead: false, type: 'unexpected', code: name, message: `an unforeseen failure ${at}` }
  }
  const { failure: type, number, code, message } = error
  return { dead: type === 'permanent', type, code: number ?? code, message }
}

function outcomeFor({ event }: EventDelivery, outcome: 'retry' | 'dead', { code, message }: Failure): Outcome {
  const { table, key, version } = event.data
  return { table, key, version, outcome, code: code.slice(0, 64), reason: message.slice(0, 1000) }
}

function outcomeOfBad({ about, error }: BadDelivery): Outcome[] {
  return about === null ? [] : [{ ...about, outcome: 'dead', code: error.code, reason: error.message.slice(0, 1000) }]
}

/** One line a batch at debug; one for each event that failed. Keys and names only. */
function report(log: Log, direction: Direction, rulings: readonly Ruling[], bad: readonly BadDelivery[]): void {
  const counts: Record<string, number> = {}
  for (const { outcome } of rulings) {
    const kind = outcome?.outcome ?? 'superseded'
    counts[kind] = (counts[kind] ?? 0) + 1
  }
  log.debug({ direction, events: rulings.length, ...counts, bad: bad.length }, 'batch applied')
  for (const { delivery, disposition } of rulings) {
    if (disposition.action === 'done') continue
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
