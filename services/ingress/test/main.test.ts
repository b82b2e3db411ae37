import { startPostgres } from '@clinic-sync/dev-services'
import t from 'tap'
import { until } from './help.ts'
import { startService } from './service.ts'

/** Nothing listens at port 1. */
const SETTINGS = {
  SQLSERVER_URL: 'mssql://sync:PLANTED-password@127.0.0.1:1/clinic?encrypt=false',
  POSTGRES_URL: 'postgres://sync:PLANTED-password@127.0.0.1:1/portal',
  RABBITMQ_URL: 'amqp://sync:PLANTED-password@127.0.0.1:1',
  SYNC_WEBHOOK_SECRET: 'PLANTED-webhook-secret',
  SYNC_OPERATOR_TOKEN: 'PLANTED-operator-token',
  INGRESS_PORT: '0',
}

t.test('a missing or wrong setting: one sentence that names it, and exit code 1', async (t) => {
  const cases: [string, Record<string, string>][] = [
    ['SYNC_WEBHOOK_SECRET', { ...SETTINGS, SYNC_WEBHOOK_SECRET: '' }],
    ['SYNC_WEBHOOK_KEYS in \\.env\\.example', { ...SETTINGS, SYNC_WEBHOOK_KEYS: 'whsec_PLANTED' }],
    [
      'POSTGRES_URL in \\.env\\.example',
      {
        ...SETTINGS,
        PORTAL_DOORBELL: 'listen',
        POSTGRES_URL: 'postgres://u:PLANTED@db.example.supabase.co:6543/postgres',
      },
    ],
    ['CLINIC_TIME_ZONE', { ...SETTINGS, CLINIC_TIME_ZONE: 'PLANTED/Nowhere' }],
    // A documentation address (RFC 5737): nobody's own.
    ['INGRESS_HOST', { ...SETTINGS, INGRESS_HOST: '203.0.113.9' }],
  ]
  await Promise.all(
    cases.map(async ([name, environment]) => {
      const service = startService(t, environment)
      t.equal(await service.ended, 1, name)
      // Where it cannot listen it has begun to look for what is down, and may say that before.
      const said = name === 'INGRESS_HOST' ? service.lines.filter(({ level }) => level === 'fatal') : service.lines
      t.match(said, [{ level: 'fatal', msg: new RegExp(name) }])
      t.equal(said.length, 1)
      t.notMatch(JSON.stringify(service.lines), /PLANTED/)
    }),
  )
})

t.test('everything is down: it listens, says so, keeps trying, and ends cleanly', async (t) => {
  const service = startService(t, { ...SETTINGS, LOG_LEVEL: 'debug' })
  await until('it listens', () => service.url() !== undefined)
  const url = service.url() ?? ''
  t.equal((await fetch(`${url}/healthz`)).status, 200)
  const readyz = async () => {
    const response = await fetch(`${url}/readyz`)
    return { code: response.status, ...((await response.json()) as { checks: Record<string, string> }) }
  }
  await until('both sides have been tried', async () => {
    const { clinic, portal } = (await readyz()).checks
    return !/not answered/.test(`${clinic} ${portal}`)
  })
  t.match(await readyz(), {
    code: 503,
    checks: {
      clinic: /SQL Server/,
      portal: /portal/,
      broker: /RabbitMQ/,
      lead: /RabbitMQ/,
      'clinic-doorbell': /who leads hears it/,
      'portal-doorbell': /who leads hears it/,
    },
  })
  const headers = { authorization: `Bearer ${SETTINGS.SYNC_OPERATOR_TOKEN}` }
  const metrics = await (await fetch(`${url}/metrics`, { headers })).text()
  t.match(metrics, /^clinic_sync_build_info\{service="ingress",version="\d.*\} 1$/m)
  t.match(metrics, /^clinic_sync_database_errors_total\{side="portal",class="down"\} [1-9]/m)
  t.notMatch(metrics, /PLANTED/)
  const trigger = await fetch(`${url}/api/sync/trigger`, {
    method: 'POST',
    headers,
  })
  t.equal(trigger.status, 503)
  t.match(await trigger.json(), {
    'sql-to-postgres': { code: 'SYNC_BROKER_DOWN', side: 'clinic' },
    'postgres-to-sql': { code: 'SYNC_BROKER_DOWN', side: 'portal' },
  })
  for (const name of ['queue-notify', 'webhook']) {
    const answer = await fetch(`${url}/api/sync/${name}`, {
      method: 'POST',
      headers: { 'x-sync-secret': SETTINGS.SYNC_WEBHOOK_SECRET },
      body: name === 'webhook' ? '{"type":"INSERT","table":"aligner_notes","record":{}}' : null,
    })
    t.equal(answer.status, 202, name)
  }
  for (const line of [/Webhook-based sync enabled.*Service Broker/, /Reverse sync.*NOTIFY/, /Nothing polls/]) {
    t.ok(
      service.lines.some(({ msg }) => line.test(msg)),
      String(line),
    )
  }
  service.kill('SIGTERM')
  t.equal(await service.ended, 0)
  t.notMatch(JSON.stringify(service.lines), /PLANTED/)
})

t.test('a database that is not migrated: one sentence with the command to run, and exit code 1', async (t) => {
  const postgres = await startPostgres({ durable: false })
  t.teardown(() => postgres.stop())
  // A database that is always there and never migrated.
  const url = Object.assign(new URL(postgres.url), { pathname: '/template1' }).href
  const service = startService(t, { ...SETTINGS, POSTGRES_URL: url })
  t.equal(await service.ended, 1)
  const fatal = service.lines.filter((line) => line.level === 'fatal')
  t.match(fatal, [{ msg: /portal.*npm run sync -- migrate/ }])
  t.equal(fatal.length, 1)
})
