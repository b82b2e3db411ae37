import { setTimeout } from 'node:timers/promises'
import type { Outcome, Side } from '@clinic-sync/contracts'
import {
  backoffMs,
  bisect,
  collapse,
  DatabaseError,
  natureOf,
  type Bisected,
  type Nature,
  type SyncDatabase,
} from '@clinic-sync/sync'
import type { Disposition, EventDelivery, Failure } from './api.ts'
import { Blame } from './blame.ts'
import { describe } from './errors.ts'

/** Not the event's `subject`, which is for people. */
export const recordOf = ({ event }: EventDelivery) => `${event.data.table}/${event.data.key}`

export interface Ruling {
  readonly delivery: EventDelivery
  readonly disposition: Disposition
  /** Null: there is nothing to report, or not yet. */
  readonly outcome: Outcome | null
}

export interface ApplyOptions {
  readonly target: Pick<SyncDatabase, 'applyChanges' | 'check'>
  /** How many of the events may be put off. */
  readonly room: number
  /** Milliseconds after which one that is put off goes to the retry queue. */
  readonly patienceMs: number
  readonly willDie: (attempt: number) => boolean
}

/** 10, 20, 40, 80, 160, 160 … ms: seldom later than the lock is gone by more than it was held. */
const WAITS = { min: 10, max: 160 }
/** After a second, whoever holds the record is not about to let go. */
export const PATIENCE_MS = 1_000
/** How often a batch that only met somebody is applied as it is, before it is bisected: that costs 2·n calls at worst. */
const BATCH_TRIES = 3

/**
 * Applies a batch, and rules on each of its events. Of those whose record somebody else holds, or whose parent is not there
 * yet, nothing is reported: they are put off, to be applied again after 10, 20, 40 … ms, and after a second become retries
 * like any other failure. The events behind them do not wait, not even newer ones of the same record: what is applied after a
 * newer version is stale.
 *
 * @returns one ruling for each event, in order
 * @throws DatabaseError of class `down`
 */
export async function applyBatch(events: readonly EventDelivery[], options: ApplyOptions): Promise<Ruling[]> {
  const { newest, superseded } = collapse(events, ({ event }) => event)
  const results = await applyAll(newest, options.target)
  if (results.length !== newest.length) throw new TypeError('the target returned an outcome too few or too many')
  const side = targetOf(events)
  const rule = new Rules(options)
  const rulings = new Map<EventDelivery, Ruling>()
  const byRecord = new Map<string, { ruling: Ruling; failure: Failed | null }>()
  newest.forEach((delivery, index) => {
    const result = results[index]
    if (result === undefined) return
    const failure = failureOf(result, side)
    const ruling =
      failure === null ? done(delivery, result.ok ? result.value : null) : rule.onFailure(delivery, failure)
    rulings.set(delivery, ruling)
    byRecord.set(recordOf(delivery), { ruling, failure })
  })
  for (const delivery of superseded) {
    const newer = byRecord.get(recordOf(delivery))
    rulings.set(
      delivery,
      newer === undefined ? done(delivery, null) : rule.onSuperseded(delivery, newer.ruling, newer.failure),
    )
  }
  return events.flatMap((delivery) => rulings.get(delivery) ?? [])
}

/** One result for each; what fails is found by bisection. */
async function applyAll(
  deliveries: readonly EventDelivery[],
  target: ApplyOptions['target'],
): Promise<Bisected<Outcome>[]> {
  const side = targetOf(deliveries)
  const blame = new Blame(target, side, deliveries.length)
  const apply = async (some: readonly EventDelivery[]) => {
    const outcomes = await target.applyChanges(some.map(({ event }) => event))
    blame.clear()
    return outcomes
  }
  // Those put off have been tried as they are, and are again: no further patience in between.
  let tries = deliveries.some(({ waited }) => waited !== undefined) ? 1 : BATCH_TRIES
  return bisect(
    deliveries,
    async (some) => {
      for (let attempt = 0; ; attempt++) {
        try {
          return await apply(some)
        } catch (error) {
          if (--tries <= 0 || some.length === 1 || !isPassing(error, side)) throw await blame.judge(error, some)
          await setTimeout(backoffMs(attempt, WAITS))
        }
      }
    },
    (error) => error instanceof DatabaseError && error.failure === 'down',
  )
}

/** Somebody else was there first. A person's transaction takes milliseconds. */
const isPassing = (error: unknown, side: Side | undefined): boolean =>
  error instanceof DatabaseError && error.failure === 'transient' && natureOf(error.number, side) === 'passing'

/** The side that these events, which are of one direction, are applied to. */
function targetOf([first]: readonly EventDelivery[]): Side | undefined {
  if (first === undefined) return undefined
  return first.event.source === 'clinic' ? 'portal' : 'clinic'
}

