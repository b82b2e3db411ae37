import { allColumns, syncedTables } from '../tables/index.ts'
import type { Table } from '../types.ts'
import { canaryFunctions } from './canary.ts'
import { operatingFunctions } from './operating.ts'
import { recordFunctions } from './records.ts'
import { indent, isUnbounded, portalTable, REVOKE_FUNCTIONS, SAFE_PATH, wireRow } from './common.ts'

/**
 * Bytes of texts that one take gives at most, but for its first record. JSON may need six bytes for one (U+0001); a JavaScript
 * string holds 512 MB, a text in Postgres 1 GB, and beyond the first of these the driver ends the process.
 */
const PORTION = 16 * 1024 * 1024
/** Bytes of texts beyond which a record is not even shown to the ingress. RabbitMQ takes far less. */
const TOO_LARGE = 4 * PORTION

const readBranch = (table: Table) => `WHEN '${table.name}' THEN
  RETURN QUERY
  SELECT t.${table.key.name}::integer, ${indent(wireRow('t', table), 4).trimStart()}::text
  FROM ${portalTable(table.name)} AS t
  WHERE after IS NULL OR t.${table.key.name} > after
  ORDER BY t.${table.key.name}
  LIMIT max;
`

/** The whole record: the clinic needs all of a new one, and gives back what it does not let the portal change. */
const localRow = (table: Table) => `WHEN '${table.name}' THEN (
  SELECT ${indent(wireRow('t', table), 4).trimStart()}
  FROM ${portalTable(table.name)} AS t WHERE t.${table.key.name} = p.record_id
)`

/** How long a record's texts are, as far as their columns set no limit: known without reading them from where Postgres keeps them. */
const lengthOf = (table: Table) => {
  const texts = allColumns(table).filter(isUnbounded)
  if (texts.length === 0) return ''
  const sum = texts.map(({ name }) => `coalesce(octet_length(t.${name}), 0)`).join(' + ')
  return `WHEN '${table.name}' THEN (
  SELECT ${sum} FROM ${portalTable(table.name)} AS t WHERE t.${table.key.name} = p.record_id
)
`
}

