-- Generated from packages/mapping by `npm run generate`. Do not edit: change the mapping.
--
-- Captures what people change in the portal, in their own transaction: an outbox row and the record's bookkeeping. On the tables
-- whose edits travel to the clinic; where a mapped column really changed; never what the sync itself writes (sync.applying, in a
-- transaction of who may use schema sync: any session can set it).
-- Safe to run again.
--
-- The functions run as their owner, since doctors' roles have no right to schema sync, and no policy applies to them.
-- No time limit of a doctor's ends a wait for the sync, which lasts milliseconds: where both wait for each other, it is the sync
-- that gives way (lock_timeout in 02). Plans go by index: sync.lost_edits, small when a plan was made, may grow in one statement.
-- The triggers' names come first in the alphabet: Postgres fires triggers in that order, and a trigger of the portal's own that
-- writes the same row once more must find the first change captured, or `base` would be the state in between.
-- Keys are cast to integer, the clinic's type: in a portal they may be bigint.

-- Why what a doctor wrote does not stand. The rows that 02 writes take the default.
ALTER TABLE sync.lost_edits ADD COLUMN IF NOT EXISTS reason text NOT NULL DEFAULT 'deleted in the clinic';
CREATE INDEX IF NOT EXISTS lost_edits_record_idx ON sync.lost_edits (table_name, record_id);

-- As in 01, and infinity is what it is: null would say that the doctor wrote nothing, and the clinic could not refuse it. No
-- stricter than to_char in it, or Postgres does not inline it: an edit then took 100 µs longer.
CREATE OR REPLACE FUNCTION sync.wire_instant(moment timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN moment >= '0001-01-01 00:00:00+00'::timestamptz AND moment < '10000-01-01 00:00:00+00'::timestamptz
      THEN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    WHEN moment IN ('infinity'::timestamptz, '-infinity'::timestamptz) THEN moment::text
    WHEN moment >= '10000-01-01 00:00:00+00'::timestamptz
      THEN '+' || lpad(extract(year FROM moment AT TIME ZONE 'UTC')::text, 6, '0')
        || to_char(moment AT TIME ZONE 'UTC', '-MM-DD"T"HH24:MI:SS.MS"Z"')
    ELSE CASE WHEN extract(year FROM moment AT TIME ZONE 'UTC') = -1 THEN '0000'
        ELSE '-' || lpad((-1 - extract(year FROM moment AT TIME ZONE 'UTC'))::text, 6, '0') END
      || to_char(moment AT TIME ZONE 'UTC', '-MM-DD"T"HH24:MI:SS.MS"Z"')
  END
$$;

-- Captures one edit of a record whose row the caller's transaction has locked. Gives back the record's bookkeeping.
--   before  the shared columns before the edit; null where there was no row
-- While edits are in flight, since and base stay those of the first of them.
CREATE OR REPLACE FUNCTION sync.capture_edit(record_table text, record_key integer, edit text, before jsonb) RETURNS sync.row_state
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  version bigint;
  state sync.row_state;
BEGIN
  INSERT INTO sync.queue (table_name, record_id, operation) VALUES (record_table, record_key, edit)
  RETURNING queue_id INTO version;
  INSERT INTO sync.row_state AS s (table_name, record_id, local_version, since, base)
  VALUES (record_table, record_key, version, version, before)
  ON CONFLICT (table_name, record_id) DO UPDATE SET
    local_version = excluded.local_version,
    since = coalesce(s.since, excluded.since),
    base = CASE WHEN s.since IS NULL THEN excluded.base ELSE s.base END
  RETURNING s.* INTO state;
  RETURN state;
END
$function$;

-- Puts on record what was written into columns that are the clinic's, and what was there. The edit travels all the same, so
-- that the clinic gives its own value back.
CREATE OR REPLACE FUNCTION sync.keep_lost_edit(state sync.row_state, here jsonb, written jsonb) RETURNS void
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row, reason)
  SELECT state.table_name, state.record_id, state.clinic_version, state.local_version, d.here, d.written,
    'not the portal''s to change'
  FROM (
    SELECT jsonb_object_agg(h.key, h.value) AS here, jsonb_object_agg(h.key, w.value) AS written
    FROM jsonb_each(here) AS h JOIN jsonb_each(written) AS w ON w.key = h.key
    WHERE w.value <> h.value
  ) AS d
  WHERE d.written IS NOT NULL;
END
$function$;

