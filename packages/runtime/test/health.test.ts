import t from 'tap'
import { startHealth } from '../src/index.ts'

t.test('healthz answers while the process lives, readyz says why not', async (t) => {
  const reasons: string[] = []
  const server = await import('node:net').then(({ createServer }) => createServer().listen(0, '127.0.0.1'))
  await new Promise((resolve) => server.once('listening', resolve))
  const address = server.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  await new Promise((resolve) => server.close(resolve))
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
