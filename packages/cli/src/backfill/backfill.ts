import { setTimeout as delay } from 'node:timers/promises'
import type { Outcome, OutcomeKind } from '@clinic-sync/contracts'
import { TABLE_NAMES, type TableName } from '@clinic-sync/mapping'
import { type BackfillPage, SyncError } from '@clinic-sync/sync'
import { Tracker } from './tracker.ts'

/** Rows queued by one call: one short transaction in the clinic. */
const PAGE = 500
/** Rows on their way at most; keeps outbox and queues small, so that live edits are not held up behind a backfill. */
export const MAX_IN_FLIGHT = 2_000

/** What a backfill works with; the command wires these to the clinic, the broker and the ingress. */
export interface BackfillPorts {
  backfillPage(table: TableName, max: number, restart: boolean): Promise<BackfillPage>
  /** Ids of outbox rows that have no outcome yet: `open` were sent or wait to be, `retrying` failed for now. */
  unsettled(): Promise<Unsettled>
  /** Has the ingress publish what is pending. */
  ring(): Promise<void>
  /** Calls back with every batch of outcomes of this direction until stopped. */
  watchOutcomes(onOutcomes: (outcomes: readonly Outcome[]) => void): Promise<{ stop(): Promise<void> }>
}
export interface Unsettled {
  readonly open: ReadonlySet<string>
  readonly retrying: ReadonlySet<string>
}

export interface BackfillOptions {
  /** Only these tables (their parents must be in the portal already); all by default. */
  readonly tables?: readonly TableName[]
  /** Starts each table over instead of after its stored watermark. */
  readonly restart?: boolean
  readonly progress?: Progress
  /** Stops between two pages; what is queued still arrives, and the next run goes on from there. */
  readonly signal?: AbortSignal
  /** Silence after which the outbox is asked what is missing. Milliseconds. */
  readonly silenceMs?: number
  /** How long to wait, at the end, for rows that are being retried. Milliseconds. */
  readonly retryWaitMs?: number
}

/** Hears how far a table has got: rows that have arrived, rows in all. */
export interface Progress {
  table(name: TableName, done: number, total: number): void
  finished(name: TableName, page: BackfillPage, queuedNow: number): void
}

export interface BackfillResult {
  /** Rows that this run queued. */
  readonly queued: number
  /** Records by outcome, live edits of meanwhile included. */
  readonly outcomes: ReadonlyMap<OutcomeKind, number>
  readonly dead: number
  /** Outbox rows without a final outcome at the end. */
  readonly unsettled: number
}

/**
 * Queues every row in scope, parents before children, in pages, through the same pipeline as any change, and waits for
 * the outcomes, which the broker pushes. A table begins when the previous one has been heard of.
 *
 * An outcome may be missed (the broker restarts; a row leaves the scope and is settled without an event). Then nothing
 * hangs: after a silence the outbox itself, which the ingress settles, is asked once, and rung once more. Rows are never
 * queued twice for it.
 *
 * @throws SyncError `SYNC_INGRESS` if the ingress cannot be rung, or nothing moves for six silences in a row;
 *   DatabaseError if the clinic fails; the signal's reason if aborted.
 */
export async function backfill(ports: BackfillPorts, options: BackfillOptions = {}): Promise<BackfillResult> {
  const { restart = false, signal, silenceMs = 10_000, retryWaitMs = 90_000 } = options
  const tables = TABLE_NAMES.filter((name) => options.tables?.includes(name) ?? true)
  const tracker = new Tracker()
  const watch = await ports.watchOutcomes((outcomes) => tracker.heard(outcomes))
  let queued = 0
  try {
    // Rows that an interrupted run queued may still be waiting for a doorbell.
    await ports.ring()
    for (const table of tables) {
      const page = await backfillTable(table)
      queued += page.queuedNow
      await heardOf(0)
      options.progress?.finished(table, page.last, page.queuedNow)
    }
    await tracker.until(() => (tracker.summary().get('retry') ?? 0) === 0, retryWaitMs, signal)
    const unsettled = await finalCheck(ports, silenceMs, signal)
    const outcomes = tracker.summary()
    return { queued, outcomes, dead: outcomes.get('dead') ?? 0, unsettled }
  } finally {
    await watch.stop()
  }

  async function backfillTable(table: TableName): Promise<{ last: BackfillPage; queuedNow: number }> {
    let queuedNow = 0
    for (let first = true; ; first = false) {
      signal?.throwIfAborted()
      const last = await ports.backfillPage(table, PAGE, restart && first)
      tracker.queued(table, last.queued)
      queuedNow += last.queued
      const show = () => options.progress?.table(table, last.done - tracker.inFlight(table), last.total)
      show()
      if (last.queued > 0) await ports.ring()
      await heardOf(last.finished ? 0 : MAX_IN_FLIGHT - PAGE, show)
      if (last.finished) return { last, queuedNow }
    }
  }

  async function heardOf(limit: number, show: () => void = () => undefined): Promise<void> {
    const few = () => {
      show()
      return tracker.inFlight() <= limit
    }
    for (let silences = 0; (await tracker.until(few, silenceMs, signal)) === 'silent'; silences++) {
      if ((await ports.unsettled()).open.size === 0) return tracker.settle()
      if (silences >= 5)
        throw new SyncError('SYNC_INGRESS', `No outcome for ${(6 * silenceMs) / 1000} s: is sql-to-postgres running?`)
      await ports.ring()
    }
  }
}

/** Everything queued has its outcome, says the outbox; outbox rows of later live edits are not waited for. */
async function finalCheck(ports: BackfillPorts, silenceMs: number, signal?: AbortSignal) {
  const { open, retrying } = await ports.unsettled()
  let left = [...open]
  for (let tries = 0; left.length > 0 && tries < 5; tries++) {
    await ports.ring()
    // The consumer tells the ingress and us at the same time: give the ingress a moment to write it down.
    await delay(Math.min(silenceMs, 200 * (tries + 1)), undefined, signal ? { signal } : {})
    const now = await ports.unsettled()
    left = left.filter((id) => now.open.has(id))
  }
  return left.length + retrying.size
}
