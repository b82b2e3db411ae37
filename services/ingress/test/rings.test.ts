import { connectBroker } from '@clinic-sync/broker'
import { openClinic, parseAddress } from '@clinic-sync/clinic'
import { migrate } from '@clinic-sync/cli'
import { testPostgres } from '@clinic-sync/dev-services/testing'
import { openPortal } from '@clinic-sync/portal'
import { startSimulator } from '@clinic-sync/sqlserver-simulator'
import sql from 'mssql'
import t from 'tap'
import { serve } from '../src/serve.ts'
import { listening, recordingLog, until } from './help.ts'
import { testRabbit } from './rabbit.ts'

const SECRET = 'doorbell-test-secret-0123456789'
const EDITS = 20

const [{ url: portalUrl }, rabbitUrl, simulator] = await Promise.all([
  testPostgres(t),
  testRabbit(t),
  startSimulator({ migrated: true }),
])
t.teardown(() => simulator.stop())
await migrate({ side: 'portal', url: portalUrl, withPortalTables: true })

const { log } = recordingLog()
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
  ...listening(SECRET),
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
t.test('an edit in the clinic rings, is published and settled within a second', async (t) => {
  const latencies: number[] = []
  for (let edit = 0; edit < EDITS; edit++) {
    const doctor = `Dr. Bell ${edit}`
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

t.test('the test of the doorbells hears Service Broker, and changes nothing', async (t) => {
  const before = await statuses()
  const request = { method: 'POST', headers: { 'x-sync-secret': SECRET }, body: '{"side":"clinic"}' }
  const answer = await fetch(`${served.url}/api/sync/doorbells/test`, request)
  t.match(await answer.json(), { clinic: { doorbell: 'service-broker', heard: true, ms: Number, message: null } })
  t.same(await statuses(), before)
})