CREATE OR REPLACE FUNCTION sync.capture_aligner_batches() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '0'
SET enable_seqscan = 'off'
AS $function$
DECLARE
  before jsonb; -- the shared columns before this edit
  state sync.row_state;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    PERFORM sync.capture_edit('aligner_batches', t.aligner_batch_id::integer, 'DELETE',
      json_build_object(
        'days', t.days
      )::jsonb)
    FROM public.aligner_batches AS t ORDER BY t.aligner_batch_id;
    RETURN NULL;
  END IF;

  IF TG_OP <> 'INSERT' THEN
    before := json_build_object(
      'days', OLD.days
    )::jsonb;
  END IF;
  IF TG_OP = 'UPDATE' AND OLD.aligner_batch_id = NEW.aligner_batch_id THEN
    state := sync.capture_edit('aligner_batches', NEW.aligner_batch_id::integer, 'UPDATE', before);
    IF ROW(
      OLD.aligner_set_id, OLD.batch_sequence, OLD.upper_aligner_count, OLD.lower_aligner_count,
      OLD.upper_aligner_start_sequence, OLD.upper_aligner_end_sequence, OLD.lower_aligner_start_sequence,
      OLD.lower_aligner_end_sequence, OLD.manufacture_date, OLD.delivered_to_patient_date,
      OLD.validity_period, OLD.batch_expiry_date, OLD.notes::text COLLATE "C", OLD.is_active
    ) IS DISTINCT FROM ROW(
      NEW.aligner_set_id, NEW.batch_sequence, NEW.upper_aligner_count, NEW.lower_aligner_count,
      NEW.upper_aligner_start_sequence, NEW.upper_aligner_end_sequence, NEW.lower_aligner_start_sequence,
      NEW.lower_aligner_end_sequence, NEW.manufacture_date, NEW.delivered_to_patient_date,
      NEW.validity_period, NEW.batch_expiry_date, NEW.notes::text COLLATE "C", NEW.is_active
    ) THEN
      PERFORM sync.keep_lost_edit(state,
        json_build_object(
          'aligner_set_id', OLD.aligner_set_id, 'batch_sequence', OLD.batch_sequence,
          'upper_aligner_count', OLD.upper_aligner_count, 'lower_aligner_count', OLD.lower_aligner_count,
          'upper_aligner_start_sequence', OLD.upper_aligner_start_sequence,
          'upper_aligner_end_sequence', OLD.upper_aligner_end_sequence,
          'lower_aligner_start_sequence', OLD.lower_aligner_start_sequence,
          'lower_aligner_end_sequence', OLD.lower_aligner_end_sequence,
          'manufacture_date', OLD.manufacture_date,
          'delivered_to_patient_date', OLD.delivered_to_patient_date, 'validity_period', OLD.validity_period,
          'batch_expiry_date', OLD.batch_expiry_date, 'notes', OLD.notes, 'is_active', OLD.is_active
        )::jsonb,
        json_build_object(
          'aligner_set_id', NEW.aligner_set_id, 'batch_sequence', NEW.batch_sequence,
          'upper_aligner_count', NEW.upper_aligner_count, 'lower_aligner_count', NEW.lower_aligner_count,
          'upper_aligner_start_sequence', NEW.upper_aligner_start_sequence,
          'upper_aligner_end_sequence', NEW.upper_aligner_end_sequence,
          'lower_aligner_start_sequence', NEW.lower_aligner_start_sequence,
          'lower_aligner_end_sequence', NEW.lower_aligner_end_sequence,
          'manufacture_date', NEW.manufacture_date,
          'delivered_to_patient_date', NEW.delivered_to_patient_date, 'validity_period', NEW.validity_period,
          'batch_expiry_date', NEW.batch_expiry_date, 'notes', NEW.notes, 'is_active', NEW.is_active
        )::jsonb);
    END IF;
    RETURN NULL;
  END IF;
  -- A new key is another record.
  IF TG_OP <> 'INSERT' THEN
    PERFORM sync.capture_edit('aligner_batches', OLD.aligner_batch_id::integer, 'DELETE', before);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM sync.capture_edit('aligner_batches', NEW.aligner_batch_id::integer, 'INSERT', NULL);
  END IF;
  RETURN NULL;
END
$function$;

CREATE OR REPLACE TRIGGER "00_sync_capture" AFTER INSERT OR DELETE ON public.aligner_batches
  FOR EACH ROW WHEN ((coalesce(current_setting('sync.applying', true), '') <> 'on' OR NOT has_schema_privilege('sync', 'USAGE')))
  EXECUTE FUNCTION sync.capture_aligner_batches();
