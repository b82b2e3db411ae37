-- For `npm run sync -- verify`: what tells a record that is late from one that differs, and the results that are kept. Safe to run again.

-- The last 100 results: figures and table names, no key and no value. complete: all tables were compared.
CREATE TABLE IF NOT EXISTS sync.verifications (
  verification_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  kept_at timestamptz NOT NULL DEFAULT now(),
  complete boolean NOT NULL,
  result jsonb NOT NULL
);

-- Of each record, in order, as a JSON array: applied, the clinic's version that was applied here last; last, the queue id of its latest edit
-- here; open, whether one waits to be sent or for its outcome; cause, of its latest Failed row what stands before the colon of last_error
-- (null: there is none); editing, whether an edit is marked as in flight, on which the clinic has not ruled here.
CREATE OR REPLACE FUNCTION sync.record_states(records jsonb) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT coalesce(json_agg(json_build_object(
    'applied', coalesce(s.clinic_version, 0)::text,
    'last', s.local_version::text,
    'open', EXISTS (
      SELECT FROM sync.queue AS q
      WHERE q.table_name = e.value ->> 'table' AND q.record_id = (e.value ->> 'key')::integer AND q.status <> 'Synced'
        AND q.status <> 'Failed'
    ),
    'cause', (
      SELECT coalesce(split_part(q.last_error, ':', 1), '') FROM sync.queue AS q
      WHERE q.table_name = e.value ->> 'table' AND q.record_id = (e.value ->> 'key')::integer AND q.status <> 'Synced'
        AND q.status = 'Failed'
      ORDER BY q.queue_id DESC LIMIT 1
    ),
    'editing', s.since IS NOT NULL
  ) ORDER BY e.ordinality), '[]')::text
  FROM jsonb_array_elements(records) WITH ORDINALITY AS e
  LEFT JOIN sync.row_state AS s ON s.table_name = e.value ->> 'table' AND s.record_id = (e.value ->> 'key')::integer
$function$;

-- Keeps a result, and of all results the last 100; the last one of all tables stays in any case.
CREATE OR REPLACE FUNCTION sync.keep_verification(result jsonb) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF coalesce(jsonb_typeof(result), 'null') <> 'object' OR coalesce(jsonb_typeof(result -> 'complete'), 'null') <> 'boolean'
    OR octet_length(result::text) > 100000 THEN
    RAISE EXCEPTION 'not a result of verify' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  INSERT INTO sync.verifications (complete, result) VALUES ((result ->> 'complete')::boolean, result);
  DELETE FROM sync.verifications AS v
  WHERE v.verification_id <= (SELECT max(l.verification_id) - 100 FROM sync.verifications AS l)
    AND v.verification_id <> coalesce((SELECT max(l.verification_id) FROM sync.verifications AS l WHERE l.complete), 0);
END
$function$;

-- The last result of all tables; null: there is none.
CREATE OR REPLACE FUNCTION sync.last_verification() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT v.result::text FROM sync.verifications AS v WHERE v.complete ORDER BY v.verification_id DESC LIMIT 1
$function$;

-- For verify --repair, as the tables' owner: of records that are not in the portal, forgets edits in flight (deletes) of which nothing is on
-- its way: the clinic will never rule on them, and they would keep the record away when the clinic sends it. An array of {table, key}.
-- Returns how many.
CREATE OR REPLACE FUNCTION sync.forget_deletes(records jsonb) RETURNS bigint
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  forgotten bigint;
BEGIN
  UPDATE sync.row_state AS s SET since = NULL, base = NULL
  FROM jsonb_array_elements(records) AS e
  WHERE s.table_name = e.value ->> 'table' AND s.record_id = (e.value ->> 'key')::integer AND s.since IS NOT NULL
    AND NOT EXISTS (
      SELECT FROM sync.queue AS q
      WHERE q.table_name = s.table_name AND q.record_id = s.record_id AND q.status <> 'Synced' AND q.status <> 'Failed'
    );
  GET DIAGNOSTICS forgotten = ROW_COUNT;
  RETURN forgotten;
END
$function$;

-- About how many rows there are, as Postgres has them in its statistics: for a progress bar. A JSON object of tables; one that was never
-- looked at has none.
CREATE OR REPLACE FUNCTION sync.row_estimates() RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT coalesce(json_object_agg(c.relname, c.reltuples::bigint), '{}')::text
  FROM pg_class AS c
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.reltuples >= 0
    AND c.relname = ANY (ARRAY[
      'aligner_doctors', 'patients', 'work', 'aligner_sets', 'aligner_batches', 'aligner_notes', 'aligner_set_payments'
    ])
$function$;

-- Functions are executable by everybody unless told otherwise; the services need these.
DO $$
DECLARE
  grantee text;
BEGIN
  REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sync FROM PUBLIC;
  REVOKE ALL ON sync.verifications FROM PUBLIC;
  FOR grantee IN SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sync FROM %I', grantee);
    EXECUTE format('REVOKE ALL ON sync.verifications FROM %I', grantee);
  END LOOP;
  IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'clinic_sync') THEN
    GRANT EXECUTE ON FUNCTION sync.record_states(jsonb), sync.keep_verification(jsonb), sync.last_verification(), sync.row_estimates()
      TO clinic_sync;
  END IF;
END
$$;
