import {
  DAYS_TO_1900,
  datetime2Text,
  datetimeText,
  datetimeToTicks,
  dateText,
  FIRST_DATETIME,
  LAST_DAY,
  parseDateTime,
  roundTicks,
  THIRDS_A_DAY,
  TICKS_A_DAY,
  ticksToDatetime,
} from './calendar.ts'
import { throughCodePage } from './codepage.ts'
import { fits, formatDecimal, fromDouble, parseDecimal, rescale, toDouble } from './decimal.ts'
import { overflow, SqlError, unsupported } from './errors.ts'
import { isBinary, isText, isTime, isUnicode, MAX, nameOf, type SqlType, type SqlValue } from './types.ts'

const RANGES = {
  tinyint: [0, 255],
  smallint: [-32_768, 32_767],
  int: [-2_147_483_648, 2_147_483_647],
} as const
const [FIRST_BIGINT, LAST_BIGINT] = [-(2n ** 63n), 2n ** 63n - 1n]
const batch = { abort: 'batch' } as const

const clash = (from: SqlType, to: SqlType) =>
  new SqlError(206, `Operand type clash: ${nameOf(from)} is incompatible with ${nameOf(to)}`, batch)
const failed = (value: string, from: SqlType, to: SqlType) =>
  new SqlError(
    245,
    `Conversion failed when converting the ${nameOf(from)} value '${value}' to data type ${nameOf(to)}.`,
    batch,
  )

/**
 * CAST: converts a value between types; texts are cut silently to the target's length.
 * @throws SqlError 206, 220, 241, 242, 245, 248, 8114, 8115 or a refusal.
 */
export function convert(value: SqlValue, from: SqlType, to: SqlType): SqlValue {
  if (value === null || to.kind === 'null') return value
  switch (to.kind) {
    case 'bit':
      return toBit(value, from, to)
    case 'tinyint':
    case 'smallint':
    case 'int':
      return toInteger(value, from, to, RANGES[to.kind])
    case 'bigint':
      return toBigint(value, from, to)
    case 'decimal':
      return toDecimal(value, from, to)
    case 'float':
    case 'real':
      return toFloat(value, from, to)
    case 'date':
    case 'datetime':
    case 'datetime2':
      return toTime(value, from, to)
    case 'binary':
    case 'varbinary':
      return toBinary(value, from, to)
    default:
      return cut(toText(value, from, to), to)
  }
}

/** Fits a text into its type: the code page's loss, the length, the padding. */
function cut(text: string, to: SqlType): string {
  const kept = isUnicode(to) ? text : throughCodePage(text)
  if (to.length === MAX) return kept
  const short = kept.length > to.length ? kept.slice(0, to.length) : kept
  return to.kind === 'nchar' || to.kind === 'char' ? short.padEnd(to.length, ' ') : short
}

function toBit(value: SqlValue, from: SqlType, to: SqlType): boolean {
  if (typeof value === 'boolean') return value
  if (typeof value === 'string') {
    const text = value.trim().toLowerCase()
    if (text === 'true') return true
    if (text === 'false' || text === '') return false
    if (/^[+-]?\d+$/.test(text)) return BigInt(text) !== 0n
    throw failed(value, from, to)
  }
  if (isTime(from) || Buffer.isBuffer(value)) throw clash(from, to)
  return Number(value) !== 0
}

/** The whole part as a bigint; fractions are cut, not rounded. */
function whole(value: SqlValue, from: SqlType, to: SqlType): bigint {
  if (typeof value === 'boolean') return value ? 1n : 0n
  if (isTime(from) || Buffer.isBuffer(value)) throw clash(from, to)
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) throw overflow(nameOf(to))
    return BigInt(Math.trunc(value))
  }
  if (typeof value === 'bigint') return from.kind === 'decimal' ? value / 10n ** BigInt(from.scale) : value
  const text = (value as string).trim()
  if (text === '') return 0n
  if (!/^[+-]?\d+$/.test(text)) {
    throw to.kind === 'bigint'
      ? new SqlError(8114, `Error converting data type ${nameOf(from)} to bigint.`, batch)
      : failed(value as string, from, to)
  }
  return BigInt(text)
}

