import { connectBroker } from '@clinic-sync/broker'
import { migrate } from '@clinic-sync/cli'
import { parseAddress } from '@clinic-sync/clinic'
import { testClinic, testPostgres, testVhost } from '@clinic-sync/dev-services/testing'
import sql from 'mssql'
import pg from 'pg'
import t from 'tap'
import { recordingLog, until } from './help.ts'
import { startService } from './service.ts'

/** Two ingresses as they are run for real, with a heartbeat of a second: RabbitMQ lets go of a frozen one after two. */
const HEARTBEAT = 1

t.setTimeout(400_000)
const [{ url: portalUrl }, { url: rabbitUrl }, simulator] = await Promise.all([
  testPostgres(t),
  testVhost(t),
  testClinic(t),
])
await migrate({ side: 'portal', url: portalUrl, withPortalTables: true })

const editor = await new sql.ConnectionPool(parseAddress(simulator.url)).connect()
t.teardown(() => editor.close())
const doctor = new pg.Client(portalUrl)
await doctor.connect()
t.teardown(() => doctor.end())
const noting = new pg.Client(portalUrl)
await noting.connect()
t.teardown(() => noting.end())
await doctor.query(`
  BEGIN;
  SET LOCAL sync.applying = 'on';
  INSERT INTO aligner_doctors (dr_id, doctor_name) VALUES (1, 'Dr. Takeover');
  INSERT INTO patients (person_id, patient_name) VALUES (1, 'Sara');
  INSERT INTO work (work_id, person_id) VALUES (1, 1);
  INSERT INTO aligner_sets (aligner_set_id, work_id, aligner_dr_id) VALUES (1, 1, 1);
  COMMIT;`)

/** What the target's bookkeeping says once an event is applied: otherwise it would be one that was restored from a backup. */
async function noted(direction: string, table: string, key: number, version: string): Promise<void> {
  if (direction === 'sql-to-postgres')
    await noting.query(
      `INSERT INTO sync.row_state (table_name, record_id, clinic_version) VALUES ($1, $2, $3)
       ON CONFLICT (table_name, record_id) DO UPDATE SET clinic_version = excluded.clinic_version`,
      [table, key, version],
    )
  else
    await editor.query(`DELETE FROM sync.RowState WHERE TableName = N'${table}' AND RecordID = ${key};
      INSERT INTO sync.RowState (TableName, RecordID, SeenPortalVersion) VALUES (N'${table}', ${key}, ${version})`)
}

/** Events as they came, doubles included, by what they say. */
const arrived: string[] = []
const consumer = await connectBroker({ url: rabbitUrl, log: recordingLog().log, name: 'consumer' })
t.teardown(() => consumer.close())
for (const direction of ['sql-to-postgres', 'postgres-to-sql'] as const) {
  consumer.consumeEvents(
    direction,
    async ({ events }) => {
      for (const { event } of events)
        arrived.push(String(event.data.row?.['doctor_name'] ?? event.data.row?.['note_text']))
      const outcomes = events.map(({ event: { data } }) => {
        return { table: data.table, key: data.key, version: data.version, outcome: 'applied' as const }
      })
      for (const { table, key, version } of outcomes) await noted(direction, table, key, version)
      await consumer.publishOutcomes({ direction, outcomes })
      return events.map(() => ({ action: 'done' as const }))
    },
    { check: async () => undefined },
  )
}

const join = () => {
  const secret = 'takeover-test-secret-0123456789'
  return startService(t, {
    SQLSERVER_URL: simulator.serviceUrl,
    POSTGRES_URL: portalUrl,
    RABBITMQ_URL: `${rabbitUrl}?heartbeat=${HEARTBEAT}`,
    SYNC_WEBHOOK_SECRET: secret,
    SYNC_OPERATOR_TOKEN: `${secret}-operator`,
    CLINIC_DOORBELL: 'service-broker',
    PORTAL_DOORBELL: 'listen',
    INGRESS_PORT: '0',
    LOG_LEVEL: 'info',
  })
}
type Service = ReturnType<typeof join>

