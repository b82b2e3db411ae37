import { createHmac, hkdfSync } from 'node:crypto'
import type { InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import { SESSION_MS, Sessions } from '../src/session.ts'
import { asOperator, json, start, TOKEN, withSecret } from './http.ts'

const SESSION = '/api/sync/session'
const STATUS = '/api/sync/status'
const TRIGGER = '/api/sync/trigger'
const STREAM = '/api/sync/status/stream'
const nothing = async function* () {
  yield* []
}
const board = { read: async () => status, watch: nothing } as never
const off = { reachable: false as const, reason: 'not asked' }
const status = {
  ok: false,
  problems: [],
  at: '2026-01-31T08:00:00.000Z',
  ingress: off,
  outboxes: { clinic: off, portal: off },
  queues: off,
  deadLetters: off,
  verification: off,
}

/** What our own page sends, as a browser makes it of it. */
const page = { 'x-clinic-sync': 'page', 'sec-fetch-site': 'same-origin' }
const signIn = (token: string, headers: Record<string, string> = page): InjectOptions => ({
  headers: { ...json, ...headers },
  payload: JSON.stringify({ token }),
})

/** The app, signed in to. */
async function signedIn(t: Test, hardening: Parameters<typeof start>[3] = {}) {
  const app = await start(t, {}, [], { board, ...hardening })
  const { status: answered, headers } = await app.send(SESSION, signIn(TOKEN))
  t.equal(answered, 204)
  const cookie = String(headers['set-cookie']).split(';')[0] ?? ''
  const get = (url: string, more: Record<string, string> = {}) =>
    app.send(url, { method: 'GET', headers: { cookie, ...more } })
  const post = (url: string, more: Record<string, string | undefined>, payload?: string) =>
    app.send(url, {
      headers: JSON.parse(JSON.stringify({ cookie, ...more })) as Record<string, string>,
      ...(payload === undefined ? {} : { payload }),
    })
  return { ...app, cookie, get, post, setCookie: String(headers['set-cookie']) }
}

t.test('the token gets a cookie that scripts cannot read and other sites do not send', async (t) => {
  const { setCookie, get, post, send, lines } = await signedIn(t)
  t.match(setCookie, /^clinic-sync=1\.\d+\.[\w-]{43}; Path=\/; Max-Age=43200; HttpOnly; SameSite=Strict$/)
  t.notOk(setCookie.includes(TOKEN))
  const { body } = await get(SESSION)
  const left = Date.parse((body as { expiresAt: string }).expiresAt) - Date.now()
  t.ok(left > SESSION_MS - 5_000 && left <= SESSION_MS, `${left} ms`)
  t.match(await get(STATUS), { status: 200, headers: { 'cache-control': 'no-store' } })
  t.match(await get(STREAM), { status: 200 })
  t.match(await post(TRIGGER, page), { status: 200 })
  t.match(await send(TRIGGER, asOperator()), { status: 200 }, 'the token itself does as before')
  const out = await send(SESSION, { method: 'DELETE', headers: { cookie: setCookie.split(';')[0] ?? '', ...page } })
  t.match(out, {
    status: 204,
    headers: { 'set-cookie': /^clinic-sync=; Path=\/; Max-Age=0; HttpOnly; SameSite=Strict$/ },
  })
  const told = lines.join('')
  t.match(told, /somebody has signed in/)
  t.notOk(told.includes(TOKEN) || told.includes(setCookie.slice(14, 60)), 'no log holds the token or the cookie')
})

t.test('by https the cookie is Secure and of this host alone; who says so is a trusted proxy', async (t) => {
  const { send } = await start(t, {}, [], { board, server: { trustProxy: ['127.0.0.1'] } })
  const https = { ...page, 'x-forwarded-proto': 'https' }
  const { headers } = await send(SESSION, signIn(TOKEN, https))
  t.match(headers['set-cookie'], /^__Host-clinic-sync=.*; Path=\/; .*; Secure$/)
  const cookie = String(headers['set-cookie']).split(';')[0] ?? ''
  t.match(await send(STATUS, { method: 'GET', headers: { ...https, cookie } }), { status: 200 })
  const plain = cookie.replace('__Host-', '')
  t.match(
    await send(STATUS, { method: 'GET', headers: { ...https, cookie: plain } }),
    { status: 401 },
    'its name counts',
  )
  const untrusted = await start(t, {}, [], { board })
  const answer = await untrusted.send(SESSION, signIn(TOKEN, https))
  t.match(answer.headers['set-cookie'], /^clinic-sync=/, 'anybody else may say what he likes')
})

t.test('a wrong token is counted, logged and limited as a wrong secret is; the right one never', async (t) => {
  const limits = { refused: 4, open: 1000, windowMs: 60_000 }
  const { send, lines } = await start(t, {}, [], { board, limits })
  const statuses = async (request: InjectOptions, times: number) => {
    const all = []
    for (let i = 0; i < times; i++) all.push((await send(SESSION, request)).status)
    return all
  }
  t.same(await statuses(signIn('wrong'), 6), [401, 401, 401, 401, 429, 429])
  t.equal(lines.filter((line) => line.includes('refused: a wrong token to sign in with')).length, 4)
  t.notOk(lines.some((line) => line.includes('"wrong"')))
  t.same(await statuses(signIn(TOKEN), 10), Array(10).fill(204))
  t.same(await statuses({ ...signIn(''), remoteAddress: '192.0.2.1' }, 6), [400, 400, 400, 400, 429, 429])
  t.same(await statuses({ headers: { ...json, ...page }, payload: '{"token":', remoteAddress: '192.0.2.2' }, 1), [400])
  const large = { headers: { ...json, ...page }, payload: JSON.stringify({ token: 'x'.repeat(5_000) }) }
  t.same(await statuses({ ...large, remoteAddress: '192.0.2.3' }, 1), [413])
})

t.test('to ask for a session that is not there is no attack, and limited all the same', async (t) => {
  const { send, lines } = await start(t, {}, [], { board, limits: { refused: 2, open: 3, windowMs: 60_000 } })
  const seen = []
  for (let i = 0; i < 4; i++) seen.push((await send(SESSION, { method: 'GET' })).status)
  t.same(seen, [401, 401, 401, 429])
  t.notOk(lines.some((line) => line.includes('refused:')))
})

t.test('what is not signed so, is of another token, or is over, is no session', async (t) => {
  const { cookie, get, send } = await signedIn(t)
  const request = { protocol: 'http', headers: {} } as never
  const other = new Sessions('another-token').open(request).split(';')[0] ?? ''
  const over = new Sessions(TOKEN, () => Date.now() - SESSION_MS - 1000).open(request).split(';')[0] ?? ''
  const [name, value = ''] = cookie.split('=')
  const [version, expires = '', mac = ''] = value.split('.')
  const later = String(Number(expires) + 3600)
  const plain = createHmac('sha256', TOKEN).update(`1.${later}`).digest('base64url')
  const unsalted = createHmac('sha256', Buffer.from(hkdfSync('sha256', TOKEN, '', '', 32))).update(`1.${later}`)
  const bad = [
    '',
    'x',
    `${version}.${later}.${mac}`,
    `${version}.${expires}.${mac.replace(/^./, (first) => (first === 'A' ? 'B' : 'A'))}`,
    `${version}.${expires}.`,
    `${version}.${expires}`,
    `2.${expires}.${mac}`,
    `1.${later}.${plain}`,
    `1.${later}.${unsalted.digest('base64url')}`,
    `1..${mac}`,
    `1.${'9'.repeat(40)}.${mac}`,
    `${value}.`,
    ` ${value}x`,
  ].map((each) => `${name}=${each}`)
  for (const each of [...bad, other, over, `__Host-${cookie}`, `x${cookie}`, `Clinic-Sync=${value}`]) {
    t.match(await send(STATUS, { method: 'GET', headers: { cookie: each } }), { status: 401 }, each)
    t.match(await send(TRIGGER, { headers: { cookie: each, ...page } }), { status: 401 })
  }
  t.match(await send(STATUS, { method: 'GET', headers: { cookie: over } }), { body: { message: /is over: sign in/ } })
  t.match(
    await get(STATUS, { cookie: `a=b; ${other}; ${cookie}` }),
    { status: 200 },
    'one that is none does not hide it',
  )
})

t.test('a session opens the page’s routes and no doorbell; the webhook secret opens no session', async (t) => {
  const { post, get, send } = await signedIn(t)
  for (const url of ['/api/sync/queue-notify', '/api/sync/webhook'])
    t.match(await post(url, { ...page, ...json }, '{}'), { status: 401 })
  t.match(await get('/metrics'), { status: 404 })
  t.match(await send(SESSION, signIn('webhook-secret-0123456789')), { status: 401 })
  t.match(await send(SESSION, { ...withSecret(), method: 'GET' }), { status: 401 })
})

t.test('nothing that another site can have a browser send changes anything', async (t) => {
  const { post, rings, send } = await signedIn(t)
  const named = { 'x-clinic-sync': 'page' }
  const own = { host: 'sync.example:3000', origin: 'http://sync.example:3000' }
  const refused: readonly (readonly [string, Record<string, string | undefined>, string?])[] = [
    ['a form', { 'content-type': 'application/x-www-form-urlencoded', 'sec-fetch-site': 'cross-site' }, 'a=b'],
    [
      'a form of an old browser',
      { 'content-type': 'application/x-www-form-urlencoded', origin: 'http://evil.example' },
      'a=b',
    ],
    ['JSON as text/plain', { ...page, 'content-type': 'text/plain' }, '{"direction":"both"}'],
    ['JSON without a type', { ...page }, '{"direction":"both"}'],
    ['JSON as almost JSON', { ...page, 'content-type': 'application/jsonp' }, '{"direction":"both"}'],
    ['JSON as a multipart form', { ...page, 'content-type': 'multipart/form-data; boundary=application/json' }, '{}'],
    ['without our header', { 'sec-fetch-site': 'same-origin', ...json }, '{}'],
    ['with another value of it', { 'sec-fetch-site': 'same-origin', 'x-clinic-sync': 'yes' }],
    ['from another site', { ...named, 'sec-fetch-site': 'cross-site' }],
    ['from another host of the site', { ...named, 'sec-fetch-site': 'same-site' }],
    ['by hand', { ...named, 'sec-fetch-site': 'none' }],
    ['of a browser that says something else', { ...named, 'sec-fetch-site': 'Same-Origin' }],
    ['from nowhere', { ...named, host: own.host }],
    ['from a frame without an origin', { ...named, host: own.host, origin: 'null' }],
    ['from another origin', { ...named, host: own.host, origin: 'http://evil.example:3000' }],
    ['from another port', { ...named, host: own.host, origin: 'http://sync.example:3001' }],
    ['from a name that begins alike', { ...named, host: own.host, origin: 'http://sync.example:3000.evil.example' }],
    ['from a user of that name', { ...named, host: own.host, origin: 'http://sync.example:3000@evil.example' }],
    ['from a file', { ...named, host: own.host, origin: 'file://sync.example:3000' }],
    ['from another site, though the origin is right', { ...named, ...own, 'sec-fetch-site': 'cross-site' }],
  ]
  for (const [what, headers, payload] of refused) {
    const { status: answered, headers: sent } = await post(TRIGGER, headers, payload)
    t.ok(answered === 403 || answered === 415, `${what}: ${answered}`)
    t.notOk(sent['access-control-allow-origin'])
    if (payload?.startsWith('{') !== true) {
      t.match(await post(SESSION, headers, payload), { status: 403 }, `${what}: nor does it sign anybody in`)
    }
  }
  t.same(rings, [])
  t.match(await send(SESSION, signIn(TOKEN, { 'sec-fetch-site': 'cross-site', 'x-clinic-sync': 'page' })), {
    status: 403,
  })
  t.match(await send(SESSION, { method: 'DELETE', headers: { 'sec-fetch-site': 'same-origin' } }), { status: 401 })
  t.match(await post(TRIGGER, { ...named, ...own }), { status: 200 }, 'an old browser, on our page')
  t.match(
    await post(TRIGGER, { ...named, ...own, origin: 'https://sync.example:3000' }),
    { status: 200 },
    'behind a proxy',
  )
  const standard = { ...named, host: 'sync.example', origin: 'http://sync.example' }
  t.match(await post(TRIGGER, { ...standard, host: 'sync.example:80' }), { status: 200 }, 'a default port')
  t.match(await post(TRIGGER, { ...page, 'content-type': 'Application/JSON; charset=utf-8' }, '{}'), { status: 200 })
})

t.test('nor does another site read: not by script, event source, frame or a question before', async (t) => {
  const { get, cookie, send } = await signedIn(t)
  for (const site of ['cross-site', 'same-site'])
    for (const url of [STATUS, STREAM, SESSION]) t.match(await get(url, { 'sec-fetch-site': site }), { status: 403 })
  for (const site of ['same-origin', 'none']) t.match(await get(STATUS, { 'sec-fetch-site': site }), { status: 200 })
  const preflight = {
    origin: 'http://evil.example',
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'x-clinic-sync,content-type',
    cookie,
  }
  for (const url of [TRIGGER, SESSION, STATUS]) {
    const { status: answered, headers } = await send(url, { method: 'OPTIONS', headers: preflight })
    t.equal(answered, 405)
    t.same(
      Object.keys(headers).filter((name) => name.startsWith('access-control')),
      [],
    )
  }
  const { headers } = await get(STATUS, { origin: 'http://evil.example' })
  t.match(headers, {
    'x-frame-options': 'DENY',
    'content-security-policy': /frame-ancestors 'none'/,
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
  })
  t.notOk(headers['access-control-allow-origin'])
})

t.test('a stream ends with its session', async (t) => {
  let ended = false
  const watching = async function* (signal: AbortSignal) {
    await new Promise((resolve) => signal.addEventListener('abort', resolve, { once: true }))
    ended = true
    yield* []
  }
  const { send } = await start(t, {}, [], { board: { read: async () => status, watch: watching } as never })
  const request = { protocol: 'http', headers: {} } as never
  const almost = new Sessions(TOKEN, () => Date.now() - SESSION_MS + 2_000).open(request).split(';')[0] ?? ''
  const { status: answered } = await send(STREAM, { method: 'GET', headers: { cookie: almost } })
  t.equal(answered, 200)
  t.ok(ended)
})
