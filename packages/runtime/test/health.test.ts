import { get } from 'node:http'
import { type AddressInfo, createServer } from 'node:net'
import t from 'tap'
import { startHealth } from '../src/index.ts'

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

t.test('healthz answers while the process lives, readyz says why not', async (t) => {
  const reasons: string[] = []
  const port = await freePort()
  const metrics = { contentType: 'text/plain; version=0.0.4', text: async () => 'clinic_sync_leader 1\n' }
  const health = await startHealth({ port, ready: () => reasons, metrics })
  t.teardown(() => health.close())
  t.equal((await fetch(`${health.url}/healthz`)).status, 200)
  t.equal((await fetch(`${health.url}/readyz`)).status, 200)
  const scraped = await fetch(`${health.url}/metrics`)
  t.equal(scraped.headers.get('content-type'), metrics.contentType)
  t.equal(await scraped.text(), 'clinic_sync_leader 1\n')
  await t.rejects(startHealth({ port, ready: () => reasons }), {
    code: 'SYNC_CONFIG',
    message: /EADDRINUSE.*check HEALTH_HOST and HEALTH_PORT/,
  })
  reasons.push('the portal is down')
  const answer = await fetch(`${health.url}/readyz`)
  t.equal(answer.status, 503)
  t.strictSame(await answer.json(), { status: 'not ready', reasons: ['the portal is down'] })
  t.equal((await fetch(`${health.url}/healthz`)).status, 200)
})

t.test('port 0 means none', async (t) => {
  const health = await startHealth({ port: 0, ready: () => [] })
  t.equal(health.url, null)
  await health.close()
})

t.test(
  'the last log lines are told to the own host and network, not to a page that has a name lead here',
  async (t) => {
    const health = await startHealth({
      port: await freePort(),
      ready: () => [],
      recent: { text: () => '{"msg":"x"}\n' },
    })
    t.teardown(() => health.close())
    const url = new URL('/logs', health.url ?? '')
    const answer = await fetch(url)
    t.match(answer.headers.get('content-type'), 'application/x-ndjson')
    t.equal(await answer.text(), '{"msg":"x"}\n')
    const as = (host: string) =>
      new Promise<number | undefined>((resolve, reject) => {
        get(url, { headers: { host }, agent: false }, (response) => resolve(response.resume().statusCode)).on(
          'error',
          reject,
        )
      })
    for (const near of ['localhost:3001', 'sql-to-postgres:3001', '[::1]:3001', '10.0.0.7'])
      t.equal(await as(near), 200, near)
    for (const far of ['rebound.example', 'rebound.example:3001', '127.0.0.1.nip.io', 'a.b'])
      t.equal(await as(far), 403, far)
  },
)
