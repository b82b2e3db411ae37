import { DIRECTIONS, outcomeQueue, UNROUTED } from '@clinic-sync/broker'
import {
  type Direction,
  type OutboxPart,
  type Reachable,
  type Side,
  sourceOf,
  type SyncStatus,
  type Unreachable,
} from '@clinic-sync/contracts'
import { ADVICE } from '@clinic-sync/sync'
import { verified } from '../verify/verified.ts'
import { queuesOf, RETRY_QUEUES, together } from './queues.ts'

/** A change is sent within a second; what waits longer than this is held up. */
const PENDING_SECONDS = 60
/** The retries take 11 minutes together: what has no outcome after that and some more has been lost, or nobody applies it. */
const QUEUED_SECONDS = 15 * 60

type Parts = Omit<SyncStatus, 'ok' | 'problems' | 'at'>

/** What is wrong, causes before consequences: sentences for an operator, each with what to do. */
export const problemsOf = (parts: Parts): string[] => [
  ...unreachable(parts),
  ...ofIngress(parts),
  ...ofQueues(parts),
  ...DIRECTIONS.flatMap((direction) => ofOutbox(parts, direction)),
  ...ofDeadLetters(parts),
  ...ofVerification(parts),
]

function unreachable({ ingress, outboxes, queues, deadLetters }: Parts): string[] {
  const found: string[] = []
  const add = (what: string, part: { readonly reachable: true } | Unreachable, advice: string) => {
    if (!part.reachable) found.push(`${what}: ${sentence(part.reason)} ${advice}`)
  }
  add('The ingress cannot be asked', ingress, ADVICE.SYNC_INGRESS)
  add("The clinic's outbox cannot be read", outboxes.clinic, adviceFor(outboxes.clinic))
  add("The portal's outbox cannot be read", outboxes.portal, adviceFor(outboxes.portal))
  add('RabbitMQ cannot be asked', queues, ADVICE.SYNC_BROKER_DOWN)
  if (queues.reachable)
    add('The dead letters cannot be looked at', deadLetters, 'See `npm run sync -- dead-letters list`.')
  return found
}

/** A reason is a sentence by then: both databases' say that it was the login. */
function adviceFor(outbox: { readonly reachable: true } | Unreachable): string {
  const refused = !outbox.reachable && /\blogin was refused|\brefused the login/i.test(outbox.reason)
  return refused ? ADVICE.SYNC_LOGIN_REFUSED : ADVICE.SYNC_DATABASE_DOWN
}

function ofIngress({ ingress }: Parts): string[] {
  if (!ingress.reachable) return []
  const lacks = ingress.lacks
    // Its doorbells have sentences of their own.
    .filter(({ name }) => !name.endsWith('-doorbell') && name !== 'restored')
    .map(({ name, reason }) => `The ingress lacks ${name}: ${sentence(reason)} It tries again by itself; see its log.`)
  const restored = ingress.lacks.filter(({ name }) => name === 'restored').map(({ reason }) => sentence(reason))
  const deaf = (['clinic', 'portal'] as const).flatMap((side) => {
    const { doorbell, heard, reason } = ingress.doorbells[side]
    if (heard !== false) return []
    return `The ${side}'s doorbell (${doorbell}) is not heard: ${sentence(reason ?? 'no reason is known')} \`npm run sync -- doctor\` says why.`
  })
  return [...restored, ...lacks, ...deaf]
}

function ofQueues({ queues }: Parts): string[] {
  if (!queues.reachable) return []
  const found: string[] = []
  if (queues.missing.length > 0)
    found.push(`Queues are missing, or have no leader now: ${queues.missing.join(', ')}. ${ADVICE.SYNC_UNROUTABLE}`)
  for (const direction of DIRECTIONS) {
    const { consumers, messages } = together(queues, queuesOf(direction))
    const target = sourceOf(direction) === 'clinic' ? 'portal' : 'clinic'
    if (consumers === 0 && !queuesOf(direction).some((name) => queues.missing.includes(name)))
      found.push(
        `Nobody takes the events ${direction}, ${messages} ${messages === 1 ? 'is' : 'are'} waiting: start that service, or see its log: it stops taking while the ${target}'s database is down.`,
      )
    const outcomes = outcomeQueue(direction)
    if (together(queues, [outcomes]).consumers === 0 && !queues.missing.includes(outcomes))
      found.push(
        `Nobody settles the outcomes ${direction}: start the ingress, or see its log: it stops while the ${sourceOf(direction)}'s database is down.`,
      )
  }
  const strayed = together(queues, [UNROUTED]).messages
  if (strayed > 0)
    found.push(
      `${strayed === 1 ? 'A dead letter lies' : 'Dead letters lie'} in ${UNROUTED}, with a routing key that is none of ours: somebody has moved ${them(strayed)} by hand. \`npm run sync -- dead-letters list\` shows ${them(strayed)}.`,
    )
  return found
}

