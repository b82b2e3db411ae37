import type { Key, Value } from '@clinic-sync/contracts'
import { allColumns, type Column, type TableName, tableNamed } from '@clinic-sync/mapping'
import { DatabaseError, storable } from '@clinic-sync/sync'
import type { Log } from './pool.ts'

const INSTANT = /^([+-]\d{6}|\d{4})(-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z)$/

/**
 * An instant on the wire as a literal that Postgres reads: ECMAScript counts a year 0 and signs long years,
 * Postgres has 1 BC and plain ones. Returns undefined for anything else.
 */
export function instantLiteral(wire: string): string | undefined {
  const [, year, rest] = INSTANT.exec(wire) ?? []
  if (year === undefined || rest === undefined) return undefined
  const number = Number(year)
  return number > 0 ? `${String(number).padStart(4, '0')}${rest}` : `${String(1 - number).padStart(4, '0')}${rest} BC`
}

let said = false

/** Makes event rows ready for Postgres. Says once a process that a text lost a character, and where. */
export function portalRow(table: TableName, key: Key, row: Readonly<Record<string, Value>>, log: Log) {
  const ready: Record<string, Value> = {}
  for (const column of allColumns(tableNamed(table))) ready[column.name] = portalValue(column, row[column.name])
  return ready

  function portalValue({ name, type }: Column, value: Value | undefined): Value {
    if (value === undefined) {
      throw new DatabaseError('permanent', `${table}/${key}: the event lacks column ${name}`)
    }
    if (typeof value !== 'string') return value
    if (type === 'instant') {
      const literal = instantLiteral(value)
      if (literal === undefined) throw new DatabaseError('permanent', `${table}/${key}: ${name} is not an instant`)
      return literal
    }
    const text = storable(value)
    if (text.length !== value.length || text !== value) {
      if (!said)
        log.warn({ table, key, column: name }, 'a text holds U+0000 or half a character: not stored (said once)')
      said = true
    }
    return text
  }
}
