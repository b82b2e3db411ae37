-- The login for the services' POSTGRES_URL: it may call their functions of schema sync, and read no table.
-- Never run by migrate. Fill in the password below, and run it after 99_service_role.sql as the role that migrated the portal
-- (Supabase: postgres, in the SQL editor), or as another that may create roles. Safe to run again: an existing login gets the password.
-- Letters, digits, - and _ need no escape in a URL. Do not keep the filled-in file, nor the query in the editor's history.
-- Through Supabase's session pooler the user's name is clinic_sync_service.<project>, as the owner's is postgres.<project>.

DO $$
DECLARE
  login text := 'clinic_sync_service';
  password text := '';
  others text;
BEGIN
  IF coalesce(password, '') = '' THEN
    RAISE EXCEPTION 'Fill in the password.';
  END IF;
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'clinic_sync') THEN
    RAISE EXCEPTION 'There is no role clinic_sync: run this after 99_service_role.sql.';
  END IF;
  IF EXISTS (
    SELECT FROM pg_catalog.pg_roles
    WHERE rolname = login AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)
  ) THEN
    RAISE EXCEPTION 'The role % may do more than the services need: choose another name.', login;
  END IF;
  SELECT string_agg(g.rolname, ', ') INTO others
  FROM pg_catalog.pg_auth_members AS m
  JOIN pg_catalog.pg_roles AS r ON r.oid = m.member AND r.rolname = login
  JOIN pg_catalog.pg_roles AS g ON g.oid = m.roleid AND g.rolname <> 'clinic_sync';
  IF others IS NOT NULL THEN
    RAISE EXCEPTION 'The role % is a member of %: choose another name.', login, others;
  END IF;

  EXECUTE format(
    '%s ROLE %I LOGIN INHERIT PASSWORD %L',
    CASE WHEN EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = login) THEN 'ALTER' ELSE 'CREATE' END,
    login, password
  );
  EXECUTE format('GRANT clinic_sync TO %I', login);
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO %I', current_database(), login);
  RAISE NOTICE 'The login is ready: POSTGRES_URL=postgres://%:…@…/%', login, current_database();
END
$$;
