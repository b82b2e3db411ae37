import {
  type BoxedLetter,
  deadQueue,
  DIRECTIONS,
  DISCARDED,
  eventQueues,
  outcomeQueue,
  rejectedQueue,
  RETRY_DELAYS_MS,
  retryQueue,
  UNROUTED,
} from '@clinic-sync/broker'
import type { DeadCause, Direction, QueuesPart, Reachable } from '@clinic-sync/contracts'

export const RETRY_QUEUES = RETRY_DELAYS_MS.map((_, index) => retryQueue(index + 1))

/** The queues that the services declare. */
export const OUR_QUEUES: readonly string[] = [
  ...DIRECTIONS.flatMap((direction) => [
    ...eventQueues(direction),
    outcomeQueue(direction),
    deadQueue(direction),
    rejectedQueue(direction),
  ]),
  ...RETRY_QUEUES,
  UNROUTED,
  DISCARDED,
]

/** What waits in some queues together, and the fewest consumers that one of them has. A queue that is missing has neither. */
export function together({ queues }: Reachable<QueuesPart>, names: readonly string[]) {
  const found = queues.filter(({ name }) => names.includes(name))
  return {
    messages: found.reduce((sum, { messages }) => sum + messages, 0),
    consumers: found.length === 0 ? 0 : Math.min(...found.map(({ consumers }) => consumers)),
  }
}

/** How many dead letters nobody has in hand. */
export const lettersIn = (queues: Reachable<QueuesPart>): number =>
  together(queues, [...DIRECTIONS.map(deadQueue), UNROUTED]).messages

/** Dead letters grouped by direction and cause, most first. What is no code is `other`: anybody may have written the header. */
export function deadCauses(letters: readonly BoxedLetter[]): DeadCause[] {
  const found = new Map<string, DeadCause>()
  for (const { direction, queue, errorCode, supersededBy } of letters) {
    const to = direction ?? DIRECTIONS.find((each) => queue === deadQueue(each)) ?? null
    const cause = /^\w{1,64}$/.test(errorCode) ? errorCode : 'other'
    const id = `${to}/${cause}`
    const before = found.get(id) ?? { direction: to, cause, letters: 0, superseded: 0 }
    found.set(id, {
      ...before,
      letters: before.letters + 1,
      superseded: before.superseded + (supersededBy === null ? 0 : 1),
    })
  }
  return [...found.values()].sort((a, b) => b.letters - a.letters || (a.cause < b.cause ? -1 : 1))
}

export const queuesOf = (direction: Direction): readonly string[] => eventQueues(direction)
