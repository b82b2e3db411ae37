import type { Column } from '@clinic-sync/mapping'
import { type ClinicTypes, sameOnWire } from '@clinic-sync/sync'
import { isBlocked } from '../engine/locks.ts'
import type { Work } from '../engine/work.ts'
import { identical } from '../values/compare.ts'
import { convert } from '../values/convert.ts'
import { SqlError } from '../values/errors.ts'
import { isText, isTime, MAX, nameOf, nvarchar, type SqlType, type SqlValue } from '../values/types.ts'
import type { Records } from './records.ts'

/** A row that the ruling depends on is held by somebody's open transaction. */
export class Locked extends Error {}

/** A wire value (instants as wall clock) in a column's own type. @throws SqlError where it has no such value */
export function toColumn(value: string | number | boolean | null, type: SqlType): SqlValue {
  if (typeof value === 'string') return isText(type) ? value : convert(value, nvarchar(MAX), type)
  return value
}

/** How the columns of these tables, as they really are, compare and what they take. `refuse` throws {@link Locked}. */
export function clinicTypesOf(work: Work, all: ReadonlyMap<string, Records>, records: Records): ClinicTypes {
  const typeOf = ({ name }: Column) => {
    const ordinal = records.columns.find(({ column }) => column.name === name)?.ordinal
    const definition = ordinal === undefined ? undefined : records.relation.columns[ordinal]
    if (definition === undefined) throw new Error(`${records.mapped.name} has no column ${name}`)
    return definition
  }
  return {
    equal(column, a, b) {
      if (sameOnWire(column, a, b)) return true
      if (column.type !== 'instant' || a === null || b === null) return false
      const { type } = typeOf(column)
      const [one, other] = [attempt(() => toColumn(a, type)), attempt(() => toColumn(b, type))]
      return one !== undefined && other !== undefined && identical(one, other)
    },
    refuse(table, column, value) {
      const { type, nullable } = typeOf(column)
      if (value === null) return nullable ? null : 'must not be null'
      if (isText(type))
        return type.length !== MAX && String(value).length > type.length
          ? `longer than ${type.length} characters`
          : null
      const parent = table.parents.find((each) => each.column === column.name)
      if (parent !== undefined && !exists(work, all.get(parent.table) as Records, value as number))
        return `the clinic has no ${parent.table} ${value}`
      if (attempt(() => toColumn(value, type)) !== undefined) return null
      return isTime(type)
        ? `outside the years ${type.kind === 'datetime' ? 1753 : 1} to 9999 of ${type.kind}`
        : `outside the range of ${nameOf(type)}`
    },
  }
}

function exists(work: Work, { mapped }: Records, key: number): boolean {
  const row = work.db.table('dbo', mapped.clinic).get(key)
  if (row !== undefined && isBlocked(work.tx, row, 'S')) throw new Locked()
  return row !== undefined && !row.deleted && !row.gone
}

function attempt<T>(converting: () => T): T | undefined {
  try {
    return converting()
  } catch (error) {
    if (error instanceof SqlError) return undefined
    throw error
  }
}
