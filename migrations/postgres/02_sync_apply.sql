-- Generated from packages/mapping by `npm run generate`. Do not edit: change the mapping.
--
-- Applies a batch of the clinic's events: a JSON array of {table, key, version, seen, row}, each record at most once,
-- row null for a delete. Returns an outcome for each, by its place in the array (from 1). All or nothing: one transaction.
-- Safe to run again.
--
-- Where the sync and a person meet on a row, the sync gives way: it takes its locks with SKIP LOCKED, and a record whose row is
-- held by somebody's transaction is a 'retry', code 55P03; all others are applied. What cannot be skipped (another row with the
-- same key or unique value that is not committed yet, a lock on a whole table) ends the attempt after 10 ms, and the
-- records are applied one by one, those in the way becoming a 'retry' after 2 ms each. Whoever waits for the sync in turn waits
-- for milliseconds, so no deadlock lasts until Postgres looks for one (deadlock_timeout, 1 s).
-- Plans are generic and by index: tables that were small when the plan was made may be large by now (a backfill).

-- The canary that `npm run sync -- trace` sends round: one row, no person's data. Made before its triggers, so that nothing of its
-- making is captured: services of the version before do not know it.
CREATE TABLE IF NOT EXISTS sync.canary (
  canary_id integer PRIMARY KEY,
  clinic_token varchar(40),
  portal_token varchar(40)
);
INSERT INTO sync.canary (canary_id)
SELECT 1 WHERE NOT EXISTS (SELECT FROM sync.canary);
DO $$
DECLARE
  grantee text;
BEGIN
  REVOKE ALL ON sync.canary FROM PUBLIC;
  FOR grantee IN SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
    EXECUTE format('REVOKE ALL ON sync.canary FROM %I', grantee);
  END LOOP;
END
$$;

-- A function's result type cannot be replaced.
DO $$
DECLARE
  old text := pg_catalog.pg_get_function_result(to_regprocedure('sync.apply_clinic_changes(jsonb)'));
BEGIN
  IF old <> 'TABLE(ordinal integer, outcome text, code text, reason text)' THEN
    DROP FUNCTION sync.apply_clinic_changes(jsonb);
  END IF;
END
$$;

-- One attempt at a batch. Fails as a whole (55P03) where a lock is in the way that cannot be skipped.
CREATE OR REPLACE FUNCTION sync.apply_clinic_batch(changes jsonb)
RETURNS TABLE(ordinal integer, outcome text, code text, reason text)
LANGUAGE plpgsql
SET search_path = pg_catalog, pg_temp
AS $function$
#variable_conflict use_column
DECLARE
  ordinals integer[];
  names text[];
  keys integer[];
  versions bigint[];
  seen bigint[];
  deletions boolean[];
  held integer[] := '{}'; -- ordinals of records whose row is somebody else's
  verdicts text[];        -- 'write', 'duplicate', 'stale', 'held'
  places tid[];           -- where the bookkeeping row is; it is locked, so it stays there
  fresh boolean[];        -- never heard of before: its bookkeeping row is made here, with the version in it
  ruled boolean[];        -- the clinic has had the doctor's latest edit, or there is none
  in_flight boolean[];    -- a doctor's edit is on its way to the clinic
  doomed integer[];
  unknown text;
