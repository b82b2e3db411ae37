import type { Column, Table } from '../types.ts'
import { wrap } from './row.ts'
import { literal, name } from './text.ts'

export type VariablePrefix = 'e' | 'ev' | 'b' | 'bv' | 'c' | 'r' | 'p'

/**
 * A column of the event in the table variable of a batch:
 * `e_` the event's value as it travels, `b_` the base's, `ev_` and `bv_` the same in the clinic's type, `c_` the clinic's
 * value, `r_` the rule that decided, `p_` whether the parent is there. A text needs no `ev_` and `bv_`: it is compared and
 * written as it travels.
 */
export const variable = (prefix: VariablePrefix, column: Column) =>
  name(`${isText(column) ? prefix.replace('v', '') : prefix}_${column.name}`)

export const isText = ({ type }: Column) => type === 'text'

/** A text in a code page: a character that it lacks would be stored as another one. */
export const isCodePage = ({ clinicType }: Column) => /^(var)?char\(/i.test(clinicType)

/** The column's own type in a table variable. */
export const variableType = (column: Column) => (isText(column) ? 'nvarchar(max)' : column.clinicType)

/** A text without a limit: JSON_VALUE cuts it at 4,000 characters, and so does OPENJSON … WITH on the check engine. */
const isUnbounded = ({ clinicType }: Column) => clinicType === 'nvarchar(max)'

/** Reads a row as it travels, whatever the JSON types, from a JSON expression: each value is text, as `alias.[column]`. */
export function readRow(json: string, alias: string, columns: readonly Column[]) {
  const bounded = columns.filter((column) => !isUnbounded(column))
  const paths = bounded.map((column) => `${name(column.name)} nvarchar(max) '$.${column.name}'`)
  return {
    apply: paths.length === 0 ? '' : `\n  OUTER APPLY OPENJSON(${json}) WITH (\n    ${wrap(paths)}) ${alias}`,
    value: (column: Column) =>
      isUnbounded(column)
        ? `(SELECT j.[value] FROM OPENJSON(${json}) j WHERE j.[key] = ${literal(column.name)})`
        : `${alias}.${name(column.name)}`,
  }
}

const DIGITS = (count: number) => '[0-9]'.repeat(count)
const DATE = `${DIGITS(4)}-${DIGITS(2)}-${DIGITS(2)}`
const WALL = `${DATE}T%:%:%.${DIGITS(3)}`

/** Milliseconds that round to a time after the last one make a `datetime` overflow. */
const LAST_DATETIME = "'9999-12-31T23:59:59.998'"

/**
 * A value as it travels (nvarchar(max)) in the clinic's type; NULL where the type does not hold it. Converted only where
 * it has the form of the type: SQL Server takes '' for 0, for no and for the year 1900.
 */
export function typed(column: Column, wire: string): string {
  const { type, clinicType } = column
  const converted = (style = '') => `TRY_CONVERT(${clinicType}, ${wire}${style})`
  switch (type) {
    case 'text':
      return wire
    case 'boolean':
      return `CAST(CASE ${wire} WHEN N'true' THEN 1 WHEN N'false' THEN 0 END AS bit)`
    case 'date':
      return `CASE WHEN ${wire} LIKE N'${DATE}' THEN ${converted(', 23')} END`
    case 'instant': {
      const time = `TRY_CONVERT(datetime2(3), ${wire}, 126)`
      const form = `${wire} LIKE N'${WALL}'`
      if (clinicType !== 'datetime') return `CASE WHEN ${form} THEN TRY_CONVERT(${clinicType}, ${time}) END`
      return `CASE WHEN ${form}
      AND ${time} BETWEEN '1753-01-01T00:00:00.000' AND ${LAST_DATETIME}
    THEN CONVERT(datetime, ${time}) END`
    }
    default:
      return `CASE WHEN ${wire} LIKE N'%[0-9]%' THEN ${converted()} END`
  }
}

/** The clinic's value of a text column, as Unicode. */
const unicode = (column: Column) => {
  const value = `t.${name(column.clinic)}`
  return isCodePage(column) ? `CAST(${value} AS nvarchar(max))` : value
}

/**
 * The clinic's text, of the row with alias `t`, without U+0000, which never reaches the portal. (An engine that has no
 * U+0000 has no NCHAR(0) either.)
 */
export const clinicText = (column: Column) =>
  `COALESCE(REPLACE(${unicode(column)} COLLATE Latin1_General_BIN2, NCHAR(0), N''), ${unicode(column)})`

/** A clinic's value in the form in which it travels; a text must be without U+0000 already. */
export function wire(column: Column, value: string): string {
  switch (column.type) {
    case 'text':
      return value
    case 'boolean':
      return `CASE ${value} WHEN 1 THEN N'true' WHEN 0 THEN N'false' END`
    case 'date':
      return `CONVERT(nvarchar(10), ${value}, 23)`
    case 'instant': {
      // Cut off after the milliseconds, as on the way to the portal.
      const time = column.clinicType === 'datetime' ? value : `CAST(${value} AS datetime2(7))`
      return `STUFF(CONVERT(nvarchar(23), ${time}, 121), 11, 1, N'T')`
    }
    default:
      return `CONVERT(nvarchar(40), ${value})`
  }
}

/**
 * What makes two texts equal to the last character: a binary collation, which still takes trailing blanks for nothing, and
 * the length. (The bytes would do as well, but the check engine's are those of a code page.)
 */
const exactly = (text: string) => [`${text} COLLATE Latin1_General_BIN2`, `DATALENGTH(${text})`]

/** NULL equals NULL. */
const equal = (one: string, other: string) => `EXISTS (SELECT ${one} INTERSECT SELECT ${other})`

/** Whether two texts are equal, to the character. */
export const sameText = (one: string, other: string) => equal(exactly(one).join(', '), exactly(other).join(', '))

/** What is compared of the clinic's row with alias `t` and of the event, to tell whether the portal has all of it. */
export const comparedInFull = (column: Column) => {
  const value = `t.${name(column.clinic)}`
  const event = `x.${variable('e', column)}`
  return isText(column)
    ? { clinic: exactly(clinicText(column)), event: exactly(event) }
    : { clinic: [wire(column, value)], event: [event] }
}

/** Conditions of the merge rules on a column of the table variable with alias `x`. */
export function merging(column: Column) {
  const of = (prefix: VariablePrefix) => `x.${variable(prefix, column)}`
  if (isText(column)) {
    return {
      clinicIsNew: sameText(of('c'), of('e')),
      newIsBase: sameText(of('e'), of('b')),
      clinicIsBase: sameText(of('c'), of('b')),
    }
  }
  // A value that the type does not hold equals nothing but itself.
  const held = (prefix: 'e' | 'b') => `(${of(prefix)} IS NULL OR ${of(`${prefix}v`)} IS NOT NULL)`
  return {
    clinicIsNew: `${held('e')} AND ${equal(of('c'), of('ev'))}`,
    newIsBase: `(${of('ev')} = ${of('bv')} OR ${equal(of('e'), of('b'))})`,
    clinicIsBase: `${held('b')} AND ${equal(of('c'), of('bv'))}`,
  }
}

/**
 * Whether the shared columns are shared in the clinic's row with alias `t`, or in the event's with alias `x`; null: they are
 * in every row.
 */
export function sharedCondition(table: Table, alias: 't' | 'x'): string | null {
  if (table.sharedWhen === null) return null
  const column = sharedWhenColumn(table)
  const value = alias === 't' ? unicode(column) : `x.${variable('e', column)}`
  return sameText(value, literal(table.sharedWhen.equals))
}

export function sharedWhenColumn(table: Table): Column {
  const found = table.columns.find(({ name: portalName }) => portalName === table.sharedWhen?.column)
  if (found === undefined) throw new Error(`${table.name}: sharedWhen names no column`)
  return found
}
