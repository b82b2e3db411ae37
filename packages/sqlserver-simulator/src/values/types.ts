import { unsupported } from './errors.ts'

/**
 * A value as the engine holds it: bit → boolean; tinyint, smallint, int, float, real → number; bigint → bigint; decimal →
 * bigint, unscaled; texts → string; binaries → Buffer; date → days since 0001-01-01; datetime → 1/300 s since
 * 1900-01-01 as a number; datetime2 → 100 ns since 0001-01-01 as a bigint.
 */
export type SqlValue = null | boolean | number | bigint | string | Buffer

/** In the order of SQL Server's data type precedence, lowest first. */
const PRECEDENCE = [
  'null',
  'binary',
  'varbinary',
  'char',
  'varchar',
  'nchar',
  'nvarchar',
  'bit',
  'tinyint',
  'smallint',
  'int',
  'bigint',
  'decimal',
  'real',
  'float',
  'date',
  'datetime',
  'datetime2',
] as const
export type Kind = (typeof PRECEDENCE)[number]

/** `length`: characters or bytes, -1 for max. `precision` and `scale`: of decimal; datetime2 uses `scale` only. */
export interface SqlType {
  readonly kind: Kind
  readonly length: number
  readonly precision: number
  readonly scale: number
}

export const type = (kind: Kind, length = 0, precision = 0, scale = 0): SqlType => ({ kind, length, precision, scale })
export const INT = type('int')
export const BIGINT = type('bigint')
export const BIT = type('bit')
export const NULL = type('null')
export const MAX = -1
export const nvarchar = (length: number) => type('nvarchar', length)
export const decimal = (precision: number, scale: number) => type('decimal', 0, precision, scale)
export const datetime2 = (scale: number) => type('datetime2', 0, 0, scale)

export const isText = (t: SqlType) =>
  t.kind === 'nvarchar' || t.kind === 'nchar' || t.kind === 'varchar' || t.kind === 'char'
export const isUnicode = (t: SqlType) => t.kind === 'nvarchar' || t.kind === 'nchar'
export const isBinary = (t: SqlType) => t.kind === 'varbinary' || t.kind === 'binary'
export const isInteger = (t: SqlType) =>
  t.kind === 'int' || t.kind === 'bigint' || t.kind === 'smallint' || t.kind === 'tinyint'
export const isTime = (t: SqlType) => t.kind === 'date' || t.kind === 'datetime' || t.kind === 'datetime2'
export const isNumber = (t: SqlType) =>
  isInteger(t) || t.kind === 'decimal' || t.kind === 'float' || t.kind === 'real' || t.kind === 'bit'

/** The name SQL Server's messages use. */
export const nameOf = (t: SqlType) => (t.kind === 'decimal' ? 'numeric' : t.kind)

export const precedence = (t: SqlType) => PRECEDENCE.indexOf(t.kind)

/** Digits that an integer type takes when it meets a decimal. */
const DIGITS: Partial<Record<Kind, number>> = { bit: 1, tinyint: 3, smallint: 5, int: 10, bigint: 19 }
export const asDecimal = (t: SqlType): SqlType => (t.kind === 'decimal' ? t : decimal(DIGITS[t.kind] ?? 38, 0))

/** The type that both values are converted to when they meet in a comparison, CASE, COALESCE and the like. */
export function commonType(a: SqlType, b: SqlType): SqlType {
  const [high, low] = precedence(a) >= precedence(b) ? [a, b] : [b, a]
  if (low.kind === 'null') return high
  if (isText(high) && isText(low)) {
    const kind = isUnicode(high) ? 'nvarchar' : high.kind === 'char' && low.kind === 'char' ? 'char' : 'varchar'
    const length = high.length === MAX || low.length === MAX ? MAX : Math.max(high.length, low.length)
    return type(high.kind === 'nchar' && low.kind === 'nchar' ? 'nchar' : kind, length)
  }
  if (isBinary(high) && isBinary(low))
    return type('varbinary', high.length === MAX || low.length === MAX ? MAX : Math.max(high.length, low.length))
  if (high.kind === 'decimal' && (low.kind === 'decimal' || isInteger(low) || low.kind === 'bit')) {
    const other = asDecimal(low)
    const scale = Math.max(high.scale, other.scale)
    const whole = Math.max(high.precision - high.scale, other.precision - other.scale)
    return decimal(Math.min(38, whole + scale), scale)
  }
  if (high.kind === 'datetime2') return datetime2(low.kind === 'datetime2' ? Math.max(high.scale, low.scale) : 7)
  return high
}

const TIME_NAMES = new Set(['time', 'smalldatetime', 'datetimeoffset'])

/** Reads a declared type such as `nvarchar(255)` or `decimal(10,2)`. `fallback` is the length of a text without one. */
export function parseType(text: string, fallback = 1): SqlType {
  const match = /^\s*\[?(\w+)\]?\s*(?:\(\s*(\w+)\s*(?:,\s*(\d+)\s*)?\))?\s*$/.exec(text)
  const name = match?.[1]?.toLowerCase() ?? text
  const first = match?.[2]?.toLowerCase()
  const number = first === undefined ? undefined : Number(first)
  switch (name) {
    case 'int':
    case 'integer':
      return INT
    case 'bigint':
    case 'smallint':
    case 'tinyint':
    case 'bit':
    case 'date':
    case 'datetime':
    case 'real':
      return type(name)
    case 'float':
      return type('float')
    case 'sysname':
      return nvarchar(128)
    case 'decimal':
    case 'dec':
    case 'numeric':
      return decimal(number ?? 18, Number(match?.[3] ?? 0))
    case 'datetime2':
      return datetime2(number ?? 7)
    case 'nvarchar':
    case 'varchar':
    case 'nchar':
    case 'char':
    case 'varbinary':
    case 'binary':
      return type(name, first === 'max' ? MAX : (number ?? fallback))
    default:
      throw unsupported(`the type ${TIME_NAMES.has(name) ? name : name.slice(0, 40)}`)
  }
}
