import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { testPostgresServer } from '@clinic-sync/dev-services/testing'
import { SERVICE_FUNCTIONS } from '@clinic-sync/mapping'
import pg from 'pg'
import t from 'tap'
import { inspectPortal, openPortal } from '../src/index.ts'
import { bench, event, logged, migrations, note, parents } from './help.ts'
import { runMigration } from './support/migrate.ts'

// The services' own login: it calls their functions, and that is all. Roles belong to the whole server, so this test has one of its own.
const { url: server } = await testPostgresServer(t)
const owner = new URL(server)
// As on Supabase: whoever migrates may create roles, and is no superuser.
const root = new pg.Client(server)
await root.connect()
await root.query("CREATE ROLE keeper LOGIN CREATEDB CREATEROLE PASSWORD 'keeper'")
await root.query(
  'CREATE ROLE anon NOLOGIN; CREATE ROLE authenticated NOLOGIN; CREATE ROLE service_role NOLOGIN BYPASSRLS',
)
await root.end()
Object.assign(owner, { username: 'keeper', password: 'keeper' })
const db = await bench({ server: owner.href })
t.teardown(() => db.close())
const byHand = await readFile(
  new URL('../../../migrations/postgres/by-hand/service_login.sql', import.meta.url),
  'utf8',
)
const filledIn = (password: string) => byHand.replace("password text := ''", `password text := '${password}'`)

const url = new URL(db.url)
Object.assign(url, { username: 'clinic_sync_service', password: 'first' })
/** A connection of the services' own. */
async function login(): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url.href })
  client.on('error', () => undefined)
  await client.connect()
  t.teardown(() => client.end())
  return client
}

t.test('the login is made by hand, and again with another password', async (t) => {
  await t.rejects(db.rows(byHand), /Fill in the password/)
  await db.rows(filledIn('first'))
  await login()
  await db.rows(filledIn('second'))
  await t.rejects(login(), { code: '28P01' })
  url.password = 'second'
  await login()
  await db.rows('CREATE ROLE mighty CREATEDB')
  for (const other of ['mighty', 'keeper'])
    await t.rejects(db.rows(filledIn('x').replace("'clinic_sync_service'", `'${other}'`)), /choose another name/)
})

t.test('it does all that the services do', async (t) => {
  const portal = await openPortal({ url: url.href, log: logged() })
  t.teardown(() => portal.close())
  await portal.check()
  const outcomes = await portal.applyChanges([...parents(), event('aligner_notes', 1, note(1))])
  t.same(new Set(outcomes.map(({ outcome }) => outcome)), new Set(['applied']))
  const { signal } = new AbortController()
  t.equal(await portal.waitForChanges(signal), 'connected')
  const rung = portal.waitForChanges(signal)
  await db.rows("UPDATE public.aligner_notes SET note_text = 'a doctor''s' WHERE note_id = 1")
  t.equal(await rung, 'changed')
  const { changes } = await portal.takeChanges(10)
  t.match(changes, [{ key: 1, row: { note_text: "a doctor's" } }])
  const version = String(changes[0]?.version)
  const settlement = { table: 'aligner_notes', key: 1, version } as const
  await portal.settleChanges([{ ...settlement, outcome: 'applied' }])
  t.match(await portal.outboxStatus(), { rows: { Synced: 1 } })
  t.equal((await portal.readRows('aligner_notes', null, 10)).length, 1)
  t.same(await portal.ringDoorbell(), { rang: true, answer: null })
  const facts = await inspectPortal({ url: url.href, isSecret: () => false, keys: [] })
  t.match(facts, { server: { role: 'clinic_sync_service', schema: 'usable' }, lostEdits: 0, outbox: {}, versions: {} })
  t.same(
    facts.tables.flatMap(({ missingRights, rowSecurityStopsUs }) => [...missingRights, rowSecurityStopsUs && 'rows']),
    facts.tables.map(() => false),
    'what the functions may do is what counts',
  )
  t.match(await portal.recordHistory('aligner_notes', 1, 10), { presence: 'synced', outboxRows: 1, latest: version })
  await db.rows("UPDATE public.aligner_notes SET note_type = 'Lab' WHERE note_id = 1")
  const [ruling] = await portal.rulings(null, 10)
  t.match(ruling, { columns: ['note_type'] })
  t.match(await portal.ruledValues(String(ruling?.id)), { values: [{ portal: 'Lab' }] })
  await db.rows('DELETE FROM sync.queue')
})

