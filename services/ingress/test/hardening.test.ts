import { once } from 'node:events'
import { connect } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { signWebhook, type SyncStatus } from '@clinic-sync/contracts'
import sensible from '@fastify/sensible'
import Fastify, { type FastifyRequest, type InjectOptions } from 'fastify'
import t, { type Test } from 'tap'
import { type AppOptions, options } from '../src/app.ts'
import { CONNECTIONS, limitConnections } from '../src/connections.ts'
import { LIMITS, limitSources } from '../src/limits.ts'
import { MOST_CLAIMS } from '../src/webhook-proof.ts'
import { asOperator, hook, json, SECRET, start, TOKEN, withSecret } from './http.ts'

const KEY = new Uint8Array(32).fill(7)
const signed = (payload: string, as = payload) => ({ headers: { ...json, ...signWebhook([KEY], as) }, payload })
const wrong = { headers: { 'x-sync-secret': 'wrong' } }
const DOORBELL = '/api/sync/queue-notify'
/** Requests from another address, as Fastify tells it. */
const from = (remoteAddress: string, request: object = {}) => ({ ...request, remoteAddress })

t.test('whoever sends the wrong secret too often gets 429; whoever sends the right one never', async (t) => {
  const { send, rings, lines } = await start(t, {}, [], { limits: { refused: 5, open: 1000, windowMs: 60_000 } })
  const statuses = async (request: object, times: number, url = DOORBELL) => {
    const all = []
    for (let i = 0; i < times; i++) all.push((await send(url, request)).status)
    return all
  }
  t.same(await statuses(wrong, 8), [401, 401, 401, 401, 401, 429, 429, 429])
  const refused = await send(DOORBELL, wrong)
  t.match(refused.headers, { 'retry-after': /^\d+$/, connection: 'close' })
  t.match(refused.body, { statusCode: 429, message: /^Too many requests from your address: try again in \d+ s\.$/ })
  t.same(rings, [])
  t.equal(lines.filter((line) => line.includes('refused:')).length, 5, 'and fills no log')
  t.match(
    lines.findLast((line) => line.includes('refused:')),
    /not logged for a minute/,
  )

  t.same(await statuses(withSecret(), 200), Array(200).fill(202), 'a doorbell is never lost, also from there')
  t.equal(rings.length, 200)
  t.same(await statuses(asOperator(), 3, '/api/sync/trigger'), [200, 200, 200])
  t.same(await statuses(wrong, 1, '/api/sync/trigger'), [429], 'one count for all routes')
  t.same(await statuses(from('192.0.2.9', wrong), 1), [401], 'another source is told what is wrong')
  t.same(await statuses(from('2001:db8::1', wrong), 5), Array(5).fill(401))
  t.same(await statuses(from('2001:db8::ffff', wrong), 1), [429], 'a network of 64 bits is one source')
})

t.test('a doorbell that is signed is heard, also from a source that is refused', async (t) => {
  const { send, rings } = await start(t, {}, [KEY], { limits: { refused: 2, open: 1000, windowMs: 60_000 } })
  const forged = (size = 10) => signed(JSON.stringify({ ...hook, record: { text: 'x'.repeat(size) } }), 'another')
  t.match(await send('/api/sync/webhook', forged()), { status: 401 })
  t.match(await send('/api/sync/webhook', forged()), { status: 401 })
  t.match(await send('/api/sync/webhook', forged()), { status: 429 }, 'read, since it might have been right')
  t.match(
    await send('/api/sync/webhook', forged(20_000)),
    { status: 429, headers: { connection: 'close' } },
    'not read',
  )
  t.match(await send('/api/sync/webhook', signed(JSON.stringify({ ...hook, record: null }))), { status: 202 })
  t.same(rings, ['portal'])
})

t.test('routes that ask for no secret are limited by source', async (t) => {
  const { send } = await start(t, {}, [], { limits: { refused: 1000, open: 4, windowMs: 60_000 } })
  const get = { method: 'GET' } as const
  const seen = []
  for (const url of [
    '/healthz',
    '/readyz',
    '/none',
    '/api/sync/trigger',
    '/healthz',
    '/readyz',
    '/none',
    '/api/sync/trigger',
  ])
    seen.push((await send(url, get)).status)
  t.same(seen, [200, 200, 404, 405, 429, 429, 429, 429])
  t.match(await send(DOORBELL, withSecret()), { status: 202 })
  t.match(await send('/healthz', from('192.0.2.9', get)), { status: 200 })
})

