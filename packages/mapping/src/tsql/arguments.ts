import { syncedTables } from '../tables/index.ts'
import type { Table } from '../types.ts'
import { wrap } from './row.ts'
import { literal } from './text.ts'

/**
 * What a procedure refuses before it does anything: it has changed no setting, opened no transaction, and its message names
 * procedure and parameter, never a value. 51200: malformed; 51201: a table that is not synced.
 */
export const refuse = (number: 51200 | 51201, condition: string, message: string) => `IF ${condition}
BEGIN;
  THROW ${number}, ${literal(message)}, 1;
END`

/** The most rows that one call may ask for. */
export const MOST_ROWS = 100_000

/** `@Max`. */
export const checkedMax = (procedure: string) =>
  refuse(
    51200,
    `@Max IS NULL OR @Max NOT BETWEEN 1 AND ${MOST_ROWS}`,
    `${procedure}: @Max must be from 1 to ${MOST_ROWS}`,
  )

/** `@Restart`, or another flag. */
export const checkedFlag = (procedure: string, parameter: string) =>
  refuse(51200, `${parameter} IS NULL`, `${procedure}: ${parameter} must be 0 or 1`)

const names = (mapped: readonly Table[] = syncedTables) => wrap(mapped.map((table) => literal(table.name)))

/** `@Table`. */
export const checkedTable = (procedure: string, mapped: readonly Table[]) =>
  refuse(
    51201,
    `@Table IS NULL OR @Table NOT IN (\n    ${names(mapped)})`,
    `${procedure}: @Table is not the name of a synced table`,
  )

/** A property of an element: the JSON types it may have (OPENJSON's: 0 null, 1 string, 2 number, 3 boolean, 5 object), and a condition. */
interface Property {
  readonly name: string
  readonly types: readonly number[]
  /** On `p.[value]`; of a null it is not asked. */
  readonly when?: string
  readonly optional?: true
}

export const number = (name: string, type: 'int' | 'bigint', nullable?: 'nullable'): Property => ({
  name,
  types: nullable === undefined ? [1, 2] : [0, 1, 2],
  // '' and '-' convert to 0.
  when: `TRY_CONVERT(${type}, p.[value]) IS NOT NULL AND p.[value] LIKE N'%[0-9]%'`,
})

export const tableName: Property = { name: 'table', types: [1], when: 'LEN(p.[value]) BETWEEN 1 AND 100' }

/** A parameter that is a JSON array of objects with these properties. */
export function checkedArray(procedure: string, parameter: string, properties: readonly Property[]): string {
  const condition = ({ types, when }: Property) => {
    const typed = types.length === 1 ? `p.[type] = ${types[0]}` : `p.[type] IN (${types.join(', ')})`
    if (when === undefined) return typed
    return types.includes(0) ? `${typed} AND (p.[type] = 0 OR ${when})` : `${typed} AND ${when}`
  }
  const required = properties.filter(({ optional }) => !optional)
  const good = required.map((p) => `WHEN p.[key] = ${literal(p.name)} AND ${condition(p)} THEN 1`)
  const bad = properties
    .filter(({ optional }) => optional)
    .map((p) => `WHEN p.[key] = ${literal(p.name)} AND NOT (${condition(p)}) THEN -100`)
  const blanks = "N'%[^' + NCHAR(9) + NCHAR(10) + NCHAR(13) + N' ]%'"
  return `${refuse(
    51200,
    `COALESCE(ISJSON(${parameter}), 0) = 0
  OR SUBSTRING(${parameter}, PATINDEX(${blanks}, ${parameter}), 1) <> N'['`,
    `${procedure}: ${parameter} must be a JSON array`,
  )}
-- An element that is not read as it was meant would do something else: a row that is missing is a delete.
${refuse(
  51200,
  `EXISTS (
  SELECT 1
  FROM OPENJSON(${parameter}) a
    OUTER APPLY (
      SELECT SUM(CASE
        ${[...good, ...bad].join('\n        ')} ELSE 0 END) AS Fit
      FROM OPENJSON(CASE WHEN a.[type] = 5 THEN a.[value] END) p) s
  WHERE s.Fit IS NULL OR s.Fit <> ${required.length})`,
  `${procedure}: ${parameter} holds an element of another shape`,
)}`
}

/** Elements of an array that name a table which is not synced. */
export const checkedTables = (procedure: string, parameter: string) =>
  refuse(
    51201,
    `EXISTS (
  SELECT 1 FROM OPENJSON(${parameter}) WITH (TableName nvarchar(100) '$.table')
  WHERE TableName NOT IN (\n    ${names()}))`,
    `${procedure}: ${parameter} names a table that is not synced`,
  )

/** Elements of an array that are of one record. */
export const checkedRecords = (procedure: string, parameter: string) =>
  refuse(
    51200,
    `EXISTS (
  SELECT 1 FROM OPENJSON(${parameter}) WITH (TableName nvarchar(100) '$.table', RecordID int '$.key')
  GROUP BY TableName, RecordID HAVING COUNT(*) > 1)`,
    `${procedure}: ${parameter} names a record twice`,
  )
