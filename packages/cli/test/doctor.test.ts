import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, connect, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { connectBroker } from '@clinic-sync/broker'
import { openClinic, openScriptConnection } from '@clinic-sync/clinic'
import { testClinic, testPostgres, testVhost } from '@clinic-sync/dev-services/testing'
import { serve } from '@clinic-sync/ingress'
import { openPortal } from '@clinic-sync/portal'
import { start as startPostgresToSql } from '@clinic-sync/postgres-to-sql'
import { createLogger, type Running } from '@clinic-sync/runtime'
import { start as startSqlToPostgres } from '@clinic-sync/sql-to-postgres'
import { SERVICE_LOGIN, SERVICE_PASSWORD } from '@clinic-sync/sqlserver-simulator'
import pg from 'pg'
import t, { type Test } from 'tap'
import { type Diagnosis, doctor } from '../src/doctor/doctor.ts'
import { migrate } from '../src/migrate/index.ts'

// The doctor against the whole sync: all is well; then one fault after the other, and each is named.
const WELL_KNOWN = {
  CLINIC_TIME_ZONE: 'Asia/Baghdad',
  CLINIC_DOORBELL: 'service-broker',
  PORTAL_DOORBELL: 'listen',
  SYNC_WEBHOOK_SECRET: 'PLANTED webhook secret',
  SYNC_OPERATOR_TOKEN: 'PLANTED-operator-token',
  HEALTH_PORT: '0',
} as const

