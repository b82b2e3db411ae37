import { allColumns, tableNamed } from '../tables/index.ts'
import type { Column, Table, TableName } from '../types.ts'

/** Where in the portal a synced table is: its own are in public, the canary in ours. */
export const portalTable = (name: TableName) => `${tableNamed(name).isOurs ? 'sync' : 'public'}.${name}`

/** Whether the portal's column sets a text no limit. */
export const isUnbounded = ({ type, portalType }: Column) => type === 'text' && portalType === 'text'

/** Indents every line but the empty ones. */
export const indent = (text: string, spaces: number) => text.replace(/^(?=.)/gm, ' '.repeat(spaces))

/** Packs items into lines of at most `width` characters. */
export function fill(items: readonly string[], width = 100): string {
  const lines: string[] = []
  let line = ''
  items.forEach((item, index) => {
    const piece = index === items.length - 1 ? item : `${item},`
    if (line !== '' && line.length + piece.length + 1 > width) {
      lines.push(line)
      line = piece
    } else line = line === '' ? piece : `${line} ${piece}`
  })
  return [...lines, line].join('\n')
}

/**
 * A column's value as JSON functions give it the form that it has on the wire (see `Value` in @clinic-sync/contracts). They write
 * a date as YYYY-MM-DD; to_char fails on years that only a date can hold.
 */
export function wireValue(alias: string, { name, type }: Column): string {
  const value = `${alias}.${name}`
  if (type === 'instant') return `sync.wire_instant(${value})`
  return type === 'bigint' || type === 'decimal' ? `${value}::text` : value
}

/** An expression for the JSON object of these columns' wire values, or of what else `valueOf` makes of them. */
export const wireObject = (alias: string, columns: readonly Column[], valueOf = wireValue) =>
  `json_build_object(\n${indent(fill(columns.map((column) => `'${column.name}', ${valueOf(alias, column)}`)), 2)}\n)`

export const wireRow = (alias: string, table: Table) => wireObject(alias, allColumns(table))

/** Functions are executable by everybody unless told otherwise. */
export const REVOKE_FUNCTIONS = `DO $$
DECLARE
  grantee text;
BEGIN
  REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sync FROM PUBLIC;
  FOR grantee IN SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sync FROM %I', grantee);
  END LOOP;
END
$$;
`

/**
 * For every function of schema sync. With an empty path the caller's temporary schema is searched for types all the same, and first: who
 * makes a type `text` there, with a check of its own, has that run as the owner.
 */
export const SAFE_PATH = 'SET search_path = pg_catalog, pg_temp'
