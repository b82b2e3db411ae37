import type { SqlValue } from '../values/types.ts'
import { malformed, thrown } from './malformed.ts'

/** What the procedures refuse before they do anything, by the same rules and numbers as the mapping's arguments.ts. */
const MOST_ROWS = 100_000

/** `@Max`. @throws SqlError 51200 */
export function checkedMax(procedure: string, max: SqlValue | undefined): number {
  if (typeof max !== 'number' || max < 1 || max > MOST_ROWS)
    throw malformed(`${procedure}: @Max must be from 1 to ${MOST_ROWS}`)
  return max
}

/** `@Table`: what is known by that name. @throws SqlError 51201 */
export function checkedTable<T>(procedure: string, all: ReadonlyMap<string, T>, name: SqlValue | undefined): T {
  const found = typeof name === 'string' ? all.get(name) : undefined
  if (found === undefined) throw thrown(51_201, `${procedure}: @Table is not the name of a synced table`)
  return found
}

/** A flag. @throws SqlError 51200 */
export function checkedFlag(procedure: string, parameter: string, flag: SqlValue | undefined): boolean {
  if (typeof flag !== 'boolean') throw malformed(`${procedure}: ${parameter} must be 0 or 1`)
  return flag
}

type Test = (value: unknown) => boolean

const whole = (bits: 31 | 63): Test => {
  const limit = 2n ** BigInt(bits)
  return (value) => {
    if (typeof value === 'number' && value >= -LAST_INT && value <= LAST_INT) return Number.isInteger(value)
    if (typeof value === 'string' && bits === 63 && /^\d{1,18}$/.test(value)) return true
    if (typeof value !== 'number' && typeof value !== 'string') return false
    if (!/^[+-]?\d{1,30}$/.test(String(value).trim())) return false
    const number = BigInt(String(value).trim().replace(/^\+/, ''))
    return number >= -limit && number < limit
  }
}
const LAST_INT = 2_147_483_647
export const isInt = whole(31)
export const isBigint = whole(63)
export const isText: Test = (value) => typeof value === 'string'
export const isTableName: Test = (value) => typeof value === 'string' && value.length >= 1 && value.length <= 100
export const isObject: Test = (value) => typeof value === 'object' && value !== null && !Array.isArray(value)
export const isOneOf =
  (...allowed: readonly string[]): Test =>
  (value) =>
    allowed.includes(value as string)
export const orNull =
  (test: Test): Test =>
  (value) =>
    value === null || test(value)
/** A property that may be missing. */
export const optional =
  (test: Test): Test =>
  (value) =>
    value === undefined || test(value)

/**
 * A parameter that is a JSON array of objects with these properties.
 *
 * @throws SqlError 51200
 */
export function checkedArray(
  procedure: string,
  parameter: string,
  text: SqlValue | undefined,
  properties: Readonly<Record<string, Test>>,
): readonly Readonly<Record<string, unknown>>[] {
  let items: unknown
  try {
    items = typeof text === 'string' ? JSON.parse(text) : undefined
  } catch {
    // Said below, without the text.
  }
  if (!Array.isArray(items)) throw malformed(`${procedure}: ${parameter} must be a JSON array`)
  const tests = Object.entries(properties)
  for (const item of items as unknown[]) {
    const fits = isObject(item) && tests.every(([name, test]) => test((item as Record<string, unknown>)[name]))
    if (!fits) throw malformed(`${procedure}: ${parameter} holds an element of another shape`)
  }
  return items as Record<string, unknown>[]
}

/** Elements that name a table which is not known. @throws SqlError 51201 */
export function checkedTables(
  procedure: string,
  parameter: string,
  all: ReadonlyMap<string, unknown>,
  tables: readonly unknown[],
): void {
  if (!tables.every((table) => all.has(String(table))))
    throw thrown(51_201, `${procedure}: ${parameter} names a table that is not synced`)
}

/** Two elements of one record. @throws SqlError 51200 */
export function checkedRecords(procedure: string, parameter: string, records: readonly string[]): void {
  if (new Set(records).size < records.length) throw malformed(`${procedure}: ${parameter} names a record twice`)
}
