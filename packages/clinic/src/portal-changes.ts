import type { Row, SyncEvent, Value } from '@clinic-sync/contracts'
import { allColumns, type Column, isTableName, sharedColumns, syncsBack, tableNamed } from '@clinic-sync/mapping'
import type { Zone } from './zone.ts'

/** An element of the array that `sync.ApplyPortalChanges` takes: instants as the clinic's wall clock. */
export interface PortalChange {
  readonly table: string
  readonly key: number
  readonly version: string
  readonly since: string | null
  readonly base: Row | null
  readonly row: Row | null
  /** The clinic cannot hold a value of `row` as it is: the portal must hear what the clinic has. */
  readonly inexact?: true
}

/** Why an event will never be applied as it is: a code, and a reason without any value. */
export class Unfit extends Error {
  readonly code: 'SYNC_NOT_PORTALS' | 'SYNC_BAD_VALUE'
  constructor(code: Unfit['code'], reason: string) {
    super(reason)
    this.name = 'Unfit'
    this.code = code
  }
}

/**
 * A portal's event as the clinic takes it. Judges what T-SQL cannot: JSON types, missing columns, times that no wall clock
 * shows. Lengths, NULLs, parents and the range of the column's own type are judged in the database, and only for what
 * would be written.
 *
 * @throws Unfit
 */
export function toPortalChange({ data }: SyncEvent, zone: Zone): PortalChange {
  const { key, version, since } = data
  if (!isTableName(data.table) || !syncsBack(tableNamed(data.table))) {
    throw new Unfit('SYNC_NOT_PORTALS', `${data.table}: the portal's edits of this table do not travel to the clinic`)
  }
  const table = tableNamed(data.table)
  const born = key < 0 && data.base === null
  let inexact = false as boolean

  function converted(columns: readonly Column[], values: Row, isBase: boolean): Row {
    const row: Row = {}
    for (const column of columns) {
      const unfit = (limit: string) =>
        new Unfit('SYNC_BAD_VALUE', `${table.name}/${key}: ${isBase ? 'base: ' : ''}${column.name}: ${limit}`)
      const value = values[column.name]
      if (value === undefined) throw unfit('missing in the event')
      const wrong = mistyped(column, value)
      if (wrong !== null) throw unfit(wrong)
      const fitted = fit(column, value, zone)
      // In a row that the clinic has, such a column is not the doctor's: it is not written, and the portal hears the clinic's.
      if (fitted.limit !== null && (isBase || born || column.owner === 'shared')) throw unfit(fitted.limit)
      row[column.name] = fitted.value
      if (!isBase && !fitted.exact) inexact = true
    }
    return row
  }

  const base = data.base && converted(sharedColumns(table), data.base, true)
  const row = data.row && converted(allColumns(table), data.row, false)
  if (row !== null && row[table.key.name] !== key) {
    throw new Unfit('SYNC_BAD_VALUE', `${table.name}/${key}: ${table.key.name}: not the event's key`)
  }
  return { table: table.name, key, version, since, base, row, ...(inexact && { inexact: true as const }) }
}

const LAST_INT = 2_147_483_647
const LAST_BIGINT = 9_223_372_036_854_775_807n

/** What is wrong with the JSON type of a column's value, or null. */
function mistyped({ type }: Column, value: Value): string | null {
  if (value === null) return null
  switch (type) {
    case 'int':
      if (typeof value !== 'number') return 'not an int'
      return value < -LAST_INT - 1 || value > LAST_INT ? `outside ${-LAST_INT - 1} to ${LAST_INT}` : null
    case 'boolean':
      return typeof value === 'boolean' ? null : 'not a boolean'
    case 'bigint': {
      if (typeof value !== 'string' || !/^-?\d{1,19}$/.test(value)) return "not a bigint's digits"
      const number = BigInt(value)
      return number < -LAST_BIGINT - 1n || number > LAST_BIGINT
        ? `outside ${-LAST_BIGINT - 1n} to ${LAST_BIGINT}`
        : null
    }
    case 'decimal':
      return typeof value === 'string' && /^-?\d{1,38}(\.\d{1,38})?$/.test(value) ? null : "not a decimal's digits"
    default:
      return typeof value === 'string' ? null : `not ${type === 'instant' ? 'an' : 'a'} ${type}`
  }
}

interface Fitted {
  readonly value: Value
  /** Whether the clinic's value reads back as the event's. */
  readonly exact: boolean
  /** The limit that the value is beyond; `value` is null then. */
  readonly limit: string | null
}

/** A value of the right JSON type in the clinic's form. */
function fit({ type }: Column, value: Value, zone: Zone): Fitted {
  if (typeof value !== 'string') return { value, exact: true, limit: null }
  if (type === 'date' && !isDate(value)) {
    return { value: null, exact: false, limit: 'not a date from 0001-01-01 to 9999-12-31' }
  }
  if (type !== 'instant') return { value, exact: true, limit: null }
  try {
    const wall = zone.toWall(value)
    return { value: wall, exact: zone.toInstant(wall) === value, limit: null }
  } catch {
    return { value: null, exact: false, limit: 'not an instant from the year 1 to 9999' }
  }
}

function isDate(value: string): boolean {
  // Date.parse takes 30 February for 2 March, and there is a year 0 in ISO 8601.
  const at = /^\d{4}-\d\d-\d\d$/.test(value) ? Date.parse(`${value}T00:00:00Z`) : Number.NaN
  return !Number.isNaN(at) && new Date(at).toISOString().startsWith(value) && !value.startsWith('0000')
}
