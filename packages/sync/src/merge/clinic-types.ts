import type { Key, Value } from '@clinic-sync/contracts'
import type { Column, Table, TableName } from '@clinic-sync/mapping'
import { momentOf, sameOnWire } from './values.ts'

/** What the rules need to know of the clinic's columns. */
export interface ClinicTypes {
  /** Whether two values are one and the same once they are in this column. */
  equal(column: Column, a: Value, b: Value): boolean
  /** Why the clinic cannot take this value: the limit, never the value. Null if it can. */
  refuse(table: Table, column: Column, value: Value): string | null
}

/** Fractional digits of `datetime2(n)`, or undefined. */
const digitsOf = (clinicType: string): number | undefined => {
  const digits = /^datetime2\((\d)\)$/.exec(clinicType)?.[1]
  return digits === undefined ? undefined : Number(digits)
}

/** A moment in the units of the column: `datetime` counts 1/300 s, `datetime2(n)` its digits; both round. */
function inUnits(clinicType: string, milliseconds: number): number {
  if (clinicType === 'datetime') return Math.round((milliseconds * 3) / 10)
  const digits = digitsOf(clinicType)
  return digits === undefined || digits > 2 ? milliseconds : Math.round(milliseconds / 10 ** (3 - digits))
}

/** Texts differ in case and trailing blanks, '' and null differ; instants are equal if the column stores the same. */
function equalInClinic(column: Column, a: Value, b: Value): boolean {
  if (sameOnWire(column, a, b)) return true
  if (column.type !== 'instant' || typeof a !== 'string' || typeof b !== 'string') return false
  return inUnits(column.clinicType, momentOf(a)) === inUnits(column.clinicType, momentOf(b))
}

/** UTF-16 units that `nvarchar(n)` holds; null for `max` and for what is no text. */
const lengthOf = (clinicType: string): number | null => {
  const length = /^n?varchar\((\d+)\)$/.exec(clinicType)?.[1]
  return length === undefined ? null : Number(length)
}

const yearOf = (text: string): number => Number(/^[+-]?\d+/.exec(text)?.[0])

function refuseByType({ notNull, type, clinicType }: Column, value: Value): string | null {
  if (value === null) return notNull ? 'must not be null' : null
  if (typeof value !== 'string') return null
  const length = lengthOf(clinicType)
  if (length !== null && value.length > length) return `longer than ${length} characters`
  if (type === 'instant') {
    const [from, name] = clinicType === 'datetime' ? [1753, 'datetime'] : [1, 'datetime2']
    const year = yearOf(value)
    if (year < from || year > 9999) return `outside the years ${from} to 9999 of ${name}`
  }
  return null
}

/**
 * The clinic's columns as the mapping declares them.
 *
 * @param has whether the clinic has a record that another one may refer to; without it every reference is taken for good.
 */
export const clinicTypes = (has: (table: TableName, key: Key) => boolean = () => true): ClinicTypes => ({
  equal: equalInClinic,
  refuse(table, column, value) {
    const parent = table.parents.find((each) => each.column === column.name)
    if (parent !== undefined && typeof value === 'number' && !has(parent.table, value)) {
      return `the clinic has no ${parent.table} ${value}`
    }
    return refuseByType(column, value)
  },
})
