import {
  civilFromDays,
  DAYS_TO_1900,
  daysFromCivil,
  daysInMonth,
  LAST_DAY,
  THIRDS_A_DAY,
  TICKS_A_DAY,
} from '../values/calendar.ts'
import { convert } from '../values/convert.ts'
import { SqlError, unsupported } from '../values/errors.ts'
import { datetime2, INT, isText, isTime, nameOf, type SqlType, type SqlValue, type } from '../values/types.ts'
import type { Compiled } from './scope.ts'

const NAMES: Readonly<Record<string, string>> = {
  yy: 'year',
  yyyy: 'year',
  mm: 'month',
  m: 'month',
  dd: 'day',
  d: 'day',
  wk: 'week',
  ww: 'week',
  hh: 'hour',
  mi: 'minute',
  n: 'minute',
  ss: 'second',
  s: 'second',
  ms: 'millisecond',
  qq: 'quarter',
  q: 'quarter',
}
const TICKS: Readonly<Record<string, bigint>> = {
  week: 7n * TICKS_A_DAY,
  day: TICKS_A_DAY,
  hour: 36_000_000_000n,
  minute: 600_000_000n,
  second: 10_000_000n,
  millisecond: 10_000n,
}
const FULL = datetime2(7)

const part = (name: string) => NAMES[name] ?? name
const moment = (arg: Compiled, what: string): SqlType => {
  if (isTime(arg.type)) return arg.type
  if (isText(arg.type) || arg.type.kind === 'null') return what === 'DATEADD' ? type('datetime') : FULL
  throw unsupported(`${what} of ${nameOf(arg.type)}`)
}
const outOfRange = (t: SqlType) => new SqlError(517, `Adding a value to a '${t.kind}' column caused an overflow.`)

export function dateAdd(name: string, amount: Compiled, to: Compiled): Compiled {
  const of = moment(to, 'DATEADD')
  const unit = part(name)
  const months = unit === 'year' ? 12 : unit === 'quarter' ? 3 : unit === 'month' ? 1 : 0
  const ticks = TICKS[unit]
  if (months === 0 && ticks === undefined) throw unsupported(`DATEADD(${name.slice(0, 20)}, …)`)
  if (of.kind === 'date' && ticks !== undefined && ticks < TICKS_A_DAY)
    throw new SqlError(9810, `The datepart ${unit} is not supported by date function dateadd for data type date.`, {
      abort: 'batch',
    })
  return {
    type: of,
    column: null,
    run(env) {
      const [n, start] = [amount.run(env), convert(to.run(env), to.type, of)]
      if (n === null || start === null) return null
      const at = convert(start, of, FULL) as bigint
      const end = months > 0 ? addMonths(at, (n as number) * months, of) : at + BigInt(n as number) * (ticks as bigint)
      if (end < 0n || end >= BigInt(LAST_DAY + 1) * TICKS_A_DAY) throw outOfRange(of)
      if (of.kind !== 'datetime' || months > 0 || (ticks as bigint) < TICKS_A_DAY) {
        try {
          return convert(end, FULL, of)
        } catch {
          throw outOfRange(of)
        }
      }
      // Whole days leave datetime's 1/300 s as they are.
      return (start as number) + (n as number) * Number((ticks as bigint) / TICKS_A_DAY) * THIRDS_A_DAY
    },
  }
}

function addMonths(at: bigint, months: number, of: SqlType): bigint {
  const [year, month, day] = civilFromDays(Number(at / TICKS_A_DAY))
  const total = year * 12 + month - 1 + months
  const [y, m] = [Math.floor(total / 12), (((total % 12) + 12) % 12) + 1]
  if (y < 1 || y > 9999) throw outOfRange(of)
  return BigInt(daysFromCivil(y, m, Math.min(day, daysInMonth(y, m)))) * TICKS_A_DAY + (at % TICKS_A_DAY)
}

/** Boundaries crossed, as SQL Server counts them. */
export function dateDiff(name: string, from: Compiled, to: Compiled): Compiled {
  const unit = part(name)
  const [a, b] = [moment(from, 'DATEDIFF'), moment(to, 'DATEDIFF')]
  const ticks = unit === 'week' ? undefined : TICKS[unit]
  if (unit !== 'year' && unit !== 'month' && ticks === undefined) throw unsupported(`DATEDIFF(${name.slice(0, 20)}, …)`)
  return {
    type: INT,
    column: null,
    run(env) {
      const [x, y] = [from.run(env), to.run(env)]
      if (x === null || y === null) return null
      const start = convert(convert(x, from.type, a), a, FULL) as bigint
      const end = convert(convert(y, to.type, b), b, FULL) as bigint
      if (ticks !== undefined) {
        const count = end / ticks - start / ticks
        if (count > 2_147_483_647n || count < -2_147_483_648n)
          throw new SqlError(
            535,
            'The datediff function resulted in an overflow. The number of dateparts separating two date/time instances is too large. Try to use datediff with a less precise datepart.',
          )
        return Number(count)
      }
      const [y1, m1] = civilFromDays(Number(start / TICKS_A_DAY))
      const [y2, m2] = civilFromDays(Number(end / TICKS_A_DAY))
      return unit === 'year' ? y2 - y1 : (y2 - y1) * 12 + m2 - m1
    },
  }
}

export function datePart(name: string, of: Compiled): Compiled {
  const unit = part(name)
  if (!['year', 'month', 'day', 'hour', 'minute', 'second', 'millisecond'].includes(unit))
    throw unsupported(`DATEPART(${name.slice(0, 20)}, …)`)
  const from = moment(of, 'DATEPART')
  return {
    type: INT,
    column: null,
    run(env): SqlValue {
      const value = of.run(env)
      if (value === null) return null
      const at = convert(convert(value, of.type, from), from, FULL) as bigint
      const [year, month, day] = civilFromDays(Number(at / TICKS_A_DAY))
      const seconds = Number((at % TICKS_A_DAY) / 10_000_000n)
      if (unit === 'year') return year
      if (unit === 'month') return month
      if (unit === 'day') return day
      if (unit === 'hour') return Math.floor(seconds / 3600)
      if (unit === 'minute') return Math.floor(seconds / 60) % 60
      return unit === 'second' ? seconds % 60 : Number((at % 10_000_000n) / 10_000n)
    },
  }
}

export { DAYS_TO_1900 }
