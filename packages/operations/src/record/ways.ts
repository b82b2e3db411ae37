import { eventQueue, outcomeQueue } from '@clinic-sync/broker'
import { type Direction, type Side, sourceOf } from '@clinic-sync/contracts'
import { ADVICE, explainFailure, type OutboxEntry, partitionOf } from '@clinic-sync/sync'
import { explainCause } from '../dead-letters/explain.ts'
import { isOver } from '../dead-letters/letter.ts'
import { RETRY_QUEUES, together } from '../status/queues.ts'
import type { RecordFacts } from './gather.ts'
import { retryOf } from './retries.ts'
import { ago, plural, secondsBetween, sentence } from './words.ts'

/** What becomes of a side's changes of the record, on their way to the other one. */
export interface Way {
  readonly direction: Direction
  /**
   * `none`: nothing is on its way. `moving`: it goes on by itself, now or later. `held`: it goes on once something is cured. `failed`: nothing
   * happens by itself any more.
   */
  readonly state: 'none' | 'moving' | 'held' | 'failed'
  /** What happens next, and what could be done, in sentences. */
  readonly next: readonly string[]
  readonly todo: readonly string[]
}

/** A change is sent within a second; the retries take 11 minutes together. See status/problems.ts. */
const PENDING_SECONDS = 60
const QUEUED_SECONDS = 15 * 60

export const OTHER: Readonly<Record<Side, Side>> = { clinic: 'portal', portal: 'clinic' }
/** The row that says most: the latest one of a transaction that has ended, since its event carries what those before it changed. */
const leading = (outbox: readonly OutboxEntry[]): OutboxEntry | undefined =>
  outbox.find(({ status, uncommitted }) => status !== 'Synced' && !uncommitted)

/** The way of the record's changes in a direction; null: its source cannot be asked. */
export function wayOf(facts: RecordFacts, direction: Direction): Way | null {
  const side = sourceOf(direction)
  const source = facts[side]
  if (!source.reachable) return null
  const entry = leading(source.history.outbox)
  const found = entry === undefined ? lostEdit(facts, direction) : open(facts, direction, entry)
  if (!source.history.outbox.some(({ uncommitted }) => uncommitted)) return { direction, ...found }
  return {
    direction,
    state: found.state === 'none' ? 'held' : found.state,
    next: [
      `A transaction in the ${side}'s database has changed it and is still open: that change is sent when the transaction ends.`,
      ...found.next,
    ],
    todo: [
      'Let whoever has it open in the clinic save or close it. `npm run sync -- doctor` looks at open transactions.',
      ...found.todo,
    ],
  }
}

type Found = Omit<Way, 'direction'>
const NOTHING: Found = { state: 'none', next: [], todo: [] }

function open(facts: RecordFacts, direction: Direction, entry: OutboxEntry): Found {
  switch (entry.status) {
    case 'Pending':
      return pending(facts, direction, entry)
    case 'Failed':
      return failed(facts, direction, entry)
    default:
      return queued(facts, direction, entry)
  }
}

function pending({ ingress, at }: RecordFacts, direction: Direction, entry: OutboxEntry): Found {
  const side = sourceOf(direction)
  const held = (why: string, todo: string): Found => ({ state: 'held', next: [why], todo: [todo] })
  if (!ingress.reachable)
    return held(
      `It is sent once the ingress runs, and whether it does is not known: ${sentence(ingress.reason)}`,
      ADVICE.SYNC_INGRESS,
    )
  const [lack] = ingress.lacks.filter(({ name }) => !name.endsWith('-doorbell'))
  if (lack !== undefined)
    return lack.name === 'restored'
      ? held(sentence(lack.reason), ADVICE.SYNC_RESTORED)
      : held(
          `It is sent once the ingress has ${lack.name}: ${sentence(lack.reason)}`,
          "See the ingress' log; it tries again by itself.",
        )
  const bell = ingress.doorbells[side]
  if (bell.heard === false)
    return held(
      `It is sent with the next look into the outbox: the ${side}'s doorbell (${bell.doorbell}) is not heard${bell.reason === null ? '' : `: ${bell.reason}`}.`,
      'See `npm run sync -- doctor`, which says why.',
    )
  if (secondsBetween(entry.capturedAt, at) < PENDING_SECONDS)
    return { state: 'moving', next: ['It is sent within a second.'], todo: [] }
  return held(
    `It has waited since ${ago(entry.capturedAt, at)}, though the ingress runs: nobody rang, the ingress is behind, or somebody's open transaction holds the record.`,
    '`npm run sync -- doctor` tells these apart.',
  )
}

