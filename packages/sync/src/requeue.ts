import type { OutboxStatus, RequeueFilter } from './operations.ts'

/** Rows that one call looks at: one short transaction, so that drains and settlings come in between. */
const PAGE = 1_000

/** What one call is to look at. */
export interface RequeueStep {
  readonly status: RequeueFilter['status'][number]
  /** The queue id after which it begins; null: at the start. */
  readonly after: string | null
  readonly max: number
  /** Milliseconds since the run began: what has been moved on since then is under way, and left. */
  readonly runningMs: number
}

export interface RequeuePage {
  readonly rows: number
  /** Fewer than `max`: there are no more. */
  readonly looked: number
  readonly last: string | null
}

/** Requeues page by page, each a transaction of its own. @returns how many rows */
export async function requeueInPages(
  { status }: RequeueFilter,
  requeue: (step: RequeueStep) => Promise<RequeuePage>,
): Promise<number> {
  const began = performance.now()
  let rows = 0
  for (const each of new Set(status)) {
    for (let after: string | null = null; ;) {
      const page = await requeue({
        status: each,
        after,
        max: PAGE,
        runningMs: Math.round(performance.now() - began),
      })
      rows += page.rows
      after = page.last
      if (page.looked < PAGE || after === null) break
    }
  }
  return rows
}

const DISCARDED = 'SYNC_DISCARDED'

/**
 * Failed rows by cause, most first. What is no code of ours, of a database's or of a driver's (the original system wrote free
 * texts) is counted as `other`, so that nothing of it is shown.
 */
export function failedByCause(
  groups: Iterable<{ readonly cause: string | null; readonly rows: number }>,
): OutboxStatus['failed'] {
  const counts = new Map<string, number>()
  for (const { cause, rows } of groups) {
    const name = cause !== null && /^\w{1,64}$/.test(cause) ? cause : 'other'
    counts.set(name, (counts.get(name) ?? 0) + rows)
  }
  return [...counts]
    .map(([cause, rows]) => ({ cause, rows, discarded: cause === DISCARDED }))
    .sort((a, b) => b.rows - a.rows || (a.cause < b.cause ? -1 : 1))
}
