import { randomBytes } from 'node:crypto'
import { signWebhook, type WebhookKey } from '@clinic-sync/contracts'
import t from 'tap'
import { asOperator, hook, json, PLANTED, SECRET, start, withSecret } from './http.ts'

const URL = '/api/sync/webhook'
const KEY: WebhookKey = randomBytes(32)
const NEXT: WebhookKey = randomBytes(32)
const BODY = JSON.stringify(hook)

type Sending = Parameters<typeof signWebhook>[2]

/** A signed request, with the headers given over its own. */
const signed = (
  body: string | Buffer = BODY,
  sending: Sending = {},
  over: Record<string, string> = {},
  keys = [KEY],
) => ({
  headers: { ...signWebhook(keys, body, sending), ...over },
  payload: body,
})

t.test("both webhooks of the original, as Supabase's own trigger sends them", async (t) => {
  const { send, rings } = await start(t)
  // Field order, nulls, bare bigints, and instants as pg_net 0.20 posted them; and a field that may come one day.
  const note = `{"note_id": 9007199254740993, "note_text": "${PLANTED} \\n😀", "is_edited": null, "created_at": "2026-01-31T08:15:30.123456+00:00"}`
  const bodies = [
    `{"type": "INSERT", "table": "aligner_notes", "record": ${note}, "schema": "public", "old_record": null}`,
    `{"type": "UPDATE", "table": "aligner_notes", "record": ${note}, "schema": "public", "old_record": ${note}}`,
    '{"type": "UPDATE", "table": "aligner_batches", "record": {"days": 7}, "schema": "public", "old_record": {"days": 14}}',
    '{"type": "DELETE", "table": "aligner_notes", "record": null, "schema": "public", "old_record": {"note_id": -1}}',
    '{"type": "INSERT", "table": "aligner_notes", "record": {}, "schema": "public", "old_record": null, "commit": [1]}',
    // Our own trigger's: no patient's data.
    '{"type": "INSERT", "table": "aligner_notes", "schema": "public", "record": null, "old_record": null}',
    // The original's manual test.
    '{"table":"aligner_notes","type":"INSERT","record":{}}',
  ]
  const agent = { accept: '*/*', 'user-agent': 'pg_net/0.20.4' }
  for (const [i, body] of bodies.entries()) {
    const answer = await send(URL, withSecret(body, { ...json, ...agent }))
    t.match(answer, { status: 202, body: { rang: 'portal' } }, body)
    t.equal(rings.length, i + 1)
  }
  t.ok(rings.every((ring) => ring === 'portal'))
})

t.test('tables that do not sync back, or are none of ours: 422 says where webhooks belong', async (t) => {
  const { send, rings } = await start(t)
  for (const table of ['aligner_doctors', 'patients', 'work', 'aligner_sets', 'aligner_set_payments']) {
    t.match(await send(URL, withSecret({ ...hook, table })), {
      status: 422,
      body: {
        message: `${table} does not sync back, only the clinic edits it: webhooks belong on aligner_batches and aligner_notes`,
      },
    })
  }
  const unknown = [{ table: PLANTED }, { table: 'constructor' }, { table: '__proto__' }, { table: 'Aligner_Notes' }]
  for (const over of [...unknown, { schema: 'auth' }]) {
    const { status, body } = await send(URL, withSecret({ ...hook, ...over }))
    t.match({ status, body }, { status: 422, body: { statusCode: 422, message: /aligner_batches and aligner_notes/ } })
  }
  t.same(rings, [])
})

t.test('a webhook of another shape: 400 names the field', async (t) => {
  const { send, rings } = await start(t)
  const wrong: [unknown, string, RegExp][] = [
    [{ ...hook, type: PLANTED }, 'type', /one of: INSERT, UPDATE, DELETE/],
    [{ ...hook, type: 7 }, 'type', /must be/],
    [{ ...hook, type: undefined }, 'type', /is missing/],
    [{ ...hook, table: undefined }, 'table', /is missing/],
    [{ ...hook, table: 7 }, 'table', /must be string/],
    [{ ...hook, table: '' }, 'table', /fewer than 1/],
    [{ ...hook, table: PLANTED.repeat(10) }, 'table', /more than 63/],
    [{ ...hook, schema: null }, 'schema', /must be string/],
    [{ ...hook, record: PLANTED }, 'record', /must be object or must be null/],
    [{ ...hook, old_record: [PLANTED] }, 'old_record', /must be object or must be null/],
    [[hook], 'body', /must be object/],
    [{}, 'type', /is missing/],
  ]
  for (const [payload, field, message] of wrong) {
    const { status, body } = await send('/api/sync/webhook', withSecret(JSON.stringify(payload), json))
    t.match({ status, body }, { status: 400, body: { statusCode: 400, error: 'Bad Request', field, message } }, field)
  }
  t.same(rings, [])
})

t.test('a signature of either key opens the webhook, whatever else is sent', async (t) => {
  const { send, rings } = await start(t, {}, [KEY, NEXT])
  const good = [
    signed(),
    signed(BODY, {}, {}, [NEXT]),
    signed(BODY, {}, {}, [KEY, NEXT]),
    signed(BODY, { now: Date.now() - 290_000 }),
    signed(BODY, { now: Date.now() + 290_000 }),
    signed(BODY, {}, { 'x-sync-secret': 'stale', authorization: 'Bearer of-a-proxy' }),
    signed(BODY, {}, { 'content-type': 'text/plain' }),
    // Bytes that a parser and a printer would change.
    signed(
      '{ "type":"INSERT","table":"patients", "table":"aligner_notes" ,"record":{"a":1.10,"b":9007199254740993}}\n',
    ),
    { ...signed(), headers: { 'x-sync-secret': SECRET, 'webhook-signature': 'v1,wrong' } },
  ]
  for (const [i, request] of good.entries()) {
    t.match(await send(URL, request), { status: 202, body: { rang: 'portal' } }, `request ${i}`)
    t.equal(rings.length, i + 1)
  }
})

