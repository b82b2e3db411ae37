import type { SyncEvent } from '@clinic-sync/contracts'
import { type SyncDatabase, SyncError, type Taken, toEvent } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { type Publisher, publishPage } from './publish-page.ts'
import { Repeats } from './repeats.ts'

export type { Publisher } from './publish-page.ts'

/** Outbox rows a take looks at: read in one round trip, confirmed in one window. 500 drain no faster, and more is collected as garbage. */
const BATCH = 250
/** How far a take looks past records that open transactions hold before it leaves the rest for later. */
const WIDEST = 64_000
/**
 * Characters of a page's texts above which the next one is not read before it is published: two pages are in memory then, each as
 * what the driver read, as rows and as messages.
 */
const HEAVY = 2 * 1024 * 1024

export type Outbox = Pick<SyncDatabase, 'side' | 'check' | 'takeChanges' | 'settleChanges'>

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

/** What a run has done so far. */
interface Tally {
  published: number
  /** Milliseconds from a change's capture to its confirm, at most. */
  oldest: number
}

/**
 * Takes, publishes and settles pages until the outbox has nothing more to give.
 *
 * While a full page is published, the next one is read, and the one before is settled: three waits at a time instead of one
 * after the other. A run ends with a take from the start that gives nothing: what was locked, or committed late under a lower id,
 * stands before the place where the last page ended.
 *
 * A row's status moves only after the broker's confirm: a crash in between publishes the same events, with the same ids
 * and versions, once more. What the broker refuses for good (too large) is settled as dead and holds nothing up.
 *
 * @throws DatabaseError, or SyncError of the broker: what was confirmed by then is settled, the rest stays pending.
 */
export async function emptyOutbox(options: EmptyOutboxOptions): Promise<Drained> {
  const { outbox, log, isStopped, may = () => true } = options
  const started = performance.now()
  const repeats = new Repeats(outbox.side)
  const tally: Tally = { published: 0, oldest: 0 }
  let max = options.batch ?? BATCH
  let locked = 0
  for (;;) {
    const first = await outbox.takeChanges(max)
    if (!may()) throw new SyncError('SYNC_NO_LEADER', 'Another ingress leads: what was taken is left to it.')
    repeats.note(first.changes)
    await publishFrom(first, { ...options, max, tally })
    // A page full of held records must not hide what stands behind them.
    const hidden = first.rows === 0 && first.locked > locked && max < WIDEST
    if (hidden) max *= 2
    locked = first.locked
    if ((first.rows === 0 && !hidden) || isStopped() || !may()) break
  }
  const ms = Math.round(performance.now() - started)
  const { published, oldest } = tally
  // latencyMs: from the capture of the oldest change to its confirm.
  if (published > 0) log.info({ published, locked, ms, latencyMs: oldest }, `${published} published`)
  else log.debug({ locked, ms }, 'nothing to publish')
  return { published, locked }
}

interface Run extends EmptyOutboxOptions {
  readonly max: number
  readonly tally: Tally
}

/** Publishes and settles a page and those behind it, up to one after which nothing is to be taken ahead. */
async function publishFrom(first: Taken, run: Run): Promise<void> {
  const { outbox, tally } = run
  let ahead: Promise<Taken | null> = Promise.resolve(null)
  let settling: Promise<void> = Promise.resolve()
  try {
    for (let page: Taken | null = first; page !== null && page.rows > 0;) {
      ahead = takeAfter(page, run)
      const events = page.changes.map((change) => toEvent(outbox.side, change))
      const { settlements, confirmed, trouble } = await publishPage(run, events)
      // The one before may still be under way; no more than these two ever are.
      const before = settling
      if (settlements.length > 0) settling = outbox.settleChanges(settlements)
      settling.catch(() => undefined)
      count(tally, confirmed)
      await before
      if (trouble !== undefined) throw trouble
      page = isOver(run) ? null : await ahead
      if (isOver(run)) page = null
    }
    await settling
  } finally {
    // Whatever has failed: what was confirmed is settled, and nothing goes on behind the caller's back.
    await Promise.allSettled([ahead, settling])
  }
}

/** What is taken is left to whoever comes next. */
const isOver = ({ isStopped, may = () => true }: Run): boolean => isStopped() || !may()

/**
 * The page behind this one, which is still to be published: only where this one was about full, since the take from the start that
 * ends the run finds the rest as well. Null: there is none, or it is not to be read yet.
 */
function takeAfter(page: Taken, run: Run): Promise<Taken | null> {
  const { outbox, max } = run
  const { last, rows, locked } = page
  // An outbox of an older version does not say where its page ended.
  if (last === undefined || last === null || 2 * (rows + locked) < max || isHeavy(page) || isOver(run))
    return Promise.resolve(null)
  const ahead = outbox.takeChanges(max, last).then((taken) => (isBehind(taken, last) ? taken : null))
  // Awaited once this page is published: until then its failure would be nobody's.
  ahead.catch(() => undefined)
  return ahead
}

/** Not so, the outbox has not understood where to begin: the take from the start finds all. */
const isBehind = ({ last }: Taken, after: string): boolean =>
  last !== undefined && last !== null && BigInt(last) > BigInt(after)

function isHeavy({ changes }: Taken): boolean {
  let characters = 0
  for (const { row, base } of changes) {
    for (const values of [row, base]) {
      for (const name in values) {
        const value = values[name]
        if (typeof value === 'string') characters += value.length
      }
    }
  }
  return characters > HEAVY
}

function count(tally: Tally, confirmed: readonly SyncEvent[]): void {
  let first: string | undefined
  // Instants of one form, in UTC: the earlier one comes first as a text as well.
  for (const { time } of confirmed) if (first === undefined || time < first) first = time
  if (first !== undefined) tally.oldest = Math.max(tally.oldest, Date.now() - Date.parse(first))
  tally.published += confirmed.length
}
