import type { BoxedLetter, QueueDepth } from '@clinic-sync/broker'
import type {
  DeadLettersPart,
  IngressPart,
  OutboxPart,
  QueuesPart,
  Reachable,
  SyncStatus,
  Unreachable,
  VerificationPart,
} from '@clinic-sync/contracts'
import { type Operable, type OutboxStatus, SyncError } from '@clinic-sync/sync'
import { deadCauses, lettersIn, OUR_QUEUES } from './queues.ts'
import { problemsOf } from './problems.ts'

/** Whom a status is asked of. Each may reject, or not answer: the others are told all the same. */
export interface StatusSources {
  readonly clinic: Pick<Operable, 'outboxStatus'>
  readonly portal: Pick<Operable, 'outboxStatus'>
  /** Every queue that RabbitMQ knows of ours; none: it cannot be asked. */
  queueDepths(): Promise<readonly QueueDepth[]>
  /**
   * Looks at the dead letters, if there are any. `there`: how many RabbitMQ has ready, by the answer above. `failed`: how many rows the
   * outboxes count as Failed.
   */
  deadLetters(there: number, failed: number): Promise<readonly BoxedLetter[]>
  ingress(): Promise<Reachable<IngressPart>>
  /** What was kept of the last comparison of both databases: it is not made for a status. */
  verification(): Promise<Reachable<VerificationPart>>
}

/** For one part; SQL Server and Postgres answer in milliseconds, and a line that is dead is noticed elsewhere. */
export const PATIENCE_MS = 10_000

/** Asks everybody at once, and says what is wrong. Never rejects. @param patienceMs for each part */
export async function gatherStatus(sources: StatusSources, patienceMs = PATIENCE_MS): Promise<SyncStatus> {
  const ask = <T extends { readonly reachable: true }>(what: () => Promise<T>) => answered(what, patienceMs)
  const asked = {
    ingress: ask(() => sources.ingress()),
    clinic: ask(async () => outboxPart(await sources.clinic.outboxStatus())),
    portal: ask(async () => outboxPart(await sources.portal.outboxStatus())),
    queues: ask(async () => queuesPart(await sources.queueDepths())),
    verification: ask(() => sources.verification()),
  }
  const look = async (): Promise<DeadLettersPart> => {
    const [found, ...outboxes] = await Promise.all([asked.queues, asked.clinic, asked.portal])
    if (!found.reachable) return found
    const failed = outboxes.reduce((sum, outbox) => sum + (outbox.reachable ? outbox.rows.Failed : 0), 0)
    return ask(async () => deadLettersPart(await sources.deadLetters(lettersIn(found), failed)))
  }
  const [ingress, clinic, portal, queues, verification, deadLetters] = await Promise.all([
    asked.ingress,
    asked.clinic,
    asked.portal,
    asked.queues,
    asked.verification,
    look(),
  ])
  const parts = { ingress, outboxes: { clinic, portal }, queues, deadLetters, verification }
  const problems = problemsOf(parts)
  return { ok: problems.length === 0, problems, at: new Date().toISOString(), ...parts }
}

/** The reason is our own error's sentence; of any other, which may hold anything, nothing is repeated. */
export async function answered<T extends { readonly reachable: true }>(
  what: () => Promise<T>,
  patienceMs: number,
): Promise<T | Unreachable> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<Unreachable>((resolve) => {
    const reason = `It has not answered within ${patienceMs / 1000} s.`
    timer = setTimeout(() => resolve({ reachable: false, reason }), patienceMs)
  })
  const failed = (error: unknown): Unreachable => ({
    reachable: false,
    reason: error instanceof SyncError ? error.message : 'An unexpected error; see the log.',
  })
  try {
    return await Promise.race([what().catch(failed), late])
  } finally {
    clearTimeout(timer)
  }
}

function outboxPart({
  now,
  rows,
  oldestPending,
  oldestQueued,
  retrying,
  failed,
  last,
}: OutboxStatus): Reachable<OutboxPart> {
  const ms = (from: string, to: string) => Math.max(0, Date.parse(to) - Date.parse(from))
  const age = (instant: string | null) => (instant === null ? null : Math.floor(ms(instant, now) / 1000))
  return {
    reachable: true,
    rows: { ...rows },
    oldestPendingSeconds: age(oldestPending),
    oldestQueuedSeconds: age(oldestQueued),
    retrying,
    failed: failed.map((each) => ({ ...each })),
    last: last && { ...last, latencyMs: ms(last.capturedAt, last.settledAt) },
  }
}

export function queuesPart(depths: readonly QueueDepth[]): Reachable<QueuesPart> {
  if (depths.length === 0) throw new SyncError('SYNC_BROKER_DOWN', 'RabbitMQ cannot be asked now.')
  const known = new Set(depths.map(({ queue }) => queue))
  return {
    reachable: true,
    queues: depths.map(({ queue, messages, consumers }) => ({ name: queue, messages, consumers })),
    missing: OUR_QUEUES.filter((queue) => !known.has(queue)),
  }
}

const deadLettersPart = (letters: readonly BoxedLetter[]): Reachable<DeadLettersPart> => ({
  reachable: true,
  letters: letters.length,
  causes: deadCauses(letters),
})
