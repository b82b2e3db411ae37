import { eventQueue, eventQueues } from '@clinic-sync/broker'
import { type Direction, type DoorbellTest, type Outcome, type Side, sourceOf } from '@clinic-sync/contracts'
import { CANARY, CANARY_KEY } from '@clinic-sync/mapping'
import { ADVICE, DatabaseError, explainFailure, partitionOf, SyncError } from '@clinic-sync/sync'
import type { Fault, FaultKind, HopName, Leg } from './types.ts'

/** What a fault is, without where it was met. */
export type Diagnosis = Pick<Fault, 'kind' | 'what' | 'todo'>

export const otherSide = (side: Side): Side => (side === 'clinic' ? 'portal' : 'clinic')
export const SERVER: Readonly<Record<Side, string>> = { clinic: 'SQL Server', portal: 'Postgres' }
/** The service that applies a direction's events. */
export const consumerOf = (direction: Direction): string => direction
/** The queue through which the canary comes. */
export const queueOf = (direction: Direction): string => eventQueue(direction, partitionOf(CANARY, CANARY_KEY))
export const queuesOf = (direction: Direction): readonly string[] => eventQueues(direction)

export const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`)

const LEG_WORDS: Readonly<Record<Leg, Readonly<Record<HopName, string>>>> = {
  there: {
    captured: 'clinic: written, and captured by its trigger',
    published: 'doorbell heard, outbox drained, event in RabbitMQ',
    applied: 'portal: applied',
    settled: 'clinic: outcome settled in its outbox',
  },
  back: {
    captured: 'portal: written, and captured by its trigger',
    published: 'doorbell heard, outbox drained, event in RabbitMQ',
    applied: 'clinic: applied',
    settled: 'portal: outcome settled in its outbox',
  },
  ruling: {
    captured: 'clinic: its ruling is in its outbox',
    published: "the clinic's ruling: event in RabbitMQ",
    applied: 'portal: heard the ruling',
    settled: 'clinic: outcome settled in its outbox',
  },
}

/** A hop in words. */
export const hopWords = (leg: Leg, hop: HopName): string => LEG_WORDS[leg][hop]

/** What an error of a database, or of whoever else was asked, means for the trace. */
export function ofError(error: unknown, side: Side): Diagnosis {
  if (!(error instanceof SyncError))
    return { kind: 'database-unreachable', what: `${SERVER[side]} could not be asked.`, todo: ADVICE.SYNC_UNFORESEEN }
  const what = sentence(`The ${side}: ${error.message}`)
  if (error instanceof DatabaseError && LOCKS.has(error.number ?? ''))
    return {
      kind: 'locked',
      what: `Somebody's open transaction holds the canary's row in the ${side}.`,
      todo: 'End that transaction, then trace again.',
    }
  if (error instanceof DatabaseError && error.failure !== 'down')
    return {
      kind: 'not-written',
      what: sentence(`The canary cannot be written in the ${side}: ${error.message}`),
      todo: 'See what refuses it, a constraint or a trigger of its own: it may refuse others, too. Then trace again.',
    }
  return { kind: KINDS[error.code] ?? 'database-unreachable', what, todo: error.advice }
}

const KINDS: Readonly<Record<string, FaultKind>> = {
  SYNC_LOGIN_REFUSED: 'login-refused',
  SYNC_NOT_MIGRATED: 'not-migrated',
  SYNC_RESTORED: 'restored',
}

export const restored = (side: Side): Diagnosis => ({
  kind: 'restored',
  what: `The ${side} applies nothing: one of the databases was restored from a backup, and that is not repaired yet. No canary was sent.`,
  todo: ADVICE.SYNC_RESTORED,
})

/** The trigger that should have captured it, and did not. */
export function notCaptured(side: Side, trigger: 'enabled' | 'disabled' | 'missing' | null): Diagnosis {
  const [name, table] =
    side === 'clinic' ? ['trg_sync_Canary', 'sync.Canary'] : ['00_sync_capture_update', 'sync.canary']
  if (trigger === 'disabled')
    return {
      kind: 'trigger-disabled',
      what: `The canary's trigger ${name} in the ${side} is switched off: its change was not captured.`,
      todo:
        side === 'clinic'
          ? `ENABLE TRIGGER sync.${name} ON ${table}; and see \`npm run sync -- doctor\`: whoever switched it off may have switched off others.`
          : `ALTER TABLE ${table} ENABLE TRIGGER "${name}"; and see \`npm run sync -- doctor\`: whoever switched it off may have switched off others.`,
    }
  if (trigger === 'missing')
    return {
      kind: 'trigger-missing',
      what: `The canary's trigger ${name} in the ${side} is gone: its change was not captured.`,
      todo: `Run ${FILES[side]} once more, and see \`npm run sync -- doctor\`.`,
    }
  return {
    kind: 'not-captured',
    what: `The canary was written in the ${side}, and its trigger put nothing into the outbox.`,
    todo: 'See `npm run sync -- doctor`: a session setting silences the triggers, or one is not as shipped.',
  }
}

