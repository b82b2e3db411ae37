import { eventQueue, RETRY_DELAYS_MS, retryQueue } from '@clinic-sync/broker'
import { type Direction, sourceOf } from '@clinic-sync/contracts'
import { syncsBack, tableNamed } from '@clinic-sync/mapping'
import { type OutboxEntry, partitionOf } from '@clinic-sync/sync'
import { together } from '../status/queues.ts'
import { editedColumns } from './columns.ts'
import type { RecordFacts } from './gather.ts'
import { OTHER } from './ways.ts'
import { ago, listed, plural, sentence } from './words.ts'

/** Outbox rows that are told one by one: the latest, and those that are not settled. */
const TOLD = 5

/** What a side has sent of the record, and what the other side has had of it: for engineers. */
export function journey(facts: RecordFacts, direction: Direction): string[] {
  const side = sourceOf(direction)
  const [source, target] = [facts[side], facts[OTHER[side]]]
  if (!source.reachable) return [`What the ${side} has sent is not known: ${sentence(source.reason)}`]
  const { latest, outbox, outboxRows } = source.history
  const applied = target.reachable ? target.history.applied : null
  return [
    latest === '0'
      ? `No change of it that the ${side} has made is known${side === 'clinic' ? ', or its outbox has forgotten it' : ''}.`
      : `Its latest change in the ${side} has version ${latest}.`,
    applied === null
      ? `What the ${OTHER[side]} has had of it is not known.`
      : applied === '0'
        ? `The ${OTHER[side]} has had none of the ${side}'s versions.`
        : `The ${OTHER[side]} has had version ${applied}.`,
    ...editing(facts, side),
    ...entries(outbox, outboxRows, facts.at),
  ]
}

/** A doctor's edits that the clinic has not ruled on. */
function editing({ table, clinic, portal }: RecordFacts, side: string): string[] {
  if (side !== 'portal' || !portal.reachable || portal.history.editing === null) return []
  const { since, local, base } = portal.history.editing
  const columns = editedColumns(tableNamed(table), base, portal.row)
  const what =
    portal.row === null
      ? 'a doctor has deleted it'
      : columns === null
        ? 'a doctor has made it'
        : columns.length === 0
          ? 'no shared column differs from before'
          : listed(columns)
  const had = clinic.reachable && BigInt(clinic.history.applied) >= BigInt(local)
  return [
    had
      ? `The clinic has had the doctor's edits of version ${since} to ${local}, and has not written the record since (${what}).`
      : `A doctor's edits are in flight, from version ${since} to ${local}: ${what}. Until the clinic has ruled on them, its values of these columns do not overwrite them.`,
  ]
}

function entries(outbox: readonly OutboxEntry[], rows: number, at: string): string[] {
  const told = outbox.filter((entry, i) => i < TOLD || entry.status !== 'Synced')
  const more = rows - told.length
  return [
    ...told.map((entry) => entrySaid(entry, at)),
    ...(more > 0 ? [`${plural(more, 'older outbox row')} ${more === 1 ? 'is' : 'are'} not listed.`] : []),
  ]
}

function entrySaid(entry: OutboxEntry, at: string): string {
  const { queueId, operation, status, capturedAt, attempts, lastAttempt, reason, uncommitted } = entry
  const state = uncommitted ? 'not committed yet' : status
  const tried =
    lastAttempt === null ? '' : `, moved on ${ago(lastAttempt, at)}${attempts > 1 ? ` after ${attempts} attempts` : ''}`
  return sentence(
    `Outbox row ${queueId}, ${operation}, captured ${ago(capturedAt, at)}: ${state}${tried}${reason === null ? '' : `: ${reason}`}`,
  )
}

/** What waits in the queues that its events go through, of all records: RabbitMQ shows no message without taking it. */
export function queuesSaid({ table, key, queues }: RecordFacts): string[] {
  if (!queues.reachable) return [`RabbitMQ cannot be asked: ${sentence(queues.reason)}`]
  const directions: readonly Direction[] = syncsBack(tableNamed(table))
    ? ['sql-to-postgres', 'postgres-to-sql']
    : ['sql-to-postgres']
  const own = directions.map((direction) => {
    const queue = eventQueue(direction, partitionOf(table, key))
    const { messages, consumers } = together(queues, [queue])
    return `Its events go through ${queue}: ${plural(messages, 'event')} ${messages === 1 ? 'waits' : 'wait'} there, ${plural(consumers, 'consumer')}.`
  })
  const retries = RETRY_DELAYS_MS.map((_, i) => together(queues, [retryQueue(i + 1)]).messages.toLocaleString('en'))
  return [
    ...own,
    `In the retry queues (${RETRY_DELAYS_MS.map((ms) => `${ms / 1_000} s`).join(', ')}) are ${listed(retries)}, of all records.`,
  ]
}
