import { DIRECTIONS } from '@clinic-sync/broker'
import { type Direction, type Side, sourceOf } from '@clinic-sync/contracts'
import { ADVICE } from '@clinic-sync/sync'
import { duration } from '../status/problems.ts'
import { type AlertFacts, type DirectionFacts, type Finding, keyOf, type Subject } from './facts.ts'

/** From when on something is wrong. Seconds. */
export interface AlertLimits {
  /** A change that waits to be sent. */
  readonly waiting: number
  /** A change that somebody's open transaction holds. */
  readonly held: number
  /** Events that nobody takes. */
  readonly unattended: number
  /** Changes that were sent and have no outcome; those that wait to be tried again are not counted. */
  readonly unsettled: number
}

/**
 * A change is sent and applied within a second; somebody may well have a record open while on the telephone; a service takes up to half a
 * minute to start.
 */
export const ALERT_LIMITS: AlertLimits = { waiting: 60, held: 15 * 60, unattended: 60, unsettled: 3 * 60 }

const SIDES: readonly Side[] = ['clinic', 'portal']

export interface AlertJudgement {
  readonly findings: readonly Finding[]
  /** Keys of what is not well, and not for long enough yet: not worth telling, nor is it over. */
  readonly doubtful: ReadonlySet<string>
  /** Keys of what cannot be told now: whatever was told of these stands. */
  readonly unknown: ReadonlySet<string>
}

/**
 * What is wrong. Causes only: while RabbitMQ or a database cannot be reached, or one was restored, nobody can say whether the changes
 * move otherwise, and that they do not is said by the cause. Who does not lead knows of RabbitMQ alone.
 */
export function judgeAlerts(facts: AlertFacts, limits: AlertLimits = ALERT_LIMITS): AlertJudgement {
  const findings: Finding[] = []
  const unknown = new Set<string>()
  const doubtful = new Set<string>()
  const say = (
    subject: Subject,
    problems: readonly string[] | null,
    more: Pick<Finding, 'aspects' | 'seconds'> = {},
  ) => {
    if (problems === null) unknown.add(keyOf(subject))
    else if (problems.length > 0) findings.push({ ...subject, problems, ...more })
  }
  say(
    { condition: 'rabbitmq', side: null, direction: null },
    facts.rabbitmq === null ? [] : [`${sentence(facts.rabbitmq.reason)} ${ADVICE.SYNC_BROKER_DOWN}`],
    { seconds: facts.rabbitmq?.seconds ?? 0 },
  )
  const { leads } = facts
  for (const side of SIDES) {
    const down = facts.databases[side]
    say({ condition: side, side, direction: null }, leads ? databaseProblems(down) : null)
    const bell = leads && down === null ? bellProblems(side, facts.doorbells[side]) : null
    say({ condition: 'doorbell', side, direction: null }, bell)
  }
  const none = { side: null, direction: null }
  say({ condition: 'restored', ...none }, leads ? restoredProblems(facts.restored) : null)
  for (const direction of DIRECTIONS) {
    const own = facts.directions[direction]
    const cause = !leads || facts.rabbitmq !== null || typeof facts.restored === 'string'
    const blind = cause || SIDES.some((side) => facts.databases[side] !== null)
    say({ condition: 'stalled', side: null, direction }, blind ? null : stalledProblems(direction, own, limits), {
      seconds: stalledSeconds(own, limits),
    })
    if (isDoubtful(own, limits)) doubtful.add(keyOf({ condition: 'stalled', side: null, direction }))
    const dead = leads ? deadProblems(direction, own) : null
    say({ condition: 'dead-letters', side: null, direction }, dead, {
      aspects: own.dead?.map(({ cause: code }) => code) ?? [],
    })
  }
  say({ condition: 'verification', ...none }, leads ? verificationProblems(facts.verification) : null)
  return { findings, doubtful, unknown }
}

const restoredProblems = (reason: AlertFacts['restored']): readonly string[] | null =>
  reason === undefined ? null : reason === null ? [] : [sentence(reason)]

/** A change on its way makes it wait for some milliseconds. */
const isDoubtful = ({ waitingSeconds, heldSeconds, unattended, unsure }: DirectionFacts, limits: AlertLimits) =>
  unsure || heldSeconds > 0 || (waitingSeconds ?? 0) >= limits.waiting / 10 || (unattended?.messages ?? 0) > 0