CREATE OR REPLACE TRIGGER "00_sync_capture_update" AFTER UPDATE ON public.aligner_batches
  FOR EACH ROW WHEN ((coalesce(current_setting('sync.applying', true), '') <> 'on' OR NOT has_schema_privilege('sync', 'USAGE')) AND ROW(
    OLD.aligner_batch_id, OLD.aligner_set_id, OLD.batch_sequence, OLD.upper_aligner_count,
    OLD.lower_aligner_count, OLD.upper_aligner_start_sequence, OLD.upper_aligner_end_sequence,
    OLD.lower_aligner_start_sequence, OLD.lower_aligner_end_sequence, OLD.manufacture_date,
    OLD.delivered_to_patient_date, OLD.days, OLD.validity_period, OLD.batch_expiry_date,
    OLD.notes::text COLLATE "C", OLD.is_active
  ) IS DISTINCT FROM ROW(
    NEW.aligner_batch_id, NEW.aligner_set_id, NEW.batch_sequence, NEW.upper_aligner_count,
    NEW.lower_aligner_count, NEW.upper_aligner_start_sequence, NEW.upper_aligner_end_sequence,
    NEW.lower_aligner_start_sequence, NEW.lower_aligner_end_sequence, NEW.manufacture_date,
    NEW.delivered_to_patient_date, NEW.days, NEW.validity_period, NEW.batch_expiry_date,
    NEW.notes::text COLLATE "C", NEW.is_active
  ))
  EXECUTE FUNCTION sync.capture_aligner_batches();
CREATE OR REPLACE TRIGGER "00_sync_capture_truncate" BEFORE TRUNCATE ON public.aligner_batches
  FOR EACH STATEMENT WHEN ((coalesce(current_setting('sync.applying', true), '') <> 'on' OR NOT has_schema_privilege('sync', 'USAGE')))
  EXECUTE FUNCTION sync.capture_aligner_batches();

CREATE OR REPLACE FUNCTION sync.capture_aligner_notes() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '0'
SET enable_seqscan = 'off'
AS $function$
DECLARE
  before jsonb; -- the shared columns before this edit
  state sync.row_state;
  clinics boolean; -- the shared columns are the clinic's too
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    PERFORM sync.capture_edit('aligner_notes', t.note_id::integer, 'DELETE',
      json_build_object(
        'note_text', CASE WHEN octet_length(t.note_text) > 100000000 THEN left(t.note_text, 20000000) ELSE t.note_text END,
        'is_edited', t.is_edited, 'edited_at', sync.wire_instant(t.edited_at), 'is_read', t.is_read
      )::jsonb)
    FROM public.aligner_notes AS t ORDER BY t.note_id;
    RETURN NULL;
  END IF;

  IF TG_OP <> 'INSERT' THEN
    before := json_build_object(
      'note_text', CASE WHEN octet_length(OLD.note_text) > 100000000 THEN left(OLD.note_text, 20000000) ELSE OLD.note_text END,
      'is_edited', OLD.is_edited, 'edited_at', sync.wire_instant(OLD.edited_at), 'is_read', OLD.is_read
    )::jsonb;
  END IF;
  IF TG_OP = 'UPDATE' AND OLD.note_id = NEW.note_id THEN
    state := sync.capture_edit('aligner_notes', NEW.note_id::integer, 'UPDATE', before);
    -- Whose it is the clinic's row says: a doctor's change of note_type, still on its way, makes nothing the doctor's.
    clinics := OLD.note_type IS DISTINCT FROM 'Doctor';
    IF NOT clinics AND state.since < state.local_version THEN
      clinics := EXISTS (
        SELECT FROM sync.lost_edits AS l
        WHERE l.table_name = 'aligner_notes' AND l.record_id = state.record_id AND l.local_version >= state.since
          AND l.base ->> 'note_type' <> 'Doctor'
      );
    END IF;
    IF clinics THEN
      IF ROW(
        OLD.aligner_set_id, OLD.note_type::text COLLATE "C", OLD.note_text::text COLLATE "C",
        OLD.created_at, OLD.is_edited, OLD.edited_at, OLD.is_read
      ) IS DISTINCT FROM ROW(
        NEW.aligner_set_id, NEW.note_type::text COLLATE "C", NEW.note_text::text COLLATE "C",
        NEW.created_at, NEW.is_edited, NEW.edited_at, NEW.is_read
      ) THEN
        PERFORM sync.keep_lost_edit(state,
          json_build_object(
            'aligner_set_id', OLD.aligner_set_id, 'note_type', OLD.note_type,
            'note_text', CASE WHEN octet_length(OLD.note_text) > 100000000 THEN left(OLD.note_text, 20000000) ELSE OLD.note_text END,
            'created_at', sync.wire_instant(OLD.created_at), 'is_edited', OLD.is_edited,
            'edited_at', sync.wire_instant(OLD.edited_at), 'is_read', OLD.is_read
          )::jsonb,
          json_build_object(
            'aligner_set_id', NEW.aligner_set_id, 'note_type', NEW.note_type,
            'note_text', CASE WHEN octet_length(NEW.note_text) > 100000000 THEN left(NEW.note_text, 20000000) ELSE NEW.note_text END,
            'created_at', sync.wire_instant(NEW.created_at), 'is_edited', NEW.is_edited,
            'edited_at', sync.wire_instant(NEW.edited_at), 'is_read', NEW.is_read
          )::jsonb);
      END IF;
    ELSE
      IF ROW(
        OLD.aligner_set_id, OLD.note_type::text COLLATE "C", OLD.created_at
      ) IS DISTINCT FROM ROW(
        NEW.aligner_set_id, NEW.note_type::text COLLATE "C", NEW.created_at
      ) THEN
        PERFORM sync.keep_lost_edit(state,
          json_build_object(
            'aligner_set_id', OLD.aligner_set_id, 'note_type', OLD.note_type,
            'created_at', sync.wire_instant(OLD.created_at)
          )::jsonb,
          json_build_object(
            'aligner_set_id', NEW.aligner_set_id, 'note_type', NEW.note_type,
            'created_at', sync.wire_instant(NEW.created_at)
          )::jsonb);
      END IF;
    END IF;
    RETURN NULL;
  END IF;
  -- A new key is another record.
  IF TG_OP <> 'INSERT' THEN
    PERFORM sync.capture_edit('aligner_notes', OLD.note_id::integer, 'DELETE', before);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM sync.capture_edit('aligner_notes', NEW.note_id::integer, 'INSERT', NULL);
  END IF;
  RETURN NULL;