/** `sync.take_changes`, `sync.settle_changes`, `sync.read_rows`: the verbs of the portal's outbox, and of verify. */
export const outboxFile = () => `--
-- The portal's outbox, taken and settled, and pages of rows for verify. Safe to run again.

-- Pending changes, one a record, with the record's current state, all of one snapshot. Nothing is marked as sent.
--   taken    outbox rows looked at, those included that were settled on the spot
--   changes  JSON array of {table, key, version, seen, since, base, row, capturedAt}: row is all of the record, null where it
--            is gone; base the shared columns before the edits in flight, null where there was no row
--   last     the highest queue_id looked at; null: there was none
--   locked   records left because another transaction holds their rows, such as the take of an ingress that has just lost the lead,
--            or died: whoever takes looks again, since nothing rings when that ends
-- Only rows with ids above \`after\` are looked at (null: all), so that a drain takes the next while the last are still on their way.
-- A row that somebody's open transaction holds needs no waiting here: its last committed state is the one that belongs to
-- the committed outbox rows. Of records with long texts a take gives no more than ${PORTION / 1024 / 1024} MB, and at least one; one with over ${TOO_LARGE / 1024 / 1024} MB,
-- which nothing on the way can carry, is settled as Failed.
DROP FUNCTION IF EXISTS sync.take_changes(integer, bigint);
CREATE OR REPLACE FUNCTION sync.take_changes(max integer, after bigint)
RETURNS TABLE (taken integer, changes text, last bigint, locked integer)
LANGUAGE sql SECURITY DEFINER
${SAFE_PATH}
AS $function$
  WITH picked AS MATERIALIZED (
    SELECT q.queue_id, q.table_name, q.record_id, q.created_at
    FROM sync.queue AS q
    WHERE q.status = 'Pending' AND q.queue_id > coalesce(after, -9223372036854775808)
    ORDER BY q.queue_id
    LIMIT max
    FOR UPDATE SKIP LOCKED
  ), records AS MATERIALIZED (
    SELECT p.table_name, p.record_id, min(p.queue_id) AS first_id, max(p.queue_id) AS last_id,
      min(p.created_at) AS captured_at, s.clinic_version, s.local_version, s.since, s.base
    FROM picked AS p
    LEFT JOIN sync.row_state AS s ON s.table_name = p.table_name AND s.record_id = p.record_id
    GROUP BY p.table_name, p.record_id, s.clinic_version, s.local_version, s.since, s.base
  ), superseded AS (
    -- No edit is in flight any more: the clinic has ruled on it, or it went with the row.
    UPDATE sync.queue AS q SET
      status = 'Synced', last_attempt = now(), last_error = 'superseded: the clinic has ruled on it'
    FROM picked AS p JOIN records AS r ON r.table_name = p.table_name AND r.record_id = p.record_id
    WHERE q.queue_id = p.queue_id AND r.since IS NULL
  ), weighed AS MATERIALIZED (
    SELECT p.*, coalesce(octet_length(p.base::text), 0) + coalesce(CASE p.table_name
${indent(syncedTables.map(lengthOf).join(''), 6)}    END, 0) AS size
    FROM records AS p WHERE p.since IS NOT NULL
  ), refused AS (
    UPDATE sync.queue AS q SET
      status = 'Failed', last_attempt = now(), last_error = 'SYNC_BAD_MESSAGE: ' || w.size || ' bytes of text; the limit is ${TOO_LARGE}'
    FROM picked AS p JOIN weighed AS w ON w.table_name = p.table_name AND w.record_id = p.record_id
    WHERE q.queue_id = p.queue_id AND w.size > ${TOO_LARGE}
  ), sent AS (
    -- The state is that of the latest edit, which may be beyond the page, or be sent already where older rows are sent anew.
    SELECT p.*, greatest(p.last_id, p.local_version) AS version
    FROM (
      SELECT w.*, sum(w.size) OVER before AS total, row_number() OVER before AS place
      FROM weighed AS w WHERE w.size <= ${TOO_LARGE}
      WINDOW before AS (ORDER BY w.first_id)
    ) AS p
    WHERE p.total <= ${PORTION} OR p.place = 1
  )
  SELECT
    (SELECT count(*) FROM picked)::integer,
    coalesce(json_agg(json_build_object(
      'table', p.table_name,
      'key', p.record_id,
      'version', p.version::text,
      'seen', p.clinic_version::text,
      'since', p.since::text,
      'base', p.base,
      'row', CASE p.table_name
${indent(syncedTables.map(localRow).join('\n'), 8)}
      END,
      'capturedAt', sync.wire_instant(p.captured_at)
    ) ORDER BY p.first_id), '[]')::text,
    (SELECT max(p.queue_id) FROM picked AS p),
    -- A full page says nothing of them: the take that ends a run is none.
    CASE WHEN (SELECT count(*) FROM picked) < max THEN (
      SELECT count(DISTINCT (l.table_name, l.record_id))
      FROM (
        SELECT q.queue_id, q.table_name, q.record_id FROM sync.queue AS q
        WHERE q.status = 'Pending' AND q.queue_id > coalesce(after, -9223372036854775808)
        ORDER BY q.queue_id LIMIT max
      ) AS l
      WHERE l.queue_id NOT IN (SELECT p.queue_id FROM picked AS p)
    ) ELSE 0 END::integer
  FROM sent AS p
$function$;

-- For services of version 1.0: they start only where this is. Made anew, not replaced: the doctor compares the function above.
DROP FUNCTION IF EXISTS sync.take_changes(integer);
CREATE FUNCTION sync.take_changes(max integer)
RETURNS TABLE (taken integer, changes text)
LANGUAGE sql SECURITY DEFINER
${SAFE_PATH}
AS $function$
  SELECT t.taken, t.changes FROM sync.take_changes(max, NULL) AS t
$function$;

-- Moves outbox rows on: a JSON array of {table, key, version, outcome, code, reason}. An event's version is the highest
-- queue_id that it carries, so it answers for the record's rows up to that. Of several outcomes for one row the final one
-- counts, whatever their order; 'discarded' is an operator's, and no late 'dead' takes that up again. Then purges what has been
-- settled for longer than the setting RetentionDays, a bounded number at a time. Safe to repeat.
-- 'stale' says that the clinic had processed a higher version of the record. Of the portal's latest (local_version) there can be
-- none: a version reaches the clinic after its commit, which raised local_version to it, and versions of a record grow in the
-- order of its row's lock. A repeated event is a duplicate, and one that was overtaken is older than what overtook it, however
-- many drains sent them. So the clinic has seen ids that this portal has not handed out: it was restored from a backup. Then the
-- edit has not arrived; it stays in sight as Failed until 06 sends it anew. For the same reason an outcome of a higher version
-- than the latest is of an event from before the restore, and says nothing of the rows that are here now.
-- 'dead' of an edit that has gone with its row meanwhile, such as a new note whose set the clinic deleted before it had the note: nothing
-- can come of it any more, and what was written is in sync.lost_edits. A row left Failed would call for help for ever.
ALTER TABLE sync.lost_edits ADD COLUMN IF NOT EXISTS reason text NOT NULL DEFAULT 'deleted in the clinic';
CREATE OR REPLACE FUNCTION sync.settle_changes(outcomes jsonb)
RETURNS void
LANGUAGE sql SECURITY DEFINER
${SAFE_PATH}
AS $function$
  WITH settled AS MATERIALIZED (
    SELECT q.queue_id,
      CASE
        WHEN o.outcome IN ('queued', 'retry') THEN 'Queued'
        WHEN gone.away AND o.outcome = 'dead' THEN 'Synced'
        WHEN o.outcome IN ('dead', 'discarded') OR o.outcome = 'stale' AND o.version = s.local_version THEN 'Failed'
        ELSE 'Synced'
      END AS status,
      o.outcome IN ('queued', 'retry') AS attempted,
      CASE
        WHEN gone.away AND o.outcome = 'dead'
          THEN left(concat_ws('; before that: ', 'superseded by the clinic''s delete', nullif(concat_ws(': ', o.code, o.reason), '')), 1000)
        WHEN o.outcome IN ('retry', 'dead') THEN left(concat_ws(': ', o.code, o.reason), 1000)
        WHEN o.outcome = 'queued' THEN q.last_error
        WHEN o.outcome = 'discarded' THEN 'SYNC_DISCARDED: '
          || left(coalesce(nullif(concat_ws(': ', o.code, o.reason), ''), 'no reason was given'), 850)
          || coalesce(' (was ' || left(split_part(q.last_error, ':', 1), 100) || ')', '')
        WHEN o.outcome = 'stale' AND o.version = s.local_version
          THEN 'SYNC_RESTORED: the clinic has seen later versions of this record than the portal has handed out: '
            || 'the portal was restored from a backup; run the doctor'
      END AS last_error,
      o.outcome = 'discarded' AS discarded,
      o.version
    FROM jsonb_to_recordset(outcomes) AS o ("table" text, key integer, version bigint, outcome text, code text, reason text)
    JOIN sync.queue AS q
      ON q.table_name = o."table" AND q.record_id = o.key AND q.queue_id <= o.version AND q.status <> 'Synced'
    LEFT JOIN sync.row_state AS s ON s.table_name = o."table" AND s.record_id = o.key
    LEFT JOIN LATERAL (
      SELECT true AS away FROM sync.lost_edits AS l
      WHERE l.table_name = o."table" AND l.record_id = o.key AND l.local_version >= o.version
        AND l.reason = 'deleted in the clinic'
      LIMIT 1
    ) AS gone ON true
    WHERE o.version <= coalesce(s.local_version, o.version) AND CASE
      WHEN o.outcome = 'queued' THEN q.status = 'Pending'
      WHEN o.outcome = 'retry' THEN q.status IN ('Pending', 'Queued')
      WHEN o.outcome IN ('dead', 'discarded') THEN CASE q.status
        WHEN 'Failed' THEN coalesce(q.last_error, '') NOT LIKE 'SYNC\\_DISCARDED:%'
        WHEN 'Pending' THEN o.outcome = 'dead'
        ELSE true
      END
      ELSE true
    END
    ORDER BY q.queue_id
    FOR UPDATE OF q
  )
  UPDATE sync.queue AS q SET
    status = s.status,
    attempts = q.attempts + s.attempted::integer,
    last_attempt = now(),
    last_error = s.last_error
  FROM (
    SELECT DISTINCT ON (f.queue_id) f.* FROM settled AS f
    ORDER BY f.queue_id, f.status = 'Synced' DESC, f.status = 'Failed' DESC, f.discarded DESC, f.version DESC,
      f.last_error DESC NULLS LAST
  ) AS s
  WHERE q.queue_id = s.queue_id;

  DELETE FROM sync.queue AS q
  WHERE q.queue_id IN (
    SELECT o.queue_id FROM sync.queue AS o
    WHERE o.status = 'Synced' AND o.last_attempt < now() - make_interval(days => coalesce(
      (SELECT s.value::integer FROM sync.settings AS s WHERE s.name = 'RetentionDays'), 7))
    ORDER BY o.last_attempt
    LIMIT 1000
    FOR UPDATE SKIP LOCKED
  );
$function$;

-- A keyset page: rows with keys above \`after\` (null: from the start), in key order, as JSON of wire values.
CREATE OR REPLACE FUNCTION sync.read_rows(table_name text, after integer, max integer)
RETURNS TABLE (record_id integer, row_data text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
${SAFE_PATH}
AS $function$
BEGIN
  CASE table_name
${indent(syncedTables.map(readBranch).join(''), 2)}  ELSE
    RAISE EXCEPTION 'not a synced table' USING ERRCODE = 'invalid_parameter_value';
  END CASE;
END
$function$;

${operatingFunctions()}
${recordFunctions()}
${canaryFunctions()}
${REVOKE_FUNCTIONS}
-- What 99 gives once more: functions that were made anew have lost it, and the drain does not wait for 99.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'clinic_sync') THEN
    GRANT EXECUTE ON FUNCTION sync.take_changes(integer), sync.take_changes(integer, bigint) TO clinic_sync;
  END IF;
END
$$;
`