t.test('10,000 wrong secrets cost a bounded log', async (t) => {
  const { fastify, lines } = await start(t, {}, [], { level: 'debug' })
  const request = (i: number) =>
    ({ method: 'POST', url: DOORBELL, headers: { 'x-sync-secret': `guess ${i}` } }) as const
  for (let i = 0; i < 10_000; i++) await fastify.inject(request(i))
  const written = lines.filter((line) => line.includes('refused')).length
  t.ok(written <= LIMITS.refused * 3, `${written} lines`)
  t.notMatch(lines.join(''), /guess \d/, 'what was sent is in none of them')
})

t.test('20,000 addresses cost a bounded memory', async (t) => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(sensible)
  await limitSources(app)
  const used = () => {
    collect()
    return process.memoryUsage().heapUsed / 1e6
  }
  const count = async (network: number) => {
    for (let i = 0; i < 10_000; i++)
      await app.limits.refused({ ip: `10.${network}.${i >> 8}.${i & 255}`, routeOptions: {} } as FastifyRequest)
  }
  await count(1)
  const before = used()
  await count(2)
  const grown = used() - before
  t.ok(grown < 1, `${grown.toFixed(2)} MB more`)
})

t.test('answers are not kept, are no page, and do not say who answers', async (t) => {
  const { send } = await start(t)
  for (const [url, request] of [
    [DOORBELL, withSecret()],
    [DOORBELL, wrong],
    ['/healthz', { method: 'GET' }],
    ['/none', { method: 'GET' }],
    ['/api/sync/trigger', { method: 'GET' }],
    ['/api/sync/trigger', asOperator('[')],
  ] satisfies [string, InjectOptions][]) {
    const { headers } = await send(url, request)
    t.match(
      headers,
      {
        'cache-control': 'no-store',
        'content-security-policy': /^default-src 'none'/,
        'x-content-type-options': 'nosniff',
        'x-frame-options': 'DENY',
        'referrer-policy': 'no-referrer',
      },
      url,
    )
    t.notOk('strict-transport-security' in headers, `${url}: that is the proxy's to say`)
    t.strictSame([headers['server'], headers['x-powered-by'], headers['access-control-allow-origin']], Array(3), url)
  }
})

/** The app on a port, as patient as a test can be. */
async function listening(t: Test, board?: AppOptions['board']) {
  const impatient = {
    requestTimeout: 900,
    http: { ...options.http, headersTimeout: 500, connectionsCheckingInterval: 50 },
  }
  const { fastify, rings } = await start(t, {}, [], { server: impatient, board })
  await fastify.listen({ host: '127.0.0.1', port: 0 })
  const { port } = fastify.server.address() as { port: number }
  /** Sends text now and then; gives all that came until the connection was closed, and after how long. */
  async function slowly(first: string, drip = ''): Promise<{ answer: string; ms: number }> {
    const begun = performance.now()
    const socket = connect(port, '127.0.0.1')
    let answer = ''
    socket.setEncoding('utf8').on('data', (text: string) => (answer += text))
    socket.on('error', () => undefined)
    await once(socket, 'connect')
    socket.write(first)
    const timer = drip === '' ? undefined : setInterval(() => socket.write(drip), 40)
    await once(socket, 'close')
    clearInterval(timer)
    return { answer, ms: performance.now() - begun }
  }
  return { fastify, rings, port, slowly }
}

t.test('whoever is slow, or sends too much, is hung up on', async (t) => {
  const { rings, slowly, port } = await listening(t)
  const head = `POST ${DOORBELL} HTTP/1.1\r\nhost: x\r\nx-sync-secret: ${SECRET}\r\n`
  const [silent, headers, body, long, many, broken, upgrade] = await Promise.all([
    slowly(''),
    slowly(head, 'x-a: b\r\n'),
    slowly(`${head}content-length: 100000\r\n\r\n`, 'x'),
    slowly(`${head}x-long: ${'x'.repeat(options.http.maxHeaderSize)}\r\n\r\n`),
    slowly(`${head}${'x-many: 1\r\n'.repeat(2_500)}\r\n`),
    slowly('PATIENT مريم\r\n\r\n'),
    slowly(`${head}content-length: 9000000\r\n\r\n`, 'x'.repeat(60_000)),
  ])
  for (const [name, { ms }] of Object.entries({ silent, headers, body }))
    t.ok(ms < 20_000, `${name}: ${ms.toFixed()} ms; Node would take a minute`)
  t.match(headers.answer, /^HTTP\/1\.1 408 /)
  t.match(body.answer, /^HTTP\/1\.1 408 /)
  t.match(long.answer, /^HTTP\/1\.1 431 /)
  t.match(many.answer, /^HTTP\/1\.1 431 /)
  t.match(broken.answer, /^HTTP\/1\.1 400 /)
  t.match(upgrade.answer, /^HTTP\/1\.1 413 /)
  for (const { answer } of [headers, body, long, many, broken]) t.notMatch(answer, /PATIENT|مريم|webhook-secret/)
  t.same(rings, [])
  const response = await fetch(`http://127.0.0.1:${port}${DOORBELL}`, {
    method: 'POST',
    headers: { 'x-sync-secret': SECRET },
  })
  t.equal(response.status, 202, 'and a doorbell is heard meanwhile')
})

