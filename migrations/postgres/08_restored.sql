-- For a database that was restored from a backup: what is known here of both sides, to be compared with the other side; holding up the
-- clinic's changes until that is repaired; and what `npm run sync -- after-restore` does here. Safe to run again.

-- As JSON: lastId, the latest queue id; seen, the clinic's highest version applied; held, why the clinic's changes are held up; lowestKey, of the records that the clinic has sent; of the `newest` latest
-- settled rows, the version of each record that has no other rows (beside a dead one an older one is settled, too), where the record's
-- last one was settled by an outcome (one that was superseded may have been dead, and an older one settled beside it); and applied, the
-- clinic's version of each of `records`, an array of {table, key}; open, whether a doctor's edit of it is in flight; born, whether that
-- made it. Rows from before the queue ids were moved on say nothing.
CREATE OR REPLACE FUNCTION sync.bookkeeping(records jsonb, newest integer) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = ''
AS $function$
  SELECT json_build_object(
    'lastId', (SELECT CASE WHEN i.is_called THEN i.last_value ELSE i.last_value - 1 END FROM sync.queue_ids AS i)::text,
    'seen', (SELECT coalesce(max(s.clinic_version), 0) FROM sync.row_state AS s)::text,
    'held', (SELECT s.value FROM sync.settings AS s WHERE s.name = 'Restored'),
    'lowestKey', (SELECT min(s.record_id) FROM sync.row_state AS s WHERE s.clinic_version > 0),
    'latest', (
      SELECT coalesce(json_agg(json_build_object('table', l.table_name, 'key', l.record_id, 'version', l.version::text)), '[]')
      FROM (
        SELECT DISTINCT ON (n.table_name, n.record_id) n.table_name, n.record_id, n.queue_id AS version, n.last_error
        FROM (
          SELECT q.table_name, q.record_id, q.queue_id, q.last_error FROM sync.queue AS q
          WHERE q.status = 'Synced'
            AND q.queue_id > coalesce((SELECT s.value::bigint FROM sync.settings AS s WHERE s.name = 'RestoredUpTo'), 0)
          ORDER BY q.queue_id DESC
          LIMIT newest
        ) AS n
        WHERE NOT EXISTS (
          SELECT FROM sync.queue AS o
          WHERE o.table_name = n.table_name AND o.record_id = n.record_id AND o.status <> 'Synced'
        )
        ORDER BY n.table_name, n.record_id, n.queue_id DESC
      ) AS l
      WHERE l.last_error IS NULL
    ),
    'applied', (
      SELECT coalesce(json_agg(coalesce(s.clinic_version, 0)::text ORDER BY e.ordinality), '[]')
      FROM jsonb_array_elements(records) WITH ORDINALITY AS e
      LEFT JOIN sync.row_state AS s ON s.table_name = e.value ->> 'table' AND s.record_id = (e.value ->> 'key')::integer
    ),
    'open', (
      SELECT coalesce(json_agg(s.since IS NOT NULL ORDER BY e.ordinality), '[]')
      FROM jsonb_array_elements(records) WITH ORDINALITY AS e
      LEFT JOIN sync.row_state AS s ON s.table_name = e.value ->> 'table' AND s.record_id = (e.value ->> 'key')::integer
    ),
    'born', (
      SELECT coalesce(json_agg(s.since IS NOT NULL AND s.base IS NULL ORDER BY e.ordinality), '[]')
      FROM jsonb_array_elements(records) WITH ORDINALITY AS e
      LEFT JOIN sync.row_state AS s ON s.table_name = e.value ->> 'table' AND s.record_id = (e.value ->> 'key')::integer
    )
  )::text
$function$;

CREATE OR REPLACE FUNCTION sync.is_held() RETURNS boolean
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = ''
AS $function$
  SELECT EXISTS (SELECT FROM sync.settings AS s WHERE s.name = 'Restored')
$function$;

