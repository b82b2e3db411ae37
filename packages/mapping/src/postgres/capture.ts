import { allColumns, sharedColumns, syncedTables, syncsBack } from '../tables/index.ts'
import type { Column, Table } from '../types.ts'
import { fill, indent, isUnbounded, portalTable, REVOKE_FUNCTIONS, SAFE_PATH, wireObject, wireValue } from './common.ts'
import { portalKeys } from './keys.ts'

const captureFunction = ({ name }: Table) => `sync.capture_${name}`

/** As it is compared: texts byte by byte, so that no collation of the portal's calls an edit of case or accents none. */
const compared = (alias: string, { name, type }: Column) =>
  type === 'text' ? `${alias}.${name}::text COLLATE "C"` : `${alias}.${name}`

/** Whether the columns differ between OLD and NEW; nulls are equal. */
const differ = (columns: readonly Column[]) => {
  const row = (alias: string) => `ROW(\n${indent(fill(columns.map((column) => compared(alias, column))), 2)}\n)`
  return `${row('OLD')} IS DISTINCT FROM ${row('NEW')}`
}

/** A text of over 256 MB in a jsonb would fail the doctor's edit. Nothing can carry one of 100 MB anyway: its start is kept. */
const keptValue = (alias: string, column: Column) => {
  const value = wireValue(alias, column)
  if (!isUnbounded(column)) return value
  return `CASE WHEN octet_length(${value}) > 100000000 THEN left(${value}, 20000000) ELSE ${value} END`
}

const wireJsonb = (alias: string, columns: readonly Column[]) => `${wireObject(alias, columns, keptValue)}::jsonb`

/** After an UPDATE that has been captured, what the doctor wrote into columns that are the clinic's. */
function keepLost(table: Table): string {
  const { name, sharedWhen } = table
  const shared = sharedColumns(table)
  const clinics = table.columns.filter(({ owner }) => owner === 'clinic')
  const keep = (columns: readonly Column[]) => `IF ${differ(columns)} THEN
  PERFORM sync.keep_lost_edit(state,
${indent(wireJsonb('OLD', columns), 4)},
${indent(wireJsonb('NEW', columns), 4)});
END IF;
`
  if (!sharedWhen || shared.length === 0) return keep(clinics)
  const { column, equals } = sharedWhen
  return `-- Whose it is the clinic's row says: a doctor's change of ${column}, still on its way, makes nothing the doctor's.
clinics := OLD.${column} IS DISTINCT FROM '${equals}';
IF NOT clinics AND state.since < state.local_version THEN
  clinics := EXISTS (
    SELECT FROM sync.lost_edits AS l
    WHERE l.table_name = '${name}' AND l.record_id = state.record_id AND l.local_version >= state.since
      AND l.base ->> '${column}' <> '${equals}'
  );
END IF;
IF clinics THEN
${indent(keep(table.columns), 2)}ELSE
${indent(keep(clinics), 2)}END IF;
`
}

function captureTable(table: Table): string {
  const { key, name } = table
  const shared = sharedColumns(table)
  const all = allColumns(table)
  const run = `EXECUTE FUNCTION ${captureFunction(table)}()`
  // A doctor's session may set this too. What the sync writes, schema sync's owner writes: its functions run as that.
  const applying = `(coalesce(current_setting('sync.applying', true), '') <> 'on' OR NOT has_schema_privilege('sync', 'USAGE'))`
  return `CREATE OR REPLACE FUNCTION ${captureFunction(table)}() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER
${SAFE_PATH}
SET lock_timeout = '0'
SET enable_seqscan = 'off'
AS $function$
DECLARE
  before jsonb; -- the shared columns before this edit
  state sync.row_state;${table.sharedWhen && shared.length > 0 ? "\n  clinics boolean; -- the shared columns are the clinic's too" : ''}
BEGIN
  IF TG_OP = 'TRUNCATE' THEN
    PERFORM sync.capture_edit('${name}', t.${key.name}::integer, 'DELETE',
${indent(wireJsonb('t', shared), 6)})
    FROM ${portalTable(name)} AS t ORDER BY t.${key.name};
    RETURN NULL;
  END IF;

  IF TG_OP <> 'INSERT' THEN
    before := ${indent(wireJsonb('OLD', shared), 4).trimStart()};
  END IF;
  IF TG_OP = 'UPDATE' AND OLD.${key.name} = NEW.${key.name} THEN
    state := sync.capture_edit('${name}', NEW.${key.name}::integer, 'UPDATE', before);
${indent(keepLost(table), 4)}    RETURN NULL;
  END IF;
  -- A new key is another record.
  IF TG_OP <> 'INSERT' THEN
    PERFORM sync.capture_edit('${name}', OLD.${key.name}::integer, 'DELETE', before);
  END IF;
  IF TG_OP <> 'DELETE' THEN
    PERFORM sync.capture_edit('${name}', NEW.${key.name}::integer, 'INSERT', NULL);
  END IF;
  RETURN NULL;
END
$function$;

CREATE OR REPLACE TRIGGER "00_sync_capture" AFTER INSERT OR DELETE ON ${portalTable(name)}
  FOR EACH ROW WHEN (${applying})
  ${run};
CREATE OR REPLACE TRIGGER "00_sync_capture_update" AFTER UPDATE ON ${portalTable(name)}
  FOR EACH ROW WHEN (${applying} AND ${indent(differ(all), 2).trimStart()})
  ${run};
CREATE OR REPLACE TRIGGER "00_sync_capture_truncate" BEFORE TRUNCATE ON ${portalTable(name)}
  FOR EACH STATEMENT WHEN (${applying})
  ${run};
`
}

