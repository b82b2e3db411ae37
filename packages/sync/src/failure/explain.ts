import type { Side } from '@clinic-sync/contracts'
import { ADVICE, type FailureClass, type ErrorCode } from '../errors.ts'
import { driverFailure } from './drivers.ts'
import { postgresFailure } from './postgres.ts'
import { CLASS_ADVICE, type FailureRule, type Nature } from './rule.ts'
import { SQL_SERVER_RULES, sqlServerFailure } from './sql-server.ts'

/** A failure's code as a person reads it. */
export interface Explained {
  readonly code: string
  /** Undefined: the code is of no database, so its message says more. */
  readonly failure: FailureClass | undefined
  /** What happened; '' where only the failure's own message says. */
  readonly words: string
  /** What the operator does about it. */
  readonly advice: string
}

const NUMBERS = new Set(SQL_SERVER_RULES.map(({ code }) => code))

/** SQL Server's numbers and SQLSTATEs share a form; none of those in the tables is both. */
function ruleOf(code: string, side?: Side): FailureRule | undefined {
  const known = driverFailure(code)
  if (known !== undefined) return known
  const isNumber = /^-?\d{1,9}$/.test(code)
  if (isNumber && (side === 'clinic' || (side === undefined && NUMBERS.has(code))))
    return sqlServerFailure(Number(code))
  if (side !== 'clinic' && /^[0-9A-Z]{5}$/.test(code)) return postgresFailure(code)
  return isNumber ? sqlServerFailure(Number(code)) : undefined
}

/**
 * Explains the code of a dead letter (`sync-error-code`) or of an outbox row (before the first colon of LastError).
 *
 * @param side the target that the change was for; without it SQLSTATEs and error numbers are told apart by their form.
 */
export function explainFailure(code: string, side?: Side): Explained {
  if (isErrorCode(code)) return { code, failure: undefined, words: '', advice: ADVICE[code] }
  const rule = ruleOf(code, side)
  if (rule === undefined) return { code, failure: undefined, words: '', advice: ADVICE.SYNC_UNFORESEEN }
  const { failure, words, advice, error } = rule
  return { code, failure, words, advice: advice ?? (error && ADVICE[error]) ?? CLASS_ADVICE[failure] }
}

/**
 * See {@link Nature}; undefined: nothing is open.
 *
 * @param side whose database failed. A trigger of the clinic's may THROW any number: 53200 is no SQLSTATE there.
 */
export const natureOf = (code: string | undefined, side: Side | undefined): Nature | undefined =>
  code === undefined ? undefined : ruleOf(code, side)?.nature

const isErrorCode = (code: string): code is ErrorCode => Object.hasOwn(ADVICE, code)