BEGIN
  SELECT
    array_agg(e.ordinality::integer ORDER BY e.ordinality),
    array_agg(e.value ->> 'table' ORDER BY e.ordinality),
    array_agg((e.value ->> 'key')::integer ORDER BY e.ordinality),
    array_agg((e.value ->> 'version')::bigint ORDER BY e.ordinality),
    array_agg(coalesce((e.value ->> 'seen')::bigint, 0) ORDER BY e.ordinality),
    array_agg(coalesce(jsonb_typeof(e.value -> 'row'), 'null') = 'null' ORDER BY e.ordinality)
  INTO ordinals, names, keys, versions, seen, deletions
  FROM jsonb_array_elements(changes) WITH ORDINALITY AS e;
  IF ordinals IS NULL THEN
    RETURN;
  END IF;
  SELECT h.name INTO unknown FROM unnest(names) AS h (name)
  WHERE h.name IS NULL OR h.name NOT IN ('aligner_doctors', 'patients', 'work', 'aligner_sets', 'aligner_batches', 'aligner_notes', 'aligner_set_payments', 'canary');
  IF FOUND THEN
    RAISE EXCEPTION 'not a synced table' USING ERRCODE = 'invalid_parameter_value';
  END IF;
  IF EXISTS (SELECT FROM unnest(names, keys) AS h (name, key) GROUP BY h.name, h.key HAVING count(*) > 1) THEN
    RAISE EXCEPTION 'a record occurs twice in one batch' USING ERRCODE = 'invalid_parameter_value';
  END IF;

  -- Locks: the rows first, then their bookkeeping, both in key order, as an edit with its trigger does.
  IF 'aligner_doctors' = ANY (names) THEN
    held := held || ARRAY(
      SELECT h.ordinal
      FROM (
        SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
        WHERE u.name = 'aligner_doctors' ORDER BY u.key OFFSET 0
      ) AS h
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_doctors AS t
        WHERE t.dr_id = h.key AND NOT h.deleted FOR NO KEY UPDATE SKIP LOCKED
      ) AS kept ON true
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_doctors AS t
        WHERE t.dr_id = h.key AND h.deleted FOR UPDATE SKIP LOCKED
      ) AS doomed ON true
      CROSS JOIN LATERAL (
        SELECT FROM public.aligner_doctors AS t
        WHERE t.dr_id = h.key AND kept.locked IS NULL AND doomed.locked IS NULL OFFSET 0
      ) AS here
    );
  END IF;
  IF 'aligner_doctors' = ANY (names) AND true = ANY (deletions) THEN
    held := held || ARRAY(
      SELECT h.ordinal
      FROM (
        SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
        WHERE u.name = 'aligner_doctors' AND u.deleted AND u.ordinal <> ALL (held) ORDER BY u.key OFFSET 0
      ) AS h
      CROSS JOIN LATERAL (SELECT c.aligner_set_id AS key FROM public.aligner_sets AS c WHERE c.aligner_dr_id = h.key ORDER BY 1 OFFSET 0) AS here
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_sets AS c WHERE c.aligner_set_id = here.key FOR UPDATE SKIP LOCKED
      ) AS mine ON true
      WHERE mine.locked IS NULL
    );
  END IF;
  IF 'patients' = ANY (names) THEN
    held := held || ARRAY(
      SELECT h.ordinal
      FROM (
        SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
        WHERE u.name = 'patients' ORDER BY u.key OFFSET 0
      ) AS h
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.patients AS t
        WHERE t.person_id = h.key AND NOT h.deleted FOR NO KEY UPDATE SKIP LOCKED
      ) AS kept ON true
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.patients AS t
        WHERE t.person_id = h.key AND h.deleted FOR UPDATE SKIP LOCKED
      ) AS doomed ON true
      CROSS JOIN LATERAL (
        SELECT FROM public.patients AS t
        WHERE t.person_id = h.key AND kept.locked IS NULL AND doomed.locked IS NULL OFFSET 0
      ) AS here
    );
  END IF;
  IF 'work' = ANY (names) THEN
    held := held || ARRAY(
      SELECT h.ordinal
      FROM (
        SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
        WHERE u.name = 'work' ORDER BY u.key OFFSET 0
      ) AS h
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.work AS t
        WHERE t.work_id = h.key AND NOT h.deleted FOR NO KEY UPDATE SKIP LOCKED
      ) AS kept ON true
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.work AS t
        WHERE t.work_id = h.key AND h.deleted FOR UPDATE SKIP LOCKED
      ) AS doomed ON true
      CROSS JOIN LATERAL (
        SELECT FROM public.work AS t
        WHERE t.work_id = h.key AND kept.locked IS NULL AND doomed.locked IS NULL OFFSET 0
      ) AS here
    );
  END IF;
  IF 'work' = ANY (names) AND true = ANY (deletions) THEN
    held := held || ARRAY(
      SELECT h.ordinal
      FROM (
        SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
        WHERE u.name = 'work' AND u.deleted AND u.ordinal <> ALL (held) ORDER BY u.key OFFSET 0
      ) AS h
      CROSS JOIN LATERAL (SELECT c.aligner_set_id AS key FROM public.aligner_sets AS c WHERE c.work_id = h.key ORDER BY 1 OFFSET 0) AS here
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_sets AS c WHERE c.aligner_set_id = here.key FOR UPDATE SKIP LOCKED
      ) AS mine ON true
      WHERE mine.locked IS NULL
    );
  END IF;
  IF 'aligner_sets' = ANY (names) THEN
    held := held || ARRAY(
      SELECT h.ordinal
      FROM (
        SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
        WHERE u.name = 'aligner_sets' ORDER BY u.key OFFSET 0
      ) AS h
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_sets AS t
        WHERE t.aligner_set_id = h.key AND NOT h.deleted FOR NO KEY UPDATE SKIP LOCKED
      ) AS kept ON true
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_sets AS t
        WHERE t.aligner_set_id = h.key AND h.deleted FOR UPDATE SKIP LOCKED
      ) AS doomed ON true
      CROSS JOIN LATERAL (
        SELECT FROM public.aligner_sets AS t
        WHERE t.aligner_set_id = h.key AND kept.locked IS NULL AND doomed.locked IS NULL OFFSET 0
      ) AS here
    );
  END IF;
  IF 'aligner_sets' = ANY (names) AND true = ANY (deletions) THEN
    held := held || ARRAY(
      SELECT h.ordinal
      FROM (
        SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
        WHERE u.name = 'aligner_sets' AND u.deleted AND u.ordinal <> ALL (held) ORDER BY u.key OFFSET 0
      ) AS h
      CROSS JOIN LATERAL (SELECT c.aligner_batch_id AS key FROM public.aligner_batches AS c WHERE c.aligner_set_id = h.key ORDER BY 1 OFFSET 0) AS here
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_batches AS c WHERE c.aligner_batch_id = here.key FOR UPDATE SKIP LOCKED
      ) AS mine ON true
      WHERE mine.locked IS NULL
    );
  END IF;
  IF 'aligner_sets' = ANY (names) AND true = ANY (deletions) THEN
    held := held || ARRAY(
      SELECT h.ordinal
      FROM (
        SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
        WHERE u.name = 'aligner_sets' AND u.deleted AND u.ordinal <> ALL (held) ORDER BY u.key OFFSET 0
      ) AS h
      CROSS JOIN LATERAL (SELECT c.note_id AS key FROM public.aligner_notes AS c WHERE c.aligner_set_id = h.key ORDER BY 1 OFFSET 0) AS here
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_notes AS c WHERE c.note_id = here.key FOR UPDATE SKIP LOCKED
      ) AS mine ON true
      WHERE mine.locked IS NULL
    );
  END IF;
  IF 'aligner_sets' = ANY (names) AND true = ANY (deletions) THEN
    held := held || ARRAY(
      SELECT h.ordinal
      FROM (
        SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
        WHERE u.name = 'aligner_sets' AND u.deleted AND u.ordinal <> ALL (held) ORDER BY u.key OFFSET 0
      ) AS h
      CROSS JOIN LATERAL (SELECT c.aligner_set_id AS key FROM public.aligner_set_payments AS c WHERE c.aligner_set_id = h.key ORDER BY 1 OFFSET 0) AS here
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_set_payments AS c WHERE c.aligner_set_id = here.key FOR UPDATE SKIP LOCKED
      ) AS mine ON true
      WHERE mine.locked IS NULL
    );
  END IF;
  IF 'aligner_batches' = ANY (names) THEN
    held := held || ARRAY(
      SELECT h.ordinal
      FROM (
        SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
        WHERE u.name = 'aligner_batches' ORDER BY u.key OFFSET 0
      ) AS h
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_batches AS t
        WHERE t.aligner_batch_id = h.key AND NOT h.deleted FOR NO KEY UPDATE SKIP LOCKED
      ) AS kept ON true
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_batches AS t
        WHERE t.aligner_batch_id = h.key AND h.deleted FOR UPDATE SKIP LOCKED
      ) AS doomed ON true
      CROSS JOIN LATERAL (
        SELECT FROM public.aligner_batches AS t
        WHERE t.aligner_batch_id = h.key AND kept.locked IS NULL AND doomed.locked IS NULL OFFSET 0
      ) AS here
    );
  END IF;
  IF 'aligner_notes' = ANY (names) THEN
    held := held || ARRAY(
      SELECT h.ordinal
      FROM (
        SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
        WHERE u.name = 'aligner_notes' ORDER BY u.key OFFSET 0
      ) AS h
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_notes AS t
        WHERE t.note_id = h.key AND NOT h.deleted FOR NO KEY UPDATE SKIP LOCKED
      ) AS kept ON true
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_notes AS t
        WHERE t.note_id = h.key AND h.deleted FOR UPDATE SKIP LOCKED
      ) AS doomed ON true
      CROSS JOIN LATERAL (
        SELECT FROM public.aligner_notes AS t
        WHERE t.note_id = h.key AND kept.locked IS NULL AND doomed.locked IS NULL OFFSET 0
      ) AS here
    );
  END IF;
  IF 'aligner_set_payments' = ANY (names) THEN
    held := held || ARRAY(
      SELECT h.ordinal
      FROM (
        SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
        WHERE u.name = 'aligner_set_payments' ORDER BY u.key OFFSET 0
      ) AS h
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_set_payments AS t
        WHERE t.aligner_set_id = h.key AND NOT h.deleted FOR NO KEY UPDATE SKIP LOCKED
      ) AS kept ON true
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM public.aligner_set_payments AS t
        WHERE t.aligner_set_id = h.key AND h.deleted FOR UPDATE SKIP LOCKED
      ) AS doomed ON true
      CROSS JOIN LATERAL (
        SELECT FROM public.aligner_set_payments AS t
        WHERE t.aligner_set_id = h.key AND kept.locked IS NULL AND doomed.locked IS NULL OFFSET 0
      ) AS here
    );
  END IF;
  IF 'canary' = ANY (names) THEN
    held := held || ARRAY(
      SELECT h.ordinal
      FROM (
        SELECT * FROM unnest(ordinals, names, keys, deletions) AS u (ordinal, name, key, deleted)
        WHERE u.name = 'canary' ORDER BY u.key OFFSET 0
      ) AS h
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM sync.canary AS t
        WHERE t.canary_id = h.key AND NOT h.deleted FOR NO KEY UPDATE SKIP LOCKED
      ) AS kept ON true
      LEFT JOIN LATERAL (
        SELECT true AS locked FROM sync.canary AS t
        WHERE t.canary_id = h.key AND h.deleted FOR UPDATE SKIP LOCKED
      ) AS doomed ON true
      CROSS JOIN LATERAL (
        SELECT FROM sync.canary AS t
        WHERE t.canary_id = h.key AND kept.locked IS NULL AND doomed.locked IS NULL OFFSET 0
      ) AS here
    );
  END IF;

  -- Of a record that is held, the version alone is read: one that was applied already need not wait.
  SELECT
    array_agg(
      CASE
        WHEN k.version = k.applied_version THEN 'duplicate'
        WHEN k.version < k.applied_version THEN 'stale'
        WHEN k.held OR k.place IS NULL AND k.applied_version IS NOT NULL THEN 'held'
        ELSE 'write'
      END ORDER BY k.ordinal
    ),
    array_agg(k.since IS NULL OR k.seen >= k.local_version ORDER BY k.ordinal),
    array_agg(k.since IS NOT NULL ORDER BY k.ordinal),
    array_agg(k.place ORDER BY k.ordinal),
    array_agg(NOT k.held AND k.place IS NULL AND k.applied_version IS NULL ORDER BY k.ordinal)
  INTO verdicts, ruled, in_flight, places, fresh
  FROM (
    SELECT
      h.ordinal, h.version, h.seen, h.held, mine.local_version, mine.since, mine.place,
      coalesce(mine.clinic_version, there.clinic_version) AS applied_version
    FROM (
      SELECT u.*, u.ordinal = ANY (held) AS held
      FROM unnest(ordinals, names, keys, versions, seen) AS u (ordinal, name, key, version, seen)
      ORDER BY u.name, u.key OFFSET 0
    ) AS h
    LEFT JOIN LATERAL (
      SELECT s.clinic_version, s.local_version, s.since, s.ctid AS place FROM sync.row_state AS s
      WHERE s.table_name = h.name AND s.record_id = h.key AND NOT h.held FOR UPDATE SKIP LOCKED
    ) AS mine ON true
    LEFT JOIN LATERAL (
      SELECT s.clinic_version FROM sync.row_state AS s
      WHERE s.table_name = h.name AND s.record_id = h.key AND mine.place IS NULL OFFSET 0
    ) AS there ON true
  ) AS k;

  IF true = ANY (fresh) THEN
    WITH made AS (
      INSERT INTO sync.row_state AS s (table_name, record_id, clinic_version)
      SELECT h.name, h.key, h.version
      FROM unnest(names, keys, versions, fresh) AS h (name, key, version, fresh)
      WHERE h.fresh
      ORDER BY h.name, h.key
      ON CONFLICT (table_name, record_id) DO NOTHING
      RETURNING s.table_name, s.record_id, s.ctid AS place
    )
    -- Not made: somebody else's has been committed since we looked.
    SELECT
      array_agg(CASE WHEN h.fresh AND m.place IS NULL THEN 'held' ELSE h.verdict END ORDER BY h.ordinal),
      array_agg(coalesce(h.place, m.place) ORDER BY h.ordinal)
    INTO verdicts, places
    FROM unnest(ordinals, names, keys, verdicts, places, fresh) AS h (ordinal, name, key, verdict, place, fresh)
    LEFT JOIN made AS m ON m.table_name = h.name AND m.record_id = h.key;
  END IF;

  RETURN QUERY
  SELECT
    h.ordinal,
    CASE h.verdict WHEN 'held' THEN 'retry' ELSE h.verdict END,
    CASE h.verdict WHEN 'held' THEN '55P03' END,
    CASE h.verdict WHEN 'held' THEN 'locked in the portal' END
  FROM unnest(ordinals, verdicts) AS h (ordinal, verdict) WHERE h.verdict <> 'write';

  -- Parents before children.
  IF 'aligner_doctors' = ANY (names) THEN
    UPDATE public.aligner_doctors AS t SET doctor_email = NULL
    FROM unnest(ordinals, names, keys, deletions, verdicts) AS h (ordinal, name, key, deleted, verdict)
    WHERE h.name = 'aligner_doctors' AND h.verdict = 'write' AND NOT h.deleted AND t.dr_id = h.key
      AND t.doctor_email IS DISTINCT FROM changes -> (h.ordinal - 1) -> 'row' ->> 'doctor_email'
      AND t.doctor_email = ANY (ARRAY(
        SELECT changes -> (o.ordinal - 1) -> 'row' ->> 'doctor_email'
        FROM unnest(ordinals, names, deletions, verdicts) AS o (ordinal, name, deleted, verdict)
        WHERE o.name = 'aligner_doctors' AND o.verdict = 'write' AND NOT o.deleted
      ));
    RETURN QUERY
    WITH judged AS MATERIALIZED (
      SELECT
        h.ordinal, h.key, h.version, h.place, h.fresh, h.ruled,
        h.in_flight AND NOT h.ruled AND here.found IS NULL AS away,
        NULL::text AS obstacle,
        r.doctor_name, r.doctor_email, r.logo_path
      FROM unnest(ordinals, names, keys, versions, deletions, verdicts, places, fresh, ruled, in_flight)
        AS h (ordinal, name, key, version, deleted, verdict, place, fresh, ruled, in_flight)
      CROSS JOIN LATERAL jsonb_to_record(changes -> (h.ordinal - 1) -> 'row') AS r (
        doctor_name varchar(100), doctor_email varchar(255), logo_path varchar(100)
      )
      LEFT JOIN LATERAL (
        SELECT true AS found FROM public.aligner_doctors AS t WHERE t.dr_id = h.key OFFSET 0
      ) AS here ON true
      WHERE h.name = 'aligner_doctors' AND h.verdict = 'write' AND NOT h.deleted
    ), written AS (
      INSERT INTO public.aligner_doctors AS t (
        dr_id, doctor_name, doctor_email, logo_path
      )
      SELECT
        j.key, j.doctor_name, j.doctor_email, j.logo_path
      FROM judged AS j
      WHERE NOT j.away AND j.obstacle IS NULL
      ORDER BY j.key
      ON CONFLICT (dr_id) DO UPDATE SET
        doctor_name = excluded.doctor_name, doctor_email = excluded.doctor_email,
        logo_path = excluded.logo_path
      WHERE (
        t.doctor_name, t.doctor_email, t.logo_path
      ) IS DISTINCT FROM (
        excluded.doctor_name, excluded.doctor_email, excluded.logo_path
      )
      RETURNING t.dr_id AS key
    ), noted AS (
      UPDATE sync.row_state AS s SET
        clinic_version = CASE WHEN j.obstacle IS NULL THEN j.version ELSE 0 END,
        since = CASE WHEN j.ruled THEN NULL ELSE s.since END,
        base = CASE WHEN j.ruled THEN NULL ELSE s.base END
      FROM judged AS j
      WHERE s.ctid = j.place AND j.fresh = (j.obstacle IS NOT NULL)
    )
    SELECT
      j.ordinal,
      CASE
        WHEN j.obstacle IS NOT NULL THEN 'retry'
        WHEN j.key = ANY (ARRAY(SELECT w.key FROM written AS w)) THEN 'applied'
        ELSE 'unchanged'
      END,
      CASE WHEN j.obstacle = 'locked in the portal' THEN '55P03' WHEN j.obstacle IS NOT NULL THEN '23503' END,
      j.obstacle
    FROM judged AS j;
  END IF;

  IF 'patients' = ANY (names) THEN
    RETURN QUERY
    WITH judged AS MATERIALIZED (
      SELECT
        h.ordinal, h.key, h.version, h.place, h.fresh, h.ruled,
        h.in_flight AND NOT h.ruled AND here.found IS NULL AS away,
        NULL::text AS obstacle,
        r.patient_id, r.patient_name, r.first_name, r.last_name, r.phone
      FROM unnest(ordinals, names, keys, versions, deletions, verdicts, places, fresh, ruled, in_flight)
        AS h (ordinal, name, key, version, deleted, verdict, place, fresh, ruled, in_flight)
      CROSS JOIN LATERAL jsonb_to_record(changes -> (h.ordinal - 1) -> 'row') AS r (
        patient_id varchar(6), patient_name varchar(255), first_name varchar(255), last_name varchar(255),
        phone varchar(255)
      )
      LEFT JOIN LATERAL (
        SELECT true AS found FROM public.patients AS t WHERE t.person_id = h.key OFFSET 0
      ) AS here ON true
      WHERE h.name = 'patients' AND h.verdict = 'write' AND NOT h.deleted
    ), written AS (
      INSERT INTO public.patients AS t (
        person_id, patient_id, patient_name, first_name, last_name, phone
      )
      SELECT
        j.key, j.patient_id, j.patient_name, j.first_name, j.last_name, j.phone
      FROM judged AS j
      WHERE NOT j.away AND j.obstacle IS NULL
      ORDER BY j.key
      ON CONFLICT (person_id) DO UPDATE SET
        patient_id = excluded.patient_id, patient_name = excluded.patient_name,
        first_name = excluded.first_name, last_name = excluded.last_name, phone = excluded.phone
      WHERE (
        t.patient_id, t.patient_name, t.first_name, t.last_name, t.phone
      ) IS DISTINCT FROM (
        excluded.patient_id, excluded.patient_name, excluded.first_name, excluded.last_name, excluded.phone
      )
      RETURNING t.person_id AS key
    ), noted AS (
      UPDATE sync.row_state AS s SET
        clinic_version = CASE WHEN j.obstacle IS NULL THEN j.version ELSE 0 END,
        since = CASE WHEN j.ruled THEN NULL ELSE s.since END,
        base = CASE WHEN j.ruled THEN NULL ELSE s.base END
      FROM judged AS j
      WHERE s.ctid = j.place AND j.fresh = (j.obstacle IS NOT NULL)
    )
    SELECT
      j.ordinal,
      CASE
        WHEN j.obstacle IS NOT NULL THEN 'retry'
        WHEN j.key = ANY (ARRAY(SELECT w.key FROM written AS w)) THEN 'applied'
        ELSE 'unchanged'
      END,
      CASE WHEN j.obstacle = 'locked in the portal' THEN '55P03' WHEN j.obstacle IS NOT NULL THEN '23503' END,
      j.obstacle
    FROM judged AS j;
  END IF;

  IF 'work' = ANY (names) THEN
    RETURN QUERY
    WITH judged AS MATERIALIZED (
      SELECT
        h.ordinal, h.key, h.version, h.place, h.fresh, h.ruled,
        h.in_flight AND NOT h.ruled AND here.found IS NULL AS away,
        CASE
          WHEN h.in_flight AND NOT h.ruled AND here.found IS NULL THEN NULL
          WHEN r.person_id IS NOT NULL AND parent_1.key IS NULL AND (SELECT p.person_id FROM public.patients AS p WHERE p.person_id = r.person_id) IS NULL
            THEN 'waits for patients.person_id ' || r.person_id
          WHEN r.person_id IS NOT NULL AND parent_1.key IS NULL AND (here.found IS NULL OR here.person_id IS DISTINCT FROM r.person_id) THEN 'locked in the portal'
        END AS obstacle,
        r.person_id, r.type_of_work, r.addition_date
      FROM unnest(ordinals, names, keys, versions, deletions, verdicts, places, fresh, ruled, in_flight)
        AS h (ordinal, name, key, version, deleted, verdict, place, fresh, ruled, in_flight)
      CROSS JOIN LATERAL jsonb_to_record(changes -> (h.ordinal - 1) -> 'row') AS r (
        person_id integer, type_of_work integer, addition_date timestamptz
      )
      LEFT JOIN LATERAL (
        SELECT true AS found, t.person_id FROM public.work AS t WHERE t.work_id = h.key OFFSET 0
      ) AS here ON true
      LEFT JOIN LATERAL (
        SELECT p.person_id AS key FROM public.patients AS p
        WHERE p.person_id = r.person_id AND (here.found IS NULL OR here.person_id IS DISTINCT FROM r.person_id) FOR KEY SHARE SKIP LOCKED
      ) AS parent_1 ON true
      WHERE h.name = 'work' AND h.verdict = 'write' AND NOT h.deleted
    ), written AS (
      INSERT INTO public.work AS t (
        work_id, person_id, type_of_work, addition_date
      )
      SELECT
        j.key, j.person_id, j.type_of_work, j.addition_date
      FROM judged AS j
      WHERE NOT j.away AND j.obstacle IS NULL
      ORDER BY j.key
      ON CONFLICT (work_id) DO UPDATE SET
        person_id = excluded.person_id, type_of_work = excluded.type_of_work,
        addition_date = excluded.addition_date
      WHERE (
        t.person_id, t.type_of_work, t.addition_date
      ) IS DISTINCT FROM (
        excluded.person_id, excluded.type_of_work, excluded.addition_date
      )
      RETURNING t.work_id AS key
    ), noted AS (
      UPDATE sync.row_state AS s SET
        clinic_version = CASE WHEN j.obstacle IS NULL THEN j.version ELSE 0 END,
        since = CASE WHEN j.ruled THEN NULL ELSE s.since END,
        base = CASE WHEN j.ruled THEN NULL ELSE s.base END
      FROM judged AS j
      WHERE s.ctid = j.place AND j.fresh = (j.obstacle IS NOT NULL)
    )
    SELECT
      j.ordinal,
      CASE
        WHEN j.obstacle IS NOT NULL THEN 'retry'
        WHEN j.key = ANY (ARRAY(SELECT w.key FROM written AS w)) THEN 'applied'
        ELSE 'unchanged'
      END,
      CASE WHEN j.obstacle = 'locked in the portal' THEN '55P03' WHEN j.obstacle IS NOT NULL THEN '23503' END,
      j.obstacle
    FROM judged AS j;
  END IF;

  IF 'aligner_sets' = ANY (names) THEN
    RETURN QUERY
    WITH judged AS MATERIALIZED (
      SELECT
        h.ordinal, h.key, h.version, h.place, h.fresh, h.ruled,
        h.in_flight AND NOT h.ruled AND here.found IS NULL AS away,
        CASE
          WHEN h.in_flight AND NOT h.ruled AND here.found IS NULL THEN NULL
          WHEN r.work_id IS NOT NULL AND parent_1.key IS NULL AND (SELECT p.work_id FROM public.work AS p WHERE p.work_id = r.work_id) IS NULL
            THEN 'waits for work.work_id ' || r.work_id
          WHEN r.aligner_dr_id IS NOT NULL AND parent_2.key IS NULL AND (SELECT p.dr_id FROM public.aligner_doctors AS p WHERE p.dr_id = r.aligner_dr_id) IS NULL
            THEN 'waits for aligner_doctors.dr_id ' || r.aligner_dr_id
          WHEN r.work_id IS NOT NULL AND parent_1.key IS NULL AND (here.found IS NULL OR here.work_id IS DISTINCT FROM r.work_id) THEN 'locked in the portal'
          WHEN r.aligner_dr_id IS NOT NULL AND parent_2.key IS NULL AND (here.found IS NULL OR here.aligner_dr_id IS DISTINCT FROM r.aligner_dr_id) THEN 'locked in the portal'
        END AS obstacle,
        r.work_id, r.aligner_dr_id, r.set_sequence, r.type, r.upper_aligners_count, r.lower_aligners_count,
        r.remaining_upper_aligners, r.remaining_lower_aligners, r.creation_date, r.days, r.is_active,
        r.notes, r.folder_path, r.set_url, r.set_pdf_url, r.set_cost, r.currency, r.pdf_uploaded_at,
        r.pdf_uploaded_by, r.drive_file_id
      FROM unnest(ordinals, names, keys, versions, deletions, verdicts, places, fresh, ruled, in_flight)
        AS h (ordinal, name, key, version, deleted, verdict, place, fresh, ruled, in_flight)
      CROSS JOIN LATERAL jsonb_to_record(changes -> (h.ordinal - 1) -> 'row') AS r (
        work_id integer, aligner_dr_id integer, set_sequence integer, type varchar(50),
        upper_aligners_count integer, lower_aligners_count integer, remaining_upper_aligners integer,
        remaining_lower_aligners integer, creation_date date, days integer, is_active boolean,
        notes varchar(255), folder_path varchar(255), set_url varchar(2000), set_pdf_url varchar(2000),
        set_cost numeric(10,2), currency varchar(3), pdf_uploaded_at timestamptz,
        pdf_uploaded_by varchar(255), drive_file_id varchar(255)
      )
      LEFT JOIN LATERAL (
        SELECT true AS found, t.work_id, t.aligner_dr_id FROM public.aligner_sets AS t WHERE t.aligner_set_id = h.key OFFSET 0
      ) AS here ON true
      LEFT JOIN LATERAL (
        SELECT p.work_id AS key FROM public.work AS p
        WHERE p.work_id = r.work_id AND (here.found IS NULL OR here.work_id IS DISTINCT FROM r.work_id) FOR KEY SHARE SKIP LOCKED
      ) AS parent_1 ON true
      LEFT JOIN LATERAL (
        SELECT p.dr_id AS key FROM public.aligner_doctors AS p
        WHERE p.dr_id = r.aligner_dr_id AND (here.found IS NULL OR here.aligner_dr_id IS DISTINCT FROM r.aligner_dr_id) FOR KEY SHARE SKIP LOCKED
      ) AS parent_2 ON true
      WHERE h.name = 'aligner_sets' AND h.verdict = 'write' AND NOT h.deleted
    ), written AS (
      INSERT INTO public.aligner_sets AS t (
        aligner_set_id, work_id, aligner_dr_id, set_sequence, type, upper_aligners_count,
        lower_aligners_count, remaining_upper_aligners, remaining_lower_aligners, creation_date, days,
        is_active, notes, folder_path, set_url, set_pdf_url, set_cost, currency, pdf_uploaded_at,
        pdf_uploaded_by, drive_file_id
      )
      SELECT
        j.key, j.work_id, j.aligner_dr_id, j.set_sequence, j.type, j.upper_aligners_count,
        j.lower_aligners_count, j.remaining_upper_aligners, j.remaining_lower_aligners, j.creation_date,
        j.days, j.is_active, j.notes, j.folder_path, j.set_url, j.set_pdf_url, j.set_cost, j.currency,
        j.pdf_uploaded_at, j.pdf_uploaded_by, j.drive_file_id
      FROM judged AS j
      WHERE NOT j.away AND j.obstacle IS NULL
      ORDER BY j.key
      ON CONFLICT (aligner_set_id) DO UPDATE SET
        work_id = excluded.work_id, aligner_dr_id = excluded.aligner_dr_id,
        set_sequence = excluded.set_sequence, type = excluded.type,
        upper_aligners_count = excluded.upper_aligners_count,
        lower_aligners_count = excluded.lower_aligners_count,
        remaining_upper_aligners = excluded.remaining_upper_aligners,
        remaining_lower_aligners = excluded.remaining_lower_aligners,
        creation_date = excluded.creation_date, days = excluded.days, is_active = excluded.is_active,
        notes = excluded.notes, folder_path = excluded.folder_path, set_url = excluded.set_url,
        set_pdf_url = excluded.set_pdf_url, set_cost = excluded.set_cost, currency = excluded.currency,
        pdf_uploaded_at = excluded.pdf_uploaded_at, pdf_uploaded_by = excluded.pdf_uploaded_by,
        drive_file_id = excluded.drive_file_id
      WHERE (
        t.work_id, t.aligner_dr_id, t.set_sequence, t.type, t.upper_aligners_count, t.lower_aligners_count,
        t.remaining_upper_aligners, t.remaining_lower_aligners, t.creation_date, t.days, t.is_active,
        t.notes, t.folder_path, t.set_url, t.set_pdf_url, t.set_cost, t.currency, t.pdf_uploaded_at,
        t.pdf_uploaded_by, t.drive_file_id
      ) IS DISTINCT FROM (
        excluded.work_id, excluded.aligner_dr_id, excluded.set_sequence, excluded.type,
        excluded.upper_aligners_count, excluded.lower_aligners_count, excluded.remaining_upper_aligners,
        excluded.remaining_lower_aligners, excluded.creation_date, excluded.days, excluded.is_active,
        excluded.notes, excluded.folder_path, excluded.set_url, excluded.set_pdf_url, excluded.set_cost,
        excluded.currency, excluded.pdf_uploaded_at, excluded.pdf_uploaded_by, excluded.drive_file_id
      )
      RETURNING t.aligner_set_id AS key
    ), noted AS (
      UPDATE sync.row_state AS s SET
        clinic_version = CASE WHEN j.obstacle IS NULL THEN j.version ELSE 0 END,
        since = CASE WHEN j.ruled THEN NULL ELSE s.since END,
        base = CASE WHEN j.ruled THEN NULL ELSE s.base END
      FROM judged AS j
      WHERE s.ctid = j.place AND j.fresh = (j.obstacle IS NOT NULL)
    )
    SELECT
      j.ordinal,
      CASE
        WHEN j.obstacle IS NOT NULL THEN 'retry'
        WHEN j.key = ANY (ARRAY(SELECT w.key FROM written AS w)) THEN 'applied'
        ELSE 'unchanged'
      END,
      CASE WHEN j.obstacle = 'locked in the portal' THEN '55P03' WHEN j.obstacle IS NOT NULL THEN '23503' END,
      j.obstacle
    FROM judged AS j;
  END IF;

  IF 'aligner_batches' = ANY (names) THEN
    RETURN QUERY
    WITH judged AS MATERIALIZED (
      SELECT
        h.ordinal, h.key, h.version, h.place, h.fresh, h.ruled,
        h.in_flight AND NOT h.ruled AND here.found IS NULL AS away,
        CASE
          WHEN h.in_flight AND NOT h.ruled AND here.found IS NULL THEN NULL
          WHEN r.aligner_set_id IS NOT NULL AND parent_1.key IS NULL AND (SELECT p.aligner_set_id FROM public.aligner_sets AS p WHERE p.aligner_set_id = r.aligner_set_id) IS NULL
            THEN 'waits for aligner_sets.aligner_set_id ' || r.aligner_set_id
          WHEN r.aligner_set_id IS NOT NULL AND parent_1.key IS NULL AND (here.found IS NULL OR here.aligner_set_id IS DISTINCT FROM r.aligner_set_id) THEN 'locked in the portal'
        END AS obstacle,
        r.aligner_set_id, r.batch_sequence, r.upper_aligner_count, r.lower_aligner_count,
        r.upper_aligner_start_sequence, r.upper_aligner_end_sequence, r.lower_aligner_start_sequence,
        r.lower_aligner_end_sequence, r.manufacture_date, r.delivered_to_patient_date,
        CASE WHEN h.ruled OR here.found IS NULL THEN r.days ELSE here.days END AS days, r.validity_period,
        r.batch_expiry_date, r.notes, r.is_active
      FROM unnest(ordinals, names, keys, versions, deletions, verdicts, places, fresh, ruled, in_flight)
        AS h (ordinal, name, key, version, deleted, verdict, place, fresh, ruled, in_flight)
      CROSS JOIN LATERAL jsonb_to_record(changes -> (h.ordinal - 1) -> 'row') AS r (
        aligner_set_id integer, batch_sequence integer, upper_aligner_count integer,
        lower_aligner_count integer, upper_aligner_start_sequence integer,
        upper_aligner_end_sequence integer, lower_aligner_start_sequence integer,
        lower_aligner_end_sequence integer, manufacture_date date, delivered_to_patient_date date,
        days integer, validity_period integer, batch_expiry_date date, notes varchar(255), is_active boolean
      )
      LEFT JOIN LATERAL (
        SELECT true AS found, t.days, t.aligner_set_id FROM public.aligner_batches AS t WHERE t.aligner_batch_id = h.key OFFSET 0
      ) AS here ON true
      LEFT JOIN LATERAL (
        SELECT p.aligner_set_id AS key FROM public.aligner_sets AS p
        WHERE p.aligner_set_id = r.aligner_set_id AND (here.found IS NULL OR here.aligner_set_id IS DISTINCT FROM r.aligner_set_id) FOR KEY SHARE SKIP LOCKED
      ) AS parent_1 ON true
      WHERE h.name = 'aligner_batches' AND h.verdict = 'write' AND NOT h.deleted
    ), written AS (
      INSERT INTO public.aligner_batches AS t (
        aligner_batch_id, aligner_set_id, batch_sequence, upper_aligner_count, lower_aligner_count,
        upper_aligner_start_sequence, upper_aligner_end_sequence, lower_aligner_start_sequence,
        lower_aligner_end_sequence, manufacture_date, delivered_to_patient_date, days, validity_period,
        batch_expiry_date, notes, is_active
      )
      SELECT
        j.key, j.aligner_set_id, j.batch_sequence, j.upper_aligner_count, j.lower_aligner_count,
        j.upper_aligner_start_sequence, j.upper_aligner_end_sequence, j.lower_aligner_start_sequence,
        j.lower_aligner_end_sequence, j.manufacture_date, j.delivered_to_patient_date, j.days,
        j.validity_period, j.batch_expiry_date, j.notes, j.is_active
      FROM judged AS j
      WHERE NOT j.away AND j.obstacle IS NULL
      ORDER BY j.key
      ON CONFLICT (aligner_batch_id) DO UPDATE SET
        aligner_set_id = excluded.aligner_set_id, batch_sequence = excluded.batch_sequence,
        upper_aligner_count = excluded.upper_aligner_count,
        lower_aligner_count = excluded.lower_aligner_count,
        upper_aligner_start_sequence = excluded.upper_aligner_start_sequence,
        upper_aligner_end_sequence = excluded.upper_aligner_end_sequence,
        lower_aligner_start_sequence = excluded.lower_aligner_start_sequence,
        lower_aligner_end_sequence = excluded.lower_aligner_end_sequence,
        manufacture_date = excluded.manufacture_date,
        delivered_to_patient_date = excluded.delivered_to_patient_date, days = excluded.days,
        validity_period = excluded.validity_period, batch_expiry_date = excluded.batch_expiry_date,
        notes = excluded.notes, is_active = excluded.is_active
      WHERE (
        t.aligner_set_id, t.batch_sequence, t.upper_aligner_count, t.lower_aligner_count,
        t.upper_aligner_start_sequence, t.upper_aligner_end_sequence, t.lower_aligner_start_sequence,
        t.lower_aligner_end_sequence, t.manufacture_date, t.delivered_to_patient_date, t.days,
        t.validity_period, t.batch_expiry_date, t.notes, t.is_active
      ) IS DISTINCT FROM (
        excluded.aligner_set_id, excluded.batch_sequence, excluded.upper_aligner_count,
        excluded.lower_aligner_count, excluded.upper_aligner_start_sequence,
        excluded.upper_aligner_end_sequence, excluded.lower_aligner_start_sequence,
        excluded.lower_aligner_end_sequence, excluded.manufacture_date, excluded.delivered_to_patient_date,
        excluded.days, excluded.validity_period, excluded.batch_expiry_date, excluded.notes,
        excluded.is_active
      )
      RETURNING t.aligner_batch_id AS key
    ), noted AS (
      UPDATE sync.row_state AS s SET
        clinic_version = CASE WHEN j.obstacle IS NULL THEN j.version ELSE 0 END,
        since = CASE WHEN j.ruled THEN NULL ELSE s.since END,
        base = CASE WHEN j.ruled THEN NULL ELSE s.base END
      FROM judged AS j
      WHERE s.ctid = j.place AND j.fresh = (j.obstacle IS NOT NULL)
    )
    SELECT
      j.ordinal,
      CASE
        WHEN j.obstacle IS NOT NULL THEN 'retry'
        WHEN j.key = ANY (ARRAY(SELECT w.key FROM written AS w)) THEN 'applied'
        ELSE 'unchanged'
      END,
      CASE WHEN j.obstacle = 'locked in the portal' THEN '55P03' WHEN j.obstacle IS NOT NULL THEN '23503' END,
      j.obstacle
    FROM judged AS j;
  END IF;

  IF 'aligner_notes' = ANY (names) THEN
    RETURN QUERY
    WITH judged AS MATERIALIZED (
      SELECT
        h.ordinal, h.key, h.version, h.place, h.fresh, h.ruled,
        h.in_flight AND NOT h.ruled AND here.found IS NULL AS away,
        CASE
          WHEN h.in_flight AND NOT h.ruled AND here.found IS NULL THEN NULL
          WHEN r.aligner_set_id IS NOT NULL AND parent_1.key IS NULL AND (SELECT p.aligner_set_id FROM public.aligner_sets AS p WHERE p.aligner_set_id = r.aligner_set_id) IS NULL
            THEN 'waits for aligner_sets.aligner_set_id ' || r.aligner_set_id
          WHEN r.aligner_set_id IS NOT NULL AND parent_1.key IS NULL AND (here.found IS NULL OR here.aligner_set_id IS DISTINCT FROM r.aligner_set_id) THEN 'locked in the portal'
        END AS obstacle,
        r.aligner_set_id, r.note_type,
        CASE WHEN h.ruled OR here.found IS NULL OR r.note_type IS DISTINCT FROM 'Doctor' THEN r.note_text ELSE here.note_text END AS note_text,
        r.created_at,
        CASE WHEN h.ruled OR here.found IS NULL OR r.note_type IS DISTINCT FROM 'Doctor' THEN r.is_edited ELSE here.is_edited END AS is_edited,
        CASE WHEN h.ruled OR here.found IS NULL OR r.note_type IS DISTINCT FROM 'Doctor' THEN r.edited_at ELSE here.edited_at END AS edited_at,
        CASE WHEN h.ruled OR here.found IS NULL OR r.note_type IS DISTINCT FROM 'Doctor' THEN r.is_read ELSE here.is_read END AS is_read
      FROM unnest(ordinals, names, keys, versions, deletions, verdicts, places, fresh, ruled, in_flight)
        AS h (ordinal, name, key, version, deleted, verdict, place, fresh, ruled, in_flight)
      CROSS JOIN LATERAL jsonb_to_record(changes -> (h.ordinal - 1) -> 'row') AS r (
        aligner_set_id integer, note_type varchar(20), note_text text, created_at timestamptz,
        is_edited boolean, edited_at timestamptz, is_read boolean
      )
      LEFT JOIN LATERAL (
        SELECT true AS found, t.note_text, t.is_edited, t.edited_at, t.is_read, t.aligner_set_id FROM public.aligner_notes AS t WHERE t.note_id = h.key OFFSET 0
      ) AS here ON true
      LEFT JOIN LATERAL (
        SELECT p.aligner_set_id AS key FROM public.aligner_sets AS p
        WHERE p.aligner_set_id = r.aligner_set_id AND (here.found IS NULL OR here.aligner_set_id IS DISTINCT FROM r.aligner_set_id) FOR KEY SHARE SKIP LOCKED
      ) AS parent_1 ON true
      WHERE h.name = 'aligner_notes' AND h.verdict = 'write' AND NOT h.deleted
    ), written AS (
      INSERT INTO public.aligner_notes AS t (
        note_id, aligner_set_id, note_type, note_text, created_at, is_edited, edited_at, is_read
      )
      SELECT
        j.key, j.aligner_set_id, j.note_type, j.note_text, j.created_at, j.is_edited, j.edited_at, j.is_read
      FROM judged AS j
      WHERE NOT j.away AND j.obstacle IS NULL
      ORDER BY j.key
      ON CONFLICT (note_id) DO UPDATE SET
        aligner_set_id = excluded.aligner_set_id, note_type = excluded.note_type,
        note_text = excluded.note_text, created_at = excluded.created_at, is_edited = excluded.is_edited,
        edited_at = excluded.edited_at, is_read = excluded.is_read
      WHERE (
        t.aligner_set_id, t.note_type, t.note_text, t.created_at, t.is_edited, t.edited_at, t.is_read
      ) IS DISTINCT FROM (
        excluded.aligner_set_id, excluded.note_type, excluded.note_text, excluded.created_at,
        excluded.is_edited, excluded.edited_at, excluded.is_read
      )
      RETURNING t.note_id AS key
    ), noted AS (
      UPDATE sync.row_state AS s SET
        clinic_version = CASE WHEN j.obstacle IS NULL THEN j.version ELSE 0 END,
        since = CASE WHEN j.ruled THEN NULL ELSE s.since END,
        base = CASE WHEN j.ruled THEN NULL ELSE s.base END
      FROM judged AS j
      WHERE s.ctid = j.place AND j.fresh = (j.obstacle IS NOT NULL)
    )
    SELECT
      j.ordinal,
      CASE
        WHEN j.obstacle IS NOT NULL THEN 'retry'
        WHEN j.key = ANY (ARRAY(SELECT w.key FROM written AS w)) THEN 'applied'
        ELSE 'unchanged'
      END,
      CASE WHEN j.obstacle = 'locked in the portal' THEN '55P03' WHEN j.obstacle IS NOT NULL THEN '23503' END,
      j.obstacle
    FROM judged AS j;
  END IF;

  IF 'aligner_set_payments' = ANY (names) THEN
    RETURN QUERY
    WITH judged AS MATERIALIZED (
      SELECT
        h.ordinal, h.key, h.version, h.place, h.fresh, h.ruled,
        h.in_flight AND NOT h.ruled AND here.found IS NULL AS away,
        CASE
          WHEN h.in_flight AND NOT h.ruled AND here.found IS NULL THEN NULL
          WHEN h.key IS NOT NULL AND parent_1.key IS NULL AND (SELECT p.aligner_set_id FROM public.aligner_sets AS p WHERE p.aligner_set_id = h.key) IS NULL
            THEN 'waits for aligner_sets.aligner_set_id ' || h.key
          WHEN h.key IS NOT NULL AND parent_1.key IS NULL AND here.found IS NULL THEN 'locked in the portal'
        END AS obstacle,
        r.total_paid, r.balance, r.payment_status
      FROM unnest(ordinals, names, keys, versions, deletions, verdicts, places, fresh, ruled, in_flight)
        AS h (ordinal, name, key, version, deleted, verdict, place, fresh, ruled, in_flight)
      CROSS JOIN LATERAL jsonb_to_record(changes -> (h.ordinal - 1) -> 'row') AS r (
        total_paid numeric(10,2), balance numeric(10,2), payment_status varchar(20)
      )
      LEFT JOIN LATERAL (
        SELECT true AS found FROM public.aligner_set_payments AS t WHERE t.aligner_set_id = h.key OFFSET 0
      ) AS here ON true
      LEFT JOIN LATERAL (
        SELECT p.aligner_set_id AS key FROM public.aligner_sets AS p
        WHERE p.aligner_set_id = h.key AND here.found IS NULL FOR KEY SHARE SKIP LOCKED
      ) AS parent_1 ON true
      WHERE h.name = 'aligner_set_payments' AND h.verdict = 'write' AND NOT h.deleted
    ), written AS (
      INSERT INTO public.aligner_set_payments AS t (
        aligner_set_id, total_paid, balance, payment_status
      )
      SELECT
        j.key, j.total_paid, j.balance, j.payment_status
      FROM judged AS j
      WHERE NOT j.away AND j.obstacle IS NULL
      ORDER BY j.key
      ON CONFLICT (aligner_set_id) DO UPDATE SET
        total_paid = excluded.total_paid, balance = excluded.balance,
        payment_status = excluded.payment_status
      WHERE (
        t.total_paid, t.balance, t.payment_status
      ) IS DISTINCT FROM (
        excluded.total_paid, excluded.balance, excluded.payment_status
      )
      RETURNING t.aligner_set_id AS key
    ), noted AS (
      UPDATE sync.row_state AS s SET
        clinic_version = CASE WHEN j.obstacle IS NULL THEN j.version ELSE 0 END,
        since = CASE WHEN j.ruled THEN NULL ELSE s.since END,
        base = CASE WHEN j.ruled THEN NULL ELSE s.base END
      FROM judged AS j
      WHERE s.ctid = j.place AND j.fresh = (j.obstacle IS NOT NULL)
    )
    SELECT
      j.ordinal,
      CASE
        WHEN j.obstacle IS NOT NULL THEN 'retry'
        WHEN j.key = ANY (ARRAY(SELECT w.key FROM written AS w)) THEN 'applied'
        ELSE 'unchanged'
      END,
      CASE WHEN j.obstacle = 'locked in the portal' THEN '55P03' WHEN j.obstacle IS NOT NULL THEN '23503' END,
      j.obstacle
    FROM judged AS j;
  END IF;

  IF 'canary' = ANY (names) THEN
    RETURN QUERY
    WITH judged AS MATERIALIZED (
      SELECT
        h.ordinal, h.key, h.version, h.place, h.fresh, h.ruled,
        h.in_flight AND NOT h.ruled AND here.found IS NULL AS away,
        NULL::text AS obstacle,
        r.clinic_token,
        CASE WHEN h.ruled OR here.found IS NULL THEN r.portal_token ELSE here.portal_token END AS portal_token
      FROM unnest(ordinals, names, keys, versions, deletions, verdicts, places, fresh, ruled, in_flight)
        AS h (ordinal, name, key, version, deleted, verdict, place, fresh, ruled, in_flight)
      CROSS JOIN LATERAL jsonb_to_record(changes -> (h.ordinal - 1) -> 'row') AS r (
        clinic_token varchar(40), portal_token varchar(40)
      )
      LEFT JOIN LATERAL (
        SELECT true AS found, t.portal_token FROM sync.canary AS t WHERE t.canary_id = h.key OFFSET 0
      ) AS here ON true
      WHERE h.name = 'canary' AND h.verdict = 'write' AND NOT h.deleted
    ), written AS (
      INSERT INTO sync.canary AS t (
        canary_id, clinic_token, portal_token
      )
      SELECT
        j.key, j.clinic_token, j.portal_token
      FROM judged AS j
      WHERE NOT j.away AND j.obstacle IS NULL
      ORDER BY j.key
      ON CONFLICT (canary_id) DO UPDATE SET
        clinic_token = excluded.clinic_token, portal_token = excluded.portal_token
      WHERE (
        t.clinic_token, t.portal_token
      ) IS DISTINCT FROM (
        excluded.clinic_token, excluded.portal_token
      )
      RETURNING t.canary_id AS key
    ), noted AS (
      UPDATE sync.row_state AS s SET
        clinic_version = CASE WHEN j.obstacle IS NULL THEN j.version ELSE 0 END,
        since = CASE WHEN j.ruled THEN NULL ELSE s.since END,
        base = CASE WHEN j.ruled THEN NULL ELSE s.base END
      FROM judged AS j
      WHERE s.ctid = j.place AND j.fresh = (j.obstacle IS NOT NULL)
    )
    SELECT
      j.ordinal,
      CASE
        WHEN j.obstacle IS NOT NULL THEN 'retry'
        WHEN j.key = ANY (ARRAY(SELECT w.key FROM written AS w)) THEN 'applied'
        ELSE 'unchanged'
      END,
      CASE WHEN j.obstacle = 'locked in the portal' THEN '55P03' WHEN j.obstacle IS NOT NULL THEN '23503' END,
      j.obstacle
    FROM judged AS j;
  END IF;

  IF NOT true = ANY (deletions) THEN
    RETURN;
  END IF;

  -- Children before parents.
  SELECT array_agg(h.key ORDER BY h.key) INTO doomed
  FROM unnest(names, keys, deletions, verdicts) AS h (name, key, deleted, verdict)
  WHERE h.name = 'canary' AND h.verdict = 'write' AND h.deleted;
  IF doomed IS NOT NULL THEN
    RETURN QUERY
    WITH gone AS (
      DELETE FROM sync.canary AS t WHERE t.canary_id = ANY (doomed)
      RETURNING t.canary_id AS key, to_jsonb(t) AS lost
    ), pending AS (
      UPDATE sync.queue AS q SET
        status = 'Synced', last_attempt = now(), last_error = left(
          concat_ws('; before that: ', 'superseded by the clinic''s delete', CASE q.status WHEN 'Failed' THEN q.last_error END), 1000
        )
      WHERE q.table_name = 'canary' AND q.record_id = ANY (doomed) AND q.status IN ('Pending', 'Failed')
      RETURNING q.record_id, q.queue_id, q.operation
    ), superseded AS MATERIALIZED (
      SELECT p.record_id
      FROM pending AS p
      WHERE p.operation <> 'DELETE'
        AND NOT EXISTS (SELECT FROM pending AS n WHERE n.record_id = p.record_id AND n.queue_id > p.queue_id)
      UNION
      -- Sent, and not ruled on yet. The clinic will put it on record as well, unless it brings the row back first and a newer
      -- edit overtakes this one.
      SELECT g.key
      FROM gone AS g JOIN unnest(names, keys, ruled, in_flight) AS h (name, key, ruled, in_flight)
        ON h.name = 'canary' AND h.key = g.key
      WHERE h.in_flight AND NOT h.ruled
    ), recorded AS (
      INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
      SELECT s.table_name, s.record_id, h.version, s.local_version, s.base, g.lost
      FROM superseded AS p
      JOIN sync.row_state AS s ON s.table_name = 'canary' AND s.record_id = p.record_id
      JOIN unnest(names, keys, versions) AS h (name, key, version) ON h.name = 'canary' AND h.key = p.record_id
      LEFT JOIN gone AS g ON g.key = p.record_id
    ), noted AS (
      UPDATE sync.row_state AS s SET clinic_version = h.version, since = NULL, base = NULL
      FROM unnest(names, versions, deletions, verdicts, places, fresh)
        AS h (name, version, deleted, verdict, place, fresh)
      WHERE s.ctid = h.place AND h.name = 'canary' AND h.verdict = 'write' AND h.deleted AND NOT h.fresh
    )
    SELECT
      h.ordinal,
      CASE WHEN p.record_id IS NOT NULL THEN 'conflict' WHEN g.key IS NOT NULL THEN 'applied' ELSE 'unchanged' END,
      NULL::text,
      CASE WHEN p.record_id IS NOT NULL THEN 'the clinic deleted it; the doctor''s edits went with it' END
    FROM unnest(ordinals, names, keys, deletions, verdicts) AS h (ordinal, name, key, deleted, verdict)
    LEFT JOIN superseded AS p ON p.record_id = h.key
    LEFT JOIN gone AS g ON g.key = h.key
    WHERE h.name = 'canary' AND h.verdict = 'write' AND h.deleted;
  END IF;

  SELECT array_agg(h.key ORDER BY h.key) INTO doomed
  FROM unnest(names, keys, deletions, verdicts) AS h (name, key, deleted, verdict)
  WHERE h.name = 'aligner_set_payments' AND h.verdict = 'write' AND h.deleted;
  IF doomed IS NOT NULL THEN
    RETURN QUERY
    WITH gone AS (
      DELETE FROM public.aligner_set_payments AS t WHERE t.aligner_set_id = ANY (doomed)
      RETURNING t.aligner_set_id AS key, to_jsonb(t) AS lost
    ), pending AS (
      UPDATE sync.queue AS q SET
        status = 'Synced', last_attempt = now(), last_error = left(
          concat_ws('; before that: ', 'superseded by the clinic''s delete', CASE q.status WHEN 'Failed' THEN q.last_error END), 1000
        )
      WHERE q.table_name = 'aligner_set_payments' AND q.record_id = ANY (doomed) AND q.status IN ('Pending', 'Failed')
      RETURNING q.record_id, q.queue_id, q.operation
    ), superseded AS MATERIALIZED (
      SELECT p.record_id
      FROM pending AS p
      WHERE p.operation <> 'DELETE'
        AND NOT EXISTS (SELECT FROM pending AS n WHERE n.record_id = p.record_id AND n.queue_id > p.queue_id)
      UNION
      -- Sent, and not ruled on yet. The clinic will put it on record as well, unless it brings the row back first and a newer
      -- edit overtakes this one.
      SELECT g.key
      FROM gone AS g JOIN unnest(names, keys, ruled, in_flight) AS h (name, key, ruled, in_flight)
        ON h.name = 'aligner_set_payments' AND h.key = g.key
      WHERE h.in_flight AND NOT h.ruled
    ), recorded AS (
      INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
      SELECT s.table_name, s.record_id, h.version, s.local_version, s.base, g.lost
      FROM superseded AS p
      JOIN sync.row_state AS s ON s.table_name = 'aligner_set_payments' AND s.record_id = p.record_id
      JOIN unnest(names, keys, versions) AS h (name, key, version) ON h.name = 'aligner_set_payments' AND h.key = p.record_id
      LEFT JOIN gone AS g ON g.key = p.record_id
    ), noted AS (
      UPDATE sync.row_state AS s SET clinic_version = h.version, since = NULL, base = NULL
      FROM unnest(names, versions, deletions, verdicts, places, fresh)
        AS h (name, version, deleted, verdict, place, fresh)
      WHERE s.ctid = h.place AND h.name = 'aligner_set_payments' AND h.verdict = 'write' AND h.deleted AND NOT h.fresh
    )
    SELECT
      h.ordinal,
      CASE WHEN p.record_id IS NOT NULL THEN 'conflict' WHEN g.key IS NOT NULL THEN 'applied' ELSE 'unchanged' END,
      NULL::text,
      CASE WHEN p.record_id IS NOT NULL THEN 'the clinic deleted it; the doctor''s edits went with it' END
    FROM unnest(ordinals, names, keys, deletions, verdicts) AS h (ordinal, name, key, deleted, verdict)
    LEFT JOIN superseded AS p ON p.record_id = h.key
    LEFT JOIN gone AS g ON g.key = h.key
    WHERE h.name = 'aligner_set_payments' AND h.verdict = 'write' AND h.deleted;
  END IF;

  SELECT array_agg(h.key ORDER BY h.key) INTO doomed
  FROM unnest(names, keys, deletions, verdicts) AS h (name, key, deleted, verdict)
  WHERE h.name = 'aligner_notes' AND h.verdict = 'write' AND h.deleted;
  IF doomed IS NOT NULL THEN
    RETURN QUERY
    WITH gone AS (
      DELETE FROM public.aligner_notes AS t WHERE t.note_id = ANY (doomed)
      RETURNING t.note_id AS key, to_jsonb(t) AS lost
    ), pending AS (
      UPDATE sync.queue AS q SET
        status = 'Synced', last_attempt = now(), last_error = left(
          concat_ws('; before that: ', 'superseded by the clinic''s delete', CASE q.status WHEN 'Failed' THEN q.last_error END), 1000
        )
      WHERE q.table_name = 'aligner_notes' AND q.record_id = ANY (doomed) AND q.status IN ('Pending', 'Failed')
      RETURNING q.record_id, q.queue_id, q.operation
    ), superseded AS MATERIALIZED (
      SELECT p.record_id
      FROM pending AS p
      WHERE p.operation <> 'DELETE'
        AND NOT EXISTS (SELECT FROM pending AS n WHERE n.record_id = p.record_id AND n.queue_id > p.queue_id)
      UNION
      -- Sent, and not ruled on yet. The clinic will put it on record as well, unless it brings the row back first and a newer
      -- edit overtakes this one.
      SELECT g.key
      FROM gone AS g JOIN unnest(names, keys, ruled, in_flight) AS h (name, key, ruled, in_flight)
        ON h.name = 'aligner_notes' AND h.key = g.key
      WHERE h.in_flight AND NOT h.ruled
    ), recorded AS (
      INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
      SELECT s.table_name, s.record_id, h.version, s.local_version, s.base, g.lost
      FROM superseded AS p
      JOIN sync.row_state AS s ON s.table_name = 'aligner_notes' AND s.record_id = p.record_id
      JOIN unnest(names, keys, versions) AS h (name, key, version) ON h.name = 'aligner_notes' AND h.key = p.record_id
      LEFT JOIN gone AS g ON g.key = p.record_id
    ), noted AS (
      UPDATE sync.row_state AS s SET clinic_version = h.version, since = NULL, base = NULL
      FROM unnest(names, versions, deletions, verdicts, places, fresh)
        AS h (name, version, deleted, verdict, place, fresh)
      WHERE s.ctid = h.place AND h.name = 'aligner_notes' AND h.verdict = 'write' AND h.deleted AND NOT h.fresh
    )
    SELECT
      h.ordinal,
      CASE WHEN p.record_id IS NOT NULL THEN 'conflict' WHEN g.key IS NOT NULL THEN 'applied' ELSE 'unchanged' END,
      NULL::text,
      CASE WHEN p.record_id IS NOT NULL THEN 'the clinic deleted it; the doctor''s edits went with it' END
    FROM unnest(ordinals, names, keys, deletions, verdicts) AS h (ordinal, name, key, deleted, verdict)
    LEFT JOIN superseded AS p ON p.record_id = h.key
    LEFT JOIN gone AS g ON g.key = h.key
    WHERE h.name = 'aligner_notes' AND h.verdict = 'write' AND h.deleted;
  END IF;

  SELECT array_agg(h.key ORDER BY h.key) INTO doomed
  FROM unnest(names, keys, deletions, verdicts) AS h (name, key, deleted, verdict)
  WHERE h.name = 'aligner_batches' AND h.verdict = 'write' AND h.deleted;
  IF doomed IS NOT NULL THEN
    RETURN QUERY
    WITH gone AS (
      DELETE FROM public.aligner_batches AS t WHERE t.aligner_batch_id = ANY (doomed)
      RETURNING t.aligner_batch_id AS key, to_jsonb(t) AS lost
    ), pending AS (
      UPDATE sync.queue AS q SET
        status = 'Synced', last_attempt = now(), last_error = left(
          concat_ws('; before that: ', 'superseded by the clinic''s delete', CASE q.status WHEN 'Failed' THEN q.last_error END), 1000
        )
      WHERE q.table_name = 'aligner_batches' AND q.record_id = ANY (doomed) AND q.status IN ('Pending', 'Failed')
      RETURNING q.record_id, q.queue_id, q.operation
    ), superseded AS MATERIALIZED (
      SELECT p.record_id
      FROM pending AS p
      WHERE p.operation <> 'DELETE'
        AND NOT EXISTS (SELECT FROM pending AS n WHERE n.record_id = p.record_id AND n.queue_id > p.queue_id)
      UNION
      -- Sent, and not ruled on yet. The clinic will put it on record as well, unless it brings the row back first and a newer
      -- edit overtakes this one.
      SELECT g.key
      FROM gone AS g JOIN unnest(names, keys, ruled, in_flight) AS h (name, key, ruled, in_flight)
        ON h.name = 'aligner_batches' AND h.key = g.key
      WHERE h.in_flight AND NOT h.ruled
    ), recorded AS (
      INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
      SELECT s.table_name, s.record_id, h.version, s.local_version, s.base, g.lost
      FROM superseded AS p
      JOIN sync.row_state AS s ON s.table_name = 'aligner_batches' AND s.record_id = p.record_id
      JOIN unnest(names, keys, versions) AS h (name, key, version) ON h.name = 'aligner_batches' AND h.key = p.record_id
      LEFT JOIN gone AS g ON g.key = p.record_id
    ), noted AS (
      UPDATE sync.row_state AS s SET clinic_version = h.version, since = NULL, base = NULL
      FROM unnest(names, versions, deletions, verdicts, places, fresh)
        AS h (name, version, deleted, verdict, place, fresh)
      WHERE s.ctid = h.place AND h.name = 'aligner_batches' AND h.verdict = 'write' AND h.deleted AND NOT h.fresh
    )
    SELECT
      h.ordinal,
      CASE WHEN p.record_id IS NOT NULL THEN 'conflict' WHEN g.key IS NOT NULL THEN 'applied' ELSE 'unchanged' END,
      NULL::text,
      CASE WHEN p.record_id IS NOT NULL THEN 'the clinic deleted it; the doctor''s edits went with it' END
    FROM unnest(ordinals, names, keys, deletions, verdicts) AS h (ordinal, name, key, deleted, verdict)
    LEFT JOIN superseded AS p ON p.record_id = h.key
    LEFT JOIN gone AS g ON g.key = h.key
    WHERE h.name = 'aligner_batches' AND h.verdict = 'write' AND h.deleted;
  END IF;

  SELECT array_agg(h.key ORDER BY h.key) INTO doomed
  FROM unnest(names, keys, deletions, verdicts) AS h (name, key, deleted, verdict)
  WHERE h.name = 'aligner_sets' AND h.verdict = 'write' AND h.deleted;
  IF doomed IS NOT NULL THEN
    WITH gone AS (
      DELETE FROM public.aligner_batches AS c WHERE c.aligner_set_id = ANY (doomed)
      RETURNING c.aligner_batch_id AS key, to_jsonb(c) AS lost
    ), pending AS (
      UPDATE sync.queue AS q SET
        status = 'Synced', last_attempt = now(), last_error = left(
          concat_ws('; before that: ', 'superseded by the clinic''s delete', CASE q.status WHEN 'Failed' THEN q.last_error END), 1000
        )
      FROM gone AS g
      WHERE q.table_name = 'aligner_batches' AND q.record_id = g.key AND q.status IN ('Pending', 'Failed')
      RETURNING q.record_id
    ), noted AS (
      UPDATE sync.row_state AS s SET since = NULL, base = NULL
      WHERE s.table_name = 'aligner_batches' AND s.record_id IN (SELECT p.record_id FROM pending AS p)
    )
    INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
    SELECT s.table_name, s.record_id, s.clinic_version, s.local_version, s.base, g.lost
    FROM gone AS g
    JOIN sync.row_state AS s ON s.table_name = 'aligner_batches' AND s.record_id = g.key
    WHERE EXISTS (
      SELECT FROM sync.queue AS q WHERE q.table_name = 'aligner_batches' AND q.record_id = g.key AND q.status <> 'Synced'
    );
    WITH gone AS (
      DELETE FROM public.aligner_notes AS c WHERE c.aligner_set_id = ANY (doomed)
      RETURNING c.note_id AS key, to_jsonb(c) AS lost
    ), pending AS (
      UPDATE sync.queue AS q SET
        status = 'Synced', last_attempt = now(), last_error = left(
          concat_ws('; before that: ', 'superseded by the clinic''s delete', CASE q.status WHEN 'Failed' THEN q.last_error END), 1000
        )
      FROM gone AS g
      WHERE q.table_name = 'aligner_notes' AND q.record_id = g.key AND q.status IN ('Pending', 'Failed')
      RETURNING q.record_id
    ), noted AS (
      UPDATE sync.row_state AS s SET since = NULL, base = NULL
      WHERE s.table_name = 'aligner_notes' AND s.record_id IN (SELECT p.record_id FROM pending AS p)
    )
    INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
    SELECT s.table_name, s.record_id, s.clinic_version, s.local_version, s.base, g.lost
    FROM gone AS g
    JOIN sync.row_state AS s ON s.table_name = 'aligner_notes' AND s.record_id = g.key
    WHERE EXISTS (
      SELECT FROM sync.queue AS q WHERE q.table_name = 'aligner_notes' AND q.record_id = g.key AND q.status <> 'Synced'
    );
    WITH gone AS (
      DELETE FROM public.aligner_set_payments AS c WHERE c.aligner_set_id = ANY (doomed)
      RETURNING c.aligner_set_id AS key, to_jsonb(c) AS lost
    ), pending AS (
      UPDATE sync.queue AS q SET
        status = 'Synced', last_attempt = now(), last_error = left(
          concat_ws('; before that: ', 'superseded by the clinic''s delete', CASE q.status WHEN 'Failed' THEN q.last_error END), 1000
        )
      FROM gone AS g
      WHERE q.table_name = 'aligner_set_payments' AND q.record_id = g.key AND q.status IN ('Pending', 'Failed')
      RETURNING q.record_id
    ), noted AS (
      UPDATE sync.row_state AS s SET since = NULL, base = NULL
      WHERE s.table_name = 'aligner_set_payments' AND s.record_id IN (SELECT p.record_id FROM pending AS p)
    )
    INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
    SELECT s.table_name, s.record_id, s.clinic_version, s.local_version, s.base, g.lost
    FROM gone AS g
    JOIN sync.row_state AS s ON s.table_name = 'aligner_set_payments' AND s.record_id = g.key
    WHERE EXISTS (
      SELECT FROM sync.queue AS q WHERE q.table_name = 'aligner_set_payments' AND q.record_id = g.key AND q.status <> 'Synced'
    );
    RETURN QUERY
    WITH gone AS (
      DELETE FROM public.aligner_sets AS t WHERE t.aligner_set_id = ANY (doomed)
      RETURNING t.aligner_set_id AS key, to_jsonb(t) AS lost
    ), pending AS (
      UPDATE sync.queue AS q SET
        status = 'Synced', last_attempt = now(), last_error = left(
          concat_ws('; before that: ', 'superseded by the clinic''s delete', CASE q.status WHEN 'Failed' THEN q.last_error END), 1000
        )
      WHERE q.table_name = 'aligner_sets' AND q.record_id = ANY (doomed) AND q.status IN ('Pending', 'Failed')
      RETURNING q.record_id, q.queue_id, q.operation
    ), superseded AS MATERIALIZED (
      SELECT p.record_id
      FROM pending AS p
      WHERE p.operation <> 'DELETE'
        AND NOT EXISTS (SELECT FROM pending AS n WHERE n.record_id = p.record_id AND n.queue_id > p.queue_id)
      UNION
      -- Sent, and not ruled on yet. The clinic will put it on record as well, unless it brings the row back first and a newer
      -- edit overtakes this one.
      SELECT g.key
      FROM gone AS g JOIN unnest(names, keys, ruled, in_flight) AS h (name, key, ruled, in_flight)
        ON h.name = 'aligner_sets' AND h.key = g.key
      WHERE h.in_flight AND NOT h.ruled
    ), recorded AS (
      INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
      SELECT s.table_name, s.record_id, h.version, s.local_version, s.base, g.lost
      FROM superseded AS p
      JOIN sync.row_state AS s ON s.table_name = 'aligner_sets' AND s.record_id = p.record_id
      JOIN unnest(names, keys, versions) AS h (name, key, version) ON h.name = 'aligner_sets' AND h.key = p.record_id
      LEFT JOIN gone AS g ON g.key = p.record_id
    ), noted AS (
      UPDATE sync.row_state AS s SET clinic_version = h.version, since = NULL, base = NULL
      FROM unnest(names, versions, deletions, verdicts, places, fresh)
        AS h (name, version, deleted, verdict, place, fresh)
      WHERE s.ctid = h.place AND h.name = 'aligner_sets' AND h.verdict = 'write' AND h.deleted AND NOT h.fresh
    )
    SELECT
      h.ordinal,
      CASE WHEN p.record_id IS NOT NULL THEN 'conflict' WHEN g.key IS NOT NULL THEN 'applied' ELSE 'unchanged' END,
      NULL::text,
      CASE WHEN p.record_id IS NOT NULL THEN 'the clinic deleted it; the doctor''s edits went with it' END
    FROM unnest(ordinals, names, keys, deletions, verdicts) AS h (ordinal, name, key, deleted, verdict)
    LEFT JOIN superseded AS p ON p.record_id = h.key
    LEFT JOIN gone AS g ON g.key = h.key
    WHERE h.name = 'aligner_sets' AND h.verdict = 'write' AND h.deleted;
  END IF;

  SELECT array_agg(h.key ORDER BY h.key) INTO doomed
  FROM unnest(names, keys, deletions, verdicts) AS h (name, key, deleted, verdict)
  WHERE h.name = 'work' AND h.verdict = 'write' AND h.deleted;
  IF doomed IS NOT NULL THEN
    WITH gone AS (
      DELETE FROM public.aligner_sets AS c WHERE c.work_id = ANY (doomed)
      RETURNING c.aligner_set_id AS key, to_jsonb(c) AS lost
    ), pending AS (
      UPDATE sync.queue AS q SET
        status = 'Synced', last_attempt = now(), last_error = left(
          concat_ws('; before that: ', 'superseded by the clinic''s delete', CASE q.status WHEN 'Failed' THEN q.last_error END), 1000
        )
      FROM gone AS g
      WHERE q.table_name = 'aligner_sets' AND q.record_id = g.key AND q.status IN ('Pending', 'Failed')
      RETURNING q.record_id
    ), noted AS (
      UPDATE sync.row_state AS s SET since = NULL, base = NULL
      WHERE s.table_name = 'aligner_sets' AND s.record_id IN (SELECT p.record_id FROM pending AS p)
    )
    INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
    SELECT s.table_name, s.record_id, s.clinic_version, s.local_version, s.base, g.lost
    FROM gone AS g
    JOIN sync.row_state AS s ON s.table_name = 'aligner_sets' AND s.record_id = g.key
    WHERE EXISTS (
      SELECT FROM sync.queue AS q WHERE q.table_name = 'aligner_sets' AND q.record_id = g.key AND q.status <> 'Synced'
    );
    RETURN QUERY
    WITH gone AS (
      DELETE FROM public.work AS t WHERE t.work_id = ANY (doomed)
      RETURNING t.work_id AS key, to_jsonb(t) AS lost
    ), pending AS (
      UPDATE sync.queue AS q SET
        status = 'Synced', last_attempt = now(), last_error = left(
          concat_ws('; before that: ', 'superseded by the clinic''s delete', CASE q.status WHEN 'Failed' THEN q.last_error END), 1000
        )
      WHERE q.table_name = 'work' AND q.record_id = ANY (doomed) AND q.status IN ('Pending', 'Failed')
      RETURNING q.record_id, q.queue_id, q.operation
    ), superseded AS MATERIALIZED (
      SELECT p.record_id
      FROM pending AS p
      WHERE p.operation <> 'DELETE'
        AND NOT EXISTS (SELECT FROM pending AS n WHERE n.record_id = p.record_id AND n.queue_id > p.queue_id)
      UNION
      -- Sent, and not ruled on yet. The clinic will put it on record as well, unless it brings the row back first and a newer
      -- edit overtakes this one.
      SELECT g.key
      FROM gone AS g JOIN unnest(names, keys, ruled, in_flight) AS h (name, key, ruled, in_flight)
        ON h.name = 'work' AND h.key = g.key
      WHERE h.in_flight AND NOT h.ruled
    ), recorded AS (
      INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
      SELECT s.table_name, s.record_id, h.version, s.local_version, s.base, g.lost
      FROM superseded AS p
      JOIN sync.row_state AS s ON s.table_name = 'work' AND s.record_id = p.record_id
      JOIN unnest(names, keys, versions) AS h (name, key, version) ON h.name = 'work' AND h.key = p.record_id
      LEFT JOIN gone AS g ON g.key = p.record_id
    ), noted AS (
      UPDATE sync.row_state AS s SET clinic_version = h.version, since = NULL, base = NULL
      FROM unnest(names, versions, deletions, verdicts, places, fresh)
        AS h (name, version, deleted, verdict, place, fresh)
      WHERE s.ctid = h.place AND h.name = 'work' AND h.verdict = 'write' AND h.deleted AND NOT h.fresh
    )
    SELECT
      h.ordinal,
      CASE WHEN p.record_id IS NOT NULL THEN 'conflict' WHEN g.key IS NOT NULL THEN 'applied' ELSE 'unchanged' END,
      NULL::text,
      CASE WHEN p.record_id IS NOT NULL THEN 'the clinic deleted it; the doctor''s edits went with it' END
    FROM unnest(ordinals, names, keys, deletions, verdicts) AS h (ordinal, name, key, deleted, verdict)
    LEFT JOIN superseded AS p ON p.record_id = h.key
    LEFT JOIN gone AS g ON g.key = h.key
    WHERE h.name = 'work' AND h.verdict = 'write' AND h.deleted;
  END IF;

  SELECT array_agg(h.key ORDER BY h.key) INTO doomed
  FROM unnest(names, keys, deletions, verdicts) AS h (name, key, deleted, verdict)
  WHERE h.name = 'patients' AND h.verdict = 'write' AND h.deleted;
  IF doomed IS NOT NULL THEN
    RETURN QUERY
    WITH gone AS (
      DELETE FROM public.patients AS t WHERE t.person_id = ANY (doomed)
      RETURNING t.person_id AS key, to_jsonb(t) AS lost
    ), pending AS (
      UPDATE sync.queue AS q SET
        status = 'Synced', last_attempt = now(), last_error = left(
          concat_ws('; before that: ', 'superseded by the clinic''s delete', CASE q.status WHEN 'Failed' THEN q.last_error END), 1000
        )
      WHERE q.table_name = 'patients' AND q.record_id = ANY (doomed) AND q.status IN ('Pending', 'Failed')
      RETURNING q.record_id, q.queue_id, q.operation
    ), superseded AS MATERIALIZED (
      SELECT p.record_id
      FROM pending AS p
      WHERE p.operation <> 'DELETE'
        AND NOT EXISTS (SELECT FROM pending AS n WHERE n.record_id = p.record_id AND n.queue_id > p.queue_id)
      UNION
      -- Sent, and not ruled on yet. The clinic will put it on record as well, unless it brings the row back first and a newer
      -- edit overtakes this one.
      SELECT g.key
      FROM gone AS g JOIN unnest(names, keys, ruled, in_flight) AS h (name, key, ruled, in_flight)
        ON h.name = 'patients' AND h.key = g.key
      WHERE h.in_flight AND NOT h.ruled
    ), recorded AS (
      INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
      SELECT s.table_name, s.record_id, h.version, s.local_version, s.base, g.lost
      FROM superseded AS p
      JOIN sync.row_state AS s ON s.table_name = 'patients' AND s.record_id = p.record_id
      JOIN unnest(names, keys, versions) AS h (name, key, version) ON h.name = 'patients' AND h.key = p.record_id
      LEFT JOIN gone AS g ON g.key = p.record_id
    ), noted AS (
      UPDATE sync.row_state AS s SET clinic_version = h.version, since = NULL, base = NULL
      FROM unnest(names, versions, deletions, verdicts, places, fresh)
        AS h (name, version, deleted, verdict, place, fresh)
      WHERE s.ctid = h.place AND h.name = 'patients' AND h.verdict = 'write' AND h.deleted AND NOT h.fresh
    )
    SELECT
      h.ordinal,
      CASE WHEN p.record_id IS NOT NULL THEN 'conflict' WHEN g.key IS NOT NULL THEN 'applied' ELSE 'unchanged' END,
      NULL::text,
      CASE WHEN p.record_id IS NOT NULL THEN 'the clinic deleted it; the doctor''s edits went with it' END
    FROM unnest(ordinals, names, keys, deletions, verdicts) AS h (ordinal, name, key, deleted, verdict)
    LEFT JOIN superseded AS p ON p.record_id = h.key
    LEFT JOIN gone AS g ON g.key = h.key
    WHERE h.name = 'patients' AND h.verdict = 'write' AND h.deleted;
  END IF;

  SELECT array_agg(h.key ORDER BY h.key) INTO doomed
  FROM unnest(names, keys, deletions, verdicts) AS h (name, key, deleted, verdict)
  WHERE h.name = 'aligner_doctors' AND h.verdict = 'write' AND h.deleted;
  IF doomed IS NOT NULL THEN
    WITH gone AS (
      DELETE FROM public.aligner_sets AS c WHERE c.aligner_dr_id = ANY (doomed)
      RETURNING c.aligner_set_id AS key, to_jsonb(c) AS lost
    ), pending AS (
      UPDATE sync.queue AS q SET
        status = 'Synced', last_attempt = now(), last_error = left(
          concat_ws('; before that: ', 'superseded by the clinic''s delete', CASE q.status WHEN 'Failed' THEN q.last_error END), 1000
        )
      FROM gone AS g
      WHERE q.table_name = 'aligner_sets' AND q.record_id = g.key AND q.status IN ('Pending', 'Failed')
      RETURNING q.record_id
    ), noted AS (
      UPDATE sync.row_state AS s SET since = NULL, base = NULL
      WHERE s.table_name = 'aligner_sets' AND s.record_id IN (SELECT p.record_id FROM pending AS p)
    )
    INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
    SELECT s.table_name, s.record_id, s.clinic_version, s.local_version, s.base, g.lost
    FROM gone AS g
    JOIN sync.row_state AS s ON s.table_name = 'aligner_sets' AND s.record_id = g.key
    WHERE EXISTS (
      SELECT FROM sync.queue AS q WHERE q.table_name = 'aligner_sets' AND q.record_id = g.key AND q.status <> 'Synced'
    );
    RETURN QUERY
    WITH gone AS (
      DELETE FROM public.aligner_doctors AS t WHERE t.dr_id = ANY (doomed)
      RETURNING t.dr_id AS key, to_jsonb(t) AS lost
    ), pending AS (
      UPDATE sync.queue AS q SET
        status = 'Synced', last_attempt = now(), last_error = left(
          concat_ws('; before that: ', 'superseded by the clinic''s delete', CASE q.status WHEN 'Failed' THEN q.last_error END), 1000
        )
      WHERE q.table_name = 'aligner_doctors' AND q.record_id = ANY (doomed) AND q.status IN ('Pending', 'Failed')
      RETURNING q.record_id, q.queue_id, q.operation
    ), superseded AS MATERIALIZED (
      SELECT p.record_id
      FROM pending AS p
      WHERE p.operation <> 'DELETE'
        AND NOT EXISTS (SELECT FROM pending AS n WHERE n.record_id = p.record_id AND n.queue_id > p.queue_id)
      UNION
      -- Sent, and not ruled on yet. The clinic will put it on record as well, unless it brings the row back first and a newer
      -- edit overtakes this one.
      SELECT g.key
      FROM gone AS g JOIN unnest(names, keys, ruled, in_flight) AS h (name, key, ruled, in_flight)
        ON h.name = 'aligner_doctors' AND h.key = g.key
      WHERE h.in_flight AND NOT h.ruled
    ), recorded AS (
      INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row)
      SELECT s.table_name, s.record_id, h.version, s.local_version, s.base, g.lost
      FROM superseded AS p
      JOIN sync.row_state AS s ON s.table_name = 'aligner_doctors' AND s.record_id = p.record_id
      JOIN unnest(names, keys, versions) AS h (name, key, version) ON h.name = 'aligner_doctors' AND h.key = p.record_id
      LEFT JOIN gone AS g ON g.key = p.record_id
    ), noted AS (
      UPDATE sync.row_state AS s SET clinic_version = h.version, since = NULL, base = NULL
      FROM unnest(names, versions, deletions, verdicts, places, fresh)
        AS h (name, version, deleted, verdict, place, fresh)
      WHERE s.ctid = h.place AND h.name = 'aligner_doctors' AND h.verdict = 'write' AND h.deleted AND NOT h.fresh
    )
    SELECT
      h.ordinal,
      CASE WHEN p.record_id IS NOT NULL THEN 'conflict' WHEN g.key IS NOT NULL THEN 'applied' ELSE 'unchanged' END,
      NULL::text,
      CASE WHEN p.record_id IS NOT NULL THEN 'the clinic deleted it; the doctor''s edits went with it' END
    FROM unnest(ordinals, names, keys, deletions, verdicts) AS h (ordinal, name, key, deleted, verdict)
    LEFT JOIN superseded AS p ON p.record_id = h.key
    LEFT JOIN gone AS g ON g.key = h.key
    WHERE h.name = 'aligner_doctors' AND h.verdict = 'write' AND h.deleted;
  END IF;
