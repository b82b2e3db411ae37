import type { Table } from '../types.ts'
import { portalTable } from './common.ts'

/** The sequence of the keys of records that are born in the portal. */
const portalSequence = ({ name, key }: Table) => `public.${name}_portal_${key.name}_seq`

/**
 * Both sides insert such records. The clinic's keys count up from 1, the portal's down from -1, also where the portal's table
 * had a serial or identity column before. A key of a record that is gone is not used again: its tombstone would meet the new one.
 */
export function portalKeys(table: Table): string {
  const { name, key } = table
  const [full, sequence] = [portalTable(name), portalSequence(table)]
  return `-- Keys of ${name} that are born in the portal count down from -1, so that they never meet the clinic's.
CREATE SEQUENCE IF NOT EXISTS ${sequence}
  AS integer INCREMENT BY -1 MINVALUE -2147483648 MAXVALUE -1 START WITH -1;
DO $$
DECLARE
  lowest integer;
  grantee text;
BEGIN
  -- Nobody inserts meanwhile.
  LOCK TABLE ${full} IN SHARE ROW EXCLUSIVE MODE;

  IF EXISTS (
    SELECT FROM pg_catalog.pg_attribute AS a
    WHERE a.attrelid = '${full}'::regclass AND a.attname = '${key.name}' AND a.attidentity <> ''
  ) THEN
    ALTER TABLE ${full} ALTER COLUMN ${key.name} DROP IDENTITY;
  END IF;
  IF NOT EXISTS (
    SELECT FROM pg_catalog.pg_attrdef AS d
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    JOIN pg_catalog.pg_depend AS p ON p.classid = 'pg_catalog.pg_attrdef'::regclass AND p.objid = d.oid
    WHERE d.adrelid = '${full}'::regclass AND a.attname = '${key.name}'
      AND p.refobjid = '${sequence}'::regclass
  ) THEN
    ALTER TABLE ${full} ALTER COLUMN ${key.name} SET DEFAULT nextval('${sequence}');
  END IF;

  SELECT least(
    (SELECT min(t.${key.name}) FROM ${full} AS t),
    (SELECT min(s.record_id) FROM sync.row_state AS s WHERE s.table_name = '${name}')
  ) INTO lowest;
  IF lowest < (SELECT CASE WHEN q.is_called THEN q.last_value ELSE 0 END FROM ${sequence} AS q) THEN
    PERFORM setval('${sequence}', lowest);
  END IF;

  -- Whoever may insert one needs its next key.
  FOR grantee IN
    SELECT CASE WHEN g.oid = 0 THEN 'PUBLIC' ELSE format('%I', r.rolname) END
    FROM (
      SELECT x.grantee AS oid
      FROM pg_catalog.pg_class AS c, pg_catalog.aclexplode(c.relacl) AS x
      WHERE c.oid = '${full}'::regclass AND x.privilege_type = 'INSERT'
      UNION
      SELECT x.grantee
      FROM pg_catalog.pg_attribute AS a, pg_catalog.aclexplode(a.attacl) AS x
      WHERE a.attrelid = '${full}'::regclass AND x.privilege_type = 'INSERT'
      UNION
      SELECT r.oid FROM pg_catalog.pg_roles AS r WHERE r.rolname IN ('authenticated', 'service_role')
    ) AS g
    LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = g.oid
    WHERE g.oid = 0 OR r.oid IS NOT NULL
  LOOP
    EXECUTE 'GRANT USAGE ON SEQUENCE ${sequence} TO ' || grantee;
  END LOOP;
END
$$;
`
}
