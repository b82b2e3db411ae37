/** Proleptic Gregorian days since 0001-01-01 (http://howardhinnant.github.io/date_algorithms.html, shifted). */
export function daysFromCivil(year: number, month: number, day: number): number {
  const y = month <= 2 ? year - 1 : year
  const era = Math.floor(y / 400)
  const ofEra = y - era * 400
  const ofYear = Math.floor((153 * (month + (month > 2 ? -3 : 9)) + 2) / 5) + day - 1
  return era * 146_097 + ofEra * 365 + Math.floor(ofEra / 4) - Math.floor(ofEra / 100) + ofYear - 306
}

export function civilFromDays(days: number): [year: number, month: number, day: number] {
  const z = days + 306
  const era = Math.floor(z / 146_097)
  const doe = z - era * 146_097
  const yoe = Math.floor((doe - Math.floor(doe / 1460) + Math.floor(doe / 36_524) - Math.floor(doe / 146_096)) / 365)
  const doy = doe - (365 * yoe + Math.floor(yoe / 4) - Math.floor(yoe / 100))
  const mp = Math.floor((5 * doy + 2) / 153)
  const month = mp < 10 ? mp + 3 : mp - 9
  return [yoe + era * 400 + (month <= 2 ? 1 : 0), month, doy - Math.floor((153 * mp + 2) / 5) + 1]
}

const LENGTHS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
const isLeap = (year: number) => (year % 4 === 0 && year % 100 !== 0) || year % 400 === 0
export const daysInMonth = (year: number, month: number): number =>
  month === 2 && isLeap(year) ? 29 : (LENGTHS[month - 1] ?? 31)

export const TICKS_A_DAY = 864_000_000_000n
/** 1/300 s, the unit of datetime. */
export const THIRDS_A_DAY = 25_920_000
export const DAYS_TO_1900 = daysFromCivil(1900, 1, 1)
export const FIRST_DATETIME = (daysFromCivil(1753, 1, 1) - DAYS_TO_1900) * THIRDS_A_DAY
export const LAST_DAY = daysFromCivil(9999, 12, 31)

const two = (n: number) => (n < 10 ? `0${n}` : String(n))

/** The texts of days that were asked for: a clinic's rows are of few days. */
const texts = new Map<number, string>()
const REMEMBERED = 20_000

export function dateText(days: number): string {
  let text = texts.get(days)
  if (text === undefined) {
    const [year, month, day] = civilFromDays(days)
    text = `${String(year).padStart(4, '0')}-${two(month)}-${two(day)}`
    if (texts.size >= REMEMBERED) texts.clear()
    texts.set(days, text)
  }
  return text
}

/** `HH:MM:SS` and, if scale > 0, that many digits of the second; `ticks` are 100 ns since midnight. */
function timeText(ticks: number, scale: number): string {
  const seconds = Math.floor(ticks / 10_000_000)
  const text = `${two(Math.floor(seconds / 3600))}:${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`
  if (scale === 0) return text
  return `${text}.${String(ticks % 10_000_000)
    .padStart(7, '0')
    .slice(0, scale)}`
}

/** datetime2 → text with a separator between date and time. */
export const datetime2Text = (ticks: bigint, scale: number, separator = ' '): string =>
  `${dateText(Number(ticks / TICKS_A_DAY))}${separator}${timeText(Number(ticks % TICKS_A_DAY), scale)}`

/** datetime → 100 ns since 0001-01-01, to the nearest (as compatibility level 130 and later do). */
export const datetimeToTicks = (thirds: number): bigint =>
  BigInt(DAYS_TO_1900) * TICKS_A_DAY + divideRounded(BigInt(thirds) * 100_000n, 3n)

/** 100 ns since 0001-01-01 → datetime, to the nearest 1/300 s. */
export const ticksToDatetime = (ticks: bigint): number =>
  Number(divideRounded((ticks - BigInt(DAYS_TO_1900) * TICKS_A_DAY) * 3n, 100_000n))

/** datetime with three digits, as SQL Server prints it: thirds of 10 ms show as 0, 3 and 7. */
export function datetimeText(thirds: number, separator = ' '): string {
  const day = Math.floor(thirds / THIRDS_A_DAY)
  const inDay = thirds - day * THIRDS_A_DAY
  const ms = Math.round((inDay * 10) / 3)
  return `${dateText(day + DAYS_TO_1900)}${separator}${timeText(ms * 10_000, 3)}`
}

/** Rounds a datetime2 to `scale` digits, half up. */
export function roundTicks(ticks: bigint, scale: number): bigint {
  const unit = 10n ** BigInt(7 - scale)
  return ((ticks + unit / 2n) / unit) * unit
}

function divideRounded(a: bigint, b: bigint): bigint {
  const doubled = 2n * a + b
  const quotient = doubled / (2n * b)
  return doubled < 0n && doubled % (2n * b) !== 0n ? quotient - 1n : quotient
}

/** What a text says; null: it is no date. `undefined`: a form that depends on language settings, or is not supported. */
export function parseDateTime(text: string): { days: number; ticks: bigint } | null | undefined {
  const trimmed = text.trim()
  if (trimmed === '') return { days: DAYS_TO_1900, ticks: 0n }
  const match =
    /^(?:(\d{4})-(\d{1,2})-(\d{1,2})|(\d{4})(\d{2})(\d{2}))(?:[T ]\s*(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,7}))?)?)?$/.exec(
      trimmed,
    )
  if (!match)
    return /^[^\d]*$/.test(trimmed) || /^\d{0,3}$/.test(trimmed)
      ? null
      : /^[\d\s:./+\-TZA-Za-z,]+$/.test(trimmed)
        ? undefined
        : null
  const year = Number(match[1] ?? match[4])
  const month = Number(match[2] ?? match[5])
  const day = Number(match[3] ?? match[6])
  const [hour, minute, second] = [Number(match[7] ?? 0), Number(match[8] ?? 0), Number(match[9] ?? 0)]
  if (year < 1 || month < 1 || month > 12 || day < 1 || day > daysInMonth(year, month)) return null
  if (hour > 23 || minute > 59 || second > 59) return null
  const ticks = BigInt((hour * 60 + minute) * 60 + second) * 10_000_000n + BigInt((match[10] ?? '').padEnd(7, '0'))
  return { days: daysFromCivil(year, month, day), ticks }
}
