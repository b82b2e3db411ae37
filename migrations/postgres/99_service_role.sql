-- Generated from packages/mapping by `npm run generate`. Do not edit: change the mapping.
--
-- The role clinic_sync, for the services' login: it may call their functions of schema sync, which run as the owner, and read and write
-- no table. A login of its own: by-hand/service_login.sql. Safe to run again, and to be run again, last, after any other file:
-- `npm run sync -- migrate` does.

-- A role is the whole server's, and another database's migration may make it at this moment.
DO $$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'clinic_sync') THEN
    CREATE ROLE clinic_sync NOLOGIN;
  END IF;
EXCEPTION
  WHEN duplicate_object OR unique_violation THEN
    NULL;
  WHEN insufficient_privilege THEN
    RAISE WARNING 'clinic-sync: this role may not create roles (CREATEROLE): the services need the owner''s login, or clinic_sync from somebody who may';
END
$$;

-- What the doctor command asks of schema sync and of the synced tables' rights, as the owner: a JSON object of arrays of rows, every value
-- a text or null. The webhook's key is given as its SHA-256 only.
CREATE OR REPLACE FUNCTION sync.inspect(table_names text[]) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
  SELECT json_build_object(
    'owner', json_build_array(json_build_object('name', current_user)),
    'migrations', (
      SELECT coalesce(json_agg(json_build_object(
        'name', m.name, 'checksum', trim(m.checksum), 'at', to_char(m.applied_at, 'YYYY-MM-DD HH24:MI')
      )), '[]') FROM sync.migrations AS m
    ),
    'tables', (
      SELECT coalesce(json_agg(json_build_object(
        'name', c.relname, 'row_security', left(c.relrowsecurity::text, 1), 'stops_us', left(row_security_active(c.oid)::text, 1),
        'forced', left(c.relforcerowsecurity::text, 1), 'owned', left(pg_has_role(current_user, c.relowner, 'USAGE')::text, 1),
        'missing_rights', (
          SELECT string_agg(p.name, ',') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p (name)
          WHERE NOT has_table_privilege(current_user, c.oid, p.name)
        ),
        'subscribed', left(EXISTS (SELECT FROM pg_subscription_rel AS s WHERE s.srrelid = c.oid)::text, 1)
      )), '[]')
      FROM pg_class AS c
      WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY (table_names)
    ),
    'settings', (
      SELECT coalesce(json_agg(json_build_object('name', s.name, 'value', CASE
        WHEN s.name = 'WebhookURL' THEN s.value
        WHEN btrim(s.value) <> '' THEN 'sha256:' || encode(sha256(convert_to(btrim(s.value), 'UTF8')), 'hex')
      END)), '[]')
      FROM sync.settings AS s WHERE s.name IN ('WebhookURL', 'WebhookKey')
    ),
    'outbox', (
      SELECT coalesce(json_agg(json_build_object('status', q.status, 'n', q.n::text, 'oldest', q.oldest::text)), '[]')
      FROM (
        SELECT o.status, count(*) AS n, floor(extract(epoch FROM clock_timestamp() - min(o.created_at))) AS oldest
        FROM sync.queue AS o GROUP BY o.status
      ) AS q
    ),
    'lostEdits', (SELECT json_agg(json_build_object('n', l.n::text)) FROM (SELECT count(*) AS n FROM sync.lost_edits) AS l),
    'versions', (
      SELECT json_agg(json_build_object('clinic', v.clinic::text, 'own', v.own::text)) FROM (
        SELECT (SELECT coalesce(max(s.clinic_version), 0) FROM sync.row_state AS s) AS clinic,
          (SELECT CASE WHEN i.is_called THEN i.last_value ELSE i.last_value - 1 END FROM sync.queue_ids AS i) AS own
      ) AS v
    )
  )::text
$function$;

-- Posts what a change would, signed, to see whether it arrives: 'sent', 'not set up', 'no pg_net', 'no key' (it is malformed).
CREATE OR REPLACE FUNCTION sync.try_webhook() RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
BEGIN
  IF (SELECT count(*) FROM sync.settings AS s WHERE s.name IN ('WebhookURL', 'WebhookKey') AND btrim(s.value) <> '') < 2 THEN
    RETURN 'not set up';
  END IF;
  IF to_regprocedure('net.http_post(text,jsonb,jsonb,jsonb,integer)') IS NULL THEN
    RETURN 'no pg_net';
  END IF;
  PERFORM sync.post_webhook('UPDATE', 'aligner_batches');
  RETURN 'sent';
