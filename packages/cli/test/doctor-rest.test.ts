import { type BrokerFacts, deadQueue, eventQueue, retryQueue } from '@clinic-sync/broker'
import { SyncError } from '@clinic-sync/sync'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { bounded } from '@clinic-sync/operations'
import { brokerChecks, unreachable as brokerUnreachable } from '../src/doctor/broker/index.ts'
import { aged, type Check, checksOf } from '../src/doctor/check.ts'
import { withFile } from '../src/doctor/command.ts'
import { heardCheck } from '../src/doctor/doorbells/heard.ts'
import { askIngress } from '../src/doctor/ingress/facts.ts'
import { ingressChecks } from '../src/doctor/ingress/index.ts'
import { report } from '../src/doctor/print.ts'
import { restoredCheck } from '../src/doctor/restored.ts'
import { settingsChecks } from '../src/doctor/settings.ts'
import { skew } from '../src/doctor/skew.ts'

// Settings, broker, ingress, what was heard, restored backups, and how all of it is printed.
function only(t: Test, checks: readonly Check[], expected: Partial<Record<keyof Check, string | RegExp>>) {
  const wrong = checks.filter(({ status }) => status !== 'ok')
  t.equal(wrong.length, 1, `one: ${wrong.map(({ id }) => id).join()}`)
  t.match(wrong[0], expected)
}
const well = (t: Test, checks: readonly Check[]) =>
  t.same(
    checks.filter(({ status }) => status !== 'ok'),
    [],
  )

const ENVIRONMENT = {
  SQLSERVER_URL: 'mssql://sa:PLANTED@h/clinic',
  POSTGRES_URL: 'postgres://u:PLANTED@db.x.supabase.co:5432/postgres',
  RABBITMQ_URL: 'amqp://u:PLANTED@h',
  SYNC_WEBHOOK_SECRET: 'PLANTED-webhook-secret',
  SYNC_OPERATOR_TOKEN: 'PLANTED-operator-token',
}

