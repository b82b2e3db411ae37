-- The portal's doorbells: whoever drains sync.queue hears that something was put into it. They carry no data that is used.
--
--   ring_listeners  NOTIFY on channel sync_queue, for the ingress that LISTENs (PORTAL_DOORBELL=listen)
--   ring_webhook    a signed POST through pg_net (PORTAL_DOORBELL=webhook), once the settings WebhookURL and WebhookKey are there:
--
--     INSERT INTO sync.settings (name, value) VALUES
--       ('WebhookURL', 'https://sync.example.org/api/sync/webhook'), ('WebhookKey', 'whsec_…')
--     ON CONFLICT (name) DO UPDATE SET value = excluded.value;
--
-- Each rings once a transaction, and at its commit. Neither can fail the write that rings it. Safe to run again. How keys are
-- exchanged: README.md beside this file.

-- Remembers in a setting of the transaction that it has rung: a savepoint that is rolled back takes its ring and this memory
-- back together. The transaction's number is in it, so that nothing left over in the session silences the doorbell.
CREATE OR REPLACE FUNCTION sync.rings_first(bell text) RETURNS boolean
LANGUAGE plpgsql
SET search_path = ''
AS $function$
DECLARE
  this text := pg_catalog.pg_current_xact_id()::text;
BEGIN
  IF current_setting(bell, true) = this THEN
    RETURN false;
  END IF;
  PERFORM set_config(bell, this, true);
  RETURN true;
END
$function$;

-- SECURITY DEFINER, here and below: doctors' roles have no right to schema sync.
CREATE OR REPLACE FUNCTION sync.ring_listeners() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ''
AS $function$
BEGIN
  IF sync.rings_first('sync.rang_listeners') THEN
    BEGIN
      -- A full queue of notifications (somebody LISTENs in a transaction that never ends) would fail the commit, where
      -- nothing can catch it.
      IF pg_notification_queue_usage() < 0.9 THEN
        PERFORM pg_notify('sync_queue', '');
      END IF;
    EXCEPTION WHEN OTHERS THEN
      NULL;
    END;
  END IF;
  RETURN NULL;
END
$function$;

-- HMAC-SHA256 (RFC 2104) of a message, for keys of up to 64 bytes, which is its block: pgcrypto need not be there.
CREATE OR REPLACE FUNCTION sync.hmac_sha256(key bytea, message bytea) RETURNS bytea
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = ''
AS $function$
DECLARE
  inside bytea := decode(repeat('36', 64), 'hex');
  outside bytea := decode(repeat('5c', 64), 'hex');
