import { counted, duration, latency, number } from './time.js'

/** @import { Direction, OutboxPart, Reachable, SyncStatus, Verification } from './types.d.ts' */

/** @typedef {'good' | 'moving' | 'bad'} Tone */
/** A sentence's part: text, or an instant: how long ago it was, or its time of day. */
/** @typedef {string | { ago: string } | { clock: string }} Part */

export const DIRECTIONS = /** @type {const} */ (['sql-to-postgres', 'postgres-to-sql'])
export const SIDES = /** @type {const} */ (['clinic', 'portal'])

/** @param {Direction} direction */
export const sourceOf = (direction) => (direction === 'sql-to-postgres' ? 'clinic' : 'portal')
/** @param {Direction} direction */
export const targetOf = (direction) => (direction === 'sql-to-postgres' ? 'portal' : 'clinic')
/** @param {Direction | null} direction */
export const wayOf = (direction) =>
  direction === null ? 'direction unknown' : `${sourceOf(direction)} to ${targetOf(direction)}`

/**
 * The answer to the one question that everybody has.
 *
 * @param {SyncStatus} status
 * @returns {{ tone: Tone, headline: string, meaning: string }}
 */
export function verdict({ ok, problems, outboxes }) {
  if (!ok) {
    return {
      tone: 'bad',
      headline: problems.length === 1 ? 'One thing needs attention' : `${problems.length} things need attention`,
      meaning:
        'What has been entered is kept, and arrives when this is put right: nothing has to be entered twice. Tell whoever looks after it:',
    }
  }
  const open = SIDES.map((side) => outboxes[side]).reduce(
    (sum, outbox) => sum + (outbox.reachable ? openIn(outbox) : 0),
    0,
  )
  if (open > 0) {
    return {
      tone: 'good',
      headline: 'All is well',
      meaning: `${counted(open, 'change')} ${open === 1 ? 'is' : 'are'} on the way.`,
    }
  }
  return {
    tone: 'good',
    headline: 'In sync',
    meaning: 'What the clinic has entered is in the portal, and what doctors have entered is in the clinic.',
  }
}

/** @param {Reachable<OutboxPart>} outbox */
export const openIn = ({ rows }) => rows.Pending + rows.Queued

/** @param {Reachable<OutboxPart>} outbox */
const failedIn = ({ failed }) => failed.reduce((sum, { rows, discarded }) => sum + (discarded ? 0 : rows), 0)

/**
 * How one direction does.
 *
 * @param {SyncStatus} status
 * @param {Direction} direction
 * @returns {{ tone: Tone, state: string, parts: Part[] }}
 */
export function directionWords(status, direction) {
  const outbox = status.outboxes[sourceOf(direction)]
  if (!outbox.reachable) {
    const text = `The ${sourceOf(direction)}’s database does not answer: ${sentence(outbox.reason)} What is entered there is kept in it.`
    return { tone: 'bad', state: 'Not known', parts: [text] }
  }
  const parts = [...lastChange(outbox), ...verified(status.verification)]
  const hindrance = hindranceOf(status, direction)
  const open = openIn(outbox)
  const failed = failedIn(outbox)
  const onTheWay = `${counted(open, 'change')} ${open === 1 ? 'is' : 'are'} on the way`
  if (hindrance !== null) {
    const waiting = open === 0 ? 'No change waits.' : `${counted(open, 'change')} ${open === 1 ? 'waits' : 'wait'}.`
    return { tone: 'bad', state: 'Held up', parts: [`${hindrance} ${waiting} `, ...parts] }
  }
  if (failed > 0) {
    const refused = `${counted(failed, 'change')} could not be applied: see Dead letters below.`
    return {
      tone: 'bad',
      state: 'Not in sync',
      parts: [open === 0 ? `${refused} ` : `${refused} ${onTheWay}. `, ...parts],
    }
  }
  if (isLate(outbox)) return { tone: 'bad', state: 'Late', parts: [`${onTheWay}, ${lateness(outbox)} `, ...parts] }
  if (open > 0) {
    const { retrying } = outbox
    const again =
      retrying === 0 ? '' : `, ${number(retrying)} of them ${retrying === 1 ? 'waits' : 'wait'} to be tried again`
    return { tone: 'moving', state: 'Moving', parts: [`${onTheWay}${again}. `, ...parts] }
  }
  return { tone: 'good', state: 'In sync', parts }
}

/** As packages/operations has it: what waits longer than this is held up. */
const PENDING_SECONDS = 60
const QUEUED_SECONDS = 15 * 60

/** @param {Reachable<OutboxPart>} outbox */
const isLate = ({ oldestPendingSeconds, oldestQueuedSeconds }) =>
  (oldestPendingSeconds ?? 0) >= PENDING_SECONDS || (oldestQueuedSeconds ?? 0) >= QUEUED_SECONDS

/** @param {Reachable<OutboxPart>} outbox */
const lateness = ({ oldestPendingSeconds, oldestQueuedSeconds }) =>
  `the oldest for ${duration(Math.max(oldestPendingSeconds ?? 0, oldestQueuedSeconds ?? 0) * 1_000)}.`

/**
 * What stops a direction as a whole; null: nothing that is known.
 *
 * @param {SyncStatus} status
 * @param {Direction} direction
 */
function hindranceOf({ queues, ingress, outboxes }, direction) {
  const target = targetOf(direction)
  if (!queues.reachable) return 'RabbitMQ, which carries the changes, does not answer.'
  if (ingress.reachable && ingress.lacks.some(({ name }) => name === 'restored'))
    return 'A database was restored from a backup: the sync stands still until somebody says how to go on.'
  if (!outboxes[target].reachable) return `The ${target}’s database does not answer.`
  const takers = queues.queues.filter(({ name }) => new RegExp(`^sync[.]${direction}[.]p\\d+$`).test(name))
  if (takers.length === 0 || takers.some(({ consumers }) => consumers === 0))
    return `The service that writes to the ${target} does not run.`
  return null
}

/**
 * @param {Reachable<OutboxPart>} outbox
 * @returns {Part[]}
 */
const lastChange = ({ last }) =>
  last === null ? ['No change yet. '] : ['Last change ', { ago: last.settledAt }, `, took ${latency(last.latencyMs)}. `]

/**
 * @param {SyncStatus['verification']} verification
 * @returns {Part[]}
 */
export function verified(verification) {
  if (!verification.reachable) return ['Whether it was verified cannot be asked now.']
  const { last } = verification
  if (last === null) return ['Not verified yet.']
  return ['Verified through ', { clock: last.through }, `, ${differing(last)}.`]
}

/** @param {Verification} verification */
export function differing({ differences, rows, inFlight }) {
  const moving = inFlight === 0 ? '' : `, ${counted(inFlight, 'row')} ${inFlight === 1 ? 'was' : 'were'} on the way`
  return `${number(differences)} of ${counted(rows, 'row')} ${differences === 1 ? 'differs' : 'differ'}${moving}`
}

/** @param {string} text */
export const sentence = (text) => (/[.!?]$/.test(text) ? text : `${text}.`)
