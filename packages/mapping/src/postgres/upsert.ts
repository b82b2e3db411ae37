import { allColumns, sharedColumns } from '../tables/index.ts'
import type { Column, Table } from '../types.ts'
import { fill, indent, portalTable } from './common.ts'

/** Whether the clinic's value of a shared column is to be written. `here.found` is null where the portal has no such row. */
function ruledCondition(table: Table): string {
  const only = table.sharedWhen
  const everywhere = 'h.ruled OR here.found IS NULL'
  return only ? `${everywhere} OR r.${only.column} IS DISTINCT FROM '${only.equals}'` : everywhere
}

function incoming(table: Table, column: Column): string {
  if (column.owner !== 'shared') return `r.${column.name}`
  return `CASE WHEN ${ruledCondition(table)} THEN r.${column.name} ELSE here.${column.name} END AS ${column.name}`
}

function missingParent(table: Table, tables: readonly Table[]): string {
  if (table.parents.length === 0) return 'NULL::text AS missing'
  const cases = table.parents.map(({ column, table: parent }) => {
    const key = tables.find(({ name }) => name === parent)?.key.name
    const value = column === table.key.name ? 'h.key' : `r.${column}`
    const found = `(SELECT p.${key} FROM ${portalTable(parent)} AS p WHERE p.${key} = ${value})`
    return `WHEN ${value} IS NOT NULL AND ${found} IS NULL\n  THEN 'waits for ${parent}.${key} ' || ${value}`
  })
  const away = 'WHEN h.in_flight AND NOT h.ruled AND here.found IS NULL THEN NULL'
  return `CASE\n${indent([away, ...cases].join('\n'), 2)}\nEND AS missing`
}

/**
 * One statement that writes a table's part of the batch: judges each record, upserts what differs, notes the version,
 * and returns the outcomes. `OFFSET 0` keeps the look-up of the row by its key from becoming a join over the whole table.
 */
export function upsertStatement(table: Table, tables: readonly Table[]): string {
  const { key, name } = table
  const columns = allColumns(table)
  const shared = sharedColumns(table)
  const here = ['true AS found', ...shared.map((column) => `t.${column.name}`)]
  const others = table.columns.map((column) => column.name)
  const target = `${portalTable(name)} AS t`
  return `IF '${name}' = ANY (names) THEN
  RETURN QUERY
  WITH judged AS MATERIALIZED (
    SELECT
      h.ordinal, h.key, h.version, h.place, h.fresh, h.ruled,
      h.in_flight AND NOT h.ruled AND here.found IS NULL AS away,
${indent(missingParent(table, tables), 6)},
${indent(fill(table.columns.map((column) => incoming(table, column))), 6)}
    FROM unnest(ordinals, names, keys, versions, deletions, verdicts, places, fresh, ruled, in_flight)
      AS h (ordinal, name, key, version, deleted, verdict, place, fresh, ruled, in_flight)
    CROSS JOIN LATERAL jsonb_to_record(changes -> (h.ordinal - 1) -> 'row') AS r (
${indent(fill(table.columns.map((column) => `${column.name} ${column.portalType}`)), 6)}
    )
    LEFT JOIN LATERAL (
      SELECT ${here.join(', ')} FROM ${target} WHERE t.${key.name} = h.key OFFSET 0
    ) AS here ON true
    WHERE h.name = '${name}' AND h.verdict = 'write' AND NOT h.deleted
  ), written AS (
    INSERT INTO ${target} (
${indent(fill(columns.map((column) => column.name)), 6)}
    )
    SELECT
${indent(fill(['j.key', ...others.map((column) => `j.${column}`)]), 6)}
    FROM judged AS j
    WHERE NOT j.away AND j.missing IS NULL
    ORDER BY j.key
    ON CONFLICT (${key.name}) DO UPDATE SET
${indent(fill(others.map((column) => `${column} = excluded.${column}`)), 6)}
    WHERE (
${indent(fill(others.map((column) => `t.${column}`)), 6)}
    ) IS DISTINCT FROM (
${indent(fill(others.map((column) => `excluded.${column}`)), 6)}
    )
    RETURNING t.${key.name} AS key
  ), noted AS (
    UPDATE sync.row_state AS s SET
      clinic_version = CASE WHEN j.missing IS NULL THEN j.version ELSE 0 END,
      since = CASE WHEN j.ruled THEN NULL ELSE s.since END,
      base = CASE WHEN j.ruled THEN NULL ELSE s.base END
    FROM judged AS j
    WHERE s.ctid = j.place AND j.fresh = (j.missing IS NOT NULL)
  )
  SELECT
    j.ordinal,
    CASE
      WHEN j.missing IS NOT NULL THEN 'retry'
      WHEN j.key = ANY (ARRAY(SELECT w.key FROM written AS w)) THEN 'applied'
      ELSE 'unchanged'
    END,
    j.missing
  FROM judged AS j;
END IF;
`
}