function toInteger(value: SqlValue, from: SqlType, to: SqlType, [low, high]: readonly [number, number]): number {
  if (typeof value === 'number' && Number.isInteger(value) && value >= low && value <= high && !isTime(from))
    return value
  const result = whole(value, from, to)
  if (result >= BigInt(low) && result <= BigInt(high)) return Number(result)
  if (isText(from))
    throw new SqlError(
      to.kind === 'int' ? 248 : 244,
      `The conversion of the ${nameOf(from)} value '${value}' overflowed an ${nameOf(to)} column.`,
      batch,
    )
  if (to.kind !== 'int' && from.kind !== 'bigint' && from.kind !== 'decimal')
    throw new SqlError(220, `Arithmetic overflow error for data type ${to.kind}, value = ${result}.`)
  throw overflow(nameOf(to))
}

function toBigint(value: SqlValue, from: SqlType, to: SqlType): bigint {
  const result = whole(value, from, to)
  if (result < FIRST_BIGINT || result > LAST_BIGINT) throw overflow('bigint')
  return result
}

function toDecimal(value: SqlValue, from: SqlType, to: SqlType): bigint {
  let result: bigint
  if (typeof value === 'string') {
    const read = parseDecimal(value)
    if (!read) throw new SqlError(8114, `Error converting data type ${nameOf(from)} to numeric.`, batch)
    result = rescale(read.value, read.scale, to.scale)
  } else if (from.kind === 'float' || from.kind === 'real') result = fromDouble(value as number, to.scale)
  else if (from.kind === 'decimal') result = rescale(value as bigint, from.scale, to.scale)
  else result = whole(value, from, to) * 10n ** BigInt(to.scale)
  if (!fits(result, to.precision))
    throw new SqlError(8115, `Arithmetic overflow error converting ${nameOf(from)} to data type numeric.`)
  return result
}

function toFloat(value: SqlValue, from: SqlType, to: SqlType): number {
  if (isTime(from) || Buffer.isBuffer(value)) throw clash(from, to)
  let result: number
  if (typeof value === 'string') {
    if (!/^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$/.test(value))
      throw new SqlError(8114, `Error converting data type ${nameOf(from)} to float.`, batch)
    result = Number(value)
  } else result = from.kind === 'decimal' ? toDouble(value as bigint, from.scale) : Number(value)
  return to.kind === 'real' ? Math.fround(result) : result
}

/** Any date or time as 100 ns since 0001-01-01. */
function ticksOf(value: SqlValue, from: SqlType, to: SqlType): bigint {
  if (from.kind === 'date') return BigInt(value as number) * TICKS_A_DAY
  if (from.kind === 'datetime') return datetimeToTicks(value as number)
  if (from.kind === 'datetime2') return value as bigint
  if (typeof value !== 'string')
    throw isTime(from) || from.kind === 'decimal' || from.kind === 'float'
      ? clash(from, to)
      : to.kind === 'datetime'
        ? unsupported('a number as datetime')
        : clash(from, to)
  const read = parseDateTime(value)
  if (read === undefined) throw unsupported('a date in this form: use YYYY-MM-DD, YYYYMMDD or YYYY-MM-DDTHH:MM:SS')
  if (read === null) {
    if (to.kind === 'datetime' && /\d{4}-\d{2}-\d{2}/.test(value)) throw outOfRange(from)
    throw new SqlError(241, 'Conversion failed when converting date and/or time from character string.', batch)
  }
  if (to.kind === 'datetime' && read.ticks % 10_000n !== 0n)
    throw new SqlError(241, 'Conversion failed when converting date and/or time from character string.', batch)
  return BigInt(read.days) * TICKS_A_DAY + read.ticks
}
const outOfRange = (from: SqlType) =>
  new SqlError(
    242,
    `The conversion of a ${nameOf(from)} data type to a datetime data type resulted in an out-of-range value.`,
    batch,
  )