/** The capture triggers: design.md, "Capture on the portal", and the keys of records that are born in the portal. */
export const captureFile = () => `--
-- Captures what people change in the portal, in their own transaction: an outbox row and the record's bookkeeping. On the tables
-- whose edits travel to the clinic; where a mapped column really changed; never what the sync itself writes (sync.applying, in a
-- transaction of who may use schema sync: any session can set it).
-- Safe to run again.
--
-- The functions run as their owner, since doctors' roles have no right to schema sync, and no policy applies to them.
-- No time limit of a doctor's ends a wait for the sync, which lasts milliseconds: where both wait for each other, it is the sync
-- that gives way (lock_timeout in 02). Plans go by index: sync.lost_edits, small when a plan was made, may grow in one statement.
-- The triggers' names come first in the alphabet: Postgres fires triggers in that order, and a trigger of the portal's own that
-- writes the same row once more must find the first change captured, or \`base\` would be the state in between.
-- Keys are cast to integer, the clinic's type: in a portal they may be bigint.

-- Why what a doctor wrote does not stand. The rows that 02 writes take the default.
ALTER TABLE sync.lost_edits ADD COLUMN IF NOT EXISTS reason text NOT NULL DEFAULT 'deleted in the clinic';
CREATE INDEX IF NOT EXISTS lost_edits_record_idx ON sync.lost_edits (table_name, record_id);

-- As in 01, and infinity is what it is: null would say that the doctor wrote nothing, and the clinic could not refuse it. No
-- stricter than to_char in it, or Postgres does not inline it: an edit then took 100 µs longer.
CREATE OR REPLACE FUNCTION sync.wire_instant(moment timestamptz) RETURNS text
LANGUAGE sql STABLE PARALLEL SAFE AS $$
  SELECT CASE
    WHEN moment >= '0001-01-01 00:00:00+00'::timestamptz AND moment < '10000-01-01 00:00:00+00'::timestamptz
      THEN to_char(moment AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
    WHEN moment IN ('infinity'::timestamptz, '-infinity'::timestamptz) THEN moment::text
    WHEN moment >= '10000-01-01 00:00:00+00'::timestamptz
      THEN '+' || lpad(extract(year FROM moment AT TIME ZONE 'UTC')::text, 6, '0')
        || to_char(moment AT TIME ZONE 'UTC', '-MM-DD"T"HH24:MI:SS.MS"Z"')
    ELSE CASE WHEN extract(year FROM moment AT TIME ZONE 'UTC') = -1 THEN '0000'
        ELSE '-' || lpad((-1 - extract(year FROM moment AT TIME ZONE 'UTC'))::text, 6, '0') END
      || to_char(moment AT TIME ZONE 'UTC', '-MM-DD"T"HH24:MI:SS.MS"Z"')
  END
$$;

-- Captures one edit of a record whose row the caller's transaction has locked. Gives back the record's bookkeeping.
--   before  the shared columns before the edit; null where there was no row
-- While edits are in flight, since and base stay those of the first of them.
CREATE OR REPLACE FUNCTION sync.capture_edit(record_table text, record_key integer, edit text, before jsonb) RETURNS sync.row_state
LANGUAGE plpgsql
${SAFE_PATH}
AS $function$
DECLARE
  version bigint;
  state sync.row_state;
BEGIN
  INSERT INTO sync.queue (table_name, record_id, operation) VALUES (record_table, record_key, edit)
  RETURNING queue_id INTO version;
  INSERT INTO sync.row_state AS s (table_name, record_id, local_version, since, base)
  VALUES (record_table, record_key, version, version, before)
  ON CONFLICT (table_name, record_id) DO UPDATE SET
    local_version = excluded.local_version,
    since = coalesce(s.since, excluded.since),
    base = CASE WHEN s.since IS NULL THEN excluded.base ELSE s.base END
  RETURNING s.* INTO state;
  RETURN state;
END
$function$;

-- Puts on record what was written into columns that are the clinic's, and what was there. The edit travels all the same, so
-- that the clinic gives its own value back.
CREATE OR REPLACE FUNCTION sync.keep_lost_edit(state sync.row_state, here jsonb, written jsonb) RETURNS void
LANGUAGE plpgsql
${SAFE_PATH}
AS $function$
BEGIN
  INSERT INTO sync.lost_edits (table_name, record_id, clinic_version, local_version, base, lost_row, reason)
  SELECT state.table_name, state.record_id, state.clinic_version, state.local_version, d.here, d.written,
    'not the portal''s to change'
  FROM (
    SELECT jsonb_object_agg(h.key, h.value) AS here, jsonb_object_agg(h.key, w.value) AS written
    FROM jsonb_each(here) AS h JOIN jsonb_each(written) AS w ON w.key = h.key
    WHERE w.value <> h.value
  ) AS d
  WHERE d.written IS NOT NULL;
END
$function$;

${syncedTables.filter(syncsBack).map(captureTable).join('\n')}
${syncedTables
  .filter((table) => table.portalInserts)
  .map(portalKeys)
  .join('\n')}
${REVOKE_FUNCTIONS}`
