import { createServer, type RequestListener } from 'node:http'
import { connect, createServer as createTcpServer } from 'node:net'
import { startHealth } from '@clinic-sync/runtime'
import t, { type Test } from 'tap'
import { databasePlaces } from '../src/database-places.ts'
import { isHealthy } from '../src/is-healthy.ts'
import { untilReachable } from '../src/until-reachable.ts'

async function serve(t: Test, listener: RequestListener): Promise<number> {
  const server = createServer(listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => {
    server.closeAllConnections()
    server.close()
  })
  return portOf(server.address())
}

const portOf = (address: unknown) => (address as { port: number }).port

/** A port that nobody listens on. */
async function freePort(): Promise<number> {
  const server = createTcpServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const port = portOf(server.address())
  await new Promise((resolve) => server.close(resolve))
  return port
}

t.test('a service is healthy when it can work, and says why not', async (t) => {
  const reasons: string[] = []
  const health = await startHealth({ port: await freePort(), ready: () => reasons })
  t.teardown(() => health.close())
  const port = Number(new URL(health.url ?? '').port)
  t.match(await isHealthy(port), { healthy: true })
  reasons.push("the portal's database cannot be used")
  t.match(await isHealthy(port), { healthy: false, says: /portal's database/ })
})

t.test('nothing there, and an answer that breaks off, are no health', async (t) => {
  const port = await freePort()
  t.strictSame(await isHealthy(port), { healthy: false, says: `nothing answers on port ${port}` })
  const broken = await serve(t, (request) => void request.socket.destroy())
  t.match(await isHealthy(broken), { healthy: false })
})

t.test('waiting ends when somebody listens, and after its time', async (t) => {
  const port = await freePort()
  const server = createTcpServer((socket) => socket.end())
  const place = { host: '127.0.0.1', port }
  let waited = 0
  const waiting = untilReachable(place, {
    patience: 10_000,
    onWaiting: () => {
      waited++
      server.listen(port, '127.0.0.1')
    },
  })
  t.equal(await waiting, null)
  t.equal(waited, 1)
  await new Promise((resolve) => server.close(resolve))
  t.equal(await untilReachable(place, { patience: 0 }), 'ECONNREFUSED')
  const unknown = { host: 'nobody.invalid', port: 1 }
  t.match(await untilReachable(unknown, { patience: 60_000, unknown: 0 }), /ENOTFOUND|EAI_AGAIN/)
  t.rejects(new Promise((_, reject) => connect(place).once('error', reject)))
})

t.test('where the databases are, as far as it is known', async (t) => {
  t.strictSame(
    databasePlaces({
      SQLSERVER_URL: 'mssql://a:b@service:1433/clinic',
      SQLSERVER_ADMIN_URL: 'mssql://a:b@admin/clinic',
      POSTGRES_URL: 'postgres://a:b@[::1]:6000/portal',
    }),
    [
      { host: 'admin', port: 1433 },
      { host: '::1', port: 6000 },
    ],
  )
  t.strictSame(databasePlaces({ SQLSERVER_URL: 'mssql://a:b@host/clinic?instanceName=X', POSTGRES_URL: '!' }), [])
  t.strictSame(databasePlaces({}), [])
})
