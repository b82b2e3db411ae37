-- verify --repair sends rows as after-restore does, where nobody has restored anything: what is superseded says so. Replaces the function of
-- 08, whose right stays as it is. Safe to run again.

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
      status = 'Synced', last_attempt = now(), last_error = 'superseded: sent anew by a repair (after-restore, or verify --repair)'
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
