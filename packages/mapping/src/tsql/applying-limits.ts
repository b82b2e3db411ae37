import type { Column, Table } from '../types.ts'
import { referencesOf } from './applying-batch.ts'
import { isCodePage, isText, sameText, sharedCondition, sharedWhenColumn, variable } from './applying-column.ts'
import { inClinic, literal } from './text.ts'

/** Condition and message (a T-SQL expression) of something that the clinic cannot take. */
interface Limit {
  readonly broken: string
  readonly message: string
  /** Judged only as part of a whole new row. */
  readonly insertOnly?: true
}

/**
 * What keeps a value of the event, in the table variable with alias `x`, from being written into the column. Lengths and
 * NOT NULL are those of the real column, where the login may see them.
 */
export function limitsOf(table: Table, column: Column): Limit[] {
  const event = `x.${variable('e', column)}`
  const about = (text: string) => literal(`${column.name}${text}`)
  const limits: Limit[] = [
    {
      broken: column.notNull
        ? `${event} IS NULL`
        : `${event} IS NULL AND COLUMNPROPERTY(OBJECT_ID(${literal(inClinic(table))}), ${literal(column.clinic)}, 'AllowsNull') = 0`,
      message: about(' must not be null'),
    },
    ...(isText(column) ? textLimits(table, column) : [typeLimit(column)]),
  ]
  if (column.name === table.sharedWhen?.column) limits.push(sharedOnly(table))
  for (const { column: reference, parent } of table.portalInserts ? referencesOf(table) : []) {
    if (reference !== column) continue
    limits.push({
      broken: `${event} IS NOT NULL AND x.${variable('p', column)} IS NULL`,
      message: `${about(`: the clinic has no ${parent.name} `)} + ${event}`,
      insertOnly: true,
    })
  }
  return limits
}

function textLimits(table: Table, column: Column): Limit[] {
  const event = `x.${variable('e', column)}`
  const length = `COL_LENGTH(${literal(inClinic(table))}, ${literal(column.clinic)})`
  const declared = Number(/\((\d+)\)/.exec(column.clinicType)?.[1] ?? -1)
  const unit = isCodePage(column) ? 1 : 2
  // COL_LENGTH counts bytes; -1 is max. A binary collation counts UTF-16 units, as nvarchar does; LEN leaves blanks at the end out.
  const bytes = `COALESCE(${length}, ${declared < 0 ? declared : declared * unit})`
  const limit = unit === 1 ? bytes : `${bytes} / ${unit}`
  const stored = `CAST(${event} AS varchar(max))`
  const size = unit === 1 ? `DATALENGTH(${stored})` : `LEN((${event} + N'.') COLLATE Latin1_General_BIN2) - 1`
  const tooLong: Limit = {
    broken: `${bytes} >= 0 AND ${size} > ${limit}`,
    message: `${literal(`${column.name}: longer than `)} + CONVERT(nvarchar(10), ${limit}) + N' characters'`,
  }
  if (!isCodePage(column)) return [tooLong]
  return [
    tooLong,
    {
      broken: `NOT ${sameText(event, `CAST(${stored} AS nvarchar(max))`)}`,
      message: literal(`${column.name}: a character that the clinic's code page lacks`),
    },
  ]
}

function typeLimit(column: Column): Limit {
  return {
    broken: `x.${variable('e', column)} IS NOT NULL AND x.${variable('ev', column)} IS NULL`,
    message: literal(`${column.name}: ${rangeOf(column)}`),
  }
}

function rangeOf({ type, clinicType }: Column): string {
  if (type === 'boolean') return 'not a boolean'
  if (type === 'instant' || type === 'date') {
    return `outside the years ${clinicType === 'datetime' ? 1753 : 1} to 9999 of ${clinicType.replace(/\(.*/, '')}`
  }
  return `outside the range of ${clinicType}`
}

function sharedOnly(table: Table): Limit {
  const { name, sharedWhen } = table
  const column = sharedWhenColumn(table)
  return {
    broken: `NOT ${sharedCondition(table, 'x')}`,
    message: literal(
      `${column.name}: only '${sharedWhen?.equals}' ${name.slice(name.lastIndexOf('_') + 1)} come from the portal`,
    ),
    insertOnly: true,
  }
}