EXCEPTION WHEN invalid_parameter_value THEN
  RETURN 'no key';
END
$function$;

-- Posts what a dashboard's webhook of a synced table would, with no row in it. The address is the trigger's own: whoever may call this
-- can send nothing to anywhere else. The arguments are URL, method, headers, params, timeout, each ended by a zero byte.
CREATE OR REPLACE FUNCTION sync.try_dashboard_webhook(of_table text, trigger_name text) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
AS $function$
DECLARE
  arguments text[];
BEGIN
  SELECT ARRAY(
    SELECT convert_from(decode(a.part, 'escape'), 'UTF8')
    FROM unnest(string_to_array(encode(t.tgargs, 'escape'), '\000')) WITH ORDINALITY AS a (part, place) ORDER BY a.place
  ) INTO arguments
  FROM pg_trigger AS t JOIN pg_proc AS f ON f.oid = t.tgfoid
  WHERE t.tgrelid = to_regclass(format('public.%I', of_table)) AND of_table IN ('aligner_batches', 'aligner_notes')
    AND t.tgname = trigger_name AND t.tgenabled IN ('O', 'A')
    AND f.proname = 'http_request' AND f.pronamespace = to_regnamespace('supabase_functions');
  IF NOT FOUND OR arguments[2] <> 'POST' THEN
    RETURN false;
  END IF;
  EXECUTE 'SELECT net.http_post($1, $2, $3, $4, $5)' USING
    arguments[1],
    jsonb_build_object('type', 'UPDATE', 'table', of_table, 'schema', 'public', 'record', NULL, 'old_record', NULL),
    coalesce(nullif(nullif(arguments[4], ''), 'null'), '{}')::jsonb,
    coalesce(nullif(nullif(arguments[3], ''), 'null'), '{"Content-Type": "application/json"}')::jsonb,
    coalesce(nullif(nullif(arguments[5], ''), 'null'), '1000')::integer;
  RETURN true;
END
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

-- With an empty search_path Postgres looks for the names of types in the caller's own temporary schema first, and a type made there runs
-- what the caller likes as the owner. Named last, it is looked into last. For the files that were written by hand.
DO $$
DECLARE
  signature regprocedure;
BEGIN
  FOR signature IN
    SELECT p.oid::regprocedure FROM pg_catalog.pg_proc AS p
    WHERE p.pronamespace = 'sync'::regnamespace AND p.prokind = 'f' AND 'search_path=""' = ANY (p.proconfig)
  LOOP
    EXECUTE format('ALTER FUNCTION %s SET search_path = pg_catalog, pg_temp', signature);
  END LOOP;
END
$$;

DO $$
DECLARE
  signature text;
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'clinic_sync') THEN
    RETURN;
  END IF;
  -- Nothing but what follows, whatever an earlier version granted.
  REVOKE ALL ON ALL TABLES IN SCHEMA sync FROM clinic_sync;
  REVOKE ALL ON ALL SEQUENCES IN SCHEMA sync FROM clinic_sync;
  REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sync FROM clinic_sync;
  GRANT USAGE ON SCHEMA sync TO clinic_sync;
  FOREACH signature IN ARRAY ARRAY[
    'sync.apply_clinic_changes(jsonb)',
    'sync.take_changes(integer)',
    'sync.take_changes(integer, bigint)',
    'sync.settle_changes(jsonb)',
    'sync.read_rows(text, integer, integer)',
    'sync.outbox_status()',
    'sync.requeue(text, text, integer, integer, integer, bigint, integer, boolean)',
    'sync.record_versions(jsonb)',
    'sync.record_history(text, integer, integer)',
    'sync.rulings(bigint, integer)',
    'sync.ruled_values(bigint)',
    'sync.bookkeeping(jsonb, integer)',
    'sync.is_held()',
    'sync.hold_clinic_changes(text)',
    'sync.record_states(jsonb)',
    'sync.keep_verification(jsonb)',
    'sync.last_verification()',
    'sync.row_estimates()',
    'sync.send_canary(text)',
    'sync.read_canary(bigint)',
    'sync.inspect(text[])',
    'sync.try_webhook()',
    'sync.try_dashboard_webhook(text, text)'
  ] LOOP
    IF to_regprocedure(signature) IS NOT NULL THEN
      EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO clinic_sync', signature);
    END IF;
  END LOOP;
END
$$;
