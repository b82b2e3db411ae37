-- Generated from packages/mapping by `npm run generate`. Do not edit: change the mapping.
--
-- The portal's outbox, taken and settled, and pages of rows for verify. Safe to run again.

-- Pending changes, one a record, with the record's current state, all of one snapshot. Nothing is marked as sent.
--   taken    outbox rows looked at, those included that were settled on the spot
--   changes  JSON array of {table, key, version, seen, since, base, row, capturedAt}: row is all of the record, null where it
--            is gone; base the shared columns before the edits in flight, null where there was no row
--   last     the highest queue_id looked at; null: there was none
--   locked   records left because another transaction holds their rows, such as the take of an ingress that has just lost the lead,
--            or died: whoever takes looks again, since nothing rings when that ends
-- Only rows with ids above `after` are looked at (null: all), so that a drain takes the next while the last are still on their way.
-- A row that somebody's open transaction holds needs no waiting here: its last committed state is the one that belongs to
-- the committed outbox rows. Of records with long texts a take gives no more than 16 MB, and at least one; one with over 64 MB,
-- which nothing on the way can carry, is settled as Failed.
DROP FUNCTION IF EXISTS sync.take_changes(integer, bigint);
CREATE OR REPLACE FUNCTION sync.take_changes(max integer, after bigint)
RETURNS TABLE (taken integer, changes text, last bigint, locked integer)
LANGUAGE sql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
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
      WHEN 'aligner_notes' THEN (
        SELECT coalesce(octet_length(t.note_text), 0) FROM public.aligner_notes AS t WHERE t.note_id = p.record_id
      )
    END, 0) AS size
    FROM records AS p WHERE p.since IS NOT NULL
  ), refused AS (
    UPDATE sync.queue AS q SET
      status = 'Failed', last_attempt = now(), last_error = 'SYNC_BAD_MESSAGE: ' || w.size || ' bytes of text; the limit is 67108864'
    FROM picked AS p JOIN weighed AS w ON w.table_name = p.table_name AND w.record_id = p.record_id
    WHERE q.queue_id = p.queue_id AND w.size > 67108864
  ), sent AS (
    -- The state is that of the latest edit, which may be beyond the page, or be sent already where older rows are sent anew.
    SELECT p.*, greatest(p.last_id, p.local_version) AS version
    FROM (
      SELECT w.*, sum(w.size) OVER before AS total, row_number() OVER before AS place
      FROM weighed AS w WHERE w.size <= 67108864
      WINDOW before AS (ORDER BY w.first_id)
    ) AS p
    WHERE p.total <= 16777216 OR p.place = 1
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
        WHEN 'aligner_doctors' THEN (
          SELECT json_build_object(
              'dr_id', t.dr_id, 'doctor_name', t.doctor_name, 'doctor_email', t.doctor_email,
              'logo_path', t.logo_path
            )
          FROM public.aligner_doctors AS t WHERE t.dr_id = p.record_id
        )
        WHEN 'patients' THEN (
          SELECT json_build_object(
              'person_id', t.person_id, 'patient_id', t.patient_id, 'patient_name', t.patient_name,
              'first_name', t.first_name, 'last_name', t.last_name, 'phone', t.phone
            )
          FROM public.patients AS t WHERE t.person_id = p.record_id
        )
        WHEN 'work' THEN (
          SELECT json_build_object(
              'work_id', t.work_id, 'person_id', t.person_id, 'type_of_work', t.type_of_work,
              'addition_date', sync.wire_instant(t.addition_date)
            )
          FROM public.work AS t WHERE t.work_id = p.record_id
        )
        WHEN 'aligner_sets' THEN (
          SELECT json_build_object(
              'aligner_set_id', t.aligner_set_id, 'work_id', t.work_id, 'aligner_dr_id', t.aligner_dr_id,
              'set_sequence', t.set_sequence, 'type', t.type, 'upper_aligners_count', t.upper_aligners_count,
              'lower_aligners_count', t.lower_aligners_count,
              'remaining_upper_aligners', t.remaining_upper_aligners,
              'remaining_lower_aligners', t.remaining_lower_aligners, 'creation_date', t.creation_date,
              'days', t.days, 'is_active', t.is_active, 'notes', t.notes, 'folder_path', t.folder_path,
              'set_url', t.set_url, 'set_pdf_url', t.set_pdf_url, 'set_cost', t.set_cost::text,
              'currency', t.currency, 'pdf_uploaded_at', sync.wire_instant(t.pdf_uploaded_at),
              'pdf_uploaded_by', t.pdf_uploaded_by, 'drive_file_id', t.drive_file_id
            )
          FROM public.aligner_sets AS t WHERE t.aligner_set_id = p.record_id
        )
        WHEN 'aligner_batches' THEN (
          SELECT json_build_object(
              'aligner_batch_id', t.aligner_batch_id, 'aligner_set_id', t.aligner_set_id,
              'batch_sequence', t.batch_sequence, 'upper_aligner_count', t.upper_aligner_count,
              'lower_aligner_count', t.lower_aligner_count,
              'upper_aligner_start_sequence', t.upper_aligner_start_sequence,
              'upper_aligner_end_sequence', t.upper_aligner_end_sequence,
              'lower_aligner_start_sequence', t.lower_aligner_start_sequence,
              'lower_aligner_end_sequence', t.lower_aligner_end_sequence, 'manufacture_date', t.manufacture_date,
              'delivered_to_patient_date', t.delivered_to_patient_date, 'days', t.days,
              'validity_period', t.validity_period, 'batch_expiry_date', t.batch_expiry_date, 'notes', t.notes,
              'is_active', t.is_active
            )
          FROM public.aligner_batches AS t WHERE t.aligner_batch_id = p.record_id
        )
        WHEN 'aligner_notes' THEN (
          SELECT json_build_object(
              'note_id', t.note_id, 'aligner_set_id', t.aligner_set_id, 'note_type', t.note_type,
              'note_text', t.note_text, 'created_at', sync.wire_instant(t.created_at), 'is_edited', t.is_edited,
              'edited_at', sync.wire_instant(t.edited_at), 'is_read', t.is_read
            )
          FROM public.aligner_notes AS t WHERE t.note_id = p.record_id
        )
        WHEN 'aligner_set_payments' THEN (
          SELECT json_build_object(
              'aligner_set_id', t.aligner_set_id, 'total_paid', t.total_paid::text, 'balance', t.balance::text,
              'payment_status', t.payment_status
            )
          FROM public.aligner_set_payments AS t WHERE t.aligner_set_id = p.record_id
        )
        WHEN 'canary' THEN (
          SELECT json_build_object(
              'canary_id', t.canary_id, 'clinic_token', t.clinic_token, 'portal_token', t.portal_token
            )
          FROM sync.canary AS t WHERE t.canary_id = p.record_id
        )
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
SET search_path = pg_catalog, pg_temp
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
SET search_path = pg_catalog, pg_temp
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
        WHEN 'Failed' THEN coalesce(q.last_error, '') NOT LIKE 'SYNC\_DISCARDED:%'
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

-- A keyset page: rows with keys above `after` (null: from the start), in key order, as JSON of wire values.
CREATE OR REPLACE FUNCTION sync.read_rows(table_name text, after integer, max integer)
RETURNS TABLE (record_id integer, row_data text)
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  CASE table_name
  WHEN 'aligner_doctors' THEN
    RETURN QUERY
    SELECT t.dr_id::integer, json_build_object(
        'dr_id', t.dr_id, 'doctor_name', t.doctor_name, 'doctor_email', t.doctor_email,
        'logo_path', t.logo_path
      )::text
    FROM public.aligner_doctors AS t
    WHERE after IS NULL OR t.dr_id > after
    ORDER BY t.dr_id
    LIMIT max;
  WHEN 'patients' THEN
    RETURN QUERY
    SELECT t.person_id::integer, json_build_object(
        'person_id', t.person_id, 'patient_id', t.patient_id, 'patient_name', t.patient_name,
        'first_name', t.first_name, 'last_name', t.last_name, 'phone', t.phone
      )::text
    FROM public.patients AS t
    WHERE after IS NULL OR t.person_id > after
    ORDER BY t.person_id
    LIMIT max;
  WHEN 'work' THEN
    RETURN QUERY
    SELECT t.work_id::integer, json_build_object(
        'work_id', t.work_id, 'person_id', t.person_id, 'type_of_work', t.type_of_work,
        'addition_date', sync.wire_instant(t.addition_date)
      )::text
    FROM public.work AS t
    WHERE after IS NULL OR t.work_id > after
    ORDER BY t.work_id
    LIMIT max;
  WHEN 'aligner_sets' THEN
    RETURN QUERY
    SELECT t.aligner_set_id::integer, json_build_object(
        'aligner_set_id', t.aligner_set_id, 'work_id', t.work_id, 'aligner_dr_id', t.aligner_dr_id,
        'set_sequence', t.set_sequence, 'type', t.type, 'upper_aligners_count', t.upper_aligners_count,
        'lower_aligners_count', t.lower_aligners_count,
        'remaining_upper_aligners', t.remaining_upper_aligners,
        'remaining_lower_aligners', t.remaining_lower_aligners, 'creation_date', t.creation_date,
        'days', t.days, 'is_active', t.is_active, 'notes', t.notes, 'folder_path', t.folder_path,
        'set_url', t.set_url, 'set_pdf_url', t.set_pdf_url, 'set_cost', t.set_cost::text,
        'currency', t.currency, 'pdf_uploaded_at', sync.wire_instant(t.pdf_uploaded_at),
        'pdf_uploaded_by', t.pdf_uploaded_by, 'drive_file_id', t.drive_file_id
      )::text
    FROM public.aligner_sets AS t
    WHERE after IS NULL OR t.aligner_set_id > after
    ORDER BY t.aligner_set_id
    LIMIT max;
  WHEN 'aligner_batches' THEN
    RETURN QUERY
    SELECT t.aligner_batch_id::integer, json_build_object(
        'aligner_batch_id', t.aligner_batch_id, 'aligner_set_id', t.aligner_set_id,
        'batch_sequence', t.batch_sequence, 'upper_aligner_count', t.upper_aligner_count,
        'lower_aligner_count', t.lower_aligner_count,
        'upper_aligner_start_sequence', t.upper_aligner_start_sequence,
        'upper_aligner_end_sequence', t.upper_aligner_end_sequence,
        'lower_aligner_start_sequence', t.lower_aligner_start_sequence,
        'lower_aligner_end_sequence', t.lower_aligner_end_sequence, 'manufacture_date', t.manufacture_date,
        'delivered_to_patient_date', t.delivered_to_patient_date, 'days', t.days,
        'validity_period', t.validity_period, 'batch_expiry_date', t.batch_expiry_date, 'notes', t.notes,
        'is_active', t.is_active
      )::text
    FROM public.aligner_batches AS t
    WHERE after IS NULL OR t.aligner_batch_id > after
    ORDER BY t.aligner_batch_id
    LIMIT max;
  WHEN 'aligner_notes' THEN
    RETURN QUERY
    SELECT t.note_id::integer, json_build_object(
        'note_id', t.note_id, 'aligner_set_id', t.aligner_set_id, 'note_type', t.note_type,
        'note_text', t.note_text, 'created_at', sync.wire_instant(t.created_at), 'is_edited', t.is_edited,
        'edited_at', sync.wire_instant(t.edited_at), 'is_read', t.is_read
      )::text
    FROM public.aligner_notes AS t
    WHERE after IS NULL OR t.note_id > after
    ORDER BY t.note_id
    LIMIT max;
  WHEN 'aligner_set_payments' THEN
    RETURN QUERY
    SELECT t.aligner_set_id::integer, json_build_object(
        'aligner_set_id', t.aligner_set_id, 'total_paid', t.total_paid::text, 'balance', t.balance::text,
        'payment_status', t.payment_status
      )::text
    FROM public.aligner_set_payments AS t
    WHERE after IS NULL OR t.aligner_set_id > after
    ORDER BY t.aligner_set_id
    LIMIT max;
  WHEN 'canary' THEN
    RETURN QUERY
    SELECT t.canary_id::integer, json_build_object(
        'canary_id', t.canary_id, 'clinic_token', t.clinic_token, 'portal_token', t.portal_token
      )::text
    FROM sync.canary AS t
    WHERE after IS NULL OR t.canary_id > after
    ORDER BY t.canary_id
    LIMIT max;
  ELSE
    RAISE EXCEPTION 'not a synced table' USING ERRCODE = 'invalid_parameter_value';
  END CASE;
END
$function$;

-- The outbox in figures, as a JSON object: the rows by status; the first that is Pending, and Queued, by queue id; how many Queued rows
-- have failed and wait; Failed rows by what stands before the colon of last_error; and the row whose event was settled last.
CREATE OR REPLACE FUNCTION sync.outbox_status()
RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
  WITH counted AS MATERIALIZED (
    SELECT q.status, count(*) AS n, min(q.queue_id) AS first_id, count(q.last_error) AS failures
    FROM sync.queue AS q GROUP BY q.status
  )
  SELECT json_build_object(
    'now', sync.wire_instant(now()),
    'rows', (SELECT json_object_agg(c.status, c.n) FROM counted AS c),
    'oldestPending', (SELECT sync.wire_instant(q.created_at) FROM counted AS c JOIN sync.queue AS q ON q.queue_id = c.first_id
      WHERE c.status = 'Pending'),
    'oldestQueued', (SELECT sync.wire_instant(q.created_at) FROM counted AS c JOIN sync.queue AS q ON q.queue_id = c.first_id
      WHERE c.status = 'Queued'),
    'retrying', coalesce((SELECT c.failures FROM counted AS c WHERE c.status = 'Queued'), 0),
    'failed', (SELECT coalesce(json_agg(json_build_object('cause', f.cause, 'rows', f.n)), '[]') FROM (
      SELECT left(split_part(q.last_error, ':', 1), 1000) AS cause, count(*) AS n
      FROM sync.queue AS q WHERE q.status = 'Failed' GROUP BY 1) AS f),
    'last', (SELECT json_build_object('table', l.table_name, 'key', l.record_id,
        'capturedAt', sync.wire_instant(l.created_at), 'settledAt', sync.wire_instant(l.last_attempt)) FROM (
      -- Superseded ones had no event.
      SELECT * FROM (SELECT q.* FROM sync.queue AS q WHERE q.status = 'Synced' ORDER BY q.last_attempt DESC LIMIT 200) AS n
      WHERE n.last_error IS NULL AND n.last_attempt IS NOT NULL ORDER BY n.last_attempt DESC, n.queue_id DESC LIMIT 1) AS l)
  )::text
$function$;

-- Looks at the next `max` rows with that status above the queue id `after` (null: from the start), and sets those back to Pending that
-- fit (dry_run: counts them): of that table, key and age, where these are not null. Fewer looked at than `max`: there are no more. Rows
-- that were moved on in the last `running_ms`, since the run began, are left: they are under way. So are rows that an operator has
-- discarded, unless the record is named. The queue ids stay, and with them the versions: the clinic drops what it has processed.
CREATE OR REPLACE FUNCTION sync.requeue(
  with_status text, of_table text, of_key integer, older_than_seconds integer, running_ms integer, after bigint, max integer,
  dry_run boolean
) RETURNS TABLE (requeued integer, looked integer, last_id bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  ids bigint[];
BEGIN
  IF with_status IS NULL OR with_status NOT IN ('Queued', 'Failed', 'Synced') OR of_key IS NOT NULL AND of_table IS NULL THEN
    RAISE EXCEPTION 'sync.requeue: the status must be Queued, Failed or Synced, and a key needs its table'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- Locked in the order of their ids, as sync.settle_changes does: one that is being moved on is waited for, not missed.
  ids := ARRAY(
    SELECT q.queue_id FROM sync.queue AS q
    WHERE q.status = with_status AND q.queue_id > coalesce(after, 0)
      AND (of_key IS NULL OR q.table_name = of_table AND q.record_id = of_key)
    ORDER BY q.queue_id LIMIT max FOR UPDATE
  );
  looked := cardinality(ids);
  last_id := ids[looked];
  ids := ARRAY(
    SELECT q.queue_id FROM sync.queue AS q
    WHERE q.queue_id = ANY (ids) AND q.status = with_status AND (of_table IS NULL OR q.table_name = of_table)
      AND (older_than_seconds IS NULL OR q.created_at <= clock_timestamp() - make_interval(secs => older_than_seconds))
      AND (q.last_attempt IS NULL OR q.last_attempt <= clock_timestamp() - make_interval(secs => running_ms / 1000.0))
      AND (of_key IS NOT NULL OR coalesce(q.last_error, '') NOT LIKE 'SYNC\_DISCARDED:%')
  );
  requeued := cardinality(ids);
  IF NOT dry_run THEN
    UPDATE sync.queue AS q SET status = 'Pending', last_error = NULL WHERE q.queue_id = ANY (ids);
  END IF;
  RETURN NEXT;
END
$function$;

-- What became of versions that events, or dead letters, name: a JSON array of {table, key, version}. One row for each: status and
-- last_error of the outbox row with that id (null: purged, or never there), and the record's highest settled version above it.
CREATE OR REPLACE FUNCTION sync.record_versions(records jsonb)
RETURNS TABLE (ordinal integer, status text, reason text, superseded_by bigint)
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
  WITH asked AS MATERIALIZED (
    SELECT a.ordinality::integer AS ordinal, a.item ->> 'table' AS table_name, (a.item ->> 'key')::integer AS record_id,
      (a.item ->> 'version')::bigint AS version
    FROM jsonb_array_elements(records) WITH ORDINALITY AS a (item)
  )
  -- One look at the outbox, hashed by record: there is no index for it, and RetentionDays bounds its settled rows.
  SELECT a.ordinal, min(q.status) FILTER (WHERE q.queue_id = a.version), min(q.last_error) FILTER (WHERE q.queue_id = a.version),
    max(q.queue_id) FILTER (WHERE q.queue_id > a.version AND q.status = 'Synced')
  FROM asked AS a
  LEFT JOIN sync.queue AS q
    ON q.table_name = a.table_name AND q.record_id = a.record_id AND q.queue_id >= a.version
  GROUP BY a.ordinal
  ORDER BY a.ordinal
$function$;

-- A row as sync.lost_edits keeps it, column by column: instants as they travel, which in a whole row are as Postgres prints them.
CREATE OR REPLACE FUNCTION sync.kept_values(of_table text, kept jsonb) RETURNS TABLE (name text, value text)
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT e.key, CASE
    WHEN e.value NOT LIKE '%Z' AND of_table || '.' || e.key IN (
      'work.addition_date', 'aligner_sets.pdf_uploaded_at', 'aligner_notes.created_at',
      'aligner_notes.edited_at'
    ) THEN sync.wire_instant(e.value::timestamptz)
    ELSE e.value
  END
  FROM jsonb_each_text(CASE jsonb_typeof(kept) WHEN 'object' THEN kept END) AS e
$function$;

-- Which columns were written, as a JSON array of names; null: the whole row, or that is not known.
CREATE OR REPLACE FUNCTION sync.edited_columns(of_table text, base jsonb, lost_row jsonb) RETURNS json
LANGUAGE sql STABLE
SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT json_agg(b.name ORDER BY b.name)
  FROM sync.kept_values(of_table, base) AS b JOIN sync.kept_values(of_table, lost_row) AS l ON l.name = b.name
  WHERE l.value IS DISTINCT FROM b.value
$function$;

-- What the portal knows of one record beside the record itself, as JSON: of its outbox rows and its rulings the `max` latest. It reads
-- the outbox through once, as sync.record_versions does: an index by record would cost every doctor's edit. Waits for nobody.
CREATE OR REPLACE FUNCTION sync.record_history(of_table text, of_key integer, max integer) RETURNS text
LANGUAGE plpgsql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  there boolean;
BEGIN
  there := CASE of_table
    WHEN 'aligner_doctors' THEN EXISTS (SELECT FROM public.aligner_doctors AS t WHERE t.dr_id = of_key)
    WHEN 'patients' THEN EXISTS (SELECT FROM public.patients AS t WHERE t.person_id = of_key)
    WHEN 'work' THEN EXISTS (SELECT FROM public.work AS t WHERE t.work_id = of_key)
    WHEN 'aligner_sets' THEN EXISTS (SELECT FROM public.aligner_sets AS t WHERE t.aligner_set_id = of_key)
    WHEN 'aligner_batches' THEN EXISTS (SELECT FROM public.aligner_batches AS t WHERE t.aligner_batch_id = of_key)
    WHEN 'aligner_notes' THEN EXISTS (SELECT FROM public.aligner_notes AS t WHERE t.note_id = of_key)
    WHEN 'aligner_set_payments' THEN EXISTS (SELECT FROM public.aligner_set_payments AS t WHERE t.aligner_set_id = of_key)
    WHEN 'canary' THEN EXISTS (SELECT FROM sync.canary AS t WHERE t.canary_id = of_key)
  END;
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
        SELECT coalesce(json_agg(json_build_object(
          'number', l.lost_edit_id::text, 'table', l.table_name, 'key', l.record_id, 'ruling', l.reason, 'version', l.local_version::text,
          'at', sync.wire_instant(l.lost_at),
          'columns', sync.edited_columns(l.table_name, l.base, l.lost_row)
        ) ORDER BY l.lost_edit_id DESC), '[]')
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
SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT coalesce(json_agg(json_build_object(
    'number', l.lost_edit_id::text, 'table', l.table_name, 'key', l.record_id, 'ruling', l.reason, 'version', l.local_version::text,
    'at', sync.wire_instant(l.lost_at),
    'columns', sync.edited_columns(l.table_name, l.base, l.lost_row)
  ) ORDER BY l.lost_edit_id DESC), '[]')::text
  FROM (
    SELECT k.* FROM sync.lost_edits AS k WHERE before IS NULL OR k.lost_edit_id < before
    ORDER BY k.lost_edit_id DESC LIMIT max
  ) AS l
$function$;

-- One of these with its values, as JSON; null: there is none. base: what the doctor started from; clinic: what the clinic had, null
-- where it had deleted the record. All values are texts, as they travel.
CREATE OR REPLACE FUNCTION sync.ruled_values(number bigint) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
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

-- Writes the canary as a doctor writes a row: its triggers capture it, and the doorbell rings. Gives back the queue id that they drew; null
-- where they captured nothing. Repeated with the same token it changes nothing.
CREATE OR REPLACE FUNCTION sync.send_canary(token text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '3s'
AS $function$
DECLARE
  before bigint;
  after bigint;
BEGIN
  IF token IS NULL OR length(token) NOT BETWEEN 1 AND 40 THEN
    RAISE EXCEPTION 'sync.send_canary: the token must have from 1 to 40 characters'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- Its lock first: what the bookkeeping has of it then was there before.
  PERFORM FROM sync.canary AS c WHERE c.canary_id = 1 FOR NO KEY UPDATE;
  SELECT s.local_version INTO before FROM sync.row_state AS s WHERE s.table_name = 'canary' AND s.record_id = 1;
  UPDATE sync.canary AS c SET portal_token = token WHERE c.canary_id = 1;
  IF NOT FOUND THEN
    INSERT INTO sync.canary (canary_id, portal_token) VALUES (1, token);
  END IF;
  SELECT s.local_version INTO after FROM sync.row_state AS s WHERE s.table_name = 'canary' AND s.record_id = 1;
  RETURN CASE WHEN after > coalesce(before, 0) THEN after END;
END
$function$;

-- What the portal knows of the canary, as a JSON object: tokens; the clinic's version applied last; why the clinic's changes are held up
-- (null: they are not); the state of its trigger ('O' and 'A': on; null: it is gone); and the outbox row with that id, null where it is
-- purged or never was.
CREATE OR REPLACE FUNCTION sync.read_canary(of_queue_id bigint) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT json_build_object(
    'clinicToken', (SELECT c.clinic_token FROM sync.canary AS c WHERE c.canary_id = 1),
    'portalToken', (SELECT c.portal_token FROM sync.canary AS c WHERE c.canary_id = 1),
    'applied', coalesce((SELECT s.clinic_version FROM sync.row_state AS s WHERE s.table_name = 'canary' AND s.record_id = 1), 0)::text,
    'held', (SELECT s.value FROM sync.settings AS s WHERE s.name = 'Restored'),
    'trigger', (
      SELECT t.tgenabled FROM pg_trigger AS t
      WHERE t.tgrelid = 'sync.canary'::regclass AND t.tgname = '00_sync_capture_update'
    ),
    'row', (
      SELECT json_build_object('status', q.status, 'reason', q.last_error) FROM sync.queue AS q
      WHERE q.queue_id = of_queue_id AND q.table_name = 'canary'
    )
  )::text
$function$;

DO $$
DECLARE
  grantee text;
BEGIN
  REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sync FROM PUBLIC;
  FOR grantee IN SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sync FROM %I', grantee);
  END LOOP;
END
$$;

-- What 99 gives once more: functions that were made anew have lost it, and the drain does not wait for 99.
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'clinic_sync') THEN
    GRANT EXECUTE ON FUNCTION sync.take_changes(integer), sync.take_changes(integer, bigint) TO clinic_sync;
  END IF;
END
$$;
