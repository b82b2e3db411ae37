import type { SqlType, SqlValue } from './types.ts'
import { isText } from './types.ts'

/**
 * A text as Arabic_CI_AS sees it when it compares for equality: without case and trailing blanks, and without what a
 * collation of that age (version 80) gives no weight: U+0000 and surrogates. So all emoji are equal to nothing.
 */
export function fold(text: string): string {
  if (isFolded(text)) return text
  return text
    .replaceAll('\0', '')
    .replace(/[\ud800-\udfff]/g, '')
    .replace(/ +$/, '')
    .toLowerCase()
}

/** Most texts are as they are compared already: ASCII without capitals, and Arabic, which has none. */
function isFolded(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (unit === 0 || (unit > 0x40 && unit < 0x5b) || (unit > 0x7f && (unit < 0x600 || unit > 0x6ff))) return false
  }
  return !text.endsWith(' ')
}

const collator = new Intl.Collator('ar', { sensitivity: 'accent' })

export function compareText(a: string, b: string): number {
  if (a === b) return 0
  const [left, right] = [fold(a), fold(b)]
  if (left === right) return 0
  return collator.compare(left, right) || (left < right ? -1 : 1)
}

/** Compares two values of one type; neither is null. */
export function compareValues(a: SqlValue, b: SqlValue): number {
  if (typeof a === 'string') return compareText(a, b as string)
  if (Buffer.isBuffer(a)) return compareBinary(a, b as Buffer)
  if (a === b) return 0
  return (a as number) < (b as number) ? -1 : 1
}

/** Binaries compare as if padded with zero bytes. */
function compareBinary(a: Buffer, b: Buffer): number {
  const length = Math.max(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = (a[i] ?? 0) - (b[i] ?? 0)
    if (difference !== 0) return difference < 0 ? -1 : 1
  }
  return 0
}

const SAFE = 2n ** 53n

/** A primitive that is equal exactly when the values are equal to SQL Server: for Maps, GROUP BY and DISTINCT. */
export function hashKey(value: SqlValue, type: SqlType): string | number | bigint | boolean | null {
  if (typeof value === 'string') return isText(type) ? fold(value) : value
  // A Map finds a number several times as fast.
  if (typeof value === 'bigint') return value > -SAFE && value < SAFE ? Number(value) : value
  return Buffer.isBuffer(value) ? value.toString('latin1').replace(/\0+$/, '') : value
}

/** Whether two stored values of one column are the same to the byte: case and trailing blanks count. */
export function identical(a: SqlValue, b: SqlValue): boolean {
  if (a === b) return true
  return Buffer.isBuffer(a) && Buffer.isBuffer(b) && a.equals(b)
}