-- Until it is let go (null), sync.apply_clinic_changes fails with SQLSTATE CS001. why: 'restored', this database was restored from a backup;
-- 'repair', the other one was, and is being repaired.
CREATE OR REPLACE FUNCTION sync.hold_clinic_changes(why text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ''
AS $function$
BEGIN
  IF why IS NULL THEN
    DELETE FROM sync.settings AS s WHERE s.name = 'Restored';
  ELSIF why IN ('restored', 'repair') THEN
    INSERT INTO sync.settings AS s (name, value) VALUES ('Restored', why)
    ON CONFLICT (name) DO UPDATE SET value = excluded.value WHERE excluded.value = 'restored';
  ELSE
    RAISE EXCEPTION 'why is restored, repair or null' USING ERRCODE = 'invalid_parameter_value';
  END IF;
END
$function$;

-- Moves the queue ids above `seen`, the highest that the clinic has had, and above all that were handed out here. Rows from before are not
-- compared any more.
CREATE OR REPLACE FUNCTION sync.move_queue_ids(seen bigint) RETURNS void
LANGUAGE plpgsql
SET search_path = ''
AS $function$
DECLARE
  last bigint;
BEGIN
  IF seen IS NULL OR seen < 0 THEN
    RAISE EXCEPTION 'seen is the highest queue id of the portal''s that the clinic has had' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- A million ids are left out: more than anybody draws between the two statements.
  last := greatest(seen, (SELECT i.last_value FROM sync.queue_ids AS i)) + 1000000;
  PERFORM setval('sync.queue_ids', last);
  INSERT INTO sync.settings (name, value) VALUES ('RestoredUpTo', last::text)
  ON CONFLICT (name) DO UPDATE SET value = excluded.value;
END
$function$;

-- Doctors' notes get their keys from below `lowest`, the lowest that the clinic has had: it may know others under the keys that come next
-- after a restore. And those of `others`, which the clinic knows as other notes, get such a key now: they are sent as new. Returns how
-- many. Fails as a whole (55P03) where somebody holds one of them.
CREATE OR REPLACE FUNCTION sync.move_note_keys(lowest integer, others integer[]) RETURNS bigint
LANGUAGE plpgsql
SET search_path = ''
SET lock_timeout = '100ms'
AS $function$
DECLARE
  moved integer[];
BEGIN
  -- A thousand are left out: more than anybody draws between the two.
  IF lowest < (SELECT q.last_value FROM public.aligner_notes_portal_note_id_seq AS q) THEN
    PERFORM setval('public.aligner_notes_portal_note_id_seq', lowest - 1000);
  END IF;
  PERFORM set_config('sync.applying', 'on', true);
  PERFORM FROM public.aligner_notes AS t WHERE t.note_id = ANY (others) ORDER BY t.note_id FOR UPDATE;
  -- What was to be sent of them goes with the new key.
  UPDATE sync.row_state AS s SET since = NULL, base = NULL
  WHERE s.table_name = 'aligner_notes' AND s.record_id = ANY (others);
  UPDATE sync.queue AS q SET status = 'Synced', last_attempt = now(), last_error = 'superseded: it has another key'
  WHERE q.table_name = 'aligner_notes' AND q.record_id = ANY (others) AND q.status <> 'Synced';
  WITH anew AS (
    UPDATE public.aligner_notes AS t SET note_id = nextval('public.aligner_notes_portal_note_id_seq')
    WHERE t.note_id = ANY (others) RETURNING t.note_id
  )
  SELECT array_agg(a.note_id) INTO moved FROM anew AS a;
  PERFORM sync.capture_edit('aligner_notes', u.key, 'INSERT', NULL) FROM unnest(moved) AS u (key);
  PERFORM set_config('sync.applying', '', true);
  RETURN coalesce(cardinality(moved), 0);
END
$function$;

-- Puts rows on record that are about to be overwritten or deleted: an array of {table, key, base, row}, base being what the clinic has.
CREATE OR REPLACE FUNCTION sync.keep_rows(records jsonb, why text) RETURNS bigint
LANGUAGE plpgsql
SET search_path = ''
AS $function$
DECLARE
  kept bigint;
BEGIN
  INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row, reason)
  SELECT e.value ->> 'table', (e.value ->> 'key')::integer, 0, 0, nullif(e.value -> 'base', 'null'::jsonb), e.value -> 'row', why
  FROM jsonb_array_elements(records) AS e
  -- A repair that was interrupted has kept it before.
  WHERE NOT EXISTS (
    SELECT FROM sync.lost_edits AS l
    WHERE l.table_name = e.value ->> 'table' AND l.record_id = (e.value ->> 'key')::integer AND l.reason = why
      AND l.lost_row = e.value -> 'row'
  );
  GET DIAGNOSTICS kept = ROW_COUNT;
  RETURN kept;