t.test('the doctor’s view of the webhook’s key is a hash', async (t) => {
  const key = `whsec_${'A'.repeat(32)}`
  await db.rows(
    "INSERT INTO sync.settings VALUES ('WebhookURL', 'https://a.example/api/sync/webhook'), ('WebhookKey', $1)",
    [key],
  )
  t.teardown(() => db.rows("DELETE FROM sync.settings WHERE name LIKE 'Webhook%'"))
  const facts = (keys: readonly string[]) => inspectPortal({ url: url.href, isSecret: () => false, keys })
  t.match(await facts([key]), { settings: { webhookKey: 'known', webhookUrl: 'https://a.example/api/sync/webhook' } })
  t.match(await facts(['whsec_other']), { settings: { webhookKey: 'other' } })
  const told = await (await login()).query('SELECT sync.inspect($1) AS found', [[]])
  const found = String(told.rows[0].found)
  t.notOk(found.includes(key))
  t.ok(found.includes(createHash('sha256').update(key).digest('hex')))
})

t.test('it may call the services’ functions, and no other', async (t) => {
  const all = await db.rows(`SELECT p.oid::regprocedure::text AS signature,
      has_function_privilege('clinic_sync_service', p.oid, 'EXECUTE') AS may, prosecdef AS definer
    FROM pg_proc AS p WHERE pronamespace = 'sync'::regnamespace ORDER BY 1`)
  const named = (signature: string) => signature.replaceAll(', ', ',')
  t.same(
    all.filter(({ may }) => may === 't').map(({ signature }) => named(String(signature))),
    SERVICE_FUNCTIONS.map(named).toSorted(),
  )
  t.same(
    all.filter(({ may, definer }) => may === 't' && definer !== 't'),
    [],
    'each runs as its owner',
  )
  t.ok(all.filter(({ may }) => may === 'f').length > 15)
})

t.test('it reads and writes no table, and changes nothing else', async (t) => {
  const client = await login()
  const tables = await db.rows(`SELECT c.oid::regclass::text AS name, c.relkind AS kind FROM pg_class AS c
    WHERE c.relnamespace IN ('sync'::regnamespace, 'public'::regnamespace) AND c.relkind IN ('r', 'S', 'v', 'p')`)
  t.ok(tables.length >= 14)
  for (const { name, kind } of tables) {
    const tries =
      kind === 'S'
        ? [`SELECT nextval('${name}')`, `SELECT setval('${name}', 1)`, `SELECT last_value FROM ${name}`]
        : [`SELECT FROM ${name}`, `INSERT INTO ${name} DEFAULT VALUES`, `DELETE FROM ${name}`, `TRUNCATE ${name}`]
    for (const statement of tries) await t.rejects(client.query(statement), { code: '42501' }, statement)
  }
  for (const statement of [
    'UPDATE public.patients SET phone = NULL',
    "UPDATE sync.settings SET value = 'https://elsewhere.example'",
    'CREATE TABLE sync.mine ()',
    'CREATE TABLE public.mine ()',
    'CREATE SCHEMA mine',
    'CREATE ROLE mine',
    'ALTER ROLE clinic_sync_service CREATEROLE',
    'GRANT keeper TO clinic_sync_service',
    'SET ROLE keeper',
    'SET SESSION AUTHORIZATION keeper',
    'ALTER TABLE public.aligner_notes DISABLE TRIGGER ALL',
    'DROP TRIGGER "00_sync_capture" ON public.aligner_notes',
    'DROP FUNCTION sync.take_changes(integer, bigint)',
    'ALTER FUNCTION sync.take_changes(integer, bigint) RESET ALL',
    'CREATE OR REPLACE FUNCTION sync.is_held() RETURNS boolean LANGUAGE sql AS $$ SELECT false $$',
    'SET session_replication_role = replica',
    "SELECT set_config('session_replication_role', 'replica', false)",
    "SELECT pg_read_file('/etc/passwd')",
    "COPY (SELECT 1) TO '/tmp/mine'",
    "COPY (SELECT 1) TO PROGRAM 'true'",
    'SELECT sync.resume_after_restore(0)',
    "SELECT sync.capture_edit('aligner_notes', 1, 'DELETE', NULL)",
    "SELECT sync.sign_webhook('k', 'i', 's', 'b')",
    "SELECT sync.apply_clinic_batch('[]')",
  ])
    await t.rejects(client.query(statement), { code: /^(42501|42809|0LP01)$/ }, statement)
  t.equal((await db.rows('SELECT count(*) AS n FROM public.aligner_notes'))[0]?.n, '1')
})

