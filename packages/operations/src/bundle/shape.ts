import type { Row, Side, Value } from '@clinic-sync/contracts'
import { allColumns, type Column, type Table } from '@clinic-sync/mapping'
import { kindsIn, type Kind } from './kinds.ts'

/**
 * What a value is like, without what it is: enough to see why a database does not take it. Lengths and kinds of characters are told; no
 * character, digit, day or hash is.
 */
export interface Shape {
  readonly column: string
  readonly type: Column['type']
  /** As the target's column is declared. */
  readonly target: string
  /** `value`, or what there is in its place: `absent` is no column of the event at all. */
  readonly is: 'value' | 'null' | 'absent'
  /** Of a text: in characters (code points), UTF-16 units, and bytes of UTF-8. */
  readonly length?: { readonly characters: number; readonly utf16: number; readonly utf8: number }
  readonly kinds?: readonly Kind[]
  /** Of a number: how many digits before and behind the point, leading zeros aside. */
  readonly digits?: { readonly before: number; readonly after: number }
  /** Why the target, as it is declared, cannot hold it. None: it can, as far as is known. */
  readonly trouble: readonly string[]
}

/** How the target's columns are declared there, by their names; what is missing is taken from the mapping. */
export type Declared = ReadonlyMap<string, string>

/** The shape of each column of a row on its way to `target`. */
export function shapesOf(table: Table, row: Row, target: Side, declared: Declared = new Map()): Shape[] {
  return allColumns(table).map((column) => {
    const name = target === 'clinic' ? column.clinic : column.name
    const type = declared.get(name) ?? (target === 'clinic' ? column.clinicType : column.portalType)
    return shapeOf(column, Object.hasOwn(row, column.name) ? row[column.name] : undefined, target, type)
  })
}

function shapeOf(column: Column, value: Value | undefined, target: Side, type: string): Shape {
  const about = { column: column.name, type: column.type, target: type }
  if (value === undefined) return { ...about, is: 'absent', trouble: [] }
  if (value === null)
    return { ...about, is: 'null', trouble: column.notNull ? ['null, where the column must not be null'] : [] }
  switch (column.type) {
    case 'text':
      return { ...about, is: 'value', ...ofText(String(value), target, type) }
    case 'int':
    case 'bigint':
    case 'decimal':
      return { ...about, is: 'value', ...ofNumber(String(value), type) }
    case 'boolean':
      return { ...about, is: 'value', trouble: typeof value === 'boolean' ? [] : ['neither true nor false'] }
    default:
      return { ...about, is: 'value', trouble: ofTime(column.type, String(value), target, type) }
  }
}

function ofText(text: string, target: Side, type: string): Pick<Shape, 'length' | 'kinds' | 'trouble'> {
  const length = { characters: [...text].length, utf16: text.length, utf8: Buffer.byteLength(text) }
  const kinds = kindsIn(text)
  // SQL Server counts UTF-16 units, Postgres characters.
  const counted = target === 'clinic' ? length.utf16 : length.characters
  const limit = Number(/char(?:acter varying|acter)?\((\d+)\)/.exec(type)?.[1] ?? Number.POSITIVE_INFINITY)
  return {
    length,
    kinds,
    trouble: [
      ...(counted > limit
        ? [
            `${counted} ${target === 'clinic' ? 'UTF-16 units' : 'characters'} into ${type}: ${counted - limit} too many`,
          ]
        : []),
      ...(target === 'portal' && kinds.includes('U+0000') ? ['U+0000, which Postgres stores in no text'] : []),
      ...(target === 'portal' && kinds.includes('unpaired surrogate')
        ? ['an unpaired surrogate, which is no character of UTF-8']
        : []),
    ],
  }
}

function ofNumber(text: string, type: string): Pick<Shape, 'digits' | 'kinds' | 'trouble'> {
  const [, whole, fraction = ''] = /^-?0*(\d*)(?:\.(\d*))?$/.exec(text) ?? []
  if (whole === undefined) return { trouble: ['not written as a number'] }
  const digits = { before: whole.length, after: fraction.length }
  const kinds: Kind[] = text.startsWith('-') ? ['minus sign'] : []
  const [, precision, scale] = /(?:numeric|decimal)\((\d+),(\d+)\)/.exec(type) ?? []
  const room = precision === undefined ? null : { before: Number(precision) - Number(scale), after: Number(scale) }
  const bits = /^(int|integer)$/.test(type) ? 31n : /^bigint$/.test(type) ? 63n : null
  const beyond = bits !== null && fraction === '' && isBeyond(BigInt(text), bits)
  return {
    digits,
    ...(kinds.length > 0 && { kinds }),
    trouble: [
      ...(room !== null && digits.before > room.before
        ? [`${digits.before} digits before the point into ${type}, which has room for ${room.before}`]
        : []),
      ...(room !== null && digits.after > room.after
        ? [`${digits.after} digits behind the point into ${type}, which rounds to ${room.after}`]
        : []),
      ...(beyond ? [`beyond the range of ${type}`] : []),
    ],
  }
}

const isBeyond = (value: bigint, bits: bigint) => value >= 2n ** bits || value < -(2n ** bits)

function ofTime(type: 'date' | 'instant', text: string, target: Side, declared: string): string[] {
  const [, year] = /^(\d{4})-\d\d-\d\d/.exec(text) ?? []
  if (year === undefined)
    return [`not written as ${type === 'date' ? 'a date' : 'an instant'} with a year of four digits`]
  return target === 'clinic' && declared === 'datetime' && Number(year) < 1753
    ? ['before the year 1753, where datetime begins']
    : []
}
