import t from 'tap'
import { SyncError } from '@clinic-sync/sync'
import { asOperator, hook, json, PLANTED, SECRET, start, withSecret } from './http.ts'

t.test('no or a wrong secret: 401, nothing read, nothing rung', async (t) => {
  const { send, rings } = await start(t)
  const wrong: Record<string, string>[] = [
    {},
    { 'x-sync-secret': '' },
    { 'x-sync-secret': `${SECRET}x` },
    { 'x-sync-secret': SECRET.slice(1) },
    { 'x-sync-secret': `${SECRET}, ${SECRET}` },
    { authorization: SECRET },
    { authorization: 'Bearer' },
    { authorization: 'Bearer ' },
    { authorization: `Basic ${SECRET}` },
    { authorization: `Bearer ${SECRET.toUpperCase()}` },
  ]
  for (const headers of wrong) {
    for (const url of [
      '/api/sync/queue-notify',
      '/api/sync/webhook',
      '/api/sync/trigger',
      '/api/sync/doorbells/test',
    ]) {
      const { status, body } = await send(url, { headers, payload: `not JSON, ${PLANTED}` })
      t.match({ status, body }, { status: 401, body: { statusCode: 401, error: 'Unauthorized', message: String } })
    }
  }
  t.same(rings, [])
})

t.test('each secret opens its own routes only', async (t) => {
  const { send, rings } = await start(t)
  for (const url of ['/api/sync/queue-notify', '/api/sync/webhook']) {
    t.match(await send(url, asOperator(hook)), { status: 401 })
  }
  for (const url of ['/api/sync/trigger', '/api/sync/doorbells/test'])
    t.match(await send(url, withSecret()), { status: 401 })
  t.same(rings, [])
})

t.test('either header carries the secret, whatever the other says', async (t) => {
  const { send } = await start(t)
  const good: Record<string, string>[] = [
    { 'x-sync-secret': SECRET },
    { authorization: `Bearer ${SECRET}` },
    { authorization: `bearer ${SECRET}` },
    { 'x-sync-secret': SECRET, authorization: 'Bearer of-a-proxy' },
    { 'x-sync-secret': 'stale', authorization: `Bearer ${SECRET}` },
  ]
  for (const headers of good) t.match(await send('/api/sync/queue-notify', { headers }), { status: 202 })
})

t.test('queue-notify: nothing, or an object, of any content type', async (t) => {
  const { send, rings } = await start(t)
  const url = '/api/sync/queue-notify'
  const types = [{}, json, { 'content-type': 'text/plain' }, { 'content-type': 'application/x-www-form-urlencoded' }]
  for (const headers of [...types, { 'content-type': 'nonsense' }, { 'content-type': 'application/json; charset=' }]) {
    for (const payload of [undefined, '', '{}', '{"source":"SQLServer"}', 'null']) {
      const { status, body } = await send(url, withSecret(payload, headers))
      t.match({ status, body }, { status: 202, body: { rang: 'clinic' } }, `${JSON.stringify(headers)} ${payload}`)
    }
  }
  t.equal(rings.length, 30)
  rings.length = 0
  for (const payload of ['[]', '"x"', '1', 'true']) {
    const { status, body } = await send(url, withSecret(payload, json))
    t.match({ status, body }, { status: 400, body: { field: 'body', message: 'body must be object' } }, payload)
  }
  t.same(rings, [])
})

t.test('what is not JSON: 400', async (t) => {
  const { send, rings } = await start(t)
  const texts = [`{"type":"${PLANTED}`, PLANTED, '{', '[1,]', '\u0000', '['.repeat(500_000), `{"a":${PLANTED}}`]
  for (const url of ['/api/sync/queue-notify', '/api/sync/webhook']) {
    for (const text of texts) {
      const { status, body } = await send(url, withSecret(text, json))
      t.match({ status, body }, { status: 400, body: { message: 'The body is not JSON.' } })
    }
  }
  t.match(await send('/api/sync/trigger', asOperator('{')), { status: 400 })
  t.match(await send('/api/sync/webhook', withSecret()), { status: 400, body: { field: 'type' } }, 'no body at all')
  t.same(rings, [])
})