END
$function$;

CREATE OR REPLACE FUNCTION sync.apply_clinic_changes(changes jsonb)
RETURNS TABLE(ordinal integer, outcome text, code text, reason text)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp
SET lock_timeout = '10ms'
SET plan_cache_mode = 'force_generic_plan'
SET enable_seqscan = 'off'
AS $function$
DECLARE
  one record;
  started timestamptz;
BEGIN
  -- The clinic's rows would be taken for its rulings on edits that it has not had.
  IF EXISTS (SELECT FROM sync.settings AS s WHERE s.name = 'Restored') THEN
    RAISE EXCEPTION 'the portal was restored from a backup, and that is not repaired yet' USING ERRCODE = 'CS001';
  END IF;

  -- What the sync writes, the capture triggers leave alone. Local to the transaction.
  PERFORM set_config('sync.applying', 'on', true);

  BEGIN
    RETURN QUERY SELECT b.* FROM sync.apply_clinic_batch(changes) AS b;
    RETURN;
  EXCEPTION WHEN lock_not_available THEN
    NULL; -- undone, its locks with it
  END;

  -- One by one, parents before children, deletes the other way round. The locks of those that went well are held until the
  -- end, so what has not had its turn after a fifth of a second has to wait as well.
  PERFORM set_config('lock_timeout', '2ms', true);
  started := clock_timestamp();
  FOR one IN
    SELECT s.ordinal, s.change
    FROM (
      SELECT e.ordinality::integer AS ordinal, e.value AS change,
        coalesce(jsonb_typeof(e.value -> 'row'), 'null') = 'null' AS deleted,
        array_position(ARRAY['aligner_doctors', 'patients', 'work', 'aligner_sets', 'aligner_batches', 'aligner_notes', 'aligner_set_payments', 'canary'], e.value ->> 'table') AS rank
      FROM jsonb_array_elements(changes) WITH ORDINALITY AS e
    ) AS s
    ORDER BY s.deleted, CASE WHEN s.deleted THEN -s.rank ELSE s.rank END, (s.change ->> 'key')::integer
  LOOP
    BEGIN
      IF clock_timestamp() > started + interval '200 ms' THEN
        RAISE lock_not_available;
      END IF;
      RETURN QUERY
      SELECT one.ordinal, b.outcome, b.code, b.reason FROM sync.apply_clinic_batch(jsonb_build_array(one.change)) AS b;
    EXCEPTION WHEN lock_not_available THEN
      RETURN QUERY SELECT one.ordinal, 'retry', '55P03', 'locked in the portal';
    END;
  END LOOP;
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