t.test('settings', async (t) => {
  const look = (changes: Record<string, string> = {}) => settingsChecks({ ...ENVIRONMENT, ...changes })
  well(t, look().checks)
  t.equal(look().settings.CLINIC_TIME_ZONE, 'Asia/Baghdad')
  only(t, look({ RABBITMQ_URL: 'http://PLANTED' }).checks, {
    id: 'settings.RABBITMQ_URL',
    status: 'fail',
    found: /^(?!.*PLANTED)RABBITMQ_URL must be amqp.*Nothing of RabbitMQ can be checked/,
    todo: 'Correct RABBITMQ_URL in .env, then restart the services.',
  })
  only(t, look({ SYNC_OPERATOR_TOKEN: 'short' }).checks, { todo: /\(make one: node -p "require\('crypto'\)/ })
  t.notOk('RABBITMQ_URL' in look({ RABBITMQ_URL: '' }).settings)
  only(t, look({ SQLSERVER_URL: 'mssql://sa:PLANTED@h/clinic?encript=no' }).checks, {
    found: /^(?!.*PLANTED).*"encript" is unknown/,
  })
  only(t, look({ SQLSERVER_ADMIN_URL: 'mssql://sa:PLANTED@h' }).checks, {
    found: /^SQLSERVER_ADMIN_URL cannot be used/,
  })
  only(t, look({ INGRESS_URL: 'http://PLANTED:99999' }).checks, { id: 'settings.INGRESS_URL', found: /^(?!.*PLANTED)/ })
  only(t, look({ CLINIC_TIME_ZONE: 'Asia/Bagdad' }).checks, { id: 'settings.CLINIC_TIME_ZONE' })
  only(t, look({ SYNC_OPERATOR_TOKEN: ENVIRONMENT.SYNC_WEBHOOK_SECRET }).checks, {
    id: 'settings.token',
    status: 'warn',
  })
  only(t, look({ SYNC_OPERATOR_TOKEN: 'PLANTED with a blank' }).checks, { id: 'settings.bearer', status: 'warn' })
  only(t, look({ SYNC_WEBHOOK_SECRET: 'PLANTED, with a ñ and more' }).checks, {
    id: 'settings.SYNC_WEBHOOK_SECRET',
    status: 'fail',
  })
  const pooler = ENVIRONMENT.POSTGRES_URL.replace('5432', '6543')
  only(t, look({ POSTGRES_URL: pooler }).checks, { id: 'settings.transaction-mode', status: 'fail' })
  well(t, look({ POSTGRES_URL: pooler, PORTAL_DOORBELL: 'webhook' }).checks)
  only(t, look({ CLINIC_DOORBELL: 'rest-endpoint' }).checks, { id: 'settings.https' })
  t.equal(settingsChecks({}).checks.filter(({ status }) => status === 'fail').length, 5, 'each that is missing')
  t.notMatch(JSON.stringify([look().checks, look({ POSTGRES_URL: pooler }).checks]), /PLANTED/)
})

const DIRECTIONS = ['sql-to-postgres', 'postgres-to-sql'] as const
const QUEUES = [
  ...DIRECTIONS.flatMap((direction) => [0, 1, 2, 3].map((partition) => eventQueue(direction, partition))),
  ...DIRECTIONS.map((direction) => `sync.outcomes.${direction}`),
  ...DIRECTIONS.map(deadQueue),
  ...[1, 2, 3].map(retryQueue),
  'sync.dead.unrouted',
]

t.test('broker', async (t) => {
  const look = (changes: Record<string, Partial<BrokerFacts['queues'][number]>> = {}) =>
    brokerChecks({
      version: '3.13.7',
      queues: QUEUES.map((name) => ({ name, state: 'ok' as const, messages: 0, consumers: 1, ...changes[name] })),
    })
  well(t, look())
  well(t, look({ [retryQueue(2)]: { messages: 4 } }))
  only(t, look({ [retryQueue(2)]: { state: 'missing' } }), { id: 'broker.queues', found: `missing: ${retryQueue(2)}` })
  only(t, look({ [retryQueue(2)]: { state: 'misfit' } }), {
    id: `broker.arguments.${retryQueue(2)}`,
    found: /406/,
    todo: /delete it/,
  })
  only(t, look({ [eventQueue('postgres-to-sql', 2)]: { consumers: 0, messages: 7 } }), {
    id: 'broker.consumers.postgres-to-sql',
    status: 'fail',
    found: /nobody consumes sync\.postgres-to-sql\.p2.*7 messages/,
  })
  only(t, look({ 'sync.outcomes.sql-to-postgres': { consumers: 0 } }), { id: 'broker.consumers.ingress' })
  only(t, look({ [deadQueue('sql-to-postgres')]: { messages: 1 } }), {
    status: 'warn',
    found: '1 message',
    todo: /^npm run sync -- dead-letters list .*replay.*discard/,
  })
  only(t, look({ [deadQueue('postgres-to-sql')]: { messages: 1 } }), { todo: /^npm run sync -- dead-letters list/ })
  only(t, look({ 'sync.dead.unrouted': { messages: 1 } }), {
    todo: /Queues → sync\.dead\.unrouted .*migrate broker/,
  })
  const failure = (message: string) => brokerUnreachable(new SyncError('SYNC_BROKER_DOWN', message))
  t.match(failure('RabbitMQ: connect ECONNREFUSED'), {
    id: 'broker.reachable',
    status: 'fail',
    todo: /^Start RabbitMQ/,
  })
  t.match(failure('RabbitMQ: 403 (ACCESS-REFUSED)').todo, /password/)
  t.match(failure('RabbitMQ: 530 (NOT-ALLOWED) vhost not found').todo, /add_vhost/)
  t.match(failure('RabbitMQ: Expected ConnectionOpenOk; got <ConnectionClose channel:0>').todo, /add_vhost/)
})

t.test('ingress', async (t) => {
  const look = (changes: Partial<Parameters<typeof ingressChecks>[0]> = {}) =>
    ingressChecks({
      url: 'http://h:3000',
      checks: { clinic: 'ok', portal: 'ok' },
      notified: 202,
      tested: 200,
      doorbells: {},
      ...changes,
    })
  well(t, look())
  only(t, look({ checks: null }), { id: 'ingress.reachable', found: /something else answers at http:\/\/h:3000/ })
  only(t, look({ checks: { clinic: 'ok', rabbitmq: 'connecting' } }), {
    id: 'ingress.ready',
    found: 'rabbitmq: connecting',
  })
  only(t, look({ notified: 401 }), { id: 'ingress.webhook-secret', found: 'it was started with another' })
  only(t, look({ tested: 401 }), { id: 'ingress.operator-token', todo: /SYNC_OPERATOR_TOKEN/ })
  only(t, look({ tested: 404 }), { found: /HTTP 404.*another version/ })
})

t.test('an ingress behind a path of a proxy is asked there', async (t) => {
  const asked: string[] = []
  const proxy = createServer((request, response) => {
    asked.push(request.url ?? '')
    response.end('{"checks":{}}')
  }).listen(0, '127.0.0.1')
  t.teardown(() => proxy.close())
  await once(proxy, 'listening')
  const { port } = proxy.address() as AddressInfo
  const settings = { SYNC_WEBHOOK_SECRET: 'x', SYNC_OPERATOR_TOKEN: 'y' }
  await askIngress({ ...settings, INGRESS_URL: `http://127.0.0.1:${port}/clinic/` })
  t.same(asked.sort(), ['/clinic/api/sync/doorbells/test', '/clinic/api/sync/queue-notify', '/clinic/readyz'])
})

t.test('what was heard', async (t) => {
  const heard = { doorbell: 'service-broker', heard: true, ms: 4, message: null }
  well(t, heardCheck('clinic', heard, 'service-broker'))
  only(t, heardCheck('clinic', { ...heard, heard: false, message: 'Service Broker is off.' }, 'service-broker'), {
    id: 'doorbells.clinic.heard',
    status: 'fail',
    found: 'Service Broker is off.',
  })
  const unheard = { ...heard, doorbell: 'webhook', heard: false }
  only(t, heardCheck('portal', unheard, 'webhook'), { todo: /net\._http_response/ })
  only(t, heardCheck('portal', unheard, 'webhook', true), {
    todo: 'Do first what else fails of the portal, its doorbell and RabbitMQ.',
  })
  only(t, heardCheck('clinic', heard, 'ole-automation'), {
    id: 'doorbells.clinic.started',
    found: /started with service-broker/,
  })
  well(t, heardCheck('clinic', { ...heard, doorbell: 'http', heard: false }, 'http'))
  t.same(heardCheck('portal', { ...heard, doorbell: 'none', heard: false }, 'none'), [])
})

t.test('a restored backup', async (t) => {
  const found = { restored: [], repairing: false, lastIds: { clinic: '7', portal: null } }
  well(t, [restoredCheck('clinic', found)])
  well(t, [restoredCheck('portal', found)])
  const restored = [{ side: 'clinic' as const, why: 'lacks a change' }]
  only(t, [restoredCheck('clinic', { ...found, restored })], {
    status: 'fail',
    found: /^it lacks a change, as after a restored backup$/,
    todo: /^npm run sync -- after-restore,/,
  })
  well(t, [restoredCheck('portal', { ...found, restored, repairing: true })])
  only(t, [restoredCheck('portal', { ...found, repairing: true })], { found: /has not ended/, todo: /after-restore/ })
})

t.test('an area that does not answer in time, or fails', async (t) => {
  t.match(await bounded('Postgres', () => new Promise(() => undefined), 20), {
    error: { message: /Postgres did not answer within 0\.02 s/ },
  })
  t.match(await bounded('x', () => Promise.resolve(1)), { facts: 1 })
  t.match(await bounded('x', () => Promise.reject(new SyncError('SYNC_CONFIG', 'wrong'))), {
    error: { code: 'SYNC_CONFIG' },
  })
  const { error } = (await bounded('x', () => Promise.reject(new TypeError('a value')))) as { error: SyncError }
  t.match(error, { code: 'SYNC_UNFORESEEN', message: 'x could not be looked at (TypeError)' }, 'hides no other area')
})

t.test('what to do names the file that --env-file names', async (t) => {
  const { fail } = checksOf('clinic')
  const checks = [fail('a', 'A', 'x', 'Set it in .env (see .env.example), then: npm run sync -- doorbell, or in .env.')]
  t.equal(withFile({ ok: false, checks }, undefined).checks[0]?.todo, checks[0]?.todo)
  t.equal(
    withFile({ ok: false, checks }, '/srv/$& demo/demo.env').checks[0]?.todo,
    'Set it in /srv/$& demo/demo.env (see .env.example), then: npm run sync -- --env-file "/srv/$& demo/demo.env" doorbell, or in /srv/$& demo/demo.env.',
  )
})

t.test('print', async (t) => {
  const { ok, warn, fail } = checksOf('clinic')
  const checks = [
    ok('a', 'It answers', 'in 2 ms'),
    warn('b', 'Least', 'too much', 'less'),
    fail('c', 'On', 'it is off', 'switch it on'),
  ]
  t.same(report({ ok: false, checks }, false), [
    'Clinic (SQL Server)',
    '  ✓ It answers: in 2 ms',
    '  ! Least: too much',
    '      → less',
    '  ✗ On: it is off',
    '      → switch it on',
    '',
    '1 check fails (3 checks, 1 warning). To do, in this order:',
    '  1. switch it on',
    '     clinic: it is off',
  ])
  t.match(report({ ok: true, checks: checks.slice(0, 2) }, false).at(-1), 'Nothing fails (2 checks, 1 warning).')
  const [ready, bell] = [checksOf('ingress').fail, checksOf('doorbells').fail]
  const sick = [
    fail('outbox', 'Drained', 'it is not', 'start'),
    ready('ready', 'Ready', 'no', 'first the rest'),
    bell('clinic.heard', 'Heard', 'no', 'first the rest of it'),
    bell('clinic.setting', 'Set', 'it is none', 'switch it on'),
  ]
  const list = report({ ok: false, checks: sick }, false).filter((line) => /^ {2}\d\./.test(line))
  t.same(list, ['  1. switch it on', '  2. start', '  3. first the rest', '  4. first the rest of it'], 'causes first')
  t.ok(report({ ok: false, checks }, true).join('\n').includes('\u001b[31m✗'))
  t.same([aged(61), aged(600), aged(7_200), aged(300_000)], ['61 s', '10 minutes', '2 hours', '3 days'])
  t.same(
    [
      skew({ sent: 1, server: 2, received: 3 }),
      skew({ sent: 5, server: 2, received: 6 }),
      skew({ sent: 1, server: 9, received: 3 }),
    ],
    [0, -3, 6],
  )
})
