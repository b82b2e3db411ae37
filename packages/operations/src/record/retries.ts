import { RETRY_DELAYS_MS, retryQueue } from '@clinic-sync/broker'
import type { QueuesPart } from '@clinic-sync/contracts'
import type { OutboxEntry } from '@clinic-sync/sync'
import { together } from '../status/queues.ts'
import { clock, secondsBetween } from './words.ts'

/** For the way of an outcome to the outbox, and clocks that differ. */
const SLACK_SECONDS = 15
const ORDINALS = ['first', 'second', 'third', 'fourth', 'fifth']

/**
 * Where a change that has failed waits to be tried again, as far as it can be told: RabbitMQ shows no message without taking it, so it is told
 * from the outbox row and from what the queues hold. Null: in none of them.
 */
export function retryOf(entry: OutboxEntry, queues: QueuesPart, at: string): string | null {
  if (entry.lastAttempt === null) return null
  const waited = secondsBetween(entry.lastAttempt, at)
  const possible = RETRY_DELAYS_MS.map((_, i) => i + 1).filter((retry) => {
    const holds = !queues.reachable || together(queues, [retryQueue(retry)]).messages > 0
    return holds && seconds(retry) + SLACK_SECONDS > waited
  })
  // The first attempt counts, too. A change that was sent anew has more of them.
  const likely = entry.attempts - 1
  const [retry = 0, ...others] = possible.includes(likely) ? [likely] : possible
  if (retry === 0) return null
  const last = others.at(-1) ?? retry
  const by = clock(new Date(Date.parse(entry.lastAttempt) + seconds(last) * 1_000))
  return others.length > 0
    ? `It waits in one of the retry queues, and is tried again by ${by} at the latest.`
    : `It waits in the ${ORDINALS[retry - 1] ?? `${retry}th`} of ${RETRY_DELAYS_MS.length} retry queues (${seconds(retry)} s), and is tried again by ${by}.`
}

const seconds = (retry: number) => (RETRY_DELAYS_MS[retry - 1] ?? 0) / 1_000