END
$function$;

CREATE OR REPLACE TRIGGER "00_sync_capture" AFTER INSERT OR DELETE ON public.aligner_notes
  FOR EACH ROW WHEN ((coalesce(current_setting('sync.applying', true), '') <> 'on' OR NOT has_schema_privilege('sync', 'USAGE')))
  EXECUTE FUNCTION sync.capture_aligner_notes();
CREATE OR REPLACE TRIGGER "00_sync_capture_update" AFTER UPDATE ON public.aligner_notes
  FOR EACH ROW WHEN ((coalesce(current_setting('sync.applying', true), '') <> 'on' OR NOT has_schema_privilege('sync', 'USAGE')) AND ROW(
    OLD.note_id, OLD.aligner_set_id, OLD.note_type::text COLLATE "C", OLD.note_text::text COLLATE "C",
    OLD.created_at, OLD.is_edited, OLD.edited_at, OLD.is_read
  ) IS DISTINCT FROM ROW(
    NEW.note_id, NEW.aligner_set_id, NEW.note_type::text COLLATE "C", NEW.note_text::text COLLATE "C",
    NEW.created_at, NEW.is_edited, NEW.edited_at, NEW.is_read
  ))
  EXECUTE FUNCTION sync.capture_aligner_notes();
CREATE OR REPLACE TRIGGER "00_sync_capture_truncate" BEFORE TRUNCATE ON public.aligner_notes
  FOR EACH STATEMENT WHEN ((coalesce(current_setting('sync.applying', true), '') <> 'on' OR NOT has_schema_privilege('sync', 'USAGE')))
  EXECUTE FUNCTION sync.capture_aligner_notes();

CREATE OR REPLACE FUNCTION sync.capture_canary() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '0'
SET enable_seqscan = 'off'
AS $function$
DECLARE
  before jsonb; -- the shared columns before this edit
  state sync.row_state;
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    PERFORM sync.capture_edit('canary', t.canary_id::integer, 'DELETE',
      json_build_object(
        'portal_token', t.portal_token
      )::jsonb)
    FROM sync.canary AS t ORDER BY t.canary_id;
    RETURN NULL;
  END IF;

  IF TG_OP <> 'INSERT' THEN
    before := json_build_object(
      'portal_token', OLD.portal_token
    )::jsonb;
  END IF;
  IF TG_OP = 'UPDATE' AND OLD.canary_id = NEW.canary_id THEN
    state := sync.capture_edit('canary', NEW.canary_id::integer, 'UPDATE', before);
    IF ROW(
      OLD.clinic_token::text COLLATE "C"
    ) IS DISTINCT FROM ROW(
      NEW.clinic_token::text COLLATE "C"
    ) THEN
      PERFORM sync.keep_lost_edit(state,
        json_build_object(
          'clinic_token', OLD.clinic_token
        )::jsonb,
        json_build_object(
          'clinic_token', NEW.clinic_token
        )::jsonb);
    END IF;
    RETURN NULL;
  END IF;
  -- A new key is another record.
  IF TG_OP <> 'INSERT' THEN
    PERFORM sync.capture_edit('canary', OLD.canary_id::integer, 'DELETE', before);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM sync.capture_edit('canary', NEW.canary_id::integer, 'INSERT', NULL);
  END IF;
  RETURN NULL;
