import { syncedTables } from '../tables/index.ts'
import { canaryTable } from './canary.ts'
import { indent, REVOKE_FUNCTIONS, SAFE_PATH } from './common.ts'
import { deleteStatements } from './delete.ts'
import { HELD, lockStatements } from './locking.ts'
import { upsertStatement } from './upsert.ts'

const NAMES = syncedTables.map(({ name }) => `'${name}'`).join(', ')
const RESULT = 'TABLE(ordinal integer, outcome text, code text, reason text)'

/** `sync.apply_clinic_changes`: design.md, "Applying", clinic → portal. */
export const applyFile = () => `--
-- Applies a batch of the clinic's events: a JSON array of {table, key, version, seen, row}, each record at most once,
-- row null for a delete. Returns an outcome for each, by its place in the array (from 1). All or nothing: one transaction.
-- Safe to run again.
--
-- Where the sync and a person meet on a row, the sync gives way: it takes its locks with SKIP LOCKED, and a record whose row is
-- held by somebody's transaction is a 'retry', code ${HELD.code}; all others are applied. What cannot be skipped (another row with the
-- same key or unique value that is not committed yet, a lock on a whole table) ends the attempt after 10 ms, and the
-- records are applied one by one, those in the way becoming a 'retry' after 2 ms each. Whoever waits for the sync in turn waits
-- for milliseconds, so no deadlock lasts until Postgres looks for one (deadlock_timeout, 1 s).
-- Plans are generic and by index: tables that were small when the plan was made may be large by now (a backfill).

${canaryTable()}
-- A function's result type cannot be replaced.
DO $$
DECLARE
  old text := pg_catalog.pg_get_function_result(to_regprocedure('sync.apply_clinic_changes(jsonb)'));
BEGIN
  IF old <> '${RESULT}' THEN
    DROP FUNCTION sync.apply_clinic_changes(jsonb);
  END IF;
END
$$;

-- One attempt at a batch. Fails as a whole (${HELD.code}) where a lock is in the way that cannot be skipped.
CREATE OR REPLACE FUNCTION sync.apply_clinic_batch(changes jsonb)
RETURNS ${RESULT}
LANGUAGE plpgsql
${SAFE_PATH}
AS $function$
#variable_conflict use_column
DECLARE
  ordinals integer[];
  names text[];
  keys integer[];
  versions bigint[];
  seen bigint[];
  deletions boolean[];
  held integer[] := '{}'; -- ordinals of records whose row is somebody else's
  verdicts text[];        -- 'write', 'duplicate', 'stale', 'held'
  places tid[];           -- where the bookkeeping row is; it is locked, so it stays there
  fresh boolean[];        -- never heard of before: its bookkeeping row is made here, with the version in it
  ruled boolean[];        -- the clinic has had the doctor's latest edit, or there is none
  in_flight boolean[];    -- a doctor's edit is on its way to the clinic
  doomed integer[];
  unknown text;
BEGIN
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
  WHERE h.name IS NULL OR h.name NOT IN (${NAMES});
  IF FOUND THEN
    RAISE EXCEPTION 'not a synced table' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF EXISTS (SELECT FROM unnest(names, keys) AS h (name, key) GROUP BY h.name, h.key HAVING count(*) > 1) THEN
    RAISE EXCEPTION 'a record occurs twice in one batch' USING ERRCODE = 'invalid_parameter_value';
  END IF;

  -- Locks: the rows first, then their bookkeeping, both in key order, as an edit with its trigger does.
${indent(syncedTables.map((table) => lockStatements(table, syncedTables)).join(''), 2)}
  -- Of a record that is held, the version alone is read: one that was applied already need not wait.
  SELECT
    array_agg(
      CASE
        WHEN k.version = k.applied_version THEN 'duplicate'
        WHEN k.version < k.applied_version THEN 'stale'
        WHEN k.held OR k.place IS NULL AND k.applied_version IS NOT NULL THEN 'held'
        ELSE 'write'
      END ORDER BY k.ordinal
    ),
    array_agg(k.since IS NULL OR k.seen >= k.local_version ORDER BY k.ordinal),
    array_agg(k.since IS NOT NULL ORDER BY k.ordinal),
    array_agg(k.place ORDER BY k.ordinal),
    array_agg(NOT k.held AND k.place IS NULL AND k.applied_version IS NULL ORDER BY k.ordinal)
  INTO verdicts, ruled, in_flight, places, fresh
  FROM (
    SELECT
      h.ordinal, h.version, h.seen, h.held, mine.local_version, mine.since, mine.place,
      coalesce(mine.clinic_version, there.clinic_version) AS applied_version
    FROM (
      SELECT u.*, u.ordinal = ANY (held) AS held
      FROM unnest(ordinals, names, keys, versions, seen) AS u (ordinal, name, key, version, seen)
      ORDER BY u.name, u.key OFFSET 0
    ) AS h
    LEFT JOIN LATERAL (
      SELECT s.clinic_version, s.local_version, s.since, s.ctid AS place FROM sync.row_state AS s
      WHERE s.table_name = h.name AND s.record_id = h.key AND NOT h.held FOR UPDATE SKIP LOCKED
    ) AS mine ON true
    LEFT JOIN LATERAL (
      SELECT s.clinic_version FROM sync.row_state AS s
      WHERE s.table_name = h.name AND s.record_id = h.key AND mine.place IS NULL OFFSET 0
    ) AS there ON true
  ) AS k;

  IF true = ANY (fresh) THEN
    WITH made AS (
      INSERT INTO sync.row_state AS s (table_name, record_id, clinic_version)
      SELECT h.name, h.key, h.version
      FROM unnest(names, keys, versions, fresh) AS h (name, key, version, fresh)
      WHERE h.fresh
      ORDER BY h.name, h.key
      ON CONFLICT (table_name, record_id) DO NOTHING
      RETURNING s.table_name, s.record_id, s.ctid AS place
    )
    -- Not made: somebody else's has been committed since we looked.
    SELECT
      array_agg(CASE WHEN h.fresh AND m.place IS NULL THEN 'held' ELSE h.verdict END ORDER BY h.ordinal),
      array_agg(coalesce(h.place, m.place) ORDER BY h.ordinal)
    INTO verdicts, places
    FROM unnest(ordinals, names, keys, verdicts, places, fresh) AS h (ordinal, name, key, verdict, place, fresh)
    LEFT JOIN made AS m ON m.table_name = h.name AND m.record_id = h.key;
  END IF;

  RETURN QUERY
  SELECT
    h.ordinal,
    CASE h.verdict WHEN 'held' THEN 'retry' ELSE h.verdict END,
    CASE h.verdict WHEN 'held' THEN '${HELD.code}' END,
    CASE h.verdict WHEN 'held' THEN '${HELD.reason}' END
  FROM unnest(ordinals, verdicts) AS h (ordinal, verdict) WHERE h.verdict <> 'write';

  -- Parents before children.
${indent(syncedTables.map((table) => upsertStatement(table, syncedTables)).join('\n'), 2)}
  IF NOT true = ANY (deletions) THEN
    RETURN;
  END IF;

  -- Children before parents.
${indent(
  syncedTables
    .toReversed()
    .map((table) => deleteStatements(table, syncedTables))
    .join('\n'),
  2,
)}END
$function$;

CREATE OR REPLACE FUNCTION sync.apply_clinic_changes(changes jsonb)
RETURNS ${RESULT}
LANGUAGE plpgsql SECURITY DEFINER
${SAFE_PATH}
SET lock_timeout = '10ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $function$
DECLARE
  one record;
  started timestamptz;
BEGIN
  -- The clinic's rows would be taken for its rulings on edits that it has not had.
  IF EXISTS (SELECT FROM sync.settings AS s WHERE s.name = 'Restored') THEN
    RAISE EXCEPTION 'the portal was restored from a backup, and that is not repaired yet' USING ERRCODE = 'CS001';
  END IF;

  -- What the sync writes, the capture triggers leave alone. Local to the transaction.
  PERFORM set_config('sync.applying', 'on', true);

  BEGIN
    RETURN QUERY SELECT b.* FROM sync.apply_clinic_batch(changes) AS b;
    RETURN;
  EXCEPTION WHEN lock_not_available THEN
    NULL; -- undone, its locks with it
  END;

  -- One by one, parents before children, deletes the other way round. The locks of those that went well are held until the
  -- end, so what has not had its turn after a fifth of a second has to wait as well.
  PERFORM set_config('lock_timeout', '2ms', true);
  started := clock_timestamp();
  FOR one IN
    SELECT s.ordinal, s.change
    FROM (
      SELECT e.ordinality::integer AS ordinal, e.value AS change,
        coalesce(jsonb_typeof(e.value -> 'row'), 'null') = 'null' AS deleted,
        array_position(ARRAY[${NAMES}], e.value ->> 'table') AS rank
      FROM jsonb_array_elements(changes) WITH ORDINALITY AS e
    ) AS s
    ORDER BY s.deleted, CASE WHEN s.deleted THEN -s.rank ELSE s.rank END, (s.change ->> 'key')::integer
  LOOP
    BEGIN
      IF clock_timestamp() > started + interval '200 ms' THEN
        RAISE lock_not_available;
      END IF;
      RETURN QUERY
      SELECT one.ordinal, b.outcome, b.code, b.reason FROM sync.apply_clinic_batch(jsonb_build_array(one.change)) AS b;
    EXCEPTION WHEN lock_not_available THEN
      RETURN QUERY SELECT one.ordinal, 'retry', '${HELD.code}', '${HELD.reason}';
    END;
  END LOOP;
END
$function$;

${REVOKE_FUNCTIONS}`