function databaseProblems(reason: string | null): readonly string[] {
  if (reason === null) return []
  const refused = /\blogin was refused|\brefused the login/i.test(reason)
  return [`${sentence(reason)} ${refused ? ADVICE.SYNC_LOGIN_REFUSED : ADVICE.SYNC_DATABASE_DOWN}`]
}

const bellProblems = (side: Side, reason: string | null): readonly string[] =>
  reason === null
    ? []
    : [
        `The ${side} answers, but its doorbell is not heard: ${sentence(reason)} Changes wait until something else rings. \`npm run sync -- doctor\` says why.`,
      ]

function stalledProblems(direction: Direction, own: DirectionFacts, limits: AlertLimits): readonly string[] | null {
  const { waitingSeconds, heldSeconds, unattended, unsettled } = own
  const source = sourceOf(direction)
  const found: string[] = []
  if (waitingSeconds !== null && waitingSeconds >= limits.waiting)
    found.push(
      `The ${source} has changes to send, or its outbox cannot be read, for ${duration(Math.floor(waitingSeconds))}: the ingress's log says what fails. \`npm run sync -- doctor\` looks at everything.`,
    )
  if (heldSeconds >= limits.held)
    found.push(
      `Somebody's open transaction has held changes of the ${source}'s back for ${duration(Math.floor(heldSeconds))}: they go when it ends. \`npm run sync -- doctor\` shows who.`,
    )
  if (unattended !== null && unattended.messages > 0 && unattended.seconds >= limits.unattended)
    found.push(
      `Nobody takes the events ${direction}, ${unattended.messages} ${unattended.messages === 1 ? 'is' : 'are'} waiting: start that service, or see its log.`,
    )
  if (unsettled !== null)
    found.push(
      `${unsettled.rows} ${unsettled.rows === 1 ? 'change of the' : 'changes of the'} ${source}'s ${unsettled.rows === 1 ? 'has' : 'have'} been sent and got no outcome, the oldest for ${duration(unsettled.oldestSeconds)}: see the log of the service ${direction}, and \`npm run sync -- status\`.`,
    )
  // Without a word of RabbitMQ nobody can say that all is well; that it is not, one can.
  return found.length === 0 && (unattended === null || waitingSeconds === null) ? null : found
}

/** Of what makes it stalled: the longest. */
function stalledSeconds(own: DirectionFacts, limits: AlertLimits): number {
  const { waitingSeconds, heldSeconds, unattended, unsettled } = own
  return Math.max(
    waitingSeconds !== null && waitingSeconds >= limits.waiting ? waitingSeconds : 0,
    heldSeconds >= limits.held ? heldSeconds : 0,
    unattended !== null && unattended.messages > 0 && unattended.seconds >= limits.unattended ? unattended.seconds : 0,
    unsettled?.oldestSeconds ?? 0,
  )
}

function deadProblems(direction: Direction, { dead }: DirectionFacts): readonly string[] | null {
  if (dead === null) return null
  const letters = dead.reduce((sum, each) => sum + each.letters, 0)
  if (letters === 0) return []
  const causes = dead.map((each) => `${each.cause}: ${each.letters}`).join(', ')
  return [
    `${letters} ${letters === 1 ? 'change' : 'changes'} ${direction} ${letters === 1 ? 'has' : 'have'} failed for good (${causes}). \`npm run sync -- dead-letters list\` shows ${letters === 1 ? 'it' : 'them'}, \`… show\` says what to do.`,
  ]
}

function verificationProblems(last: AlertFacts['verification']): readonly string[] | null {
  if (last === null) return null
  if (last.differences === 0) return []
  const tables = last.tables.flatMap(({ table, differences }) => (differences > 0 ? [`${table}: ${differences}`] : []))
  const where = tables.length === 0 ? '' : ` (${tables.join(', ')})`
  return [
    `The verification through ${last.through} found ${last.differences} of ${last.rows} records different${where}. \`npm run sync -- verify\` names them, \`npm run sync -- verify --repair\` repairs them.`,
  ]
}

const sentence = (text: string) => (/[.!?]$/.test(text) ? text : `${text}.`)
