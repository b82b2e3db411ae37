import { testPostgresServer } from '@clinic-sync/dev-services/testing'
import type pg from 'pg'
import t from 'tap'
import { batch, bench, event, migrations, note, parents, rowOf } from './help.ts'
import { runMigration } from './support/migrate.ts'

// Doctors write as the role authenticated under Row Level Security, and have no right to schema sync. Roles belong to the whole
// server, so this test has one of its own.
const { url: server } = await testPostgresServer(t)
const db = await bench({ server })
t.teardown(() => db.close())
const { portal } = db
await db.rows(`CREATE ROLE anon NOLOGIN; CREATE ROLE authenticated NOLOGIN; CREATE ROLE service_role NOLOGIN BYPASSRLS;
  CREATE ROLE nurse NOLOGIN; CREATE ROLE stranger NOLOGIN;
  GRANT ALL ON ALL TABLES IN SCHEMA public TO authenticated, service_role;
  GRANT SELECT, UPDATE, DELETE ON public.aligner_notes TO nurse;
  GRANT INSERT (aligner_set_id, note_type, note_text) ON public.aligner_notes TO nurse`)
// The roles came after the first installation: it is safe to run again.
await runMigration(db.url, ...(await migrations()))
await db.rows(`
  CREATE POLICY mine ON public.aligner_notes TO authenticated, nurse USING (aligner_set_id = 1) WITH CHECK (aligner_set_id = 1);
  CREATE POLICY mine ON public.aligner_batches TO authenticated USING (aligner_set_id = 1)`)
await portal.applyChanges([
  ...parents(),
  ...[1, 2, 3, 4, 5, 6].map((key) => event('aligner_notes', key, note(key))),
  event('aligner_batches', 1, batch(1)),
])
const captured = async (record: number) =>
  (await db.rows('SELECT operation FROM sync.queue WHERE record_id = $1 ORDER BY queue_id', [record])).map(
    ({ operation }) => operation,
  )
/** A connection as PostgREST makes it: one login, and the role of whoever asks. */
async function as(role: string): Promise<pg.Client> {
  const client = await db.connect()
  await client.query(`SET ROLE ${role}`)
  return client
}

t.test('roles that may write are captured, with no right on schema sync', async (t) => {
  const cases = [
    ['authenticated', 1],
    ['nurse', 2],
    ['service_role', 3],
  ] as const
  for (const [role, key] of cases) {
    const client = await as(role)
    const born = await client.query(
      "INSERT INTO public.aligner_notes (aligner_set_id, note_type, note_text) VALUES (1, 'Doctor', 'x') RETURNING note_id",
    )
    const own = Number(born.rows[0].note_id)
    t.ok(own < 0, `${role}: the next key of the portal's`)
    await client.query("UPDATE public.aligner_notes SET note_text = 'y' WHERE note_id = ANY ($1)", [[own, key]])
    await client.query('DELETE FROM public.aligner_notes WHERE note_id = $1', [own])
    t.same(await captured(own), ['INSERT', 'UPDATE', 'DELETE'], role)
    t.same(await captured(key), ['UPDATE'], role)
    for (const forbidden of [
      'SELECT FROM sync.queue',
      'UPDATE sync.row_state SET local_version = 0',
      "SELECT sync.capture_edit('aligner_notes', 1, 'DELETE', NULL)",
      "SELECT nextval('sync.queue_ids')",
    ]) {
      await t.rejects(client.query(forbidden), { code: '42501' }, `${role}: ${forbidden}`)
    }
  }
  const doctor = await as('authenticated')
  await doctor.query("UPDATE public.aligner_batches SET days = 21, notes = 'not mine' WHERE aligner_batch_id = 1")
  const [lost] = await db.rows("SELECT lost_row::text FROM sync.lost_edits WHERE table_name = 'aligner_batches'")
  t.same(JSON.parse(lost?.lost_row ?? ''), { notes: 'not mine' })
})

