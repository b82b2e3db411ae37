import { PublishError } from '@clinic-sync/broker'
import type { Settlement, SyncEvent } from '@clinic-sync/contracts'
import { type SyncDatabase, SyncError, toEvent } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { describe } from './describe.ts'

/** Outbox rows a take looks at: read in one round trip, confirmed in one window. */
const BATCH = 500
/** How far a take looks past records that open transactions hold before it leaves the rest for later. */
const WIDEST = 64_000

/** How often an event may be taken in a row: an operator who requeues meanwhile makes rows pending again, once. */
const AGAIN = 2

export type Outbox = Pick<SyncDatabase, 'side' | 'check' | 'takeChanges' | 'settleChanges'>

export interface Publisher {
  /** Resolves once the broker has confirmed every event. @throws PublishError which says what it has not, and why. */
  publishEvents(events: readonly SyncEvent[]): Promise<void>
}

export interface Drained {
  /** Events that the broker has confirmed. */
  readonly published: number
  /** Records left because somebody's open transaction holds them. */
  readonly locked: number
}

export interface EmptyOutboxOptions {
  readonly outbox: Outbox
  readonly publisher: Publisher
  readonly log: FastifyBaseLogger
  readonly batch?: number | undefined
  /** Asked after each batch: true ends the run early. */
  readonly isStopped: () => boolean
  /** Asked between the take and the publish as well: false leaves what was taken to the ingress that leads now. */
  readonly may?: () => boolean
}

/**
 * Takes, publishes and settles batches until the outbox has nothing more to give.
 *
 * A row's status moves only after the broker's confirm: a crash in between publishes the same events, with the same ids
 * and versions, once more. What the broker refuses for good (too large) is settled as dead and holds nothing up.
 *
 * @throws DatabaseError, or SyncError of the broker: what was confirmed by then is settled, the rest stays pending.
 */
export async function emptyOutbox(options: EmptyOutboxOptions): Promise<Drained> {
  const { outbox, log, isStopped, may = () => true } = options
  const started = performance.now()
  let [published, locked, oldest] = [0, 0, 0]
  let max = options.batch ?? BATCH
  let times = new Map<string, number>()
  for (;;) {
    const taken = await outbox.takeChanges(max)
    if (!may()) throw new SyncError('SYNC_NO_LEADER', 'Another ingress leads: what was taken is left to it.')
    const events = taken.changes.map((change) => toEvent(outbox.side, change))
    times = new Map(events.map(({ id }) => [id, (times.get(id) ?? 0) + 1]))
    if (Math.max(0, ...times.values()) > AGAIN)
      throw new SyncError(
        'SYNC_DATABASE',
        `The ${outbox.side}'s outbox does not move on: what was queued is pending again.`,
      )
    if (events.length > 0) {
      const { settlements, confirmed, trouble } = await publish(options, events)
      for (const event of confirmed) oldest = Math.max(oldest, ageOf(event))
      if (settlements.length > 0) await outbox.settleChanges(settlements)
      if (trouble !== undefined) throw trouble
      published += confirmed.length
    }
    // A page full of held records must not hide what stands behind them.
    const hidden = taken.rows === 0 && taken.locked > locked && max < WIDEST
    if (hidden) max *= 2
    locked = taken.locked
    if ((taken.rows === 0 && !hidden) || isStopped() || !may()) break
  }
  const ms = Math.round(performance.now() - started)
  // latencyMs: from the capture of the oldest change to its confirm.
  if (published > 0) log.info({ published, locked, ms, latencyMs: oldest }, `${published} published`)
  else log.debug({ locked, ms }, 'nothing to publish')
  return { published, locked }
}

interface Published {
  readonly settlements: readonly Settlement[]
  readonly confirmed: readonly SyncEvent[]
  /** Why the rest was not published. */
  readonly trouble: SyncError | undefined
}

async function publish({ publisher, log }: EmptyOutboxOptions, events: readonly SyncEvent[]): Promise<Published> {
  let failures: ReadonlyMap<number, SyncError> = new Map()
  try {
    await publisher.publishEvents(events)
  } catch (error) {
    if (!(error instanceof PublishError)) throw error
    failures = error.failures
  }
  const settlements: Settlement[] = []
  const confirmed: SyncEvent[] = []
  let trouble: SyncError | undefined
  events.forEach((event, i) => {
    const { table, key, version } = event.data
    const failure = failures.get(i)
    if (failure === undefined) {
      confirmed.push(event)
      settlements.push({ table, key, version, outcome: 'queued' })
      log.debug({ event: event.id, captured: event.time }, 'published')
    } else if (failure.code === 'SYNC_BAD_MESSAGE') {
      settlements.push({ table, key, version, outcome: 'dead', code: failure.code, reason: failure.message })
      log.error({ event: event.id, ...describe(failure) }, 'a change cannot be published: its row is Failed')
    } else trouble ??= failure
  })
  return { settlements, confirmed, trouble }
}

/** Milliseconds since the oldest change in it was captured. */
const ageOf = ({ time }: SyncEvent): number => Math.max(0, Date.now() - Date.parse(time))