END
$function$;

-- Sends rows as edits, which the clinic merges with what it has: an array of {table, key, base}. Where base is an object the clinic is
-- taken to have had those shared columns; where it is null it has changed the record itself, and the columns' policies decide. Returns
-- how many. Fails as a whole (55P03) where somebody holds a lock. Rows first, then their bookkeeping, in key order, as in 06.
CREATE OR REPLACE FUNCTION sync.send_rows(records jsonb) RETURNS bigint
LANGUAGE plpgsql
SET search_path = ''
SET lock_timeout = '100ms'
AS $function$
DECLARE
  batches integer[];
  notes integer[];
  sent bigint;
BEGIN
  batches := ARRAY(
    SELECT t.aligner_batch_id FROM public.aligner_batches AS t
    WHERE t.aligner_batch_id IN (
      SELECT (e.value ->> 'key')::integer FROM jsonb_array_elements(records) AS e WHERE e.value ->> 'table' = 'aligner_batches'
    )
    ORDER BY 1 FOR NO KEY UPDATE
  );
  notes := ARRAY(
    SELECT t.note_id FROM public.aligner_notes AS t
    WHERE t.note_id IN (
      SELECT (e.value ->> 'key')::integer FROM jsonb_array_elements(records) AS e WHERE e.value ->> 'table' = 'aligner_notes'
    )
    ORDER BY 1 FOR NO KEY UPDATE
  );
  PERFORM FROM sync.row_state AS s
  WHERE (s.table_name, s.record_id) IN (
    SELECT e.value ->> 'table', (e.value ->> 'key')::integer FROM jsonb_array_elements(records) AS e
  )
  ORDER BY s.table_name, s.record_id FOR UPDATE;

  WITH here AS MATERIALIZED (
    SELECT e.value ->> 'table' AS table_name, (e.value ->> 'key')::integer AS record_id,
      nullif(e.value -> 'base', 'null'::jsonb) AS base
    FROM jsonb_array_elements(records) AS e
    WHERE (e.value ->> 'key')::integer = ANY (
      CASE e.value ->> 'table' WHEN 'aligner_batches' THEN batches WHEN 'aligner_notes' THEN notes END
    )
  ), older AS (
    UPDATE sync.queue AS q SET
      status = 'Synced', last_attempt = now(), last_error = 'superseded: sent anew, as the clinic was restored'
    FROM here AS h
    WHERE q.table_name = h.table_name AND q.record_id = h.record_id AND q.status <> 'Synced'
  ), anew AS (
    INSERT INTO sync.queue (table_name, record_id, operation)
    SELECT h.table_name, h.record_id, CASE WHEN h.base IS NULL THEN 'INSERT' ELSE 'UPDATE' END
    FROM here AS h ORDER BY h.table_name, h.record_id
    RETURNING queue_id, table_name, record_id
  )
  INSERT INTO sync.row_state AS s (table_name, record_id, local_version, since, base)
  SELECT a.table_name, a.record_id, a.queue_id, a.queue_id, h.base
  FROM anew AS a JOIN here AS h ON h.table_name = a.table_name AND h.record_id = a.record_id
  ON CONFLICT (table_name, record_id) DO UPDATE SET
    local_version = excluded.local_version, since = excluded.since, base = excluded.base;
  GET DIAGNOSTICS sent = ROW_COUNT;
  RETURN sent;
END
$function$;

-- Functions are executable by everybody unless told otherwise; the services need three of them.
DO $$
DECLARE
  grantee text;
BEGIN
  REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sync FROM PUBLIC;
  FOR grantee IN SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sync FROM %I', grantee);
  END LOOP;
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'clinic_sync') THEN
    GRANT EXECUTE ON FUNCTION sync.bookkeeping(jsonb, integer), sync.is_held(), sync.hold_clinic_changes(text) TO clinic_sync;
  END IF;
END
$$;