function ofOutbox({ outboxes, queues }: Parts, direction: Direction): string[] {
  const side = sourceOf(direction)
  const outbox = outboxes[side]
  if (!outbox.reachable) return []
  const found: string[] = []
  const { oldestPendingSeconds, oldestQueuedSeconds, rows } = outbox
  if (oldestPendingSeconds !== null && oldestPendingSeconds >= PENDING_SECONDS)
    found.push(
      `The ${side}'s outbox has ${plural(rows.Pending, 'change')} to send, the oldest for ${duration(oldestPendingSeconds)}: the ingress is down or behind, its doorbell is not heard, or somebody's open transaction holds the record. \`npm run sync -- doctor\` tells them apart.`,
    )
  if (oldestQueuedSeconds !== null && oldestQueuedSeconds >= QUEUED_SECONDS) {
    const waiting = queues.reachable
      ? together(queues, [...queuesOf(direction), ...RETRY_QUEUES, outcomeQueue(direction)]).messages
      : null
    const since = `${plural(rows.Queued, 'change')} of the ${side}'s ${rows.Queued === 1 ? 'has' : 'have'} no outcome yet, the oldest for ${duration(oldestQueuedSeconds)}`
    found.push(
      waiting === 0
        ? `${since}, and no queue holds ${rows.Queued === 1 ? 'it' : 'any'}: RabbitMQ has lost ${them(rows.Queued)}. \`npm run sync -- requeue --side ${side} --status queued --older-than ${QUEUED_SECONDS / 60}m\` sends ${them(rows.Queued)} anew.`
        : `${since}: the queues are behind, or nobody takes the events ${direction}.`,
    )
  }
  found.push(...ofFailed(side, outbox))
  return found
}

function ofFailed(side: Side, { failed }: Reachable<OutboxPart>): string[] {
  const open = failed.filter(({ discarded }) => !discarded)
  const rows = open.reduce((sum, each) => sum + each.rows, 0)
  if (rows === 0) return []
  const causes = open.map((each) => `${each.cause}: ${each.rows}`).join(', ')
  return [
    `${plural(rows, 'change')} of the ${side}'s ${rows === 1 ? 'has' : 'have'} failed for good (${causes}). \`npm run sync -- dead-letters list\` shows ${them(rows)}, \`… show\` says what to do, \`… replay\` sends what has been cured.`,
  ]
}

/** Dead letters that stand for a change, where no outbox says so: their rows are gone, or their headers are not ours. */
function ofDeadLetters({ deadLetters, outboxes }: Parts): string[] {
  if (!deadLetters.reachable) return []
  const standing = deadLetters.causes.reduce((sum, { letters, superseded }) => sum + letters - superseded, 0)
  const isTold = Object.values(outboxes).some((outbox) => !outbox.reachable || outbox.rows.Failed > 0)
  if (standing === 0 || isTold) return []
  return [
    `${plural(standing, 'dead letter')} ${standing === 1 ? 'lies' : 'lie'} in RabbitMQ, and no outbox knows of a failure: see \`npm run sync -- dead-letters list\`.`,
  ]
}

/** What the last comparison found, until another one finds both sides equal. */
function ofVerification({ verification, outboxes }: Parts): string[] {
  if (!verification.reachable)
    return outboxes.portal.reachable
      ? [`The last verification cannot be read: ${sentence(verification.reason)} ${ADVICE.SYNC_NOT_MIGRATED}`]
      : []
  const { last } = verification
  if (last === null || last.differences === 0) return []
  return [
    `The two databases are not equal: ${verified(last)} \`npm run sync -- verify\` compares them again and says which, \`… --repair\` sends what differs.`,
  ]
}

const sentence = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`)
const them = (count: number) => (count === 1 ? 'it' : 'them')
const plural = (count: number, what: string) => `${count} ${what}${count === 1 ? '' : 's'}`

/** A length of time for people: the two largest units. @param seconds whole */
export function duration(seconds: number): string {
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3_600)} h`
}
