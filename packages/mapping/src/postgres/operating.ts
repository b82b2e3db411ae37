import { SAFE_PATH } from './common.ts'

/** What an operator asks of the portal's outbox: `sync.outbox_status`, `sync.requeue`, `sync.record_versions`. */
export const operatingFunctions =
  () => `-- The outbox in figures, as a JSON object: the rows by status; the first that is Pending, and Queued, by queue id; how many Queued rows
-- have failed and wait; Failed rows by what stands before the colon of last_error; and the row whose event was settled last.
CREATE OR REPLACE FUNCTION sync.outbox_status()
RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
${SAFE_PATH}
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

-- Looks at the next \`max\` rows with that status above the queue id \`after\` (null: from the start), and sets those back to Pending that
-- fit (dry_run: counts them): of that table, key and age, where these are not null. Fewer looked at than \`max\`: there are no more. Rows
-- that were moved on in the last \`running_ms\`, since the run began, are left: they are under way. So are rows that an operator has
-- discarded, unless the record is named. The queue ids stay, and with them the versions: the clinic drops what it has processed.
CREATE OR REPLACE FUNCTION sync.requeue(
  with_status text, of_table text, of_key integer, older_than_seconds integer, running_ms integer, after bigint, max integer,
  dry_run boolean
) RETURNS TABLE (requeued integer, looked integer, last_id bigint)
LANGUAGE plpgsql SECURITY DEFINER
${SAFE_PATH}
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
      AND (of_key IS NOT NULL OR coalesce(q.last_error, '') NOT LIKE 'SYNC\\_DISCARDED:%')
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
${SAFE_PATH}
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
`
