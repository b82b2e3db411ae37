import { testPostgres } from '@clinic-sync/dev-services/testing'
import t from 'tap'
import { inspectPortal } from '../src/index.ts'
import { bench, edit, event, note, parents } from './help.ts'

const look = (url: string) => inspectPortal({ url, isSecret: (text) => text === 'the secret', keys: ['whsec_ours'] })

const db = await bench()
t.teardown(() => db.close())

t.test('a migrated portal is seen whole', async (t) => {
  await db.portal.applyChanges([...parents(), event('aligner_notes', 1, note(1), { version: 4711 })])
  const doctor = await db.connect()
  const version = await edit(doctor, 'aligner_notes', 1, { note_text: 'PLANTED' })
  const facts = await look(db.url)
  t.match(facts.server, {
    encrypted: false,
    readOnly: false,
    schema: 'usable',
    replicationRole: 'origin',
    replicaRoles: [],
  })
  t.ok(facts.server.version >= 140_000)
  t.ok(facts.clock.sent <= facts.clock.server + 1 && facts.clock.server <= facts.clock.received + 1)
  t.same(facts.migrations, new Map(), 'the tests migrate without records')
  t.equal(facts.tables.length, 7)
  t.ok(facts.tables.every((table) => table.rowSecurity && !table.rowSecurityStopsUs && table.owned))
  t.same(new Set(facts.tables.flatMap((table) => table.missingRights)), new Set())
  t.match(
    facts.columns.find(({ table, name }) => table === 'aligner_notes' && name === 'note_text'),
    { type: 'text', required: true },
  )
  t.match(
    facts.columns.find(({ table, name }) => table === 'aligner_notes' && name === 'note_id'),
    { type: 'integer', required: false },
  )
  const on = (table: string) => facts.triggers.filter((trigger) => trigger.table === table && trigger.enabled === 'O')
  t.equal(on('aligner_notes').length, 3)
  t.equal(on('sync.queue').length, 2)
  t.equal(facts.keys.find(({ table }) => table === 'aligner_notes')?.increment, -1)
  t.equal(facts.keys.find(({ table }) => table === 'patients')?.increment, null)
  t.ok(facts.functions.length > 10)
  t.same(facts.outbox?.counts, new Map([['Pending', 1]]))
  t.ok((facts.outbox?.oldestPending ?? -1) >= 0)
  t.same(facts.versions, { clinic: 4711n, own: BigInt(version) })
  t.match(facts, { lostEdits: 0, pgNet: { installed: false, answers: null }, webhooks: [], publications: [] })
  t.match(facts.settings, { webhookUrl: null, webhookKey: 'missing' })
  t.notMatch(JSON.stringify([...facts.columns, facts.tables]), /PLANTED/)
})

t.test('what is wrong shows: triggers, policies, rights, publications, webhooks, pg_net', async (t) => {
  const broken = await bench({})
  t.teardown(() => broken.close())
  await broken.rows(`
    ALTER TABLE public.aligner_notes DISABLE TRIGGER "00_sync_capture_update";
    ALTER TABLE public.work DISABLE ROW LEVEL SECURITY;
    CREATE PUBLICATION supabase_realtime FOR TABLE public.aligner_notes;
    CREATE SCHEMA net; CREATE TABLE net._http_response (status_code integer, created timestamptz DEFAULT now());
    INSERT INTO net._http_response (status_code) VALUES (401);
    INSERT INTO sync.settings VALUES ('WebhookURL', 'https://u:PLANTED@sync.example/api/sync/webhook'), ('WebhookKey', 'whsec_PLANTED');
    CREATE SCHEMA supabase_functions;
    CREATE FUNCTION supabase_functions.http_request() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
    CREATE TRIGGER hook AFTER INSERT OR UPDATE ON public.aligner_notes FOR EACH ROW EXECUTE FUNCTION supabase_functions.http_request(
      'https://u:p@sync.example/api/sync/webhook?x=y', 'POST', '{"x-sync-secret":"the secret"}', '{}', '5000');
    CREATE TRIGGER hook AFTER UPDATE ON public.aligner_batches FOR EACH ROW EXECUTE FUNCTION supabase_functions.http_request(
      'not an address', 'GET', '{"Authorization":"Bearer PLANTED"}', '{}', '5000')`)
  const facts = await look(broken.url)
  t.match(
    facts.triggers.find(({ table, name }) => table === 'aligner_notes' && name === '00_sync_capture_update'),
    { enabled: 'D' },
  )
  t.equal(facts.tables.find(({ name }) => name === 'work')?.rowSecurity, false)
  t.same(facts.publications, [{ name: 'supabase_realtime', tables: ['aligner_notes'] }])
  t.match(facts.pgNet, { installed: false, answers: [{ status: 401 }] })
  t.match(facts.settings, { webhookKey: 'other' })
  t.same(facts.webhooks, [
    {
      table: 'aligner_notes',
      name: 'hook',
      events: ['INSERT', 'UPDATE'],
      enabled: true,
      method: 'POST',
      url: 'https://sync.example/api/sync/webhook',
      secret: 'ours',
    },
    {
      table: 'aligner_batches',
      name: 'hook',
      events: ['UPDATE'],
      enabled: true,
      method: 'GET',
      url: null,
      secret: 'other',
    },
  ])
  t.notMatch(JSON.stringify(facts.webhooks), /PLANTED/)
})

t.test('a role that may see little is told so, and not refused', async (t) => {
  const role = `looker_${process.pid}`
  await db.rows(`CREATE ROLE ${role} LOGIN PASSWORD 'x'`)
  t.teardown(() => db.rows(`DROP ROLE ${role}`))
  const facts = await look(Object.assign(new URL(db.url), { username: role, password: 'x' }).href)
  t.match(facts, { migrations: null, settings: null, outbox: null, lostEdits: null, versions: null })
  t.match(facts.server, { role, schema: 'forbidden' })
  t.ok(facts.tables.every((table) => table.rowSecurityStopsUs && table.missingRights.length === 4 && !table.owned))
})

t.test('an empty database, and none', async (t) => {
  const { url } = await testPostgres(t)
  t.match(await look(url), { server: { schema: 'missing' }, tables: [], columns: [], migrations: null })
  await t.rejects(look('postgres://nobody:PLANTED@127.0.0.1:1/none'), {
    code: 'SYNC_DATABASE_DOWN',
    message: /^(?!.*PLANTED).*ECONNREFUSED/,
  })
})

t.test('it writes nothing', async (t) => {
  const { pathname } = new URL(db.url)
  await db.rows(`ALTER DATABASE ${pathname.slice(1)} SET default_transaction_read_only = on`)
  t.match(await look(db.url), { server: { readOnly: true }, lostEdits: 0 })
})