t.test(
  'a setting of its session silences nothing that it may not write itself, and hides no edit of a doctor',
  async (t) => {
    const client = await login()
    await client.query("SET sync.applying = 'on'; SET search_path = pg_temp; SET row_security = off")
    await client.query('SELECT * FROM sync.take_changes(10)')
    await t.rejects(client.query("UPDATE public.aligner_notes SET note_text = 'unseen'"), { code: '42501' })
    const before = await db.rows('SELECT count(*) AS n FROM sync.queue')
    await db.rows("UPDATE public.aligner_notes SET note_text = 'seen' WHERE note_id = 1")
    t.equal(Number((await db.rows('SELECT count(*) AS n FROM sync.queue'))[0]?.n), Number(before[0]?.n) + 1)
  },
)

t.test('a drain of the version before goes on while the outbox is migrated', async (t) => {
  await db.rows(`DROP FUNCTION sync.take_changes(integer, bigint);
    DROP FUNCTION sync.take_changes(integer);
    CREATE FUNCTION sync.take_changes(max integer) RETURNS TABLE (taken integer, changes text) LANGUAGE sql SECURITY DEFINER
      SET search_path = pg_catalog, pg_temp AS $$ SELECT 0, '[]' $$;
    REVOKE ALL ON FUNCTION sync.take_changes(integer) FROM PUBLIC;
    GRANT EXECUTE ON FUNCTION sync.take_changes(integer) TO clinic_sync`)
  const client = await login()
  const take = () => client.query('SELECT taken, changes FROM sync.take_changes($1)', [10])
  await t.resolves(take())
  await runMigration(db.url, ...(await migrations()).filter(({ name }) => name.startsWith('03')))
  t.match((await take()).rows, [{ taken: 1 }], 'with the right to it, before 99 has run')
  await runMigration(db.url, ...(await migrations()))
  t.match((await take()).rows, [{ taken: 1 }])
  const [old] = await db.rows("SELECT to_regprocedure('sync.take_changes(integer)') IS NOT NULL AS there")
  t.same(old, { there: 't' }, 'it looks for this before it starts: the way back')
})

t.test('types, tables and operators of its own lead the owner’s functions nowhere', async (t) => {
  const client = await login()
  await client.query(`CREATE FUNCTION pg_temp.trap(value text) RETURNS boolean LANGUAGE plpgsql AS
      $$ BEGIN RAISE EXCEPTION 'trapped as %', current_user USING ERRCODE = 'TRAP1'; END $$;
    CREATE FUNCTION pg_temp.trap(value jsonb) RETURNS boolean LANGUAGE sql AS $$ SELECT pg_temp.trap(value::pg_catalog.text) $$;
    CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (pg_temp.trap(value));
    CREATE DOMAIN pg_temp.jsonb AS pg_catalog.jsonb CHECK (pg_temp.trap(value));
    CREATE TEMP TABLE queue (queue_id bigint, status pg_catalog.text);
    CREATE TEMP TABLE pg_class (oid oid, relname name)`)
  const calls = [
    'SELECT * FROM sync.take_changes(10)',
    'SELECT * FROM sync.take_changes(10, NULL)',
    "SELECT sync.settle_changes('[]')",
    "SELECT * FROM sync.apply_clinic_changes('[]')",
    "SELECT * FROM sync.read_rows('aligner_notes', NULL, 1)",
    'SELECT sync.outbox_status()',
    "SELECT * FROM sync.requeue('Failed', NULL, NULL, NULL, 0, NULL, 1, true)",
    `SELECT * FROM sync.record_versions('[{"table":"aligner_notes","key":1,"version":"1"}]')`,
    "SELECT sync.record_history('aligner_notes', 1, 10)",
    'SELECT sync.rulings(NULL, 10)',
    'SELECT sync.ruled_values(1)',
    "SELECT sync.bookkeeping('[]', 1)",
    'SELECT sync.is_held()',
    'SELECT sync.hold_clinic_changes(NULL)',
    `SELECT sync.record_states('[{"table":"aligner_notes","key":1}]')`,
    `SELECT sync.keep_verification('{"complete":true}')`,
    'SELECT sync.last_verification()',
    'SELECT sync.row_estimates()',
    "SELECT sync.send_canary('a')",
    'SELECT sync.read_canary(NULL)',
    "SELECT sync.inspect('{aligner_notes}')",
    'SELECT sync.try_webhook()',
    "SELECT sync.try_dashboard_webhook('aligner_notes', 'x')",
  ]
  t.equal(calls.length, SERVICE_FUNCTIONS.length)
  for (const call of calls) await t.resolves(client.query(call), call)
  // That the trap is one: with an empty path, the type is the caller's.
  await db.rows(`CREATE FUNCTION sync.careless() RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = '' AS
    $$ DECLARE x text := 'a'; BEGIN RETURN x IS NOT NULL; END $$;
    GRANT EXECUTE ON FUNCTION sync.careless() TO clinic_sync`)
  await t.rejects(client.query('SELECT sync.careless()'), { code: 'TRAP1', message: 'trapped as keeper' })
  // The role's file closes it, for functions that were written by hand, and takes back what is not the services'.
  await runMigration(db.url, ...(await migrations()).filter(({ name }) => name === '99_service_role.sql'))
  const [careless] = await db.rows(
    "SELECT proconfig::text AS config, has_function_privilege('clinic_sync', oid, 'EXECUTE') AS may FROM pg_proc WHERE proname = 'careless'",
  )
  t.match(careless, { config: /pg_temp/, may: 'f' })
})