function queued(facts: RecordFacts, direction: Direction, entry: OutboxEntry): Found {
  const side = sourceOf(direction)
  const target = OTHER[side]
  const { queues, at } = facts
  const failure = entry.reason === null ? [] : [failureOf(entry.reason, target)]
  const retry = entry.reason === null ? null : retryOf(entry, queues, at)
  const obstacle = obstacleOf(facts, direction)
  if (retry !== null)
    return {
      state: obstacle === null ? 'moving' : 'held',
      next: [...failure, retry, ...(obstacle?.next ?? [])],
      todo: [...(obstacle?.todo ?? causeOf(entry.reason, target))],
    }
  if (obstacle !== null) return { state: 'held', next: [...failure, ...obstacle.next], todo: obstacle.todo }
  if (!queues.reachable)
    return {
      state: 'held',
      next: [...failure, 'It is in RabbitMQ, which cannot be asked.'],
      todo: [ADVICE.SYNC_BROKER_DOWN],
    }
  const queue = eventQueue(direction, partitionOf(facts.table, facts.key))
  const { messages } = together(queues, [queue])
  const anywhere = together(queues, [queue, ...RETRY_QUEUES, outcomeQueue(direction)]).messages
  if (anywhere === 0 && secondsBetween(entry.lastAttempt ?? entry.capturedAt, at) >= QUEUED_SECONDS)
    return {
      state: 'failed',
      next: [
        `It was sent ${ago(entry.lastAttempt ?? entry.capturedAt, at)}, has no outcome, and no queue holds it: RabbitMQ has lost it.`,
      ],
      todo: [requeue(facts, side, 'queued')],
    }
  const before =
    messages === 0 ? '' : `; ${plural(messages, 'event')} ${messages === 1 ? 'waits' : 'wait'} in its queue, ${queue}`
  return {
    state: 'moving',
    next: [...failure, `It is with the service that applies it, or about to be${before}.`],
    todo: [],
  }
}

/** What keeps events of a direction from being applied, or their outcomes from being told. */
function obstacleOf(facts: RecordFacts, direction: Direction): { next: string[]; todo: string[] } | null {
  const side = sourceOf(direction)
  const target = facts[OTHER[side]]
  if (target.reachable && target.history.hold !== null)
    return {
      next: [
        `Nothing of the ${side}'s is applied in the ${OTHER[side]} now: after a restored backup that is held up until it is repaired.`,
      ],
      todo: [ADVICE.SYNC_RESTORED],
    }
  const { queues } = facts
  if (!queues.reachable) return null
  const queue = eventQueue(direction, partitionOf(facts.table, facts.key))
  if (queues.missing.includes(queue))
    return {
      next: [`Its queue in RabbitMQ, ${queue}, is missing, or has no leader now.`],
      todo: [ADVICE.SYNC_UNROUTABLE],
    }
  if (together(queues, [queue]).consumers === 0)
    return {
      next: [`Nobody takes the events of its queue, ${queue}: it is applied once the service ${direction} runs.`],
      todo: [
        target.reachable
          ? `Start the service ${direction}, or see its log.`
          : `The service ${direction} stops while the ${OTHER[side]}'s database is down, and goes on by itself.`,
      ],
    }
  const outcomes = outcomeQueue(direction)
  const untold = together(queues, [outcomes])
  if (untold.consumers === 0 && untold.messages > 0)
    return {
      next: [`Nobody settles outcomes (${outcomes}): it may be applied already.`],
      todo: [`Start the ingress, or see its log.`],
    }
  return null
}