t.test('depth and odd names do no harm', async (t) => {
  const { send } = await start(t)
  const deep = `{"type":"INSERT","table":"aligner_notes","record":{"a":${'['.repeat(200_000)}${']'.repeat(200_000)}}}`
  const odd = '{"type":"INSERT","table":"aligner_notes","record":{"__proto__":{"x":1},"constructor":{"prototype":1}}}'
  for (const text of [deep, odd]) t.match(await send('/api/sync/webhook', withSecret(text, json)), { status: 202 })
  t.notOk('x' in {}, 'no prototype was touched')
})

t.test("1 MiB is read, one byte more is 413; a long note's webhook rings all the same", async (t) => {
  const { send, rings } = await start(t)
  const body = (bytes: number) => {
    const empty = JSON.stringify({ ...hook, record: { note_text: '' } })
    return empty.replace('""', `"${'x'.repeat(bytes - empty.length)}"`)
  }
  t.match(await send('/api/sync/webhook', withSecret(body(1024 * 1024), json)), { status: 202 })
  t.equal(rings.length, 1)
  for (const url of ['/api/sync/webhook', '/api/sync/queue-notify']) {
    t.match(await send(url, withSecret(body(1024 * 1024 + 1), json)), { status: 413, body: { statusCode: 413 } })
  }
  t.same(rings, ['portal', 'portal'], 'nothing else might ring for it')
  const signed = { 'webhook-id': 'x', 'webhook-timestamp': '1', 'webhook-signature': 'v1,x' }
  t.match(await send('/api/sync/webhook', { payload: body(1024 * 1024 + 1), headers: signed }), { status: /401|413/ })
  t.equal(rings.length, 2, 'but without the secret it does not')
})