t.test('a post to try the webhooks goes where they lead, and nowhere else', async (t) => {
  await db.rows(`CREATE SCHEMA net; CREATE TABLE net.sent (url text, body jsonb, headers jsonb);
    CREATE FUNCTION net.http_post(url text, body jsonb, params jsonb, headers jsonb, timeout_milliseconds integer) RETURNS bigint
    LANGUAGE sql AS 'INSERT INTO net.sent VALUES (url, body, headers); SELECT 1::bigint';
    CREATE SCHEMA supabase_functions;
    CREATE FUNCTION supabase_functions.http_request() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER a AFTER UPDATE ON public.aligner_notes FOR EACH ROW EXECUTE FUNCTION
      supabase_functions.http_request('https://a.example/api/sync/webhook', 'POST', '{"x-sync-secret":"é\\\\s"}')`)
  const client = await login()
  const ask = async (table: string, name: string) =>
    (await client.query('SELECT sync.try_dashboard_webhook($1, $2) AS sent', [table, name])).rows[0]?.sent
  t.equal(await ask('aligner_notes', 'a'), true)
  for (const [table, name] of [
    ['aligner_notes', '00_sync_capture'],
    ['patients', 'a'],
    ['net.sent', 'a'],
    ['nothing', 'a'],
  ] as const)
    t.equal(await ask(table, name), false)
  await t.rejects(client.query("SELECT net.http_post('https://b.example', '{}', '{}', '{}', 1)"), { code: '42501' })
  t.match(await db.rows('SELECT url, body, headers FROM net.sent'), [
    { url: 'https://a.example/api/sync/webhook', body: /"record": null/, headers: /é/ },
  ])
})

t.test('anon, authenticated and strangers have no part in it', async (t) => {
  await db.rows("CREATE ROLE stranger LOGIN PASSWORD 'stranger'")
  for (const role of ['anon', 'authenticated', 'service_role', 'stranger']) {
    const [{ n, usage } = {}] = await db.rows(
      `SELECT count(*) FILTER (WHERE has_function_privilege($1::name, p.oid, 'EXECUTE')) AS n,
        has_schema_privilege($1::name, 'sync', 'USAGE') AS usage
      FROM pg_proc AS p WHERE p.pronamespace = 'sync'::regnamespace`,
      [role],
    )
    t.same({ n, usage }, { n: '0', usage: 'f' }, role)
  }
})

t.test('whoever migrates may not create roles: the migration says so, and installs the rest', async (t) => {
  const { url: alone } = await testPostgresServer(t)
  const admin = new pg.Client(alone)
  await admin.connect()
  await admin.query("CREATE ROLE plain LOGIN CREATEDB PASSWORD 'plain'")
  await admin.end()
  const plain = new URL(alone)
  Object.assign(plain, { username: 'plain', password: 'plain' })
  const own = await bench({ server: plain.href })
  t.teardown(() => own.close())
  await own.portal.check()
  t.same(await own.rows("SELECT FROM pg_roles WHERE rolname = 'clinic_sync'"), [])
})
