import { CANARY_KEY, TOKEN_LENGTH } from '../tables/index.ts'
import { CANARY } from '../types.ts'
import { SAFE_PATH } from './common.ts'

/** The canary's table and its one row. Not in public: no API shows it, and no policy is about it. */
export const canaryTable =
  () => `-- The canary that \`npm run sync -- trace\` sends round: one row, no person's data. Made before its triggers, so that nothing of its
-- making is captured: services of the version before do not know it.
CREATE TABLE IF NOT EXISTS sync.canary (
  canary_id integer PRIMARY KEY,
  clinic_token varchar(${TOKEN_LENGTH}),
  portal_token varchar(${TOKEN_LENGTH})
);
INSERT INTO sync.canary (canary_id)
SELECT ${CANARY_KEY} WHERE NOT EXISTS (SELECT FROM sync.canary);
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
`

const OF_CANARY = `table_name = '${CANARY}' AND s.record_id = ${CANARY_KEY}`

/** What `trace` asks of the portal. */
export const canaryFunctions =
  () => `-- Writes the canary as a doctor writes a row: its triggers capture it, and the doorbell rings. Gives back the queue id that they drew; null
-- where they captured nothing. Repeated with the same token it changes nothing.
CREATE OR REPLACE FUNCTION sync.send_canary(token text) RETURNS bigint
LANGUAGE plpgsql SECURITY DEFINER
${SAFE_PATH}
SET lock_timeout = '3s'
AS $function$
DECLARE
  before bigint;
  after bigint;
BEGIN
  IF token IS NULL OR length(token) NOT BETWEEN 1 AND ${TOKEN_LENGTH} THEN
    RAISE EXCEPTION 'sync.send_canary: the token must have from 1 to ${TOKEN_LENGTH} characters'
      USING ERRCODE = 'invalid_parameter_value';
  END IF;
  -- Its lock first: what the bookkeeping has of it then was there before.
  PERFORM FROM sync.canary AS c WHERE c.canary_id = ${CANARY_KEY} FOR NO KEY UPDATE;
  SELECT s.local_version INTO before FROM sync.row_state AS s WHERE s.${OF_CANARY};
  UPDATE sync.canary AS c SET portal_token = token WHERE c.canary_id = ${CANARY_KEY};
  IF NOT FOUND THEN
    INSERT INTO sync.canary (canary_id, portal_token) VALUES (${CANARY_KEY}, token);
  END IF;
  SELECT s.local_version INTO after FROM sync.row_state AS s WHERE s.${OF_CANARY};
  RETURN CASE WHEN after > coalesce(before, 0) THEN after END;
END
$function$;

-- What the portal knows of the canary, as a JSON object: tokens; the clinic's version applied last; why the clinic's changes are held up
-- (null: they are not); the state of its trigger ('O' and 'A': on; null: it is gone); and the outbox row with that id, null where it is
-- purged or never was.
CREATE OR REPLACE FUNCTION sync.read_canary(of_queue_id bigint) RETURNS text
LANGUAGE sql STABLE SECURITY DEFINER
${SAFE_PATH}
AS $function$
  SELECT json_build_object(
    'clinicToken', (SELECT c.clinic_token FROM sync.canary AS c WHERE c.canary_id = ${CANARY_KEY}),
    'portalToken', (SELECT c.portal_token FROM sync.canary AS c WHERE c.canary_id = ${CANARY_KEY}),
    'applied', coalesce((SELECT s.clinic_version FROM sync.row_state AS s WHERE s.${OF_CANARY}), 0)::text,
    'held', (SELECT s.value FROM sync.settings AS s WHERE s.name = 'Restored'),
    'trigger', (
      SELECT t.tgenabled FROM pg_trigger AS t
      WHERE t.tgrelid = 'sync.canary'::regclass AND t.tgname = '00_sync_capture_update'
    ),
    'row', (
      SELECT json_build_object('status', q.status, 'reason', q.last_error) FROM sync.queue AS q
      WHERE q.queue_id = of_queue_id AND q.table_name = '${CANARY}'
    )
  )::text
$function$;
`
