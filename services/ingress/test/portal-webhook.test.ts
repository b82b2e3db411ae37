import { randomBytes } from 'node:crypto'
import { signWebhook } from '@clinic-sync/contracts'
import t from 'tap'
import { until } from './help.ts'
import { KEY, portalBench, SECRET } from './portal-bench.ts'

const bench = await portalBench(t, 'webhook')
const { doctor, events } = bench

/** A record that the portal would take, and the clinic too: a valid new key, a set that exists, a type that is allowed. */
const NOTE = {
  note_id: -77,
  aligner_set_id: 1,
  note_type: 'Doctor',
  note_text: 'FORGED',
  created_at: '2026-01-31T08:15:30.123+00:00',
  is_edited: false,
  edited_at: null,
  is_read: false,
}
const BATCH = { aligner_batch_id: 1, aligner_set_id: 1, batch_sequence: 1, days: 99 }
const BODIES = [
  { type: 'INSERT', table: 'aligner_notes', schema: 'public', record: NOTE, old_record: null },
  { type: 'UPDATE', table: 'aligner_notes', schema: 'public', record: { ...NOTE, note_id: 1 }, old_record: NOTE },
  { type: 'DELETE', table: 'aligner_notes', schema: 'public', record: null, old_record: { ...NOTE, note_id: 1 } },
  { type: 'UPDATE', table: 'aligner_batches', schema: 'public', record: BATCH, old_record: { ...BATCH, days: 10 } },
].map((body) => JSON.stringify(body))

const post = async (body: string, headers: Record<string, string>) =>
  (await fetch(`${bench.url}/api/sync/webhook`, { method: 'POST', headers, body })).status

/** A drain that began after everything that was sent: whatever a webhook started is over. */
async function drained() {
  const headers = { authorization: `Bearer ${SECRET}` }
  const answer = await fetch(`${bench.url}/api/sync/trigger`, { method: 'POST', headers })
  return (await answer.json()) as Record<string, { published: number }>
}

t.test('a webhook with a record that would be valid writes nothing, whoever sends it', async (t) => {
  const before = await bench.contents()
  const proven = (body: string) => [{ 'x-sync-secret': SECRET }, signWebhook([KEY], body)]
  const forged = (body: string): Record<string, string>[] => [
    {},
    { 'x-sync-secret': 'a guess of some length' },
    signWebhook([randomBytes(32)], body),
    signWebhook([KEY], `${body} `),
    signWebhook([KEY], body, { now: Date.now() - 600_000 }),
  ]
  for (const body of BODIES) {
    for (const headers of proven(body)) t.equal(await post(body, headers), 202)
    for (const headers of forged(body)) t.equal(await post(body, headers), 401)
    const once = signWebhook([KEY], body)
    t.equal(await post(body, once), 202)
    t.equal(await post(body, once), 409, 'a replay')
  }
  t.strictSame(await drained(), { 'sql-to-postgres': { published: 0 }, 'postgres-to-sql': { published: 0 } })
  t.same(await bench.contents(), before, 'tables, outbox and bookkeeping are as they were')
  t.same([bench.clinic.rows, bench.clinic.published], [[], []], "so is the clinic's outbox")
  t.same(events, [], 'and there was no event')
})

t.test('a true change that a webhook rings for is read from the outbox, not from the webhook', async (t) => {
  await doctor.query("UPDATE aligner_notes SET note_text = 'true' WHERE note_id = 1")
  for (const body of BODIES) t.equal(await post(body, signWebhook([KEY], body)), 202)
  await until('it arrives', () => events.length > 0)
  await bench.settled()
  t.same(await drained(), { 'sql-to-postgres': { published: 0 }, 'postgres-to-sql': { published: 0 } })
  t.match(events, [
    { subject: 'aligner_notes/1', data: { row: { note_text: 'true' }, base: { note_text: 'please check 16' } } },
  ])
  t.equal(events.length, 1)
  t.notMatch(JSON.stringify([events, bench.logs.lines]), /FORGED/)
})

t.test('the test of the doorbells says that no webhook is set up', async (t) => {
  t.match(await bench.test(), { portal: { doorbell: 'webhook', heard: false, message: /No webhook is set up/ } })
})

t.test("what the portal's own trigger signs is accepted, rings, and counts once", async (t) => {
  // In place of the extension pg_net: it keeps what it was handed, as text, which is what pg_net sends.
  await doctor.query(`
    CREATE SCHEMA net;
    CREATE TABLE net.sent (url text, body text, headers jsonb);
    CREATE FUNCTION net.http_post(url text, body jsonb, params jsonb, headers jsonb, timeout_milliseconds integer)
      RETURNS bigint LANGUAGE sql AS 'INSERT INTO net.sent VALUES (url, body::text, headers); SELECT 1::bigint'`)
  await doctor.query(`INSERT INTO sync.settings (name, value) VALUES ('WebhookURL', $1), ('WebhookKey', $2)`, [
    `${bench.url}/api/sync/webhook`,
    `whsec_${KEY.toString('base64')}`,
  ])
  const before = events.length
  await doctor.query('UPDATE aligner_batches SET days = 21 WHERE aligner_batch_id = 1')
  const { rows } = await doctor.query<{ url: string; body: string; headers: Record<string, string> }>(
    'SELECT * FROM net.sent',
  )
  t.equal(rows.length, 1)
  for (const { url, body, headers } of rows) {
    t.notMatch(body, /21|days/, "no row's value is in it")
    t.equal((await fetch(url, { method: 'POST', headers, body: `${body} ` })).status, 401, 'changed on the way')
    t.equal((await fetch(url, { method: 'POST', headers, body })).status, 202)
    t.equal((await fetch(url, { method: 'POST', headers, body })).status, 409, 'replayed')
  }
  await until('it arrives', () => events.length > before)
  await bench.settled()
  t.match(events.slice(before), [{ subject: 'aligner_batches/1', data: { row: { days: 21 } } }])
})

t.test('the test of the doorbells goes the way of a true webhook, and a wrong secret shows', async (t) => {
  const before = [await bench.contents(), events.length]
  /** What pg_net would send, sent. */
  const send = async () => {
    const { rows } = await doctor.query<{ url: string; body: string; headers: Record<string, string> }>(
      'DELETE FROM net.sent RETURNING *',
    )
    for (const { url, body, headers } of rows) await fetch(url, { method: 'POST', headers, body })
    return rows.length
  }
  await send()
  const tested = async () => {
    const test = bench.test()
    await until('it was handed to pg_net', async () => (await send()) > 0)
    return test
  }
  t.match(await tested(), { portal: { doorbell: 'webhook', heard: true, ms: Number, message: null } })
  await doctor.query("UPDATE sync.settings SET value = $1 WHERE name = 'WebhookKey'", [
    `whsec_${randomBytes(32).toString('base64')}`,
  ])
  t.match(await tested(), { portal: { heard: false, message: /nothing was heard here.*refused here \(HTTP 401\)/ } })
  t.same([await bench.contents(), events.length], before)
})
