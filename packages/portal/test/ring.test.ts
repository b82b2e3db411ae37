import { createHmac, randomBytes } from 'node:crypto'
import type { Test } from 'tap'
import t from 'tap'
import { openPortal } from '../src/index.ts'
import { bench, event, logged, note, parents } from './help.ts'

// A ring that is asked for: it goes the way of a change's, and is none.
const db = await bench()
t.teardown(() => db.close())
await db.portal.applyChanges([...parents(), event('aligner_notes', 1, note(1))])
const portal = await openPortal({ url: db.url, log: logged(), doorbell: 'webhook' })
t.teardown(() => portal.close())

const URL = 'https://sync.example.org/api/sync/webhook'
/** In place of the extension pg_net. */
const NET = `CREATE SCHEMA net; CREATE TABLE net.sent (url text, body text, params text, headers jsonb, timeout integer);
  CREATE FUNCTION net.http_post(url text, body jsonb, params jsonb, headers jsonb, timeout_milliseconds integer) RETURNS bigint
  LANGUAGE sql AS 'INSERT INTO net.sent VALUES (url, body::text, params::text, headers, timeout_milliseconds); SELECT 1::bigint'`
/** In place of Supabase's function: what it would send with a row does not matter here. */
const SUPABASE = `CREATE SCHEMA supabase_functions; CREATE FUNCTION supabase_functions.http_request() RETURNS trigger
  LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'`
const hook = (name: string, table: string, ...args: string[]) =>
  db.rows(`CREATE TRIGGER "${name}" AFTER INSERT OR UPDATE ON public.${table} FOR EACH ROW EXECUTE FUNCTION
    supabase_functions.http_request(${args.map((arg) => `'${arg}'`).join(', ')})`)
const sent = () => db.rows('DELETE FROM net.sent RETURNING *')

/** Rings, and proves that it wrote nothing that syncs. */
async function ring(t: Test) {
  const written = () =>
    db.rows(`SELECT (SELECT count(*) FROM sync.queue),
      (SELECT array_agg(q::text) FROM sync.row_state AS q) AS states, (SELECT array_agg(n::text) FROM aligner_notes AS n) AS notes`)
  const before = await written()
  const rung = await portal.ringDoorbell()
  t.same(await written(), before)
  return rung
}

t.test('NOTIFY is heard by who listens', async (t) => {
  const { signal } = new AbortController()
  t.equal(await db.portal.waitForChanges(signal), 'connected')
  const heard = db.portal.waitForChanges(signal)
  t.same(await db.portal.ringDoorbell(), { rang: true, answer: null })
  t.equal(await heard, 'changed')
})

t.test('where no webhook is set up, or pg_net is missing, that is said', async (t) => {
  t.match(await ring(t), { rang: false, answer: /No webhook is set up.*aligner_(notes|batches) and aligner_/ })
  await db.rows(SUPABASE)
  t.match(await ring(t), { rang: false, answer: /No webhook/ })
  await hook('notes', 'aligner_notes', URL, 'POST')
  t.match(await ring(t), { rang: false, answer: /pg_net is missing/ })
  await db.rows(NET)
})

t.test("the dashboard's webhooks send what they would, with their own headers, and nothing of a row", async (t) => {
  const headers = '{"Content-Type":"application/json","x-sync-secret":"s:é, 1"}'
  await hook('batches', 'aligner_batches', URL, 'POST', headers, '{"a":"b"}', '5000')
  t.same(await ring(t), { rang: true, answer: null })
  const body = (table: string) =>
    `{"type": "UPDATE", "table": "${table}", "record": null, "schema": "public", "old_record": null}`
  t.same(await sent(), [
    {
      url: URL,
      body: body('aligner_batches'),
      params: '{"a": "b"}',
      headers: '{"Content-Type": "application/json", "x-sync-secret": "s:é, 1"}',
      timeout: '5000',
    },
    {
      url: URL,
      body: body('aligner_notes'),
      params: '{}',
      headers: '{"Content-Type": "application/json"}',
      timeout: '1000',
    },
  ])
})

t.test("somebody else's webhooks, switched off ones and ones of other tables are left alone", async (t) => {
  await hook('elsewhere', 'aligner_notes', 'https://chat.example.org/hook', 'POST')
  await hook('get', 'aligner_notes', `${URL}?by=get`, 'GET')
  await hook('patients', 'patients', URL, 'POST')
  await db.rows('ALTER TABLE public.aligner_notes DISABLE TRIGGER notes')
  t.same(await ring(t), { rang: true, answer: 'There is no webhook on aligner_notes.' })
  t.match(await sent(), [{ body: /aligner_batches/ }])
})

t.test('a webhook that leads to the ingress by a path of a proxy rings, as the doctor says that it does', async (t) => {
  const proxied = URL.replace('/api', '/clinic-sync/api')
  await hook('proxied', 'aligner_notes', proxied, 'POST')
  t.same(await ring(t), { rang: true, answer: null })
  t.match(await sent(), [{ body: /aligner_batches/ }, { url: proxied, body: /aligner_notes/ }])
})

t.test('our own signed webhook goes before the dashboard’s', async (t) => {
  const secret = randomBytes(32)
  const set = (key: string) =>
    db.rows(`INSERT INTO sync.settings (name, value) VALUES ('WebhookURL', '${URL}'), ('WebhookKey', '${key}')
      ON CONFLICT (name) DO UPDATE SET value = excluded.value`)
  await set(`whsec_${secret.toString('base64')}`)
  t.same(await ring(t), { rang: true, answer: null })
  const [request, ...others] = await sent()
  t.same(others, [])
  const headers = JSON.parse(request?.headers ?? '{}') as Record<string, string>
  const signed = `${headers['webhook-id']}.${headers['webhook-timestamp']}.${request?.body}`
  t.equal(headers['webhook-signature'], `v1,${createHmac('sha256', secret).update(signed).digest('base64')}`)
  for (const key of ['x', 'whsec_***']) {
    await set(key)
    t.match(await ring(t), { rang: false, answer: /WebhookKey is not whsec_/ }, key)
  }
  t.same(await sent(), [])
})