END
$function$;

CREATE OR REPLACE TRIGGER "00_sync_capture" AFTER INSERT OR DELETE ON sync.canary
  FOR EACH ROW WHEN ((coalesce(current_setting('sync.applying', true), '') <> 'on' OR NOT has_schema_privilege('sync', 'USAGE')))
  EXECUTE FUNCTION sync.capture_canary();
CREATE OR REPLACE TRIGGER "00_sync_capture_update" AFTER UPDATE ON sync.canary
  FOR EACH ROW WHEN ((coalesce(current_setting('sync.applying', true), '') <> 'on' OR NOT has_schema_privilege('sync', 'USAGE')) AND ROW(
    OLD.canary_id, OLD.clinic_token::text COLLATE "C", OLD.portal_token::text COLLATE "C"
  ) IS DISTINCT FROM ROW(
    NEW.canary_id, NEW.clinic_token::text COLLATE "C", NEW.portal_token::text COLLATE "C"
  ))
  EXECUTE FUNCTION sync.capture_canary();
CREATE OR REPLACE TRIGGER "00_sync_capture_truncate" BEFORE TRUNCATE ON sync.canary
  FOR EACH STATEMENT WHEN ((coalesce(current_setting('sync.applying', true), '') <> 'on' OR NOT has_schema_privilege('sync', 'USAGE')))
  EXECUTE FUNCTION sync.capture_canary();

-- Keys of aligner_notes that are born in the portal count down from -1, so that they never meet the clinic's.
CREATE SEQUENCE IF NOT EXISTS public.aligner_notes_portal_note_id_seq
  AS integer INCREMENT BY -1 MINVALUE -2147483648 MAXVALUE -1 START WITH -1;
DO $$
DECLARE
  lowest integer;
  grantee text;
BEGIN
  -- Nobody inserts meanwhile.
  LOCK TABLE public.aligner_notes IN SHARE ROW EXCLUSIVE MODE;

  IF EXISTS (
    SELECT FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = 'public.aligner_notes'::regclass AND a.attname = 'note_id' AND a.attidentity <> ''
  ) THEN
    ALTER TABLE public.aligner_notes ALTER COLUMN note_id DROP IDENTITY;
  END IF;
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_attrdef AS d
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    JOIN pg_catalog.pg_depend AS p ON p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid
    WHERE d.adrelid = 'public.aligner_notes'::regclass AND a.attname = 'note_id'
      AND p.refobjid = 'public.aligner_notes_portal_note_id_seq'::regclass
  ) THEN
    ALTER TABLE public.aligner_notes ALTER COLUMN note_id SET DEFAULT nextval('public.aligner_notes_portal_note_id_seq');
  END IF;

  SELECT least(
    (SELECT min(t.note_id) FROM public.aligner_notes AS t),
    (SELECT min(s.record_id) FROM sync.row_state AS s WHERE s.table_name = 'aligner_notes')
  ) INTO lowest;
  IF lowest < (SELECT CASE WHEN q.is_called THEN q.last_value ELSE 0 END FROM public.aligner_notes_portal_note_id_seq AS q) THEN
    PERFORM setval('public.aligner_notes_portal_note_id_seq', lowest);
  END IF;

  -- Whoever may insert one needs its next key.
  FOR grantee IN
    SELECT CASE WHEN g.oid = 0 THEN 'PUBLIC' ELSE format('%I', r.rolname) END
    FROM (
      SELECT x.grantee AS oid
      FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS x
      WHERE c.oid = 'public.aligner_notes'::regclass AND x.privilege_type = 'INSERT'
      UNION
      SELECT x.grantee
      FROM pg_catalog.pg_attribute AS a, pg_catalog.aclexplode(a.attacl) AS x
      WHERE a.attrelid = 'public.aligner_notes'::regclass AND x.privilege_type = 'INSERT'
      UNION
      SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname IN ('authenticated', 'service_role')
    ) AS g
    LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = g.oid
    WHERE g.oid = 0 OR r.oid IS NOT NULL
  LOOP
    EXECUTE 'GRANT USAGE ON SEQUENCE public.aligner_notes_portal_note_id_seq TO ' || grantee;
  END LOOP;
END
$$;

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
