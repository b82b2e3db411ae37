import { allColumns } from '../tables/index.ts'
import type { Column, Table } from '../types.ts'
import { name } from './text.ts'

/**
 * A row of the clinic's table with alias `t` as a JSON object, keyed by the portal's column names. FOR JSON would write
 * bigint and decimal as numbers, which readers round, so they go as digits; dates and times go as text in a form that no
 * session setting changes.
 */
export function rowAsJson(table: Table): string {
  const items = allColumns(table).map((column) => `${valueOf(column)} AS ${name(column.name)}`)
  return `(SELECT ${items.join(',\n    ')}\n    FOR JSON PATH, WITHOUT_ARRAY_WRAPPER, INCLUDE_NULL_VALUES)`
}

function valueOf(column: Column): string {
  const value = `t.${name(column.clinic)}`
  switch (column.type) {
    case 'int':
    case 'text':
      return value
    case 'boolean':
      return `CAST(${value} AS bit)`
    case 'bigint':
    case 'decimal':
      return `CONVERT(varchar(40), ${value})`
    case 'date':
      return `CONVERT(varchar(10), ${value}, 23)`
    case 'instant':
      return `CONVERT(varchar(30), ${value}, 121)`
  }
}

/** The values that tell whether a row has changed, of the row with that alias. */
export function comparedColumns(alias: string, columns: readonly Pick<Column, 'clinic' | 'clinicType'>[]): string {
  return wrap(columns.map((column) => compared(`${alias}.${name(column.clinic)}`, column.clinicType)))
}

/** Joins with commas, in lines of about 110 characters, indented by `blanks` but for the first. */
export function wrap(items: readonly string[], blanks = 4): string {
  const lines: string[] = []
  for (const item of items) {
    const line = lines.at(-1)
    if (line === undefined || line.length + item.length > 110) lines.push(item)
    else lines[lines.length - 1] = `${line}, ${item}`
  }
  return lines.join(`,\n${' '.repeat(blanks)}`)
}

/**
 * Texts are compared as bytes: a collation takes texts that differ only in case or trailing blanks for equal.
 */
export function compared(value: string, clinicType: string): string {
  return /char|text/i.test(clinicType) ? `CAST(${value} AS varbinary(max))` : value
}
