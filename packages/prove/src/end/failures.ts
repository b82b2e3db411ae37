import { deadQueue, UNROUTED } from '@clinic-sync/broker'
import type { Copies } from '../chaos/copies.ts'
import type { Ledger } from '../people/ledger.ts'
import { setWasDeleted } from './account.ts'
import type { Books } from './books.ts'

const FROM_DOCTORS = deadQueue('postgres-to-sql')
const DEAD = [deadQueue('sql-to-postgres'), FROM_DOCTORS, UNROUTED]

/**
 * Whether an event of that record may end as a dead letter: the schedule has made a doctor write what the clinic cannot take, or
 * write into a set that staff were deleting.
 */
export function mayDie(record: string, ledger: Ledger): boolean {
  const subject = ledger.subjectOf(record)
  if (subject === undefined) return false
  const bornInPortal = Number(record.split('/')[1]) < 0
  return subject.fate === 'spoiled' || (bornInPortal && setWasDeleted(subject, ledger))
}

/** Empties the dead-letter queues. */
export async function deadLetters(
  copies: Copies,
  ledger: Ledger,
): Promise<{ readonly count: number; readonly records: ReadonlySet<string>; readonly troubles: readonly string[] }> {
  const troubles: string[] = []
  const records = new Set<string>()
  let count = 0
  for (const queue of DEAD) {
    for (const { properties } of await copies.empty(queue)) {
      count++
      const headers: Record<string, unknown> = properties.headers ?? {}
      const record = String(headers['sync-entity-key'])
      records.add(record)
      if (queue === FROM_DOCTORS && mayDie(record, ledger)) continue
      const { 'sync-error-code': code, 'sync-error-message': message } = headers
      troubles.push(`a dead letter in ${queue}: ${record}: ${String(code)} ${String(message)}`)
    }
  }
  return { count, records, troubles }
}

/** Outbox rows that are Failed though nobody has provoked it. */
export async function failedRows(books: Books, ledger: Ledger): Promise<string[]> {
  const failed = await books.outbox('Failed')
  return failed
    .filter(({ side, record }) => side === 'clinic' || !mayDie(record, ledger))
    .map(({ side, record, error }) => `a Failed row in the ${side}'s outbox: ${record}: ${error ?? 'no reason'}`)
}
