import { allColumns, tables } from '@clinic-sync/mapping'
import t from 'tap'
import { runMigration } from './support/migrate.ts'
import { bench, migrations } from './help.ts'

const db = await bench()
t.teardown(() => db.close())

t.test('every file runs again, one by one, also by several at once', async (t) => {
  const files = await migrations()
  for (const file of files) await runMigration(db.url, file)
  await db.portal.check()
  const fresh = await bench({ migrated: false })
  t.teardown(() => fresh.close())
  await Promise.all(Array.from({ length: 5 }, () => runMigration(fresh.url, ...files)))
  await fresh.portal.check()
})

t.test("the portal's tables have the mapping's columns and types", async (t) => {
  const found =
    await db.rows(`SELECT c.relname || '.' || a.attname AS name, format_type(a.atttypid, a.atttypmod) AS type
    FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
    WHERE c.relnamespace = 'public'::regnamespace AND a.attnum > 0 AND NOT a.attisdropped`)
  const types = new Map(found.map(({ name, type }) => [name, type]))
  const short = (type: string | null | undefined) =>
    type?.replace('character varying', 'varchar').replace('timestamp with time zone', 'timestamptz')
  for (const table of tables) {
    for (const column of allColumns(table)) {
      t.equal(short(types.get(`${table.name}.${column.name}`)), column.portalType, `${table.name}.${column.name}`)
    }
  }
})

t.test('row level security is on, and does not stop the owner', async (t) => {
  const rows = await db.rows(`SELECT relname, relrowsecurity AS on, relforcerowsecurity AS forced FROM pg_class
    WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'`)
  t.equal(rows.length, tables.length)
  for (const row of rows) t.match(row, { on: 't', forced: 'f' })
})

t.test('nobody else reaches schema sync', async (t) => {
  const role = `doctor_${process.pid}`
  await db.rows(`CREATE ROLE ${role} NOLOGIN`)
  t.teardown(() => db.rows(`RESET ROLE`).then(() => db.rows(`DROP ROLE ${role}`)))
  const [row] = await db.rows(
    `SELECT has_schema_privilege($1, 'sync', 'USAGE') AS schema,
      bool_or(has_function_privilege($1, p.oid, 'EXECUTE')) AS functions
    FROM pg_proc AS p WHERE p.pronamespace = 'sync'::regnamespace`,
    [role],
  )
  t.same({ ...row }, { schema: 'f', functions: 'f' })
})

t.test("updated_at moves with an update, and the portal's notes count down from -1", async (t) => {
  await db.rows("INSERT INTO public.patients (person_id, updated_at) VALUES (1, '2020-01-01')")
  await db.rows("UPDATE public.patients SET phone = '1'")
  const [row] = await db.rows("SELECT updated_at > '2021-01-01' AS moved FROM public.patients")
  t.equal(row?.moved, 't')
  const [id] = await db.rows("SELECT nextval('public.aligner_notes_portal_note_id_seq') AS id")
  t.equal(id?.id, '-1')
})
