import { createServer } from 'node:http'
import { openScriptConnection } from '@clinic-sync/clinic'
import { testClinic } from '@clinic-sync/dev-services/testing'
import t, { type Test } from 'tap'
import { doorbellCommand } from '../src/doorbell/command.ts'
import { migrate } from '../src/migrate/index.ts'

const SECRET = 'a secret of sixteen'

async function withClinic(t: Test, more: Record<string, string> = {}) {
  const simulator = await testClinic(t)
  const environment = { SQLSERVER_URL: simulator.url, SYNC_WEBHOOK_SECRET: SECRET, ...more }
  const lines: string[] = []
  return {
    simulator,
    lines,
    text: () => lines.splice(0).join('\n'),
    run: (settings: Record<string, string> = {}, show = false) =>
      doorbellCommand({ environment: { ...environment, ...settings }, show, say: (line) => void lines.push(line) }),
    async query(sql: string) {
      const connection = openScriptConnection(simulator.url)
      return connection.batch(sql).finally(() => connection.close())
    },
  }
}

/** Answers as an ingress with that secret would; gives its address. */
async function ingress(t: Test, secret: string): Promise<string> {
  const server = createServer((request, response) => {
    const known = request.url === '/sync/api/sync/queue-notify' && request.headers['x-sync-secret'] === secret
    response.writeHead(known ? 202 : 401).end()
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(() => server.close())
  const address = server.address()
  return `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/sync/`
}

t.test('switches on what CLINIC_DOORBELL names, rings it, and can be run again', async (t) => {
  const { run, query, text } = await withClinic(t)
  await query("EXEC sync.UseDoorbell @Doorbell = N'none'")
  for (let i = 0; i < 2; i++) {
    t.equal(await run(), true)
    t.equal(text(), 'clinic: the doorbell service-broker is switched on.\nclinic: it rang.')
  }
  t.same(await query("SELECT Value FROM sync.Settings WHERE Name = N'Doorbell'"), [{ Value: 'service-broker' }])
})

t.test('an HTTP doorbell is told address and secret, and what came of the ring is told', async (t) => {
  const { run, text } = await withClinic(t, { CLINIC_DOORBELL: 'ole-automation' })
  t.equal(await run({ INGRESS_URL: await ingress(t, SECRET) }), true)
  t.match(text(), /ole-automation is switched on\.\nclinic: it rang, and was answered with HTTP 202\./)
  t.equal(await run({ INGRESS_URL: await ingress(t, 'another') }), false)
  t.match(text(), /did not ring: HTTP 401\.\n.*SYNC_WEBHOOK_SECRET/)
  t.equal(await run({ INGRESS_URL: 'http://127.0.0.1:1' }), false)
  t.match(text(), /did not ring: .*\n.*Is the ingress running/)
})

t.test(
  '--show says what is set and changes nothing; the secret is never shown, nor a login in the address',
  async (t) => {
    const { run, text } = await withClinic(t, { CLINIC_DOORBELL: 'ole-automation' })
    t.equal(await run({}, true), false, 'another one is switched on')
    t.match(
      text(),
      /CLINIC_DOORBELL +ole-automation\nDoorbell +service-broker\nDoorbellURL +missing\nDoorbellSecret +missing/,
    )
    await run({ INGRESS_URL: 'http://me:mine@127.0.0.1:1' })
    text()
    t.equal(await run({}, true), true)
    const shown = text()
    t.match(shown, /DoorbellURL +http:\/\/127\.0\.0\.1:1\/api\/sync\/queue-notify\nDoorbellSecret +set$/)
    t.notMatch(shown, SECRET)
  },
)

t.test('http and none switch off what rings in the database', async (t) => {
  const { run, query, text } = await withClinic(t)
  for (const doorbell of ['http', 'none']) {
    await run()
    text()
    t.equal(await run({ CLINIC_DOORBELL: doorbell }), true)
    t.match(text(), /nothing in the database rings any more/)
    t.same(await query("SELECT Value FROM sync.Settings WHERE Name = N'Doorbell'"), [{ Value: 'none' }])
  }
})

t.test('Service Broker that is off is said with the exact statement and its warning; nothing is changed', async (t) => {
  const { run, query } = await withClinic(t)
  await query("EXEC sync.UseDoorbell @Doorbell = N'none'")
  await query('ALTER DATABASE [clinic] SET DISABLE_BROKER WITH ROLLBACK IMMEDIATE')
  await t.rejects(run(), {
    code: 'SYNC_NO_DOORBELL',
    message:
      /ALTER DATABASE \[clinic\] SET ENABLE_BROKER WITH ROLLBACK IMMEDIATE.*every transaction that is open in it is rolled back/,
  })
  t.same(await query("SELECT Value FROM sync.Settings WHERE Name = N'Doorbell'"), [{ Value: 'none' }])
})

t.test('an address without TLS is refused for rest-endpoint before anything is done', async (t) => {
  const { run, simulator } = await withClinic(t, { CLINIC_DOORBELL: 'rest-endpoint' })
  const before = simulator.queries()
  await t.rejects(run({ INGRESS_URL: 'http://127.0.0.1:3000' }), { code: 'SYNC_CONFIG', message: /https:/ })
  t.equal(simulator.queries(), before)
  const https = run({ INGRESS_URL: 'https://ingress.example' })
  await t.rejects(https, { code: 'SYNC_NO_DOORBELL', message: /npm run sync -- migrate/ }, 'it is not installed')
})

t.test('a login that may not is told which one may; SQLSERVER_ADMIN_URL names it', async (t) => {
  const { run, simulator, text } = await withClinic(t)
  const service = { SQLSERVER_URL: simulator.serviceUrl }
  await t.rejects(run(service), { code: 'SYNC_CONFIG', message: /SQLSERVER_ADMIN_URL/ })
  await t.rejects(migrate({ side: 'clinic', url: simulator.serviceUrl }), {
    code: 'SYNC_MIGRATION_FAILED',
    message: /SQLSERVER_ADMIN_URL/,
  })
  t.equal(await run({ ...service, SQLSERVER_ADMIN_URL: simulator.url }), true)
  const wrong = run({ ...service, SQLSERVER_ADMIN_URL: 'mssql://sa:secret@host/a/b' })
  await t.rejects(wrong, { code: 'SYNC_CONFIG', message: /^SQLSERVER_ADMIN_URL cannot be used/ })
  t.match(text(), /it rang/)
})

t.test('a clinic without the migrations is said so', async (t) => {
  const simulator = await testClinic(t, { migrated: false })
  const environment = { SQLSERVER_URL: simulator.url, CLINIC_DOORBELL: 'none' }
  await t.rejects(doorbellCommand({ environment, show: false, say: () => undefined }), { code: 'SYNC_NOT_MIGRATED' })
})
