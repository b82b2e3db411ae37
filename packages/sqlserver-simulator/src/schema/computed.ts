import { civilFromDays, daysFromCivil, daysInMonth, LAST_DAY } from '../values/calendar.ts'
import { overflow, SqlError } from '../values/errors.ts'
import type { SqlValue } from '../values/types.ts'

type Value = (column: string) => SqlValue

const int = (result: number): number => {
  if (result > 2_147_483_647 || result < -2_147_483_648) throw overflow('int')
  return result
}

/** Whole years from birth to today; who was born on 29 February is a year older on 28 February. */
export function age(born: SqlValue, now: number): SqlValue {
  if (born === null) return null
  const [year, month, day] = civilFromDays(born as number)
  const [thisYear] = civilFromDays(now)
  const birthday = daysFromCivil(thisYear, month, Math.min(day, daysInMonth(thisYear, month)))
  return thisYear - year - (birthday > now ? 1 : 0)
}

export function endSequence(value: Value, jaw: 'Upper' | 'Lower'): SqlValue {
  const start = value(`${jaw}AlignerStartSequence`) as number | null
  const count = value(`${jaw}AlignerCount`) as number | null
  return start === null || count === null || count <= 0 ? null : int(int(start + count) - 1)
}

/** The larger jaw's aligners without the template, at least none, times Days. */
export function validity(value: Value): SqlValue {
  const days = value('Days') as number | null
  const upper = value('UpperAlignerCount') as number | null
  const lower = value('LowerAlignerCount') as number | null
  if (days === null || upper === null || lower === null) return null
  const left = Math.max(0, upper - (value('HasUpperTemplate') ? 1 : 0), lower - (value('HasLowerTemplate') ? 1 : 0))
  return int(left * days)
}

export function expiry(value: Value): SqlValue {
  const delivered = value('DeliveredToPatientDate') as number | null
  const days = validity(value) as number | null
  if (delivered === null || days === null) return null
  const end = delivered + days
  if (end < 0 || end > LAST_DAY) throw new SqlError(517, "Adding a value to a 'date' column caused an overflow.")
  return end
}
