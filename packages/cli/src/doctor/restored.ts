import { type Check, checksOf } from './check.ts'

/** Queue ids of a side, and the highest of them that the other side has applied. */
export interface Versions {
  readonly handedOut: bigint
  readonly seenByOther: bigint
}

/**
 * Whether a database is an older one than the other side has seen, as after a restored backup: its changes would be taken for
 * old ones, and passed over.
 */
export function restoredCheck(side: 'clinic' | 'portal', { handedOut, seenByOther }: Versions): Check {
  const { ok, fail } = checksOf(side)
  const title = `The ${side} is not older than what the other side has seen of it`
  if (handedOut >= seenByOther) return ok('restored', title, `queue id ${handedOut}, seen up to ${seenByOther}`)
  return fail(
    'restored',
    title,
    `it has handed out queue ids up to ${handedOut}, and the other side has seen ${seenByOther}, as after a restored backup: changes are taken for old ones`,
    // In this order: the backfill would overwrite the doctors' edits that the clinic has not taken.
    side === 'clinic'
      ? `In the clinic: ALTER SEQUENCE sync.QueueIDs RESTART WITH ${seenByOther + 1n}; then npm run sync -- backfill --restart`
      : `In the portal: SELECT sync.resume_after_restore(${seenByOther}); and only then, for what the portal lacks, npm run sync -- backfill --restart`,
  )
}