t.test('one address cannot take all connections', async (t) => {
  const { fastify } = await start(t)
  limitConnections(fastify.server, { all: 10, each: 4 })
  await fastify.listen({ host: '127.0.0.1', port: 0 })
  const { port } = fastify.server.address() as { port: number }
  const open = async (localAddress: string) => {
    const socket = connect({ port, host: '127.0.0.1', localAddress }).on('error', () => undefined)
    t.teardown(() => socket.destroy())
    const accepted = once(socket, 'data').then(() => true)
    const refused = once(socket, 'close').then(() => false)
    socket.write('GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n')
    return { socket, isOpen: await Promise.race([accepted, refused]) }
  }
  const held = []
  for (let i = 0; i < 6; i++) held.push(await open('127.0.0.2'))
  t.same(
    held.map(({ isOpen }) => isOpen),
    [true, true, true, true, false, false],
  )
  t.ok((await open('127.0.0.3')).isOpen, 'another one has room')
  const [first] = held
  first?.socket.end()
  await once(first?.socket as never, 'close')
  t.ok((await open('127.0.0.2')).isOpen, 'and so has the first, when it has let one go')
})

t.test('slow bodies do not hold the connections that a doorbell needs', async (t) => {
  const { fastify } = await start(t, {}, [KEY])
  limitConnections(fastify.server, { all: 1_000, each: MOST_CLAIMS + 10 })
  const url = await fastify.listen({ host: '127.0.0.1', port: 0 })
  const rings = async (headers: Record<string, string>) => {
    const body = JSON.stringify({ ...hook, record: null })
    const stamp = 'x-sync-secret' in headers ? headers : signWebhook([KEY], body)
    const answer = await fetch(`${url}/api/sync/webhook`, {
      method: 'POST',
      headers: { ...json, ...stamp, connection: 'close' },
      body,
    })
    return answer.status
  }
  const claim = 'webhook-id: a\r\nwebhook-timestamp: 1\r\nwebhook-signature: v1,x\r\n'
  for (const [line, more] of [
    ['POST /api/sync/webhook', claim],
    ['POST /none', ''],
    ['POST /healthz', ''],
  ] as const) {
    let open = 0
    for (let i = 0; i < MOST_CLAIMS + 20; i++) {
      const socket = connect({ port: Number(new URL(url).port), host: '127.0.0.1' }).on('error', () => undefined)
      t.teardown(() => socket.destroy())
      await once(socket, 'connect')
      open++
      socket.resume().once('close', () => open--)
      socket.write(`${line} HTTP/1.1\r\nhost: x\r\n${more}content-length: 10000\r\n\r\n{`)
    }
    while (open > MOST_CLAIMS) await new Promise((resolve) => setTimeout(resolve, 10))
    t.equal(await rings({ 'x-sync-secret': SECRET }), 202, line)
    t.equal(await rings({}), 202, `${line}, signed`)
  }
})

t.test('what has been set', async (t) => {
  t.match(options, {
    requestTimeout: 20_000,
    bodyLimit: 1024 * 1024,
    http: { headersTimeout: 10_000, maxHeaderSize: 16_384 },
  })
  t.match(CONNECTIONS, { all: 1_000, each: 500 })
})

t.test('whom X-Forwarded-For may name: only a proxy that is trusted', async (t) => {
  const tell = async (trustProxy: string[], chain: string) => {
    const app = Fastify({ ...options, trustProxy })
    t.teardown(() => app.close())
    app.get('/', async ({ ip }) => ip)
    return (await app.inject({ url: '/', remoteAddress: '127.0.0.1', headers: { 'x-forwarded-for': chain } })).body
  }
  t.equal(await tell([], '203.0.113.7'), '127.0.0.1')
  t.equal(await tell(['loopback'], '203.0.113.7'), '203.0.113.7')
  t.equal(
    await tell(['loopback'], '127.0.0.1, 198.51.100.1, 203.0.113.7'),
    '203.0.113.7',
    'what the client claims does not count',
  )
})

t.test('a stream of the status is not cut off by any of this', async (t) => {
  async function* watch() {
    // Longer than a request may take.
    for (let i = 0; i < 15; i++) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      yield { problems: [String(i)] } as unknown as SyncStatus
    }
  }
  const { port } = await listening(t, { read: () => Promise.reject(new Error('not asked')), watch })
  const response = await fetch(`http://127.0.0.1:${port}/api/sync/status/stream`, {
    headers: { authorization: `Bearer ${TOKEN}` },
  })
  const text = await response.text()
  t.equal(text.split('event: status').length, 16)
})
