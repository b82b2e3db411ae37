import { createHmac, randomBytes } from 'node:crypto'
import { verifyWebhook } from '@clinic-sync/contracts'
import { testPostgresServer } from '@clinic-sync/dev-services/testing'
import t, { type Test } from 'tap'
import { runMigration } from './support/migrate.ts'
import { batch, bench, event, migrations, note, parents } from './help.ts'

// What rings when something is put into sync.queue. Roles belong to the whole server, so this test has one of its own.
const { url: server } = await testPostgresServer(t)
const db = await bench({ server })
t.teardown(() => db.close())
await db.rows('CREATE ROLE authenticated NOLOGIN; GRANT ALL ON ALL TABLES IN SCHEMA public TO authenticated')
await runMigration(db.url, ...(await migrations()))
await db.rows('CREATE POLICY all_of_it ON public.aligner_notes TO authenticated USING (true)')
await db.portal.applyChanges([...parents(), event('aligner_notes', 1, note(1)), event('aligner_batches', 1, batch(1))])

const doctor = await db.connect()
await doctor.query('SET ROLE authenticated')
const notices: unknown[] = []
doctor.on('notice', (notice) => notices.push(notice.message))
const owner = await db.connect()
let texts = 0
const EDIT = () => `UPDATE public.aligner_notes SET note_text = 'patient secret ${++texts}' WHERE note_id = 1;`
const captured = async () => Number((await db.rows('SELECT count(*) FROM sync.queue'))[0]?.count)

/** Settings of the webhook; null takes one away. */
async function settings(url: string | null, key: string | null) {
  await db.rows("DELETE FROM sync.settings WHERE name LIKE 'Webhook%'")
  for (const [name, value] of [
    ['WebhookURL', url],
    ['WebhookKey', key],
  ]) {
    if (value !== null) await db.rows('INSERT INTO sync.settings (name, value) VALUES ($1, $2)', [name, value])
  }
}
const URL = 'https://sync.example.org/api/sync/webhook'
const newKey = (bytes = 32) => `whsec_${randomBytes(bytes).toString('base64')}`
const secretOf = (key: string) => Buffer.from(key.slice('whsec_'.length), 'base64')

const SENT = `CREATE TABLE net.sent (url text, body bytea, params jsonb, headers jsonb, timeout integer);`
/** pg_net's function as far as it matters: it keeps the bytes that it would send. */
const netWith = (
  body: string,
  parameters = 'url text, body jsonb, params jsonb, headers jsonb, timeout_milliseconds integer',
) => `
  DROP SCHEMA IF EXISTS net CASCADE; CREATE SCHEMA net; ${SENT}
  CREATE FUNCTION net.http_post(${parameters}) RETURNS bigint LANGUAGE plpgsql AS $$
  BEGIN ${body} RETURN 1; END $$;`
const KEEP = "INSERT INTO net.sent VALUES (url, convert_to(body::text, 'UTF8'), params, headers, timeout_milliseconds);"

interface Sent {
  url: string
  body: string
  id: string
  timestamp: string
  signature: string
  headers: string
}
const sent = async (): Promise<Sent[]> =>
  (await db.rows(`DELETE FROM net.sent RETURNING url, convert_from(body, 'UTF8') AS body, headers,
    headers ->> 'webhook-id' AS id, headers ->> 'webhook-timestamp' AS timestamp,
    headers ->> 'webhook-signature' AS signature`)) as unknown as Sent[]

/** Runs each as one transaction of a doctor's, and says how often each bell rang. */
const TRANSACTIONS: readonly [name: string, rings: 0 | 1, statements: () => string][] = [
  ['one edit', 1, () => `BEGIN; ${EDIT()} COMMIT`],
  ['many edits', 1, () => `BEGIN; ${EDIT()} ${EDIT()} ${EDIT()} COMMIT`],
  ['rolled back', 0, () => `BEGIN; ${EDIT()} ROLLBACK`],
  ['a savepoint rolled back, nothing else', 0, () => `BEGIN; SAVEPOINT s; ${EDIT()} ROLLBACK TO s; COMMIT`],
  ['edited again after a savepoint', 1, () => `BEGIN; SAVEPOINT s; ${EDIT()} ROLLBACK TO s; ${EDIT()} COMMIT`],
  ['edited before a savepoint', 1, () => `BEGIN; ${EDIT()} SAVEPOINT s; ${EDIT()} ROLLBACK TO s; ${EDIT()} COMMIT`],
  ['within released savepoints', 1, () => `BEGIN; SAVEPOINT s; ${EDIT()} RELEASE s; SAVEPOINT s; ${EDIT()} COMMIT`],
  ['constraints made immediate', 1, () => `BEGIN; SET CONSTRAINTS ALL IMMEDIATE; ${EDIT()} ${EDIT()} COMMIT`],
  ['nothing changed', 0, () => `BEGIN; UPDATE public.aligner_notes SET note_text = note_text; COMMIT`],
]

