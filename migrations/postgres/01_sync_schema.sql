-- The portal's side of clinic-sync: outbox, bookkeeping, settings. Safe to run again.

CREATE SCHEMA IF NOT EXISTS sync;

-- Which files have been applied; written by `npm run sync -- migrate`. `checksum`: SHA-256 (hex) of the file with LF ends.
CREATE TABLE IF NOT EXISTS sync.migrations (
  name varchar(200) PRIMARY KEY,
  checksum char(64) NOT NULL,
  applied_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE IF NOT EXISTS sync.settings (
  name varchar(100) PRIMARY KEY,
  value varchar(400) NOT NULL
);
INSERT INTO sync.settings (name, value) VALUES ('RetentionDays', '7') ON CONFLICT (name) DO NOTHING;

CREATE SEQUENCE IF NOT EXISTS sync.queue_ids AS bigint;

-- The outbox. Status runs Pending, Queued, Synced, or Failed with last_error:
--   SELECT status, count(*) FROM sync.queue GROUP BY status;   says whether the portal's changes have arrived.
CREATE TABLE IF NOT EXISTS sync.queue (
  queue_id bigint PRIMARY KEY DEFAULT nextval('sync.queue_ids'),
  table_name varchar(63) NOT NULL,
  record_id integer NOT NULL,
  operation varchar(20) NOT NULL CHECK (operation IN ('INSERT', 'UPDATE', 'DELETE')),
  status varchar(20) NOT NULL DEFAULT 'Pending' CHECK (status IN ('Pending', 'Queued', 'Synced', 'Failed')),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  attempts integer NOT NULL DEFAULT 0,
  last_attempt timestamptz,
  last_error varchar(1000)
);
-- The drain reads pending rows in order; settling looks up a record's open rows; purging goes by age.
CREATE INDEX IF NOT EXISTS queue_pending_idx ON sync.queue (queue_id) WHERE status = 'Pending';
CREATE INDEX IF NOT EXISTS queue_open_idx ON sync.queue (table_name, record_id) WHERE status <> 'Synced';
CREATE INDEX IF NOT EXISTS queue_settled_idx ON sync.queue (last_attempt) WHERE status = 'Synced';

-- What each side knows of a record; it outlives the record (the tombstone).
--   clinic_version  version of the clinic's event applied last
--   local_version   queue_id of the latest local edit
--   since, base     first queue_id of the edits in flight, and the shared columns before them (null: there was no row);
--                   both null when no edit is in flight
-- Room is left on the pages, so that an update of a record's version stays on its page and touches no index.
CREATE TABLE IF NOT EXISTS sync.row_state (
  table_name varchar(63) NOT NULL,
  record_id integer NOT NULL,
  clinic_version bigint NOT NULL DEFAULT 0,
  local_version bigint NOT NULL DEFAULT 0,
  since bigint,
  base jsonb,
  PRIMARY KEY (table_name, record_id)
) WITH (fillfactor = 70);

-- Rows that a doctor had edited and the clinic deleted before the edit arrived, as they were.
CREATE TABLE IF NOT EXISTS sync.lost_edits (
  lost_edit_id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  table_name varchar(63) NOT NULL,
  record_id integer NOT NULL,
  clinic_version bigint NOT NULL,
  local_version bigint NOT NULL,
  base jsonb,
  lost_row jsonb,
  lost_at timestamptz NOT NULL DEFAULT now()
);

-- An instant as it travels: ISO 8601, UTC, milliseconds; years outside 0001..9999 as in ECMAScript (year 0 is 1 BC).
CREATE OR REPLACE FUNCTION sync.wire_instant(moment timestamptz) RETURNS text
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN moment >= '0001-01-01 00:00:00+00'::timestamptz AND moment < '10000-01-01 00:00:00+00'::timestamptz
      THEN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    WHEN moment >= '10000-01-01 00:00:00+00'::timestamptz
      THEN '+' || lpad(extract(year FROM moment AT TIME ZONE 'UTC')::text, 6, '0')
        || to_char(moment AT TIME ZONE 'UTC', '-MM-DD"T"HH24:MI:SS.MS"Z"')
    ELSE CASE WHEN extract(year FROM moment AT TIME ZONE 'UTC') = -1 THEN '0000'
        ELSE '-' || lpad((-1 - extract(year FROM moment AT TIME ZONE 'UTC'))::text, 6, '0') END
      || to_char(moment AT TIME ZONE 'UTC', '-MM-DD"T"HH24:MI:SS.MS"Z"')
  END
$$;

-- Nobody but the owner has any business here.
DO $$
DECLARE
  grantee text;
BEGIN
  REVOKE ALL ON SCHEMA sync FROM PUBLIC;
  REVOKE ALL ON ALL TABLES IN SCHEMA sync FROM PUBLIC;
  REVOKE ALL ON ALL SEQUENCES IN SCHEMA sync FROM PUBLIC;
  REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sync FROM PUBLIC;
  FOR grantee IN SELECT rolname FROM pg_catalog.pg_roles WHERE rolname IN ('anon', 'authenticated') LOOP
    EXECUTE format('REVOKE ALL ON SCHEMA sync FROM %I', grantee);
    EXECUTE format('REVOKE ALL ON ALL TABLES IN SCHEMA sync FROM %I', grantee);
    EXECUTE format('REVOKE ALL ON ALL SEQUENCES IN SCHEMA sync FROM %I', grantee);
    EXECUTE format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA sync FROM %I', grantee);
  END LOOP;
END
$$;
