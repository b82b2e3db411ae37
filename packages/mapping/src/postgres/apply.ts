import { tables } from '../tables/index.ts'
import type { Table } from '../types.ts'
import { indent, portalTable, REVOKE_FUNCTIONS } from './common.ts'
import { deleteStatements } from './delete.ts'
import { upsertStatement } from './upsert.ts'

/** A row to be deleted is locked as a delete does; others so that a child's foreign key check does not wait for them. */
const lockStatement = ({ name, key }: Table) => `IF '${name}' = ANY (names) THEN
  SELECT array_agg(h.key) FILTER (WHERE h.deleted), array_agg(h.key) FILTER (WHERE NOT h.deleted)
  INTO doomed, kept
  FROM unnest(names, keys, deletions) AS h (name, key, deleted) WHERE h.name = '${name}';
  PERFORM FROM ${portalTable(name)} AS t WHERE t.${key.name} = ANY (kept) ORDER BY t.${key.name} FOR NO KEY UPDATE;
  IF doomed IS NOT NULL THEN
    PERFORM FROM ${portalTable(name)} AS t WHERE t.${key.name} = ANY (doomed) ORDER BY t.${key.name} FOR UPDATE;
  END IF;
END IF;
`

/** `sync.apply_clinic_changes`: design.md, "Applying", clinic → portal. */
export const applyFile = () => `--
-- Applies a batch of the clinic's events: a JSON array of {table, key, version, seen, row}, each record at most once,
-- row null for a delete. Returns an outcome for each, by its place in the array (from 1). All or nothing: one transaction.
-- Safe to run again.
--
-- lock_timeout is shorter than Postgres' deadlock check (deadlock_timeout, 1 s): where the sync and a doctor meet on a row,
-- it is the sync that gives way and tries again.
-- Plans are generic and by index: tables that were small when the plan was made may be large by now (a backfill).

CREATE OR REPLACE FUNCTION sync.apply_clinic_changes(changes jsonb)
RETURNS TABLE (ordinal integer, outcome text, reason text)
LANGUAGE plpgsql
SET search_path = ''
SET lock_timeout = '250ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $function$
#variable_conflict use_column
DECLARE
  ordinals integer[];
  names text[];
  keys integer[];
  versions bigint[];
  seen bigint[];
  deletions boolean[];
  verdicts text[];     -- 'write', 'duplicate', 'stale'
  places tid[];        -- where the bookkeeping row is; it is locked, so it stays there
  fresh boolean[];     -- never heard of before: its bookkeeping row is made here, with the version in it
  ruled boolean[];     -- the clinic has had the doctor's latest edit, or there is none
  in_flight boolean[]; -- a doctor's edit is on its way to the clinic
  doomed integer[];
  kept integer[];
  unknown text;
BEGIN
  -- What the sync writes, the capture triggers leave alone. Local to the transaction.
  PERFORM set_config('sync.applying', 'on', true);

  SELECT
    array_agg(e.ordinality::integer ORDER BY e.ordinality),
    array_agg(e.value ->> 'table' ORDER BY e.ordinality),
    array_agg((e.value ->> 'key')::integer ORDER BY e.ordinality),
    array_agg((e.value ->> 'version')::bigint ORDER BY e.ordinality),
    array_agg(coalesce((e.value ->> 'seen')::bigint, 0) ORDER BY e.ordinality),
    array_agg(coalesce(jsonb_typeof(e.value -> 'row'), 'null') = 'null' ORDER BY e.ordinality)
  INTO ordinals, names, keys, versions, seen, deletions
  FROM jsonb_array_elements(changes) WITH ORDINALITY AS e;
  IF ordinals IS NULL THEN
    RETURN;
  END IF;
  SELECT h.name INTO unknown FROM unnest(names) AS h (name)
  WHERE h.name IS NULL OR h.name NOT IN (${tables.map(({ name }) => `'${name}'`).join(', ')});
  IF FOUND THEN
    RAISE EXCEPTION 'not a synced table' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF EXISTS (SELECT FROM unnest(names, keys) AS h (name, key) GROUP BY h.name, h.key HAVING count(*) > 1) THEN
    RAISE EXCEPTION 'a record occurs twice in one batch' USING ERRCODE = 'invalid_parameter_value';
  END IF;

  -- Locks: the rows first, then their bookkeeping, both in key order, as an edit with its trigger does.
${indent(tables.map(lockStatement).join(''), 2)}
  WITH made AS (
    INSERT INTO sync.row_state AS s (table_name, record_id, clinic_version)
    SELECT h.name, h.key, h.version
    FROM unnest(names, keys, versions) AS h (name, key, version)
    ORDER BY h.name, h.key
    ON CONFLICT (table_name, record_id) DO NOTHING
    RETURNING s.table_name, s.record_id
  )
  SELECT array_agg(m.record_id IS NOT NULL ORDER BY h.ordinal) INTO fresh
  FROM unnest(ordinals, names, keys) AS h (ordinal, name, key)
  LEFT JOIN made AS m ON m.table_name = h.name AND m.record_id = h.key;

  -- A statement of its own: it sees what others committed while the rows were waited for.
  SELECT
    array_agg(
      CASE
        WHEN k.fresh OR k.version > k.clinic_version THEN 'write'
        WHEN k.version = k.clinic_version THEN 'duplicate'
        ELSE 'stale'
      END ORDER BY k.ordinal
    ),
    array_agg(k.fresh OR k.since IS NULL OR k.seen >= k.local_version ORDER BY k.ordinal),
    array_agg(NOT k.fresh AND k.since IS NOT NULL ORDER BY k.ordinal),
    array_agg(k.place ORDER BY k.ordinal)
  INTO verdicts, ruled, in_flight, places
  FROM (
    SELECT h.ordinal, h.version, h.seen, h.fresh, s.clinic_version, s.local_version, s.since, s.place
    FROM (
      SELECT * FROM unnest(ordinals, names, keys, versions, seen, fresh)
        AS u (ordinal, name, key, version, seen, fresh)
      ORDER BY u.name, u.key OFFSET 0
    ) AS h
    CROSS JOIN LATERAL (
      SELECT s.clinic_version, s.local_version, s.since, s.ctid AS place FROM sync.row_state AS s
      WHERE s.table_name = h.name AND s.record_id = h.key FOR UPDATE
    ) AS s
  ) AS k;

  RETURN QUERY
  SELECT h.ordinal, h.verdict, NULL::text FROM unnest(ordinals, verdicts) AS h (ordinal, verdict) WHERE h.verdict <> 'write';

  -- Parents before children.
${indent(tables.map((table) => upsertStatement(table, tables)).join('\n'), 2)}
  IF NOT true = ANY (deletions) THEN
    RETURN;
  END IF;

  -- Children before parents.
${indent(
  tables
    .toReversed()
    .map((table) => deleteStatements(table, tables))
    .join('\n'),
  2,
)}END
$function$;

${REVOKE_FUNCTIONS}`