t.test('listeners are notified once a transaction that puts something into the outbox, at its commit', async (t) => {
  const listener = await db.connect()
  const heard: string[] = []
  let marked = () => {}
  listener.on('notification', ({ channel, payload }) => {
    heard.push(`${channel}${payload ? ` ${payload}` : ''}`)
    if (channel === 'mark') marked()
  })
  await listener.query('LISTEN sync_queue; LISTEN mark')
  /** What was heard until now: notifications arrive in the order of commits. */
  const soFar = async () => {
    const mark = new Promise<void>((resolve) => (marked = resolve))
    await doctor.query('NOTIFY mark')
    await mark
    return heard.splice(0).slice(0, -1)
  }
  for (const [name, rings, statements] of TRANSACTIONS) {
    await doctor.query(statements())
    t.same(
      await soFar(),
      Array.from({ length: rings }, () => 'sync_queue'),
      name,
    )
  }
  await doctor.query("SET sync.rang_listeners = 'on'; SET sync.rang_webhook = 'on'")
  await doctor.query(EDIT())
  t.same(await soFar(), ['sync_queue'], 'whatever is left over in the session')
  await doctor.query(EDIT() + EDIT())
  await doctor.query(EDIT())
  t.same(await soFar(), ['sync_queue', 'sync_queue'], 'each transaction of a session')
  await db.portal.applyChanges([event('aligner_notes', 2, note(2))])
  t.same(await soFar(), [], 'not for what the sync writes')
})

t.test('the webhook is posted once a transaction, with what the receiver checks and nothing of the row', async (t) => {
  const key = newKey()
  await db.rows(netWith(KEEP))
  await settings(URL, key)
  for (const [name, rings, statements] of TRANSACTIONS) {
    await doctor.query(statements())
    t.equal((await sent()).length, rings, name)
  }
  await doctor.query(EDIT())
  const [request] = await sent()
  t.match(request, {
    url: URL,
    body: '{"type": "UPDATE", "table": "aligner_notes", "record": null, "schema": "public", "old_record": null}',
    id: /^msg_[0-9a-f-]{36}$/,
    timestamp: /^\d{10}$/,
    headers: /"Content-Type": "application\/json"/,
  })
  t.notMatch(JSON.stringify(request), 'secret', 'no value')
  t.notMatch(JSON.stringify(request), key.slice(6), 'and not the key: any login can read the queue of pg_net')
  await owner.query(`BEGIN; ${EDIT()}`)
  t.equal((await owner.query('SELECT FROM net.sent')).rows.length, 0, 'stamped and queued at the commit, not before')
  await owner.query('COMMIT')
  t.equal((await sent()).length, 1)
})

t.test('the signature is that of the very bytes that are sent', async (t) => {
  for (const bytes of [24, 32, 33, 63, 64]) {
    const key = newKey(bytes)
    await settings(` ${URL} `, `${key} `)
    await doctor.query(EDIT())
    const [request] = await sent()
    if (!request) throw new Error('nothing was sent')
    const { id, timestamp, body, signature } = request
    const hmac = createHmac('sha256', secretOf(key)).update(`${id}.${timestamp}.${body}`).digest('base64')
    t.equal(signature, `v1,${hmac}`, `a key of ${bytes} bytes`)
    const verdict = (at: number) => verifyWebhook([secretOf(key)], { id, timestamp, signature }, Buffer.from(body), at)
    t.same(verdict(Date.now()), { is: 'valid' })
    t.match(verdict(Date.now() + 400_000), { is: 'stale' })
  }
  const ids = new Set<string>()
  for (let i = 0; i < 3; i++) await doctor.query(EDIT())
  for (const { id } of await sent()) ids.add(id)
  t.equal(ids.size, 3, 'an id is used once')
  for (let i = 0; i < 50; i++) {
    const [secret, message] = [randomBytes(i + 1), randomBytes(i * 7)]
    const [row] = await db.rows("SELECT encode(sync.hmac_sha256($1, $2), 'hex') AS hmac", [secret, message])
    t.equal(row?.hmac, createHmac('sha256', secret).update(message).digest('hex'))
  }
})

