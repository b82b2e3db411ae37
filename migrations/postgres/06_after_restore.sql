-- After the portal was restored from an older backup: it hands out queue ids that the clinic has seen already, and doctors'
-- edits are stale there. sync.settle_changes marks them as Failed, SYNC_RESTORED. This sends them anew:
--
--   SELECT sync.resume_after_restore(4711);   -- the highest queue id that the clinic has seen: `npm run sync -- doctor` says it
--
-- Before any backfill: the clinic's rows would be taken for its ruling on these edits, and overwrite them. Safe to run again.

-- The edits that the clinic takes for old ones, or has refused as such. Those that began above `seen` are on their way as any
-- other: to send them twice could make conflicts of what staff wrote in between.
CREATE OR REPLACE FUNCTION sync.edits_to_resume(seen bigint) RETURNS SETOF sync.row_state
LANGUAGE sql STABLE
SET search_path = ''
AS $function$
  SELECT s.* FROM sync.row_state AS s
  WHERE s.since <= seen
    OR s.since IS NOT NULL AND EXISTS (
      SELECT FROM sync.queue AS q
      WHERE q.table_name = s.table_name AND q.record_id = s.record_id AND q.status = 'Failed'
        AND q.last_error LIKE 'SYNC\_RESTORED:%'
    )
$function$;

-- One attempt: gives each of these edits a fresh queue id, as version and as since, and keeps its base, so that the clinic
-- merges it three ways with what it has. Returns how many. Fails as a whole (55P03) where somebody holds a lock.
--
-- The rows first, then their bookkeeping, in key order, as an edit with its trigger does: who edits one of these records now
-- draws a queue id above ours. One exception: a record whose delete is in flight has no row to lock, and who makes it anew by its
-- key may have drawn an id that is a little lower. If the clinic refuses that, it is Failed and in sight, and sent by another run.
CREATE OR REPLACE FUNCTION sync.send_anew(seen bigint) RETURNS bigint
LANGUAGE plpgsql
SET search_path = ''
SET lock_timeout = '100ms'
AS $function$
DECLARE
  names text[];
  keys integer[];
  batches integer[]; -- keys of rows that are there
  notes integer[];
  sent bigint;
BEGIN
  SELECT array_agg(e.table_name), array_agg(e.record_id) INTO names, keys FROM sync.edits_to_resume(seen) AS e;
  batches := ARRAY(
    SELECT t.aligner_batch_id FROM public.aligner_batches AS t
    WHERE t.aligner_batch_id IN (SELECT u.key FROM unnest(names, keys) AS u (name, key) WHERE u.name = 'aligner_batches')
    ORDER BY 1 FOR NO KEY UPDATE
  );
  notes := ARRAY(
    SELECT t.note_id FROM public.aligner_notes AS t
    WHERE t.note_id IN (SELECT u.key FROM unnest(names, keys) AS u (name, key) WHERE u.name = 'aligner_notes')
    ORDER BY 1 FOR NO KEY UPDATE
  );
  PERFORM FROM sync.row_state AS s
  WHERE (s.table_name, s.record_id) IN (SELECT u.name, u.key FROM unnest(names, keys) AS u (name, key))
  ORDER BY s.table_name, s.record_id FOR UPDATE;

  -- What of them still is to be sent, now that nobody changes it.
  SELECT array_agg(e.table_name), array_agg(e.record_id) INTO names, keys
  FROM sync.edits_to_resume(seen) AS e
  JOIN unnest(names, keys) AS u (name, key) ON u.name = e.table_name AND u.key = e.record_id;

  UPDATE sync.queue AS q SET
    status = 'Synced', last_attempt = now(), last_error = 'superseded: sent anew, as the portal was restored'
  FROM unnest(names, keys) AS u (name, key)
  WHERE q.table_name = u.name AND q.record_id = u.key AND q.status <> 'Synced';

  WITH anew AS (
    INSERT INTO sync.queue (table_name, record_id, operation)
    SELECT s.table_name, s.record_id, CASE
        WHEN s.record_id <> ALL (CASE s.table_name WHEN 'aligner_batches' THEN batches ELSE notes END) THEN 'DELETE'
        WHEN s.base IS NULL THEN 'INSERT'
        ELSE 'UPDATE'
      END
    FROM unnest(names, keys) AS u (name, key)
    JOIN sync.row_state AS s ON s.table_name = u.name AND s.record_id = u.key
    ORDER BY s.table_name, s.record_id
    RETURNING queue_id, table_name, record_id
  ), kept AS (
    -- What these edits wrote into the clinic's columns: the capture looks for it from since on.
    UPDATE sync.lost_edits AS l SET local_version = a.queue_id
    FROM anew AS a JOIN sync.row_state AS s ON s.table_name = a.table_name AND s.record_id = a.record_id
    WHERE l.table_name = s.table_name AND l.record_id = s.record_id
      AND l.local_version BETWEEN s.since AND s.local_version
  )
  UPDATE sync.row_state AS s SET local_version = a.queue_id, since = a.queue_id
  FROM anew AS a WHERE s.table_name = a.table_name AND s.record_id = a.record_id;
  GET DIAGNOSTICS sent = ROW_COUNT;
  RETURN sent;
