import { aged, type Area, type Check, checksOf } from './check.ts'

export interface Outbox {
  readonly counts: ReadonlyMap<string, number>
  /** Age of the oldest row that nobody has taken, seconds; null: there is none. */
  readonly oldestPending: number | null
}

/** Seconds after which a pending row is worth a look, and after which nobody can be draining. */
const [LATE_S, STUCK_S] = [60, 600]

/** A side's outbox: what waits, what failed. `select` shows the failed rows. */
export function outboxChecks(
  area: Area & ('clinic' | 'portal'),
  { counts, oldestPending }: Outbox,
  select: string,
): Check[] {
  const { ok, warn, fail } = checksOf(area)
  const n = (status: string) => counts.get(status) ?? 0
  const failed = n('Failed')
  const waiting = `${n('Pending')} pending, ${n('Queued')} on their way`
  const title = 'The outbox is drained'
  const ring =
    'Start the ingress; if it runs, restart it: it looks into both outboxes then. If they stay, its log says why.'
  const late = oldestPending !== null && oldestPending > LATE_S
  const found = late ? `${waiting}; the oldest has been pending for ${aged(oldestPending)}` : waiting
  return [
    late ? (oldestPending > STUCK_S ? fail : warn)('outbox', title, found, ring) : ok('outbox', title, found),
    failed === 0
      ? ok('outbox.failed', 'Nothing in the outbox has failed', '0 rows')
      : warn('outbox.failed', 'Nothing in the outbox has failed', `${failed} failed; each says why`, select),
  ]
}