const FILES: Readonly<Record<Side, string>> = {
  clinic: 'migrations/sqlserver/02_sync_capture.sql',
  portal: 'migrations/postgres/04_sync_capture.sql',
}

/** It went when it was rung for by hand. @param test what the ingress says of a ring that it has asked for; null: nothing */
export function unheard(side: Side, test: DoorbellTest | null): Diagnosis {
  const { bell, cure } = BELLS[side]
  const why =
    test === null
      ? ''
      : test.heard
        ? ` A ring that the ingress asked of the database was heard (${test.doorbell}): so it is the trigger on the outbox that is off or gone.`
        : ` ${sentence(test.message ?? 'Nor was a ring that the ingress asked for')}`
  return {
    kind: 'doorbell',
    what: `The ${side}'s doorbell was not heard: the change lay in ${bell} until the ingress was rung by hand.${why}`,
    todo: `${cure} Until then changes wait for the next ring.`,
  }
}

const BELLS: Readonly<Record<Side, { readonly bell: string; readonly cure: string }>> = {
  clinic: {
    bell: 'dbo.SyncQueue',
    cure: '`npm run sync -- doorbell` switches it on, `npm run sync -- doctor` says why it does not ring.',
  },
  portal: {
    bell: 'sync.queue',
    cure: '`npm run sync -- doctor` says why; where its trigger is off: ALTER TABLE sync.queue ENABLE TRIGGER USER;',
  },
}

/** The drain that a ring by hand has started did not end well. */
export const drainFails = (error: unknown, side: Side): Diagnosis => ({
  kind: 'drain-fails',
  what:
    error instanceof SyncError
      ? sentence(error.message)
      : `The ingress was rung by hand, and has not drained the ${side}'s outbox in time.`,
  todo: 'See the log of the ingress, and `npm run sync -- doctor`.',
})

/** Refused by the target, for now or for good. */
export function refused({ outcome, code = '', reason = '' }: Outcome, direction: Direction): Diagnosis {
  const target = otherSide(sourceOf(direction))
  const { words, failure, advice } = explainFailure(code, target)
  const told = reason === '' ? words : reason
  const why = `${told === '' ? '' : `: ${told}`}${code === '' || told.includes(code) ? '' : ` (${code})`}`
  const todo = LOCKS.has(code)
    ? `End the transaction in the ${target} that holds the canary's row.`
    : failure === 'permanent'
      ? `See what in the ${target} refuses the row of sync.canary, a constraint or a trigger of its own: it may refuse others, too. Then trace again.`
      : advice
  return outcome === 'dead'
    ? { kind: 'dead', what: sentence(`The ${target} refuses it for good${why}`), todo }
    : {
        kind: 'retrying',
        what: sentence(`The ${target} has not taken it yet${why}; ${consumerOf(direction)} tries again by itself`),
        todo,
      }
}

/** A lock that is not let go, as each side tells it. */
const LOCKS: ReadonlySet<string> = new Set(['1222', '55P03'])