BEGIN
  FOR i IN 0 .. octet_length(key) - 1 LOOP
    inside := set_byte(inside, i, get_byte(inside, i) # get_byte(key, i));
    outside := set_byte(outside, i, get_byte(outside, i) # get_byte(key, i));
  END LOOP;
  RETURN sha256(outside || sha256(inside || message));
END
$function$;

-- The header webhook-signature of Standard Webhooks. `key`: whsec_ and the base64 of 24 to 64 bytes.
CREATE OR REPLACE FUNCTION sync.sign_webhook(key text, id text, stamp text, body text) RETURNS text
LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
SET search_path = ''
AS $function$
DECLARE
  secret bytea;
BEGIN
  IF key LIKE 'whsec\_%' THEN
    secret := decode(substr(key, 7), 'base64');
  END IF;
  IF secret IS NULL OR octet_length(secret) NOT BETWEEN 24 AND 64 THEN
    RAISE EXCEPTION 'the setting WebhookKey is not whsec_ and the base64 of 24 to 64 bytes'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  RETURN 'v1,' || encode(sync.hmac_sha256(secret, convert_to(concat_ws('.', id, stamp, body), 'UTF8')), 'base64');
END
$function$;

-- Hands pg_net one request with Supabase's payload, of which the receiver uses nothing: no row is in it. Does nothing where a
-- setting or pg_net is missing; pg_net is looked for each time, since the extension may be enabled later.
-- Any LOGIN role can read pg_net's queue, headers included: it holds a signature, never the key.
CREATE OR REPLACE FUNCTION sync.post_webhook(operation text, table_name text) RETURNS void
LANGUAGE plpgsql
SET search_path = ''
AS $function$
DECLARE
  url text;
  key text;
  id text := 'msg_' || gen_random_uuid();
  stamp text := floor(extract(epoch FROM clock_timestamp()))::bigint::text;
  body jsonb := jsonb_build_object(
    'type', operation, 'table', table_name, 'schema', 'public', 'record', NULL, 'old_record', NULL
  );
BEGIN
  SELECT btrim(s.value) INTO url FROM sync.settings AS s WHERE s.name = 'WebhookURL';
  SELECT btrim(s.value) INTO key FROM sync.settings AS s WHERE s.name = 'WebhookKey';
  IF coalesce(url, '') = '' OR coalesce(key, '') = '' THEN
    RETURN;
  END IF;
  IF to_regprocedure('net.http_post(text,jsonb,jsonb,jsonb,integer)') IS NULL THEN
    RETURN;
  END IF;
  PERFORM net.http_post(
    url,
    body,
    '{}'::jsonb,
    jsonb_build_object(
      'Content-Type', 'application/json',
      'webhook-id', id,
      'webhook-timestamp', stamp,
      -- pg_net sends body::text.
      'webhook-signature', sync.sign_webhook(key, id, stamp, body::text)
    ),
    5000
  );
END
$function$;

-- What goes wrong is one line in the server's log, with the SQLSTATE. WARNING, since Postgres adds to a LOG line the statement
-- that caused it, with the values in it; and not for the doctor's client.
CREATE OR REPLACE FUNCTION sync.ring_webhook() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = ''
SET lock_timeout = '250ms'
SET client_min_messages = 'error'
AS $function$
BEGIN
  IF sync.rings_first('sync.rang_webhook') THEN
    BEGIN
      PERFORM sync.post_webhook(NEW.operation, NEW.table_name);
    EXCEPTION WHEN OTHERS THEN
      RAISE WARNING 'clinic-sync: no webhook was sent (%)', SQLSTATE;
    END;
  END IF;
  RETURN NULL;
END
$function$;

-- WHEN spares the calls for all that a transaction puts into the outbox after its first ring. A row's is judged as it is
-- inserted, before the statement's own trigger has rung: so the first statement's rows still reach ring_webhook.
-- Made only where they are missing: replacing a trigger waits for every open transaction that has written to the table, and
-- makes the doctors that come after it wait too.
DO $$
BEGIN
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = 'sync.queue'::regclass AND tgname = 'ring_listeners'
  ) THEN
    CREATE TRIGGER ring_listeners AFTER INSERT ON sync.queue
      FOR EACH STATEMENT
      WHEN (current_setting('sync.rang_listeners', true) IS DISTINCT FROM pg_current_xact_id()::text)
      EXECUTE FUNCTION sync.ring_listeners();
  END IF;
  -- Deferred to the commit: a receiver refuses a timestamp that is 5 minutes old, and pg_net sends only after the commit,
  -- however long the transaction takes. (Postgres can defer row triggers only.)
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_trigger WHERE tgrelid = 'sync.queue'::regclass AND tgname = 'ring_webhook'
  ) THEN
    CREATE CONSTRAINT TRIGGER ring_webhook AFTER INSERT ON sync.queue DEFERRABLE INITIALLY DEFERRED
      FOR EACH ROW
      WHEN (current_setting('sync.rang_listeners', true) IS DISTINCT FROM pg_current_xact_id()::text)
      EXECUTE FUNCTION sync.ring_webhook();
  END IF;
END
$$;

-- Functions are executable by everybody unless told otherwise.
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
