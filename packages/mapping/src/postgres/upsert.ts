import { allColumns, sharedColumns } from '../tables/index.ts'
import type { Column, Table } from '../types.ts'
import { fill, indent, portalTable } from './common.ts'
import { HELD } from './locking.ts'

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

/** Each parent, with the child's value for it and whether the child's row is new to it. */
const parentsOf = (table: Table, tables: readonly Table[]) =>
  table.parents.map(({ column, table: parent }, index) => {
    const isKey = column === table.key.name
    return {
      parent,
      key: tables.find(({ name }) => name === parent)?.key.name,
      alias: `parent_${index + 1}`,
      column: isKey ? null : column,
      value: isKey ? 'h.key' : `r.${column}`,
      isNew: isKey ? 'here.found IS NULL' : `(here.found IS NULL OR here.${column} IS DISTINCT FROM r.${column})`,
    }
  })
type ParentOf = ReturnType<typeof parentsOf>[number]

/**
 * Takes the lock that the foreign key check of a new reference takes, without waiting: no row here means that the parent is
 * missing, or that somebody deletes it or holds it FOR UPDATE.
 */
const parentLock = ({ parent, key, alias, value, isNew }: ParentOf) => `LEFT JOIN LATERAL (
  SELECT p.${key} AS key FROM ${portalTable(parent)} AS p
  WHERE p.${key} = ${value} AND ${isNew} FOR KEY SHARE SKIP LOCKED
) AS ${alias} ON true`

/** Why a record has to wait: for a parent that is not there, or for one that somebody holds. Null: it has not. */
function obstacle(parents: readonly ParentOf[]): string {
  if (parents.length === 0) return 'NULL::text AS obstacle'
  const missing = parents.map(({ parent, key, alias, value }) => {
    const found = `(SELECT p.${key} FROM ${portalTable(parent)} AS p WHERE p.${key} = ${value})`
    return `WHEN ${value} IS NOT NULL AND ${alias}.key IS NULL AND ${found} IS NULL\n  THEN 'waits for ${parent}.${key} ' || ${value}`
  })
  const held = parents.map(
    ({ alias, value, isNew }) =>
      `WHEN ${value} IS NOT NULL AND ${alias}.key IS NULL AND ${isNew} THEN '${HELD.reason}'`,
  )
  const away = 'WHEN h.in_flight AND NOT h.ruled AND here.found IS NULL THEN NULL'
  return `CASE\n${indent([away, ...missing, ...held].join('\n'), 2)}\nEND AS obstacle`
}

/**
 * Gives free what another record of the batch takes: Postgres checks a unique value as each row is written, so two records that
 * swap theirs would be in each other's way for ever, and one that takes a value before the other has let go of it fails.
 */
const freeing = (table: Table, column: string) => `UPDATE ${portalTable(table.name)} AS t SET ${column} = NULL
FROM unnest(ordinals, names, keys, deletions, verdicts) AS h (ordinal, name, key, deleted, verdict)
WHERE h.name = '${table.name}' AND h.verdict = 'write' AND NOT h.deleted AND t.${table.key.name} = h.key
  AND t.${column} IS DISTINCT FROM changes -> (h.ordinal - 1) -> 'row' ->> '${column}'
  AND t.${column} = ANY (ARRAY(
    SELECT changes -> (o.ordinal - 1) -> 'row' ->> '${column}'
    FROM unnest(ordinals, names, deletions, verdicts) AS o (ordinal, name, deleted, verdict)
    WHERE o.name = '${table.name}' AND o.verdict = 'write' AND NOT o.deleted
  ));
`

/**
 * One statement that writes a table's part of the batch: judges each record, upserts what differs, notes the version,
 * and returns the outcomes. `OFFSET 0` keeps the look-up of the row by its key from becoming a join over the whole table.
 */
export function upsertStatement(table: Table, tables: readonly Table[]): string {
  const { key, name } = table
  const columns = allColumns(table)
  const shared = sharedColumns(table)
  const parents = parentsOf(table, tables)
  const references = parents.flatMap(({ column }) => column ?? [])
  const here = [
    'true AS found',
    ...[...shared.map((column) => column.name), ...references].map((column) => `t.${column}`),
  ]
  const others = table.columns.map((column) => column.name)
  const target = `${portalTable(name)} AS t`
  return `IF '${name}' = ANY (names) THEN
${indent(table.uniqueInPortal.map((column) => freeing(table, column)).join(''), 2)}  RETURN QUERY
  WITH judged AS MATERIALIZED (
    SELECT
      h.ordinal, h.key, h.version, h.place, h.fresh, h.ruled,
      h.in_flight AND NOT h.ruled AND here.found IS NULL AS away,
${indent(obstacle(parents), 6)},
${indent(fill(table.columns.map((column) => incoming(table, column))), 6)}
    FROM unnest(ordinals, names, keys, versions, deletions, verdicts, places, fresh, ruled, in_flight)
      AS h (ordinal, name, key, version, deleted, verdict, place, fresh, ruled, in_flight)
    CROSS JOIN LATERAL jsonb_to_record(changes -> (h.ordinal - 1) -> 'row') AS r (
${indent(fill(table.columns.map((column) => `${column.name} ${column.portalType}`)), 6)}
    )
    LEFT JOIN LATERAL (
      SELECT ${here.join(', ')} FROM ${target} WHERE t.${key.name} = h.key OFFSET 0
    ) AS here ON true${parents.map((parent) => `\n${indent(parentLock(parent), 4)}`).join('')}
    WHERE h.name = '${name}' AND h.verdict = 'write' AND NOT h.deleted
  ), written AS (
    INSERT INTO ${target} (
${indent(fill(columns.map((column) => column.name)), 6)}
    )
    SELECT
${indent(fill(['j.key', ...others.map((column) => `j.${column}`)]), 6)}
    FROM judged AS j
    WHERE NOT j.away AND j.obstacle IS NULL
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
      clinic_version = CASE WHEN j.obstacle IS NULL THEN j.version ELSE 0 END,
      since = CASE WHEN j.ruled THEN NULL ELSE s.since END,
      base = CASE WHEN j.ruled THEN NULL ELSE s.base END
    FROM judged AS j
    WHERE s.ctid = j.place AND j.fresh = (j.obstacle IS NOT NULL)
  )
  SELECT
    j.ordinal,
    CASE
      WHEN j.obstacle IS NOT NULL THEN 'retry'
      WHEN j.key = ANY (ARRAY(SELECT w.key FROM written AS w)) THEN 'applied'
      ELSE 'unchanged'
    END,
    CASE WHEN j.obstacle = '${HELD.reason}' THEN '${HELD.code}' WHEN j.obstacle IS NOT NULL THEN '23503' END,
    j.obstacle
  FROM judged AS j;
END IF;
`
}
