/**
 * Logs in the portal each version that a transaction has applied to a record: the last that it sets, since the apply makes a
 * record's bookkeeping first and takes a version back where the record has to wait for something.
 */
export const WRITE_LOG = `
CREATE SCHEMA chaos;
CREATE TABLE chaos.writes (
  transaction_id xid8, table_name text, record_id integer, version bigint, before bigint,
  at timestamptz DEFAULT clock_timestamp(), PRIMARY KEY (table_name, record_id, transaction_id)
);
CREATE FUNCTION chaos.log_write() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
  INSERT INTO chaos.writes (transaction_id, table_name, record_id, version, before)
  VALUES (pg_current_xact_id(), NEW.table_name, NEW.record_id, NEW.clinic_version,
    CASE WHEN TG_OP = 'UPDATE' THEN OLD.clinic_version END)
  ON CONFLICT (table_name, record_id, transaction_id) DO UPDATE SET version = excluded.version;
  RETURN NULL;
END $$;
CREATE TRIGGER log_write AFTER INSERT OR UPDATE OF clinic_version ON sync.row_state
FOR EACH ROW EXECUTE FUNCTION chaos.log_write();
`

/** Versions that two transactions have applied, and records that went back to an older one. */
export const APPLIED_TWICE = `
SELECT table_name || '/' || record_id AS record, version::text AS version, 'twice' AS what
FROM chaos.writes WHERE version > 0 GROUP BY table_name, record_id, version HAVING count(*) > 1
UNION ALL
SELECT table_name || '/' || record_id, version::text, 'after ' || before
FROM chaos.writes WHERE version > 0 AND version < before
`
