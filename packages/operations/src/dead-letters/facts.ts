import type { DeadLetterFacts, DeadLetterRehearsal } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import type { Judged, JudgedLetter } from './letter.ts'
import { differences, type Rehearsed, wouldPass } from './rehearse.ts'

/** A letter as `dead-letters list --json` prints it, and the status page gets it. */
export function facts({ letter, direction, standing, supersededBy, outbox }: JudgedLetter): DeadLetterFacts {
  return {
    id: letter.id,
    event: letter.messageId,
    direction,
    table: letter.about?.table ?? null,
    key: letter.about?.key ?? null,
    version: letter.about?.version ?? null,
    cause: letter.errorCode,
    type: letter.errorType,
    message: letter.errorMessage,
    attempts: letter.attempts,
    replays: letter.replays,
    firstFailedAt: letter.firstFailedAt,
    failedAt: letter.failedAt,
    standing,
    supersededBy,
    outboxStatus: outbox?.status ?? null,
    queue: letter.queue,
    bytes: letter.bytes,
  }
}

/** What of a list cannot be said, since a database did not answer. */
export const unaskedLines = ({ unasked }: Pick<Judged, 'unasked'>): string[] =>
  Array.from(unasked, ([direction, { message }]) => {
    return `Not known for ${direction}: whether later changes have arrived, or the letters' own. ${message.replace(/[.]?$/, '.')}`
  })

/** What a rehearsal has shown, by the columns' names: no value. */
export function rehearsedFacts({ judged, rehearsal, reason, wanted }: Rehearsed): DeadLetterRehearsal {
  const { id } = judged.letter
  if (rehearsal === null) return { id, outcome: 'unfit', reason: reason ?? '', columns: [], passes: false }
  const columns = differences(rehearsal, wanted).map(({ column }) => column)
  if ('outcome' in rehearsal) {
    const { outcome, code, reason: why } = rehearsal.outcome
    return {
      id,
      outcome,
      ...(code === undefined ? {} : { code }),
      ...(why === undefined ? {} : { reason: why }),
      columns,
      passes: wouldPass(rehearsal),
    }
  }
  const { error } = rehearsal
  // Of an error that is not ours the message may hold anything.
  const known = error instanceof SyncError
  const { number } = error as { number?: unknown }
  const code = typeof number === 'string' ? number : known ? error.code : error.name
  return { id, outcome: 'error', code, reason: known ? error.message : 'an unforeseen failure', columns, passes: false }
}