/** A doctor's write goes through, is captured, and sends nothing. */
async function goesThrough(t: Test, name: string) {
  const before = await captured()
  await doctor.query(EDIT())
  await doctor.query(`BEGIN; ${EDIT()} ${EDIT()} COMMIT`)
  t.equal(await captured(), before + 3, name)
  const [row] = await db.rows("SELECT to_regclass('net.sent') AS there")
  if (row?.there) t.same(await sent(), [], `${name}: nothing is sent`)
  t.same(notices, [], `${name}: and the doctor hears nothing of it`)
}

t.test("settings that are missing, empty or malformed never fail a doctor's write", async (t) => {
  await db.rows(netWith(KEEP))
  for (const [url, key] of [
    [null, null],
    [null, newKey()],
    [URL, null],
    ['', newKey()],
    [URL, ''],
    ['  ', ' '],
  ] as const) {
    await settings(url, key)
    await goesThrough(
      t,
      `URL ${url === null ? 'missing' : `'${url.slice(0, 5)}'`}, key ${key === null ? 'missing' : 'there'}`,
    )
  }
  for (const key of [
    'x',
    'whsec_',
    'whsec_***',
    'whsec_a',
    `${newKey(24)}=`,
    newKey(8),
    newKey(65),
    newKey().slice(6),
  ]) {
    await settings(URL, key)
    await goesThrough(t, `a key of ${key.length} characters`)
  }
  await settings(URL, newKey())
})

t.test("a pg_net that is missing, other or broken never fails a doctor's write", async (t) => {
  await settings(URL, newKey())
  const broken: [name: string, sql: string][] = [
    ['it raises', netWith("RAISE EXCEPTION 'no';")],
    ['it raises after it has written', netWith(`${KEEP} PERFORM 1 / 0;`)],
    ['it is missing something', netWith('PERFORM net.not_there();')],
    ['it sends without a content type', netWith("IF headers ->> 'content-type' IS NULL THEN RAISE 'x'; END IF;")],
    [
      'of another signature',
      netWith(KEEP, 'url text, body text, params jsonb, headers jsonb, timeout_milliseconds integer'),
    ],
    ['without the function', 'DROP SCHEMA net CASCADE; CREATE SCHEMA net'],
    ['without the schema', 'DROP SCHEMA net CASCADE'],
  ]
  for (const [name, sql] of broken) {
    await db.rows(sql)
    await goesThrough(t, name)
  }
  await db.rows(netWith(KEEP))
  await doctor.query(EDIT())
  t.equal((await sent()).length, 1, 'enabled later, it is used')

  await owner.query('BEGIN; LOCK TABLE net.sent IN ACCESS EXCLUSIVE MODE')
  const started = performance.now()
  await doctor.query(EDIT())
  t.ok(performance.now() - started < 2000, 'a queue of pg_net that is locked is not waited for')
  await owner.query('ROLLBACK')
  t.same(await sent(), [])
})

t.test('a doctor without any right rings, and can do nothing else with it', async (t) => {
  await db.rows(`${netWith(KEEP)} REVOKE ALL ON SCHEMA net FROM PUBLIC`)
  await settings(URL, newKey())
  await doctor.query(EDIT())
  t.equal((await sent()).length, 1)
  for (const forbidden of [
    'SELECT value FROM sync.settings',
    "SELECT sync.post_webhook('INSERT', 'x')",
    "SELECT sync.sign_webhook('whsec_', 'a', 'b', 'c')",
    'SELECT net.http_post(NULL, NULL, NULL, NULL, NULL)',
  ]) {
    await t.rejects(doctor.query(forbidden), { code: '42501' }, forbidden)
  }
})

t.test('an owner without a right to pg_net sends nothing, and no write fails', async (t) => {
  await db.rows(`${netWith(KEEP)} CREATE ROLE keeper NOLOGIN; GRANT ALL ON SCHEMA sync TO keeper;
    GRANT SELECT ON sync.settings TO keeper; GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA sync TO keeper;
    ALTER FUNCTION sync.ring_webhook() OWNER TO keeper; ALTER FUNCTION sync.ring_listeners() OWNER TO keeper`)
  await goesThrough(t, 'no right')
})