END
$function$;

-- Moves the queue ids above `seen`, never backwards, and sends anew the edits that the clinic takes for old ones. Returns how
-- many. Doctors may work meanwhile: where it and they wait for each other, it gives way (100 ms; Postgres looks for deadlocks
-- after 1 s) and tries again, for 30 s at most.
CREATE OR REPLACE FUNCTION sync.resume_after_restore(seen bigint) RETURNS bigint
LANGUAGE plpgsql
SET search_path = ''
AS $function$
DECLARE
  patience timestamptz := clock_timestamp() + interval '30 s';
  earlier text[]; -- transactions that may have drawn a queue id before they were moved
  pids integer[];
BEGIN
  IF seen IS NULL OR seen < 0 THEN
    RAISE EXCEPTION 'seen is the highest queue id of the portal''s that the clinic has seen'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    RAISE EXCEPTION 'this needs a transaction that is READ COMMITTED: it must see what others commit meanwhile'
      USING ERRCODE = 'invalid_transaction_state';
  END IF;
  IF NOT pg_try_advisory_xact_lock(4711003) THEN
    RAISE EXCEPTION 'sync.resume_after_restore runs already' USING ERRCODE = 'lock_not_available';
  END IF;

  -- Postgres cannot compare and move a sequence in one step without making every doctor wait. A million ids are left out: more
  -- than anybody draws between the two, so none is handed out twice.
  IF (SELECT i.last_value FROM sync.queue_ids AS i) <= seen THEN
    PERFORM setval('sync.queue_ids', seen + 1000000);
  END IF;

  -- An edit with an old id that is not committed yet would be missed below, and be overwritten by the backfill.
  earlier := ARRAY(
    SELECT l.virtualtransaction FROM pg_locks AS l
    WHERE l.relation = 'sync.queue'::regclass AND l.mode = 'RowExclusiveLock' AND l.granted
      AND l.database = (SELECT d.oid FROM pg_database AS d WHERE d.datname = current_database())
      AND l.pid IS DISTINCT FROM pg_backend_pid()
  );
  LOOP
    pids := ARRAY(
      SELECT l.pid FROM pg_locks AS l
      WHERE l.relation = 'sync.queue'::regclass AND l.virtualtransaction = ANY (earlier)
    );
    EXIT WHEN cardinality(pids) = 0;
    IF clock_timestamp() > patience THEN
      RAISE EXCEPTION 'transactions with edits are still open (pid %): nothing was sent', array_to_string(pids, ', ')
        USING ERRCODE = 'lock_not_available',
          HINT = 'Wait for them, or end them with pg_terminate_backend; then run this again, before any backfill.';
    END IF;
    PERFORM pg_sleep(0.05);
  END LOOP;

  LOOP
    BEGIN
      RETURN sync.send_anew(seen);
    EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
      IF clock_timestamp() > patience THEN
        RAISE EXCEPTION 'somebody''s transaction holds one of the records: nothing was sent'
          USING ERRCODE = 'lock_not_available', HINT = 'Run this again once it has ended, before any backfill.';
      END IF;
    END;
    PERFORM pg_sleep(0.1);
  END LOOP;
END
$function$;

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
