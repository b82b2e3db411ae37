import type { Value } from '@clinic-sync/contracts'
import { allColumns, type Column, type Table as Mapped } from '@clinic-sync/mapping'
import type { Database } from '../engine/database.ts'
import type { Access, Found, Relation } from '../engine/relation.ts'
import { dateText, datetime2Text, datetimeText } from '../values/calendar.ts'
import { compareText } from '../values/compare.ts'
import { formatDecimal } from '../values/decimal.ts'
import { SqlError } from '../values/errors.ts'
import type { SqlType, SqlValue } from '../values/types.ts'
import { schemaOf } from './capture.ts'

interface MappedColumn {
  readonly column: Column
  readonly ordinal: number
  readonly type: SqlType
  /** Its name in the portal, quoted. */
  readonly name: string
}

/** A synced record's place in the clinic. */
export interface Records {
  readonly mapped: Mapped
  readonly relation: Relation
  readonly key: number
  readonly columns: readonly MappedColumn[]
}

/** The synced records, found in the database by the mapping's names; parents first. */
export function openRecords(db: Database, tables: readonly Mapped[]): ReadonlyMap<string, Records> {
  return new Map(
    tables.map((mapped) => {
      const relation = db.relation(schemaOf(mapped), mapped.clinic)
      const columns = allColumns(mapped).map((column) => {
        const ordinal = relation.columns.findIndex((c) => c.name.toLowerCase() === column.clinic.toLowerCase())
        const definition = relation.columns[ordinal]
        if (definition === undefined) throw new Error(`the clinic's ${mapped.clinic} has no column ${column.clinic}`)
        return { column, ordinal, type: definition.type, name: JSON.stringify(column.name) }
      })
      return [mapped.name, { mapped, relation, key: columns[0]?.ordinal ?? 0, columns }] as const
    }),
  )
}

/** @throws SqlError for a name the mapping does not have */
export function recordsNamed(records: ReadonlyMap<string, Records>, name: SqlValue): Records {
  const found = records.get(String(name))
  if (found === undefined) throw new SqlError(50_000, `'${String(name).slice(0, 100)}' is not a synced table.`)
  return found
}

export function find(records: Records, key: SqlValue, access: Access): Found | null {
  const lookup = records.relation.lookup(records.key, access)
  if (lookup === null) throw new Error(`${records.mapped.clinic} cannot be read by key`)
  for (const found of lookup(key)) return found
  return null
}

/** Whether a row is one that is synced. Reads what it depends on through `access`. */
export function inScope(all: ReadonlyMap<string, Records>, records: Records, row: Found, access: Access): boolean {
  const { scope } = records.mapped
  if (scope.kind === 'all') return true
  if (scope.kind === 'except') {
    const at = records.columns.find((c) => c.column.name === scope.column)
    const value = at === undefined ? null : (row.values[at.ordinal] ?? null)
    return value === null || compareText(String(value), scope.value) !== 0
  }
  const by = recordsNamed(all, scope.by)
  const parent = by.mapped.parents.find((p) => p.table === records.mapped.name)
  const at = by.columns.find((c) => c.column.name === parent?.column)
  const lookup = at === undefined ? null : by.relation.lookup(at.ordinal, access)
  if (lookup === null) throw new Error(`${by.mapped.clinic} cannot be read by ${parent?.column}`)
  for (const child of lookup(row.values[records.key] ?? null)) if (inScope(all, by, child, access)) return true
  return false
}

/** The row as the JSON object of an event: the portal's names, values as the wire needs them, wall-clock times. */
export function rowData({ columns }: Records, row: Found): string {
  let json = ''
  for (const { ordinal, type, name } of columns) {
    const value = wire(row.values[ordinal] ?? null, type)
    json += `${json === '' ? '{' : ','}${name}:${typeof value === 'string' ? JSON.stringify(value) : String(value)}`
  }
  return `${json}}`
}

export const wireRow = ({ columns }: Records, row: Found): Readonly<Record<string, Value>> =>
  Object.fromEntries(columns.map(({ column, ordinal, type }) => [column.name, wire(row.values[ordinal] ?? null, type)]))

function wire(value: SqlValue, type: SqlType): string | number | boolean | null {
  if (value === null || typeof value === 'boolean' || typeof value === 'string') return value
  if (type.kind === 'decimal') return formatDecimal(value as bigint, type.scale)
  if (type.kind === 'date') return dateText(value as number)
  if (type.kind === 'datetime') return datetimeText(value as number)
  if (type.kind === 'datetime2') return datetime2Text(value as bigint, type.scale)
  return typeof value === 'bigint' ? value.toString() : (value as number)
}