t.test('signatures that are not right: 401, before anything is parsed', async (t) => {
  const { send, rings } = await start(t, {}, [KEY])
  const bad = [
    signed(BODY, {}, {}, [NEXT]),
    { ...signed(), payload: BODY.replace('UPDATE', 'INSERT') },
    { ...signed(), payload: `not JSON, ${PLANTED}` },
    { ...signed(), payload: Buffer.from([0xff, 0xfe]) },
    { ...signed(), payload: '' },
    { headers: signed().headers },
    signed(BODY, {}, { 'webhook-id': 'another' }),
    signed(BODY, {}, { 'webhook-id': '' }),
    signed(BODY, {}, { 'webhook-timestamp': '0' }),
    signed(BODY, {}, { 'webhook-timestamp': 'soon' }),
    signed(BODY, {}, { 'webhook-signature': 'v1,' }),
    signed(BODY, {}, { 'webhook-signature': SECRET }),
    signed(BODY, {}, { 'x-sync-secret': 'wrong' }, [NEXT]),
    // Too old as well: whoever has no key hears nothing about the time.
    signed(BODY, { now: 0 }, {}, [NEXT]),
    { ...signed(), headers: { 'webhook-signature': signed().headers['webhook-signature'] } },
  ]
  for (const [i, request] of bad.entries()) {
    const answer = await send(URL, request)
    t.match(answer, { status: 401, headers: { 'www-authenticate': 'Bearer' }, body: { error: 'Unauthorized' } })
    t.match(answer.body.message, /^The signature is not right: no key of SYNC_WEBHOOK_KEYS/, `request ${i}`)
  }
  t.match((await send(URL, { payload: BODY })).body.message, /^Send the secret .* or sign the request/)
  t.same(rings, [])
})

t.test('without keys no signature is right, and no body is read', async (t) => {
  const { send, rings, lines } = await start(t)
  t.match(await send(URL, signed()), { status: 401, body: { message: /^The signature is not right/ } })
  t.match(lines.join(''), /SYNC_WEBHOOK_KEYS is not set/, 'the operator is told')
  t.same(rings, [])
})

t.test('a right signature of another time: 401 says so', async (t) => {
  const { send, rings, lines } = await start(t, {}, [KEY])
  for (const off of [-310_000, 310_000, -86_400_000]) {
    const answer = await send(URL, signed(BODY, { now: Date.now() + off }))
    t.match(answer, { status: 401, body: { message: /^The signature is right, but webhook-timestamp/ } })
  }
  t.match(lines.join(''), /"offBySeconds":-8640\d/)
  t.same(rings, [])
})

t.test('a signed request counts once', async (t) => {
  const { send, rings } = await start(t, {}, [KEY])
  const request = signed(BODY, { id: 'msg_1' })
  const forged = signed(BODY, { id: 'msg_1' }, {}, [NEXT])
  t.match(await send(URL, forged), { status: 401 }, 'a forged one uses up no id')
  t.match(await send(URL, signed(BODY, { id: 'msg_1', now: 0 })), { status: 401 }, 'nor does an old one')
  const misplaced = signed(JSON.stringify({ ...hook, table: 'patients' }), { id: 'msg_1' })
  t.match(await send(URL, misplaced), { status: 422 }, 'nor one that rings nothing')
  const statuses = await Promise.all(Array.from({ length: 10 }, async () => (await send(URL, request)).status))
  t.same(statuses.toSorted(), [202, ...Array.from({ length: 9 }, () => 409)], 'at the same time, too')
  const later = signed(BODY, { id: 'msg_1', now: Date.now() + 60_000 })
  t.match(await send(URL, later), { status: 409, body: { message: /webhook-id was accepted before/ } }, 'sent again')
  t.match(await send(URL, forged), { status: 401 }, 'who has no key does not learn which ids there were')
  t.match(await send(URL, signed(BODY, { id: 'msg_2' })), { status: 202 })
  t.same(rings, ['portal', 'portal'])
})

t.test('a signature opens the webhook only', async (t) => {
  const { send, rings } = await start(t, {}, [KEY])
  for (const url of ['/api/sync/queue-notify', '/api/sync/trigger']) {
    t.match(await send(url, signed('{}')), { status: 401, body: { message: /^Send the secret in/ } }, url)
  }
  t.match(await send(URL, asOperator(hook)), { status: 401 })
  t.same(rings, [])
})

t.test('what is signed is still checked', async (t) => {
  const { send, rings } = await start(t, {}, [KEY])
  t.match(await send(URL, signed('{')), { status: 400, body: { message: 'The body is not JSON.' } })
  t.match(await send(URL, signed('{}')), { status: 400, body: { field: 'type' } })
  t.match(await send(URL, signed('')), { status: 400, body: { field: 'type' } }, 'no body')
  t.match(await send(URL, signed('x'.repeat(1024 * 1024 + 1))), { status: 413 })
  t.same(rings, [])
})

t.test('no log line carries a signature, an id or a body', async (t) => {
  const { send, lines } = await start(t, {}, [KEY])
  const request = signed(BODY, { id: 'msg_SECRETLY' })
  for (const one of [request, request, signed(BODY, { id: 'msg_SECRETLY' }, {}, [NEXT]), { payload: BODY }])
    await send(URL, one)
  t.equal(lines.filter((line) => line.includes('refused: ')).length, 3)
  t.notMatch(lines.join(''), /PLANTED|v1,|SECRETLY/)
  t.notOk(lines.join('').includes(Buffer.from(KEY).toString('base64')))
})
