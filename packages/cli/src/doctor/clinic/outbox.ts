import type { Check } from '../check.ts'
import { outboxChecks } from '../outbox.ts'
import type { ClinicFacts } from './facts.ts'

const FAILED =
  "SELECT QueueID, TableName, RecordID, Operation, LastAttempt, LastError FROM dbo.SyncQueue WHERE Status = N'Failed' ORDER BY QueueID;"

/** `dbo.SyncQueue`. */
export function clinicOutboxChecks(facts: ClinicFacts): Check[] {
  const counts = facts.all('outbox:').map(([status, n]) => [status, Number(n ?? 0)] as const)
  if (counts.length === 0) return []
  return outboxChecks(
    'clinic',
    { counts: new Map(counts), oldestPending: facts.number('OldestPendingSeconds') },
    FAILED,
  )
}