function toTime(value: SqlValue, from: SqlType, to: SqlType): SqlValue {
  if (from.kind === to.kind && from.scale === to.scale) return value
  if (from.kind === 'datetime' && to.kind === 'date') return Math.floor((value as number) / THIRDS_A_DAY) + DAYS_TO_1900
  const ticks = ticksOf(value, from, to)
  if (to.kind === 'date') return Number(ticks / TICKS_A_DAY)
  const end = BigInt(LAST_DAY + 1) * TICKS_A_DAY
  if (to.kind === 'datetime') {
    const thirds = ticksToDatetime(ticks)
    if (thirds < FIRST_DATETIME || thirds >= (LAST_DAY + 1 - DAYS_TO_1900) * THIRDS_A_DAY) throw outOfRange(from)
    return thirds
  }
  const rounded = roundTicks(ticks, to.scale)
  // The last instant of 9999 has nowhere to round up to: SQL Server cuts it off.
  return rounded >= end ? (ticks / 10n ** BigInt(7 - to.scale)) * 10n ** BigInt(7 - to.scale) : rounded
}

function toBinary(value: SqlValue, from: SqlType, to: SqlType): Buffer {
  let bytes: Buffer
  if (Buffer.isBuffer(value)) bytes = value
  else if (typeof value === 'string')
    bytes = isUnicode(from) ? Buffer.from(value, 'utf16le') : Buffer.from(throughCodePage(value), 'latin1')
  else throw unsupported(`${nameOf(from)} as ${nameOf(to)}`)
  if (to.length !== MAX && bytes.length > to.length) bytes = bytes.subarray(0, to.length)
  return to.kind === 'binary' ? Buffer.concat([bytes, Buffer.alloc(to.length - bytes.length)]) : bytes
}

/** A value as text, in the form an implicit conversion gives it. */
export function toText(value: SqlValue, from: SqlType, to: SqlType): string {
  if (typeof value === 'string') return value
  if (typeof value === 'boolean') return value ? '1' : '0'
  let text: string
  if (from.kind === 'decimal') text = formatDecimal(value as bigint, from.scale)
  else if (from.kind === 'date') return dateText(value as number)
  else if (from.kind === 'datetime2') return datetime2Text(value as bigint, from.scale)
  else if (from.kind === 'datetime')
    throw unsupported('a datetime as text without a style: use CONVERT(…, …, 121 or 126)')
  else if (isBinary(from)) {
    const bytes = value as Buffer
    return isUnicode(to) ? bytes.toString('utf16le') : throughCodePage(bytes.toString('latin1'))
  } else if (from.kind === 'float' || from.kind === 'real') {
    text = String(value)
    if (!/^-?\d{1,6}$/.test(text)) throw unsupported('a float as text')
  } else text = String(value)
  if (to.length !== MAX && text.length > to.length) {
    if (isUnicode(to) || from.kind === 'decimal') throw overflow(nameOf(to))
    return '*'
  }
  return text
}

/** CONVERT(text, value, style) for dates. */
export function toStyledText(value: SqlValue, from: SqlType, to: SqlType, style: number): SqlValue {
  if (value === null) return null
  if (!isTime(from)) throw unsupported(`CONVERT with a style for ${nameOf(from)}`)
  const full =
    from.kind === 'date'
      ? dateText(value as number)
      : from.kind === 'datetime'
        ? datetimeText(value as number)
        : datetime2Text(value as bigint, from.scale)
  const [date = '', time = ''] = full.split(' ')
  let text: string
  if (style === 23) text = date
  else if (style === 112) text = date.replaceAll('-', '')
  else if (style === 120 || style === 20) text = time ? `${date} ${time.slice(0, 8)}` : date
  else if (style === 121 || style === 21 || style === 25) text = full
  else if (style === 126) text = time ? `${date}T${from.kind === 'datetime' ? time.replace(/\.000$/, '') : time}` : date
  else throw unsupported(`CONVERT style ${style}`)
  return cut(text, to)
}

export { datetimeText }