function failed(facts: RecordFacts, direction: Direction, { reason }: OutboxEntry): Found {
  const side = sourceOf(direction)
  if (reason?.startsWith('SYNC_DISCARDED:') === true)
    return {
      state: 'failed',
      next: [
        `Nothing: an operator has given it up (${reason.slice('SYNC_DISCARDED:'.length).trim()}). A later change of the record is sent as any other.`,
      ],
      todo: [`If it is to be sent after all: ${requeue(facts, side, 'failed')}`],
    }
  const why = reason === null ? 'It has failed for good.' : `It has failed for good: ${sentence(reason)}`
  if (reason?.startsWith('SYNC_RESTORED:') === true)
    return { state: 'failed', next: [why], todo: [ADVICE.SYNC_RESTORED] }
  const { letters } = facts
  if (!letters.reachable)
    return {
      state: 'failed',
      next: [why, `Whether a dead letter stands for it is not known: ${sentence(letters.reason)}`],
      todo: [...causeOf(reason, OTHER[side]), 'Then run this command again.'],
    }
  const [letter] = letters.letters.filter((each) => each.direction === direction && !isOver(each))
  if (letter === undefined)
    return {
      state: 'failed',
      next: [why, 'No dead letter stands for it: it was removed by hand, or never sent.'],
      todo: [...causeOf(reason, OTHER[side]), requeue(facts, side, 'failed')],
    }
  const { id } = letter.letter
  return {
    state: 'failed',
    next: [why, `Nothing happens by itself: the dead letter ${id} stands for it.`],
    todo: [
      sentence(explainCause(letter).advice),
      `\`npm run sync -- dead-letters show ${id} --rehearse\` tells whether it would go through now; then \`npm run sync -- dead-letters replay ${id}\`.`,
    ],
  }
}

/** A doctor's edit that the clinic has not had, and that no outbox row carries any more. */
function lostEdit({ clinic, portal, table, key }: RecordFacts, direction: Direction): Found {
  if (direction !== 'postgres-to-sql' || !clinic.reachable || !portal.reachable) return NOTHING
  const { editing } = portal.history
  if (editing === null || BigInt(clinic.history.applied) >= BigInt(editing.local)) return NOTHING
  return {
    state: 'failed',
    next: [`It (version ${editing.local}) has not arrived in the clinic, and no outbox row is to send it.`],
    // Rows that are settled are purged after a week: then there is nothing to send anew.
    todo: [portal.history.outboxRows > 0 ? requeue({ table, key }, 'portal', 'synced') : repair(table)],
  }
}

/** A failure by its code: the row's own words, and what the code means. */
function failureOf(reason: string, target: Side): string {
  const { words } = explainFailure(codeOf(reason), target)
  const meaning = words === '' || reason.includes(words) ? '' : ` (${words})`
  return sentence(`It has failed, and is tried again: ${reason.replace(/[.]$/, '')}${meaning}`)
}

const causeOf = (reason: string | null, target: Side): string[] => {
  const { advice, failure } = explainFailure(codeOf(reason ?? ''), target)
  return failure === undefined && !(codeOf(reason ?? '') in ADVICE) ? [] : [sentence(advice)]
}
const codeOf = (reason: string) => reason.split(':', 1)[0] ?? ''

/** What compares both sides, and sends what differs from the side that owns it. */
export const repair = (table: string): string =>
  `\`npm run sync -- verify --table ${table} --repair --dry-run\` shows what would repair it, from the side that owns each column; without \`--dry-run\` it does.`

const requeue = ({ table, key }: Pick<RecordFacts, 'table' | 'key'>, side: Side, status: string) =>
  `\`npm run sync -- requeue --side ${side} --status ${status} --table ${table} --key ${key}\` sends it anew.`