type Failed = Failure & { readonly dead: boolean; readonly nature?: Nature | undefined }

/** Rules on the failed events of one batch. */
class Rules {
  readonly #willDie: ApplyOptions['willDie']
  readonly #patienceMs: number
  readonly #waits = new Map<number, number>()
  #room: number

  constructor({ room, patienceMs, willDie }: ApplyOptions) {
    this.#room = room
    this.#patienceMs = patienceMs
    this.#willDie = willDie
  }

  onFailure(delivery: EventDelivery, failure: Failed): Ruling {
    if (this.#mayWait(delivery, failure)) return this.#later(delivery, failure.nature === 'freed')
    // What another record is about to give free is there after the queue's own way round: all that was before it has had its turn.
    const dead = failure.dead && (failure.nature !== 'freed' || delivery.attempt > 0)
    const action = dead || this.#willDie(delivery.attempt) ? 'dead' : 'retry'
    return { delivery, disposition: { action, failure }, outcome: outcomeFor(delivery, action, failure) }
  }

  /**
   * An older event of a record whose newer one was in the same batch: it shares its fate. While the newer one waits for a retry,
   * so does this one, as long as it has retries left. Then, and where the newer one is dead, nothing of it is left to be
   * applied: it is settled as superseded, and the newer one's dead letter stands for both.
   */
  onSuperseded(delivery: EventDelivery, newer: Ruling, failure: Failed | null): Ruling {
    const { action } = newer.disposition
    const { version } = newer.delivery.event.data
    // The same one once more: what is reported of the other copy is said of both. Stale, as the latest version, would mean a restored database.
    if (version === delivery.event.data.version) return done(delivery, null)
    if (failure === null || action === 'done') return superseded(delivery, `version ${version} was applied instead`)
    if (action === 'later' && this.#mayWait(delivery, failure)) return this.#later(delivery)
    if (action === 'dead') return superseded(delivery, `version ${version} is dead and stands for it`)
    if (this.#willDie(delivery.attempt)) return superseded(delivery, `version ${version} waits instead`)
    return { delivery, disposition: { action: 'retry', failure }, outcome: outcomeFor(delivery, 'retry', failure) }
  }

  #mayWait({ waited }: EventDelivery, { type, nature }: Failed): boolean {
    // A parent that came in the same breath travels through another partition, and is often a few milliseconds behind.
    const soon = type === 'parent' || (type === 'transient' && nature === 'passing') || nature === 'freed'
    return soon && this.#room > 0 && (waited?.ms ?? 0) < this.#patienceMs
  }

  /** Those put off as often come back together: one call for all of them. */
  #later(delivery: EventDelivery, meets = false): Ruling {
    this.#room--
    const times = delivery.waited?.times ?? 0
    const afterMs = meets && times > 1 ? untilTick() : (this.#waits.get(times) ?? backoffMs(times, WAITS))
    if (!meets) this.#waits.set(times, afterMs)
    return { delivery, disposition: { action: 'later', afterMs }, outcome: null }
  }
}

/**
 * Milliseconds until the clock's next multiple of the longest wait, but for the very next one. Records that swap a unique value
 * can only be written together: so those that came in different batches meet.
 */
const untilTick = () => 1.5 * WAITS.max - ((performance.now() + WAITS.max / 2) % WAITS.max)

const done = (delivery: EventDelivery, outcome: Outcome | null): Ruling => ({
  delivery,
  disposition: { action: 'done' },
  outcome,
})

function superseded(delivery: EventDelivery, reason: string): Ruling {
  const { table, key, version } = delivery.event.data
  return done(delivery, { table, key, version, outcome: 'stale', reason })
}

function failureOf(result: Bisected<Outcome>, side: Side | undefined): Failed | null {
  if (result.ok) {
    const { outcome, code, reason } = result.value
    if (outcome !== 'retry' && outcome !== 'dead') return null
    const isParent = code === undefined || code === '23503' || code === '547'
    const type = outcome === 'dead' ? 'permanent' : isParent ? 'parent' : 'transient'
    return {
      dead: outcome === 'dead',
      type,
      nature: natureOf(code, side),
      code: code ?? outcome,
      message: reason ?? outcome,
    }
  }
  const { error } = result
  if (!(error instanceof DatabaseError)) {
    const { error: name, at = 'an unknown place' } = describe(error)
    return { dead: false, type: 'unexpected', code: name, message: `an unforeseen failure ${at}` }
  }
  const { failure: type, number, code, message } = error
  return { dead: type === 'permanent', type, nature: natureOf(number, side), code: number ?? code, message }
}

function outcomeFor({ event }: EventDelivery, outcome: 'retry' | 'dead', { code, message }: Failure): Outcome {
  const { table, key, version } = event.data
  return { table, key, version, outcome, code: code.slice(0, 64), reason: message.slice(0, 1000) }
}
