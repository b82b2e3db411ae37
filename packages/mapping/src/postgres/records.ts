import { allColumns, syncedTables } from '../tables/index.ts'
import { fill, indent, portalTable, SAFE_PATH } from './common.ts'

const INSTANTS = syncedTables.flatMap((table) =>
  allColumns(table)
    .filter(({ type }) => type === 'instant')
    .map(({ name }) => `'${table.name}.${name}'`),
)

const isThere = syncedTables.map(
  ({ name, key }) =>
    `WHEN '${name}' THEN EXISTS (SELECT FROM ${portalTable(name)} AS t WHERE t.${key.name} = of_key)\n`,
)

/** A row of sync.lost_edits with the alias `l`, without values. */
const RULING = `json_build_object(
  'number', l.lost_edit_id::text, 'table', l.table_name, 'key', l.record_id, 'ruling', l.reason, 'version', l.local_version::text,
  'at', sync.wire_instant(l.lost_at),
  'columns', sync.edited_columns(l.table_name, l.base, l.lost_row)
)`

/** One record's story, and the list of what could not stand: `sync.record_history`, `sync.rulings`, `sync.ruled_values`. */
export const recordFunctions =
  () => `-- A row as sync.lost_edits keeps it, column by column: instants as they travel, which in a whole row are as Postgres prints them.
CREATE OR REPLACE FUNCTION sync.kept_values(of_table text, kept jsonb) RETURNS TABLE (name text, value text)
LANGUAGE sql STABLE
${SAFE_PATH}
AS $function$
  SELECT e.key, CASE
    WHEN e.value NOT LIKE '%Z' AND of_table || '.' || e.key IN (
${indent(fill(INSTANTS), 6)}
    ) THEN sync.wire_instant(e.value::timestamptz)
    ELSE e.value
  END
  FROM jsonb_each_text(CASE jsonb_typeof(kept) WHEN 'object' THEN kept END) AS e
$function$;

-- Which columns were written, as a JSON array of names; null: the whole row, or that is not known.
CREATE OR REPLACE FUNCTION sync.edited_columns(of_table text, base jsonb, lost_row jsonb) RETURNS json
LANGUAGE sql STABLE
${SAFE_PATH}
AS $function$
  SELECT json_agg(b.name ORDER BY b.name)
  FROM sync.kept_values(of_table, base) AS b JOIN sync.kept_values(of_table, lost_row) AS l ON l.name = b.name
  WHERE l.value IS DISTINCT FROM b.value
$function$;

-- What the portal knows of one record beside the record itself, as JSON: of its outbox rows and its rulings the \`max\` latest. It reads
-- the outbox through once, as sync.record_versions does: an index by record would cost every doctor's edit. Waits for nobody.
CREATE OR REPLACE FUNCTION sync.record_history(of_table text, of_key integer, max integer) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
${SAFE_PATH}
AS $function$
DECLARE
  there boolean;
BEGIN
  there := CASE of_table
${indent(isThere.join(''), 4)}  END;
  IF there IS NULL THEN
    RAISE EXCEPTION 'not a synced table' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN (
    WITH own AS MATERIALIZED (
      SELECT q.* FROM sync.queue AS q WHERE q.table_name = of_table AND q.record_id = of_key
    ), state AS MATERIALIZED (
      SELECT s.* FROM sync.row_state AS s WHERE s.table_name = of_table AND s.record_id = of_key
    )
    SELECT json_build_object(
      'there', there,
      'latest', coalesce((SELECT s.local_version FROM state AS s), 0)::text,
      'applied', coalesce((SELECT s.clinic_version FROM state AS s), 0)::text,
      'hold', (SELECT s.value FROM sync.settings AS s WHERE s.name = 'Restored'),
      'outbox', (
        SELECT coalesce(json_agg(json_build_object(
          'queueId', q.queue_id::text, 'operation', q.operation, 'status', q.status, 'capturedAt', sync.wire_instant(q.created_at),
          'attempts', q.attempts, 'lastAttempt', sync.wire_instant(q.last_attempt), 'reason', q.last_error
        ) ORDER BY q.queue_id DESC), '[]')
        FROM (SELECT o.* FROM own AS o ORDER BY o.queue_id DESC LIMIT max) AS q
      ),
      'outboxRows', (SELECT count(*) FROM own),
      'editing', (
        SELECT json_build_object('since', s.since::text, 'local', s.local_version::text, 'base', s.base)
        FROM state AS s WHERE s.since IS NOT NULL
      ),
      'rulings', (
        SELECT coalesce(json_agg(${indent(RULING, 8).trimStart()} ORDER BY l.lost_edit_id DESC), '[]')
        FROM (
          SELECT k.* FROM sync.lost_edits AS k WHERE k.table_name = of_table AND k.record_id = of_key
          ORDER BY k.lost_edit_id DESC LIMIT max
        ) AS l
      )
    )::text
  );
END
$function$;

-- What doctors wrote and could not stand, the latest first, without values, as a JSON array. before: only rows with lower numbers.
CREATE OR REPLACE FUNCTION sync.rulings(before bigint, max integer) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
${SAFE_PATH}
AS $function$
  SELECT coalesce(json_agg(${indent(RULING, 2).trimStart()} ORDER BY l.lost_edit_id DESC), '[]')::text
  FROM (
    SELECT k.* FROM sync.lost_edits AS k WHERE before IS NULL OR k.lost_edit_id < before
    ORDER BY k.lost_edit_id DESC LIMIT max
  ) AS l
$function$;

-- One of these with its values, as JSON; null: there is none. base: what the doctor started from; clinic: what the clinic had, null
-- where it had deleted the record. All values are texts, as they travel.
CREATE OR REPLACE FUNCTION sync.ruled_values(number bigint) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
${SAFE_PATH}
AS $function$
  SELECT json_build_object('table', l.table_name, 'values', (
    SELECT coalesce(json_object_agg(v.name, json_build_object(
      'portal', v.portal,
      'clinic', CASE WHEN l.reason <> 'deleted in the clinic' THEN v.base END,
      'base', CASE WHEN l.reason IN ('deleted in the clinic', 'not the portal''s to change') THEN v.base END
    )), '{}')
    FROM (
      SELECT coalesce(w.name, b.name) AS name, w.value AS portal, b.value AS base
      FROM sync.kept_values(l.table_name, l.lost_row) AS w FULL JOIN sync.kept_values(l.table_name, l.base) AS b ON b.name = w.name
    ) AS v
  ))::text
  FROM sync.lost_edits AS l WHERE l.lost_edit_id = number
$function$;
`
