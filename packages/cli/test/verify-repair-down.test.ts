import { connectBroker } from '@clinic-sync/broker'
import { openClinic, openScriptConnection } from '@clinic-sync/clinic'
import { testClinic, testPostgres, testVhost } from '@clinic-sync/dev-services/testing'
import { serve } from '@clinic-sync/ingress'
import { openPortal } from '@clinic-sync/portal'
import { start as startPostgresToSql } from '@clinic-sync/postgres-to-sql'
import { createLogger } from '@clinic-sync/runtime'
import { start as startSqlToPostgres } from '@clinic-sync/sql-to-postgres'
import { SERVICE_LOGIN, SERVICE_PASSWORD } from '@clinic-sync/sqlserver-simulator'
import pg from 'pg'
import t from 'tap'
import { migrate } from '../src/migrate/index.ts'
import { type VerifyCommand, verifyCommand } from '../src/verify/verify.ts'

// A repair while a service is down: it ends, says so, and what is queued arrives when the service is back.

const TOKEN = 'operator-token-0123456789'
const [simulator, postgres, vhost] = await Promise.all([testClinic(t), testPostgres(t), testVhost(t)])
await migrate({ side: 'portal', url: postgres.url, withPortalTables: true })
const portalSql = new pg.Client({ connectionString: postgres.url })
await portalSql.connect()
const staff = openScriptConnection(simulator.url)
const log = createLogger({ name: 'test', level: 'silent' })
const url = new URL(postgres.url)
const name = `down_${Math.random().toString(36).slice(2, 10)}`
await portalSql.query(`CREATE ROLE ${name} LOGIN PASSWORD 'secret' IN ROLE clinic_sync`)
;[url.username, url.password] = [name, 'secret']
const environment = {
  SQLSERVER_URL: Object.assign(new URL(simulator.url), { username: SERVICE_LOGIN, password: SERVICE_PASSWORD }).href,
  SQLSERVER_ADMIN_URL: simulator.url,
  POSTGRES_URL: url.href,
  POSTGRES_ADMIN_URL: postgres.url,
  RABBITMQ_URL: vhost.url,
  CLINIC_TIME_ZONE: 'Asia/Baghdad',
  SYNC_OPERATOR_TOKEN: TOKEN,
  HEALTH_PORT: '0',
  INGRESS_URL: 'http://127.0.0.1:9',
}
t.teardown(async () => {
  await staff.close()
  await portalSql.query(`DROP ROLE ${name}`)
  await portalSql.end()
})

async function run(options: Partial<VerifyCommand> = {}) {
  const [texts, progress]: [string[], string[]] = [[], []]
  const write = (to: string[]) => ({ write: (text: string) => to.push(text) > 0 })
  const code = await verifyCommand({
    environment,
    repair: false,
    dryRun: false,
    yes: false,
    json: false,
    showValues: false,
    patienceMs: 300,
    out: write(texts),
    progressOn: write(progress) as unknown as NodeJS.WriteStream,
    signal: new AbortController().signal,
    ...options,
  })
  return { code, text: texts.join(''), progress: progress.join('') }
}
const behind = (statement: string) =>
  portalSql.query(`SET session_replication_role = replica; ${statement}; RESET session_replication_role`)

await staff.batch(`SET IDENTITY_INSERT dbo.AlignerDoctors ON;
  INSERT INTO dbo.AlignerDoctors (DrID, DoctorName, DoctorEmail) VALUES (1, N'Dr Secret', N'secret@example.org');
  SET IDENTITY_INSERT dbo.AlignerDoctors OFF`)

const context = (signal: AbortSignal) => ({
  environment,
  log,
  signal,
  fail: (error: unknown) => t.fail('it ended', { error }),
})
const clinic = await openClinic({ url: environment.SQLSERVER_URL, timeZone: 'Asia/Baghdad', log })
const portal = await openPortal({ url: environment.POSTGRES_URL, log })
const broker = await connectBroker({ url: vhost.url, log, name: 'ingress' })
const stop = new AbortController()
const startIngress = () =>
  serve({
    clinic,
    portal,
    broker,
    log,
    onFatal: (error) => t.fail('the ingress ended', { error }),
    clinicDoorbell: 'service-broker',
    portalDoorbell: 'listen',
    host: '127.0.0.1',
    port: 0,
    webhookSecret: 'webhook-secret-0123456789',
    webhookKeys: [],
    operatorToken: TOKEN,
    status: { clinic, portal, broker, rabbitmqUrl: vhost.url },
  })
let ingress = await startIngress()
let toPortal = await startSqlToPostgres(context(stop.signal))
const toClinic = await startPostgresToSql(context(stop.signal))
t.teardown(async () => {
  stop.abort()
  await Promise.all([ingress, toPortal, toClinic].map((each) => each.close()))
  await broker.close()
  await Promise.all([clinic.close(), portal.close()])
})
const beside = () => ({ environment: { ...environment, INGRESS_URL: ingress.url } })
const plant = () => behind("UPDATE aligner_doctors SET doctor_name = 'planted' WHERE dr_id = 1")
const repair = { repair: true, yes: true } as const
const well = { ...repair, patienceMs: 30_000 }

t.test('a consumer is down: the row is still on its way, and a second run finds it equal', async (t) => {
  t.equal((await run({ ...beside(), patienceMs: 30_000 })).code, 0)
  await plant()
  await toPortal.close()
  const { code, text } = await run({ ...beside(), ...repair })
  t.equal(code, 3, text)
  t.match(text, /1 queued in the clinic/)
  t.notMatch(text, /all 1 are equal/)
  toPortal = await startSqlToPostgres(context(stop.signal))
  const again = await run({ ...beside(), ...well })
  t.equal(again.code, 0, again.text)
})

t.test('the ingress is down: it says so, and a second run finishes', async (t) => {
  await plant()
  const { environment: gone } = beside()
  await ingress.close()
  const { code, text } = await run({ environment: gone, ...repair })
  t.equal(code, 3, text)
  t.match(text, /It goes with the next drain: /)
  ingress = await startIngress()
  const again = await run({ ...beside(), ...well })
  t.equal(again.code, 0, again.text)
  t.match((await portalSql.query('SELECT doctor_name FROM aligner_doctors')).rows, [{ doctor_name: 'Dr Secret' }])
})