/** `leads`, `standby`, or why neither; with whether it is ready. */
async function role(service: Service): Promise<string> {
  const answer = await fetch(`${service.url()}/readyz`)
  const { checks } = (await answer.json()) as { checks: { lead: string } }
  return `${answer.status} ${checks.lead}`
}
const becomes = (service: Service, wanted: string) =>
  until(wanted, async () => service.url() !== undefined && (await role(service)) === wanted)

let edits = 0
/** A change on each side. @returns milliseconds until both have arrived, without another ring */
async function edit(): Promise<number> {
  const name = `edit ${++edits}`
  const from = performance.now()
  await Promise.all([
    editor
      .request()
      .input('name', sql.NVarChar(100), `${name} clinic`)
      .query('INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (@name)'),
    doctor.query(`INSERT INTO aligner_notes (aligner_set_id, note_type, note_text) VALUES (1, 'Doctor', $1)`, [
      `${name} portal`,
    ]),
  ])
  const both = () => arrived.includes(`${name} clinic`) && arrived.includes(`${name} portal`)
  await until(`${name} has arrived on both sides`, both)
  return Math.round(performance.now() - from)
}

/** What arrived is also known as sent: whoever leads next would rightly send what is not. */
const knownAsSent = () =>
  until('what arrived is known as sent', async () => {
    const { recordset } = await editor.query<{ N: number }>(
      `SELECT COUNT(*) AS N FROM dbo.SyncQueue WHERE Status = N'Pending'`,
    )
    const { rows } = await doctor.query<{ n: string }>(`SELECT count(*) AS n FROM sync.queue WHERE status = 'Pending'`)
    return recordset[0]?.N === 0 && rows[0]?.n === '0'
  })

t.test('the leader is frozen, comes back, and the next one is killed: somebody drains, and nobody twice', async (t) => {
  const [a, b] = [join(), join()]
  await until('both listen', () => a.url() !== undefined && b.url() !== undefined)
  await until('one leads, the other stands by', async () => {
    return [await role(a), await role(b)].sort().join() === '200 leads,200 standby'
  })
  const [first, second] = (await role(a)) === '200 leads' ? [a, b] : [b, a]
  for (let times = 0; times < 3; times++) await edit()

  await knownAsSent()
  first.kill('SIGSTOP')
  const frozen = await edit()
  t.comment(`frozen: ${frozen} ms`)
  t.ok(frozen < 10 * HEARTBEAT * 1_000, `taken over from a frozen one within ${frozen} ms`)
  await becomes(second, '200 leads')
  // The frozen one's connections still hear, and take some rings from the new leader's.
  const latencies: number[] = []
  for (let times = 0; times < 10; times++) latencies.push(await edit())
  t.ok(Math.max(...latencies) < 2_000, `rings are not lost to the frozen one: ${latencies} ms`)

  first.kill('SIGCONT')
  await becomes(first, '200 standby')
  t.equal(await role(second), '200 leads', 'its return changes nothing')
  for (let times = 0; times < 3; times++) await edit()

  await knownAsSent()
  second.kill('SIGKILL')
  const killed = await edit()
  t.comment(`killed: ${killed} ms`)
  t.ok(killed < 5_000, `taken over from a killed one within ${killed} ms`)
  await becomes(first, '200 leads')
  for (let times = 0; times < 3; times++) await edit()
  t.equal(new Set(arrived).size, arrived.length, 'no change was published twice')
  await until('all is settled', async () => {
    const { recordset } = await editor.query<{ N: number }>(
      `SELECT COUNT(*) AS N FROM dbo.SyncQueue WHERE Status <> N'Synced'`,
    )
    return recordset[0]?.N === 0
  })
  const { rows } = await doctor.query(`SELECT pid FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'
    AND datname = current_database() UNION SELECT pid FROM pg_locks WHERE locktype = 'advisory'`)
  t.same(rows, [], 'no lock is left behind')
})
