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
  if (error instanceof DatabaseError && (error.number === '1222' || error.number === '55P03'))
    return {
      kind: 'locked',
      what: `Somebody's open transaction holds the canary's row in the ${side}.`,
      todo: 'End that transaction, then trace again.',
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
export function deafTo(side: Side, test: DoorbellTest | null, reason: string | null): Diagnosis {
  const why = test !== null && !test.heard && test.message !== null ? test.message : reason
  const other =
    test?.heard === true
      ? ` A ring that the ingress asked for was heard (${test.doorbell}): what the change itself rings is not it.`
      : ''
  return {
    kind: 'doorbell',
    what: `The ${side}'s doorbell was not heard: the change lay in the outbox until the ingress was rung by hand. ${
      why === null ? '' : `${sentence(why)} `
    }${other}`.trim(),
    todo: `${side === 'clinic' ? '`npm run sync -- doorbell`, and `npm run sync -- doctor` says why.' : '`npm run sync -- doctor` says why.'} Until then changes wait for the next ring.`,
  }
}

/** Refused by the target, for now or for good. */
export function refused({ outcome, code, reason }: Outcome, direction: Direction): Diagnosis {
  const target = otherSide(sourceOf(direction))
  const { words, advice } =
    code === undefined ? { words: '', advice: ADVICE.SYNC_UNFORESEEN } : explainFailure(code, target)
  const told = [reason, words].filter((part): part is string => part !== undefined && part !== '')
  const why = told.length === 0 ? '' : `: ${told[0]}`
  const named = code === undefined || why.includes(code) ? '' : ` (${code})`
  return outcome === 'dead'
    ? { kind: 'dead', what: sentence(`The ${target} refuses it for good${why}${named}`), todo: advice }
    : {
        kind: 'retrying',
        what: sentence(
          `The ${target} has not taken it yet${why}${named}; ${consumerOf(direction)} tries again by itself`,
        ),
        todo: advice,
      }
}