/** RabbitMQ behind a door of our own, which can be shut: to whom comes by it, the server has stopped. */
async function door(t: Test, target: string): Promise<{ url: string; shut(): void }> {
  const { hostname, port } = new URL(target)
  const sockets = new Set<Socket>()
  const server: Server = createServer((client) => {
    const upstream = connect(Number(port), hostname)
    for (const [from, to] of [
      [client, upstream],
      [upstream, client],
    ] as const) {
      sockets.add(from)
      from.on('error', () => undefined).on('close', () => to.destroy())
      from.pipe(to)
    }
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const url = Object.assign(new URL(target), { hostname: '127.0.0.1' })
  url.port = String(typeof address === 'object' && address !== null ? address.port : 0)
  const shut = () => {
    server.close()
    for (const socket of sockets) socket.destroy()
  }
  t.teardown(shut)
  return { url: url.href, shut }
}

/** Both databases, the broker, and the three services in this process. */
async function pipeline(t: Test) {
  const [simulator, postgres, vhost] = await Promise.all([testClinic(t), testPostgres(t), testVhost(t)])
  await migrate({ side: 'portal', url: postgres.url, withPortalTables: true })
  const rabbit = await door(t, vhost.url)
  // The login that may only execute the sync's procedures, for the services as for the doctor.
  const login = Object.assign(new URL(simulator.url), { username: SERVICE_LOGIN, password: SERVICE_PASSWORD })
  const environment = {
    ...WELL_KNOWN,
    SQLSERVER_URL: login.href,
    POSTGRES_URL: postgres.url,
    RABBITMQ_URL: rabbit.url,
  }
  const log = createLogger({ name: 'test', level: 'silent' })
  const clinic = await openClinic({ url: login.href, timeZone: environment.CLINIC_TIME_ZONE, log })
  const portal = await openPortal({ url: postgres.url, log })
  const broker = await connectBroker({ url: rabbit.url, log, name: 'ingress' })
  const ingress = await serve({
    clinic,
    portal,
    broker,
    log,
    onFatal: (error) => t.fail('the ingress ended', { error }),
    clinicDoorbell: environment.CLINIC_DOORBELL,
    portalDoorbell: environment.PORTAL_DOORBELL,
    host: '127.0.0.1',
    port: 0,
    webhookSecret: environment.SYNC_WEBHOOK_SECRET,
    webhookKeys: [],
    operatorToken: environment.SYNC_OPERATOR_TOKEN,
  })
  const stop = new AbortController()
  const context = {
    environment,
    log,
    signal: stop.signal,
    fail: (error: unknown) => t.fail('a consumer ended', { error }),
  }
  const consumers: Running[] = await Promise.all([startSqlToPostgres(context), startPostgresToSql(context)])
  const onPortal = new pg.Client(postgres.url)
  await onPortal.connect()
  const onClinic = openScriptConnection(simulator.url)
  t.teardown(async () => {
    stop.abort()
    await Promise.all([...consumers.map((consumer) => consumer.close()), ingress.close()])
    await broker.close()
    await Promise.all([clinic.close(), portal.close(), onPortal.end(), onClinic.close()])
  })
  return {
    environment: { ...environment, INGRESS_URL: ingress.url },
    simulator,
    rabbit,
    portal: (sql: string) => onPortal.query<Record<string, unknown>>(sql),
    clinic: (sql: string) => onClinic.batch(sql),
  }
}

const wrong = ({ checks }: Diagnosis) =>
  checks.filter(({ status }) => status !== 'ok').map(({ id, status }) => `${status} ${id}`)
const named = ({ checks }: Diagnosis, id: string) => checks.find((check) => check.id === id)

/** `npm run sync -- doctor`, as an operator runs it. */
async function command(
  environment: Record<string, string>,
  ...options: string[]
): Promise<{ text: string; code: number | null }> {
  const main = fileURLToPath(new URL('../src/main.ts', import.meta.url))
  const node = [
    `--import=${import.meta.resolve('tsx')}`,
    '--conditions=@clinic-sync/source',
    main,
    'doctor',
    ...options,
  ]
  const child = spawn(process.execPath, node, { cwd: tmpdir(), env: { ...process.env, ...environment } })
  let text = ''
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding('utf8').on('data', (part: string) => (text += part))
  const [code] = (await once(child, 'close')) as [number | null]
  return { text, code }
}

/** Asks again until the services have settled: a consumer takes its queues a moment after it has started. */
async function until(
  environment: Record<string, string>,
  holds: (diagnosis: Diagnosis) => boolean,
): Promise<Diagnosis> {
  const deadline = Date.now() + 20_000
  for (;;) {
    const diagnosis = await doctor(environment)
    if (holds(diagnosis) || Date.now() > deadline) return diagnosis
    await delay(50)
  }
}

t.test('the whole sync', async (t) => {
  const { environment, simulator, rabbit, portal, clinic } = await pipeline(t)
  const outboxes = async () => [
    (await portal('SELECT count(*) AS n FROM sync.queue')).rows,
    await clinic('SELECT COUNT(*) AS n FROM dbo.SyncQueue'),
  ]
  const before = await outboxes()

  const well = await until(environment, ({ ok }) => ok)
  // The simulator's tables lack indexes, and the portal's login here is the owner's: said, and no failure.
  t.same(
    wrong(well).filter((each) => !each.startsWith('warn clinic.index.')),
    ['warn portal.least-privilege'],
  )
  for (const side of ['clinic', 'portal'] as const)
    t.match(named(well, `doorbells.${side}.heard`), { status: 'ok', found: /^in \d+ ms/ }, `${side}: rung and heard`)
  t.ok(well.checks.length > 35, `${well.checks.length} checks`)

  await t.test('a trigger switched off, a migration missing, on either side', async (t) => {
    await clinic('DISABLE TRIGGER dbo.trg_sync_tblpatients ON dbo.tblpatients')
    await clinic("DELETE FROM sync.Migrations WHERE Name = N'05_sync_apply.sql'")
    await portal('ALTER TABLE public.aligner_notes DISABLE TRIGGER "00_sync_capture_update"')
    await portal("DELETE FROM sync.migrations WHERE name = '03_sync_outbox.sql'")
    const sick = await doctor(environment)
    t.same(
      wrong(sick)
        .filter((each) => each.startsWith('fail'))
        .sort(),
      [
        'fail clinic.capture.trg_sync_tblpatients',
        'fail clinic.migrations',
        'fail portal.capture.aligner_notes.00_sync_capture_update',
        'fail portal.migrations',
      ],
    )
    t.match(named(sick, 'clinic.capture.trg_sync_tblpatients'), {
      todo: /^ENABLE TRIGGER dbo\.\[trg_sync_tblpatients\] ON dbo\.\[tblpatients\];/,
    })
    t.match(named(sick, 'clinic.migrations'), {
      found: 'missing: 05_sync_apply.sql',
      todo: 'npm run sync -- migrate clinic',
    })
    t.match(named(sick, 'portal.migrations'), {
      found: 'missing: 03_sync_outbox.sql',
      todo: 'npm run sync -- migrate portal',
    })
    await clinic('ENABLE TRIGGER dbo.trg_sync_tblpatients ON dbo.tblpatients')
    await portal('ALTER TABLE public.aligner_notes ENABLE TRIGGER "00_sync_capture_update"')
  })

  await t.test('secrets that are not those of the ingress', async (t) => {
    const sick = await doctor({
      ...environment,
      SYNC_WEBHOOK_SECRET: 'PLANTED, another',
      SYNC_OPERATOR_TOKEN: 'PLANTED-a-third-one',
    })
    t.match(named(sick, 'ingress.webhook-secret'), { status: 'fail', todo: /SYNC_WEBHOOK_SECRET/ })
    t.match(named(sick, 'ingress.operator-token'), { status: 'fail', todo: /SYNC_OPERATOR_TOKEN/ })
    t.notOk(named(sick, 'doorbells.clinic.heard'), 'could not be asked')
  })

  await t.test('a database older than what the other side has seen', async (t) => {
    await portal("INSERT INTO sync.row_state (table_name, record_id, clinic_version) VALUES ('work', 1, 4711)")
    const sick = await doctor(environment)
    t.match(named(sick, 'clinic.restored'), {
      status: 'fail',
      found: /the other side has had 4711/,
      todo: /npm run sync -- after-restore/,
    })
    t.equal(named(sick, 'portal.restored')?.status, 'ok')
  })

  await t.test('a clinic that hangs hides nothing else', async (t) => {
    simulator.pause()
    const sick = await doctor(environment, 4_000)
    simulator.resume()
    t.match(named(sick, 'clinic.reachable'), { status: 'fail', found: /did not answer within 4 s.*Left out/ })
    t.same(
      sick.checks.filter(({ id }) => /^(clinic|doorbells\.clinic)\./.test(id)).map(({ id }) => id),
      ['clinic.reachable'],
    )
    t.equal(named(sick, 'portal.reachable')?.status, 'ok')
  })

  await t.test('RabbitMQ stopped', async (t) => {
    rabbit.shut()
    const sick = await until(environment, (diagnosis) => named(diagnosis, 'ingress.ready')?.status === 'fail')
    t.match(named(sick, 'broker.reachable'), { status: 'fail', found: /ECONNREFUSED/, todo: /^Start RabbitMQ/ })
    t.same(sick.checks.filter(({ area }) => area === 'broker').length, 1, 'one fail, not thirty')
    t.match(named(sick, 'ingress.ready'), { found: /rabbitmq|broker/i })
    t.match(named(sick, 'clinic.reachable'), { status: 'ok' }, 'one area hides no other')
    t.match(named(sick, 'doorbells.clinic.heard'), {
      status: 'fail',
      found: /RabbitMQ.*nobody hears/,
      todo: /^Do first what else fails/,
    })

    const [asJson, { text, code }] = await Promise.all([command(environment, '--json'), command(environment)])
    t.match(JSON.parse(asJson.text), { ok: false, checks: [{ id: 'settings.well-formed' }] })
    t.match(text, /\n {5}broker: RabbitMQ: connect ECONNREFUSED/)
    t.same([code, asJson.code], [1, 1])
    t.notMatch(asJson.text + text, /PLANTED|guest:guest/, 'no secret, no credentials')
    t.notOk((asJson.text + text).includes(SERVICE_PASSWORD))
    t.notOk(text.includes('\u001b'), 'no colour where nobody sees it')
  })

  t.same(await outboxes(), before, 'nothing that syncs was written')
})