t.test('what a policy refuses is not captured', async (t) => {
  const doctor = await as('authenticated')
  await db.rows('INSERT INTO public.aligner_sets (aligner_set_id, work_id, aligner_dr_id) VALUES (2, 1, 1)')
  await portal.applyChanges([event('aligner_notes', 20, note(20, { aligner_set_id: 2 }))])
  await doctor.query("UPDATE public.aligner_notes SET note_text = 'z' WHERE note_id = 20")
  await t.rejects(doctor.query('UPDATE public.aligner_notes SET aligner_set_id = 2 WHERE note_id = 4'), {
    code: '42501',
  })
  const stranger = await as('stranger')
  await t.rejects(stranger.query('DELETE FROM public.aligner_notes'), { code: '42501' })
  t.same(await captured(20), [])
  t.same(await captured(4), [])
  t.match(await rowOf(portal, 'aligner_notes', 20), { note_text: 'please check 16' })
})

t.test('a doctor who says that it is the sync is captured all the same', async (t) => {
  const doctor = await as('authenticated')
  await doctor.query(
    "SET sync.applying = 'on'; UPDATE public.aligner_notes SET note_text = 'unseen?' WHERE note_id = 6",
  )
  t.same(await captured(6), ['UPDATE'])
  const [{ born } = {}] = (
    await doctor.query(
      "INSERT INTO public.aligner_notes (aligner_set_id, note_type, note_text) VALUES (1, 'Doctor', 'x') RETURNING note_id AS born",
    )
  ).rows
  await doctor.query('DELETE FROM public.aligner_notes WHERE note_id = $1', [born])
  t.same(await captured(Number(born)), ['INSERT', 'DELETE'])
})

t.test("a search path with traps on it leads the owner's functions nowhere", async (t) => {
  await db.rows('CREATE SCHEMA trap; GRANT ALL ON SCHEMA trap TO authenticated')
  const doctor = await as('authenticated')
  await doctor.query(`CREATE FUNCTION trap.current_setting(text, boolean) RETURNS text LANGUAGE sql AS $$ SELECT 'on' $$;
    CREATE FUNCTION trap.text_ne(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT false $$;
    CREATE OPERATOR trap.<> (LEFTARG = text, RIGHTARG = text, FUNCTION = trap.text_ne);
    CREATE FUNCTION trap.bigint_eq(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'trapped as %', current_user; END $$;
    CREATE OPERATOR trap.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = trap.bigint_eq);
    SET search_path = trap, pg_catalog, public`)
  await doctor.query("UPDATE public.aligner_notes SET note_text = 'past the trap' WHERE note_id = 5")
  t.same(await captured(5), ['UPDATE'])
  const [unsafe] = await db.rows(`SELECT string_agg(proname, ', ') AS names FROM pg_proc
    WHERE pronamespace = 'sync'::regnamespace AND (prosecdef OR proconfig IS NOT NULL)
      AND NOT 'search_path=pg_catalog, pg_temp' = ANY (coalesce(proconfig, '{}'))`)
  t.equal(unsafe?.names, null, 'every function that runs as its owner fixes the search path')
})

t.test('the functions belong to whoever migrates; a migration by a role that is no superuser works', async (t) => {
  await db.rows("CREATE ROLE keeper LOGIN CREATEDB PASSWORD 'keeper'")
  await db.rows('GRANT authenticated TO keeper')
  const url = new URL(server)
  Object.assign(url, { username: 'keeper', password: 'keeper' })
  const own = await bench({ server: url.href })
  t.teardown(() => own.close())
  await own.portal.applyChanges([...parents(), event('aligner_notes', 1, note(1))])
  const [owner] = await own.rows(
    `SELECT DISTINCT pg_get_userbyid(proowner) AS name FROM pg_proc WHERE proname ~ '^capture_'`,
  )
  t.equal(owner?.name, 'keeper')
  await own.rows(`GRANT UPDATE, SELECT ON public.aligner_notes TO authenticated;
    CREATE POLICY mine ON public.aligner_notes TO authenticated USING (true)`)
  const doctor = await own.connect()
  await doctor.query('SET ROLE authenticated')
  await doctor.query("UPDATE public.aligner_notes SET note_text = 'y' WHERE note_id = 1")
  t.match(await own.portal.takeChanges(10), { changes: [{ key: 1, row: { note_text: 'y' } }] })
})
