import t from 'tap'
import { alertsWorld, QUIET_MS } from './support/alerts-world.ts'
import { pause, TOKEN, until } from './support/whole-sync.ts'

const VALUES = /Ali Hassan|Dr\. Layla|a@example\.org|SECRET-PATH|operator-token/

t.test('what stops the sync is told once, and its end; idle, neither database is asked', async (t) => {
  const world = await alertsWorld(t)
  const { receiver, gates, simulator, clinicSql, portalSql, said, startIngress, startConsumers, endConsumers } = world
  const told = async (what: string, ...expected: string[]) => {
    await until(`${what}: ${expected.join(', ')}; said: ${said().join(', ')}`, () => said().length >= expected.length)
    // Nothing follows.
    await pause(QUIET_MS)
    t.strictSame(said(), expected, what)
    const found = receiver.got.splice(0)
    receiver.types.length = 0
    t.notMatch(JSON.stringify(found), VALUES)
    return found
  }
  const { url } = await startIngress()
  await startConsumers()
  await clinicSql("INSERT INTO dbo.AlignerDoctors (DoctorName, DoctorEmail) VALUES (N'Dr. Layla', N'a@example.org')")
  const arrived = async () => (await portalSql('SELECT count(*)::int AS n FROM aligner_doctors'))[0]?.['n'] === 1
  await until('it arrives', arrived)

  // Longer than each doubt, and a dozen questions to RabbitMQ.
  await pause(3_500)
  const queries = simulator.queries()
  const transactions = () =>
    portalSql(
      'SELECT query_start, pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY pid',
    )
  const before = JSON.stringify(await transactions())
  await pause(2_000)
  t.equal(simulator.queries(), queries, 'queries to the clinic')
  t.equal(JSON.stringify(await transactions()), before, 'queries to the portal')
  await told('all is well')

  await endConsumers()
  await pause(1_500)
  await told('nobody consumes, and nothing waits')
  await clinicSql("UPDATE dbo.AlignerDoctors SET DoctorName = N'Dr. Layla H'")
  const [stalled] = await told('nobody consumes, and a change waits', 'stalled sql-to-postgres problem')
  t.match(stalled, { problems: [/Nobody takes the events sql-to-postgres, 1 is waiting/], host: 'clinic-host' })
  await startConsumers()
  const [moves] = await told('it is consumed', 'stalled sql-to-postgres recovered')
  t.match(moves, { since: stalled?.since, until: String, lastedSeconds: Number })

  await portalSql('ALTER TABLE aligner_doctors ADD CONSTRAINT short CHECK (length(doctor_name) < 14)')
  await clinicSql("UPDATE dbo.AlignerDoctors SET DoctorName = N'Dr. Layla Haddad'")
  const [dead] = await told('a dead letter', 'dead-letters sql-to-postgres problem')
  t.match(dead, { problems: [/1 change sql-to-postgres has failed for good \(23514: 1\)/] })
  await clinicSql("INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'Dr. Layla Second One')")
  await pause(1_500)
  await told('one more of the same cause')
  await portalSql('ALTER TABLE aligner_doctors DROP CONSTRAINT short')
  await clinicSql("UPDATE dbo.AlignerDoctors SET LogoPath = N'x'")
  await told('later changes of the records arrive', 'dead-letters sql-to-postgres recovered')

  await gates.portal.shut()
  const [down] = await told('a database stops, and nobody works', 'portal problem')
  t.match(down, { side: 'portal', direction: null, problems: [/./] })
  await clinicSql("UPDATE dbo.AlignerDoctors SET LogoPath = N'y'")
  await pause(2_500)
  await told('what waits for it is told by its cause')
  await gates.portal.open()
  await told('it is back', 'portal recovered')

  await gates.rabbit.shut()
  await told('RabbitMQ stops', 'rabbitmq problem')
  await clinicSql("UPDATE dbo.AlignerDoctors SET LogoPath = N'z'")
  await pause(2_500)
  await told('what waits for it is told by its cause')
  await gates.rabbit.open()
  await told('it is back', 'rabbitmq recovered')

  const keep = async (differences: number) => {
    const at = new Date().toISOString()
    const table = { table: 'aligner_notes', clinicRows: 5, portalRows: 5, kept: 0, differences, stuck: 0, inFlight: 0 }
    const kept = { complete: true, through: at, finishedAt: at, rows: 5, differences, inFlight: 0, tables: [table] }
    await portalSql(`SELECT sync.keep_verification('${JSON.stringify(kept)}')`)
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
    const method = 'POST'
    const answer = await fetch(`${url}/api/sync/verifications`, { method, headers, body: '{"kept":true}' })
    t.ok(answer.ok, String(answer.status))
  }
  await keep(2)
  const [differ] = await told('a verification finds differences', 'verification problem')
  t.match(differ, { problems: [/found 2 of 5 records different \(aligner_notes: 2\)/] })
  await keep(3)
  await pause(500)
  await told('so does the next')
  await keep(0)
  await told('the next finds none', 'verification recovered')
})