t.test('a wrong method: 405 and what is allowed', async (t) => {
  const { send, rings } = await start(t)
  for (const url of ['queue-notify', 'webhook', 'trigger', 'doorbells/test'].map((name) => `/api/sync/${name}`)) {
    for (const method of ['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const) {
      const answer = await send(url, { ...withSecret(method === 'PUT' ? PLANTED : undefined), method })
      t.match(answer, { status: 405, headers: { allow: 'POST' }, body: { statusCode: 405 } }, `${method} ${url}`)
    }
    t.match(await send(url, { ...withSecret(), method: 'HEAD' }), { status: 405, headers: { allow: 'POST' } })
  }
  for (const url of ['/healthz', '/readyz']) {
    t.match(await send(url), { status: 405, headers: { allow: 'GET, HEAD' } }, url)
  }
  t.match(await send('/api/sync/other', withSecret()), { status: 404, body: { statusCode: 404 } })
  t.same(rings, [])
})

t.test('the trigger waits and answers what each direction published', async (t) => {
  const { send, rings } = await start(t, { clinic: { published: 3, locked: 0 }, portal: { published: 2, locked: 1 } })
  const both = { 'sql-to-postgres': { published: 3 }, 'postgres-to-sql': { published: 2 } }
  for (const payload of [undefined, '', '{}', { direction: 'both' }]) {
    t.strictSame((await send('/api/sync/trigger', asOperator(payload))).body, both)
  }
  const one = async (direction: string) => (await send('/api/sync/trigger', asOperator({ direction }))).body
  rings.length = 0
  t.strictSame(await one('sql-to-postgres'), { 'sql-to-postgres': { published: 3 } })
  t.strictSame(await one('postgres-to-sql'), { 'postgres-to-sql': { published: 2 } })
  t.strictSame(rings, ['clinic!', 'portal!'])
  for (const payload of [{ direction: 'up' }, { direction: null }, { direction: ['both'] }]) {
    const { status, body } = await send('/api/sync/trigger', asOperator(payload))
    t.match(
      { status, body },
      { status: 400, body: { field: 'direction', message: /sql-to-postgres, postgres-to-sql, both/ } },
    )
  }
  t.match(await send('/api/sync/trigger', asOperator({ direktion: 'both' })), { status: 400, body: { field: 'body' } })
  t.equal(rings.length, 2)
})

t.test('the trigger names the side that is down; the other is drained all the same', async (t) => {
  const down = new SyncError('SYNC_DATABASE_DOWN', 'It cannot be reached.')
  const { send } = await start(t, { clinic: down, portal: { published: 2, locked: 0 } })
  t.match(await send('/api/sync/trigger', asOperator()), {
    status: 503,
    body: {
      statusCode: 503,
      message: "The clinic's outbox: It cannot be reached.",
      'sql-to-postgres': { code: 'SYNC_DATABASE_DOWN', side: 'clinic', message: 'It cannot be reached.' },
      'postgres-to-sql': { published: 2 },
    },
  })
  const odd = await start(t, { clinic: new Error(`a bug with ${PLANTED}`) })
  t.match(await odd.send('/api/sync/trigger', asOperator()), { status: 503, body: { message: /see the log/ } })
})

t.test('readiness comes from what is known', async (t) => {
  const { send, state } = await start(t)
  t.match(await send('/healthz', { method: 'GET' }), { status: 200, body: { status: 'ok' } })
  state.expect('clinic')
  let broker: string | null = null
  state.ask('broker', () => broker)
  const readyz = async () => send('/readyz', { method: 'GET' })
  t.match(await readyz(), {
    status: 503,
    body: { status: 'not ready', checks: { clinic: /not answered/, broker: 'ok' } },
  })
  state.tell('clinic', null)
  t.match(await readyz(), { status: 200, body: { status: 'ready', checks: { clinic: 'ok', broker: 'ok' } } })
  broker = 'Not connected.'
  t.match(await readyz(), { status: 503, body: { checks: { clinic: 'ok', broker: 'Not connected.' } } })
})

t.test('no log line carries a body or a secret', async (t) => {
  const { send, lines } = await start(t)
  for (const payload of [hook, `{"${PLANTED}`, { ...hook, type: PLANTED }, { ...hook, table: PLANTED }]) {
    await send('/api/sync/webhook', withSecret(payload, json))
    await send('/api/sync/webhook', { headers: { 'x-sync-secret': 'guessed-secret' }, payload })
  }
  await send(`/api/sync/queue-notify?secret=${SECRET}`, withSecret())
  t.ok(lines.length > 8)
  t.notMatch(lines.join(''), /PLANTED|مريم|webhook-secret|operator-token|guessed-secret/)
})

t.test('a test of the doorbells: of one side, or of both', async (t) => {
  const { send, rings } = await start(t)
  const url = '/api/sync/doorbells/test'
  const heard = { doorbell: 'listen', heard: true, ms: 4, message: null }
  for (const [payload, answer] of [
    [undefined, { clinic: heard, portal: heard }],
    ['{}', { clinic: heard, portal: heard }],
    ['{"side":"portal"}', { portal: heard }],
    ['{"side":"clinic"}', { clinic: heard }],
  ] as const) {
    const { status, body } = await send(url, asOperator(payload))
    t.equal(status, 200)
    t.same(body, answer)
  }
  t.same(rings, ['clinic?', 'portal?', 'clinic?', 'portal?', 'portal?', 'clinic?'])
  for (const payload of ['{"side":"PLANTED"}', '{"site":"clinic"}', '[]', '{"side":null}'])
    t.match(await send(url, asOperator(payload)), { status: 400 }, payload)
})

t.test('what is refused at a doorbell is told: whoever waits to hear it learns why it does not', async (t) => {
  const { send, refusals } = await start(t)
  await send('/api/sync/queue-notify')
  await send('/api/sync/webhook')
  await send('/api/sync/webhook', withSecret({ ...hook, table: 'patients' }))
  await send('/api/sync/queue-notify', withSecret())
  t.same(refusals, ['clinic 401', 'portal 401', 'portal 422'])
})
