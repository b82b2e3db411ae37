/**
 * What the doctor command asks the portal. Catalogs that every role may read, and schema sync; `$1` are the synced tables' names.
 * Postgres 14 and later.
 */

export const SERVER = `
  SELECT current_setting('server_version_num') AS version, current_database() AS database, current_user AS role,
    current_setting('transaction_read_only') AS read_only,
    EXISTS (SELECT FROM pg_class AS c WHERE c.relnamespace IN ('public'::regnamespace, to_regnamespace('sync'))
      AND c.relkind IN ('r', 'p') AND has_table_privilege(c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE')) AS has_tables,
    CASE WHEN to_regnamespace('sync') IS NULL THEN 'missing'
      WHEN has_schema_privilege(current_user, 'sync', 'USAGE') THEN 'usable' ELSE 'forbidden' END AS schema,
    current_setting('session_replication_role') AS replication_role,
    (SELECT string_agg(DISTINCT coalesce(r.rolname, 'everybody'), ',')
      FROM pg_db_role_setting AS s LEFT JOIN pg_roles AS r ON r.oid = s.setrole
      WHERE s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
        AND 'session_replication_role=replica' = ANY (s.setconfig)) AS replica_roles`

export const CLOCK = 'SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint AS now'

export const MIGRATIONS = 'SELECT name, trim(checksum) AS checksum FROM sync.migrations'

/** The tables that are there. row_security_active: policies apply to this role, as it is logged in. */
export const TABLES = `
  SELECT c.relname AS name, c.relrowsecurity AS row_security, row_security_active(c.oid) AS stops_us,
    c.relforcerowsecurity AS forced, pg_has_role(current_user, c.relowner, 'USAGE') AS owned,
    (SELECT string_agg(p.name, ',') FROM unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS p (name)
      WHERE NOT has_table_privilege(current_user, c.oid, p.name)) AS missing_rights,
    EXISTS (SELECT FROM pg_subscription_rel AS s WHERE s.srrelid = c.oid) AS subscribed
  FROM pg_class AS c
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY ($1::text[])`

export const COLUMNS = `
  SELECT c.relname AS table, a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type,
    a.attnotnull AND NOT a.atthasdef AND a.attidentity = '' AS required
  FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
  WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND c.relname = ANY ($1::text[])`

/** No to_regclass: it fails where the role may not use the schema. */
export const TRIGGERS = `
  SELECT CASE n.nspname WHEN 'sync' THEN 'sync.queue' ELSE c.relname END AS table, t.tgname AS name, t.tgenabled AS enabled
  FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace
  WHERE NOT t.tgisinternal
    AND (n.nspname = 'sync' AND c.relname = 'queue' OR n.nspname = 'public' AND c.relname = ANY ($1::text[]))`

/** A body that was pasted on Windows may have CRLF. */
export const FUNCTIONS = `
  SELECT proname AS name, md5(replace(prosrc, E'\\r', '')) AS md5 FROM pg_proc WHERE pronamespace = to_regnamespace('sync')`

/** The sequence that a primary key's default draws from, or that its identity owns. */
export const KEYS = `
  SELECT c.relname AS table, a.attname AS name, (
    SELECT s.seqincrement FROM pg_depend AS p JOIN pg_sequence AS s ON s.seqrelid = p.refobjid
    WHERE p.classid = 'pg_attrdef'::regclass AND p.objid = d.oid LIMIT 1) AS increment
  FROM pg_class AS c
  JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
  JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]
  LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
  WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1::text[])`

export const PUBLICATIONS = `
  SELECT pubname AS publication, tablename AS name FROM pg_publication_tables
  WHERE schemaname = 'public' AND tablename = ANY ($1::text[]) ORDER BY 1, 2`

/** Database → Webhooks in Supabase's dashboard makes triggers of this function, with URL, method and headers as arguments. */
export const WEBHOOKS = `
  SELECT c.relname AS table, t.tgname AS name, t.tgtype AS type, t.tgenabled AS enabled, encode(t.tgargs, 'hex') AS arguments
  FROM pg_trigger AS t JOIN pg_class AS c ON c.oid = t.tgrelid JOIN pg_proc AS f ON f.oid = t.tgfoid
  WHERE c.relnamespace = 'public'::regnamespace AND c.relname = ANY ($1::text[])
    AND f.proname = 'http_request' AND f.pronamespace = to_regnamespace('supabase_functions')
  ORDER BY t.tgname`

export const PG_NET = `
  SELECT 1 AS there FROM pg_proc AS f JOIN pg_namespace AS n ON n.oid = f.pronamespace
  WHERE n.nspname = 'net' AND f.proname = 'http_post' AND f.pronargs = 5`

export const ANSWERS = `
  SELECT status_code AS status, floor(extract(epoch FROM now() - created)) AS seconds
  FROM net._http_response ORDER BY created DESC LIMIT 5`

export const SETTINGS = "SELECT name, value FROM sync.settings WHERE name IN ('WebhookURL', 'WebhookKey')"

export const OUTBOX = `
  SELECT status, count(*) AS n, floor(extract(epoch FROM clock_timestamp() - min(created_at))) AS oldest
  FROM sync.queue GROUP BY status`

export const LOST_EDITS = 'SELECT count(*) AS n FROM sync.lost_edits'

export const VERSIONS = `
  SELECT (SELECT coalesce(max(clinic_version), 0) FROM sync.row_state) AS clinic,
    (SELECT CASE WHEN is_called THEN last_value ELSE last_value - 1 END FROM sync.queue_ids) AS own`
