import { connectBroker } from '@clinic-sync/broker'
import { openClinic, parseAddress } from '@clinic-sync/clinic'
import { migrate } from '@clinic-sync/cli'
import { startPostgres } from '@clinic-sync/dev-services'
import { openPortal } from '@clinic-sync/portal'
import { startSimulator } from '@clinic-sync/sqlserver-simulator'
import sql from 'mssql'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import t from 'tap'
import { serve } from '../src/serve.ts'
import { recordingLog, until } from './help.ts'
import { testRabbit } from './rabbit.ts'

const SECRET = 'idle-test-secret-0123456789'
const EDITS = 20
const IDLE_MS = 5_000

// It waits on purpose: longer than tap's 30 s on a busy machine.
t.setTimeout(120_000)

const [postgres, rabbitUrl, simulator] = await Promise.all([
  startPostgres({ durable: false }),
  testRabbit(t),
  startSimulator({ migrated: true }),
])
t.teardown(() => Promise.all([postgres.stop(), simulator.stop()]))

/** The portal has a database of its own, so that the watcher's queries are not counted. */
const watcher = new pg.Client({ connectionString: postgres.url })
await watcher.connect()
t.teardown(() => watcher.end())
const name = `idle_${process.pid}`
await watcher.query(`CREATE DATABASE ${name}`)
t.teardown(() => watcher.query(`DROP DATABASE ${name} WITH (FORCE)`))
const portalUrl = Object.assign(new URL(postgres.url), { pathname: `/${name}` }).href
await migrate({ side: 'portal', url: portalUrl, withPortalTables: true })

const { log, lines } = recordingLog()
const clinic = await openClinic({ url: simulator.url, timeZone: 'Asia/Baghdad', log })
const portal = await openPortal({ url: portalUrl, log })
const broker = await connectBroker({ url: rabbitUrl, log, name: 'ingress' })
const served = await serve({
  clinic,
  portal,
  broker,
  log,
  onFatal: (error) => t.fail(error.message),
  clinicDoorbell: 'service-broker',
  portalDoorbell: 'webhook',
  host: '127.0.0.1',
  port: 0,
  webhookSecret: SECRET,
  operatorToken: SECRET,
})
t.teardown(async () => {
  await served.close()
  await broker.close()
  await Promise.all([clinic.close(), portal.close()])
})

const editor = await new sql.ConnectionPool(parseAddress(simulator.url)).connect()
t.teardown(() => editor.close())

/** What the consumer was sent, with its outcome reported at once. */
const arrived = new Map<string, number>()
const consumer = await connectBroker({ url: rabbitUrl, log, name: 'consumer' })
t.teardown(() => consumer.close())
consumer.consumeEvents(
  'sql-to-postgres',
  async ({ events }) => {
    const outcomes = events.map(({ event: { data } }) => {
      if (typeof data.row?.['doctor_name'] === 'string') arrived.set(data.row['doctor_name'], performance.now())
      return { table: data.table, key: data.key, version: data.version, outcome: 'applied' as const }
    })
    await consumer.publishOutcomes({ direction: 'sql-to-postgres', outcomes })
    return events.map(() => ({ action: 'done' as const }))
  },
  { check: async () => undefined },
)
await until('it is ready', () => served.ingress.state.read().ready)

async function statuses(): Promise<string[]> {
  const { recordset } = await editor.query<{ Status: string }>('SELECT Status FROM dbo.SyncQueue')
  return recordset.map((row) => row.Status)
}
/** When a connection of ours last began a query, and how many transactions the portal's database has seen. */
async function portalWork(): Promise<{ ageMs: number; commits: string }> {
  const { rows } = await watcher.query<{ age: string | null; commits: string }>(
    `SELECT (SELECT extract(epoch FROM clock_timestamp() - max(query_start)) * 1000 FROM pg_stat_activity
       WHERE datname = $1) AS age,
     (SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = $1)::text AS commits`,
    [name],
  )
  return { ageMs: Number(rows[0]?.age ?? Number.POSITIVE_INFINITY), commits: rows[0]?.commits ?? '' }
}

t.test('an edit in the clinic rings, is published and settled within a second', async (t) => {
  const latencies: number[] = []
  for (let edit = 0; edit < EDITS; edit++) {
    const doctor = `Dr. Idle ${edit}`
    const started = performance.now()
    await editor
      .request()
      .input('name', sql.NVarChar(100), doctor)
      .query('INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (@name)')
    await until('the event arrives', () => arrived.has(doctor))
    latencies.push((arrived.get(doctor) ?? Number.NaN) - started)
  }
  latencies.sort((a, b) => a - b)
  t.ok((latencies[EDITS - 1] ?? Number.NaN) < 1_000, `ms: ${latencies.map(Math.round)}`)
  await until('all is settled', async () => (await statuses()).every((status) => status === 'Synced'))
  t.equal((await statuses()).length, EDITS)
})

t.test('500 doorbells cost few queries', async (t) => {
  const before = simulator.queries()
  const ring = () =>
    fetch(`${served.url}/api/sync/queue-notify`, { method: 'POST', headers: { 'x-sync-secret': SECRET } })
  for (let burst = 0; burst < 10; burst++) {
    const answers = await Promise.all(Array.from({ length: 50 }, ring))
    if (!answers.every((answer) => answer.status === 202)) t.fail('a ring was refused')
  }
  // The trigger's own drain comes after those of the rings.
  await served.ingress.drains.clinic.request()
  const cost = simulator.queries() - before
  t.ok(cost < 150, `${cost} queries`)
})

t.test('idle, no query reaches either database', async (t) => {
  // Postgres adds a session's last transactions to its statistics up to ten seconds later.
  await until('the portal is quiet', async () => (await portalWork()).ageMs > 10_500)
  const before = { clinic: simulator.queries(), portal: await portalWork(), lines: lines.length }
  await sleep(IDLE_MS)
  const after = await portalWork()
  t.equal(simulator.queries() - before.clinic, 0, 'clinic')
  t.equal(after.commits, before.portal.commits, 'portal')
  t.ok(after.ageMs >= before.portal.ageMs + IDLE_MS - 100, 'nor has a query begun there')
  t.equal(lines.length, before.lines, 'and nothing is logged')
  t.equal((await fetch(`${served.url}/readyz`)).status, 200, 'it is ready all the same')
  t.equal(simulator.queries() - before.clinic, 0, 'and asking for that costs no query')
})
