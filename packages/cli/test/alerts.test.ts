import t from 'tap'
import { alertTestCommand } from '../src/alert-test/command.ts'
import { alertsWorld, pause, QUIET_MS, TOKEN, until } from './support/alerts-world.ts'

const VALUES = /Ali Hassan|Dr\. Layla|a@example\.org|SECRET-PATH|operator-token/

t.test('what stops the sync is told once, and its end; idle, neither database is asked', async (t) => {
  const world = await alertsWorld(t)
  const { receiver, gates, simulator, clinicSql, portalSql, said, startIngress, startConsumers } = world
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
  const consumers = await startConsumers()
  await clinicSql("INSERT INTO dbo.AlignerDoctors (DoctorName, DoctorEmail) VALUES (N'Dr. Layla', N'a@example.org')")
  const arrived = async () => (await portalSql('SELECT count(*)::int AS n FROM aligner_doctors')).rows[0]?.['n'] === 1
  await until('it arrives', arrived)

  // Longer than each doubt, and a dozen questions to RabbitMQ.
  await pause(3_500)
  const queries = simulator.queries()
  const transactions = async () =>
    (
      await portalSql(
        'SELECT query_start, pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() ORDER BY pid',
      )
    ).rows
  const before = JSON.stringify(await transactions())
  await pause(2_000)
  t.equal(simulator.queries(), queries, 'queries to the clinic')
  t.equal(JSON.stringify(await transactions()), before, 'queries to the portal')
  await told('all is well')

  await consumers.close()
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

t.test('after a restart nothing is told anew, and what is over meanwhile is told', async (t) => {
  const { clinicSql, said, startIngress, startConsumers } = await alertsWorld(t)
  const first = await startIngress()
  await clinicSql("INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'Dr. Layla')")
  await until('it is told', () => said().length === 1)
  for (let i = 0; i < 3; i++) {
    await (i === 0 ? first : await startIngress()).close()
  }
  const last = await startIngress()
  await pause(3_000)
  t.strictSame(said(), ['stalled sql-to-postgres problem'])
  await last.close()
  await startConsumers()
  await startIngress()
  await until('its end is told', () => said().length === 2)
  await pause(QUIET_MS)
  t.strictSame(said(), ['stalled sql-to-postgres problem', 'stalled sql-to-postgres recovered'])
})

t.test('of two ingresses one tells, and the next one knows what was told', async (t) => {
  const { clinicSql, said, receiver, gates, vhost, startIngress, startConsumers } = await alertsWorld(t)
  const one = await startIngress({ host: 'one' })
  await until('one leads', () => one.ingress.leads)
  const two = await startIngress({ host: 'two' })
  await until('the other stands by', () => two.ingress.standsBy)
  await clinicSql("INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'Dr. Layla')")
  await until('it is told', () => said().length === 1)
  await pause(1_000)
  t.strictSame(said(), ['stalled sql-to-postgres problem'])

  // Both lose RabbitMQ: who led tells; who stood by waits for longer than this outage lasts.
  await gates.rabbit.shut()
  await until('RabbitMQ is told', () => said().length === 2)
  await pause(1_500)
  t.strictSame(said().slice(1), ['rabbitmq problem'])
  t.equal(receiver.got[1]?.host, 'one')
  await gates.rabbit.open()
  await until('its end', () => said().length === 3)
  t.strictSame(said().slice(2), ['rabbitmq recovered'])
  t.equal(receiver.got[2]?.host, 'one', 'whoever leads now')

  await until('one of them leads', () => one.ingress.leads || two.ingress.leads)
  const [leads, other] = one.ingress.leads ? [one, two] : [two, one]
  await leads.close()
  await until('the other leads', () => other.ingress.leads)
  await pause(2_500)
  t.equal(said().length, 3, 'what lasts is not told anew')
  await startConsumers()
  await until('its end is told by the other', () => said().length === 4)
  t.strictSame(said().slice(3), ['stalled sql-to-postgres recovered'])

  // One that stood by, and has lost the other with RabbitMQ.
  const third = await startIngress({ host: 'three' })
  await until('it stands by', () => third.ingress.standsBy)
  receiver.got.length = 0
  await other.close()
  await until('it leads', () => third.ingress.leads)
  t.not(vhost.url, gates.rabbit.url)
})

t.test('an ingress that starts without RabbitMQ says so, and stops saying it', async (t) => {
  const { gates, said, startIngress } = await alertsWorld(t)
  await gates.rabbit.shut()
  await startIngress()
  await until('it is told', () => said().length === 1)
  await gates.rabbit.open()
  await until('its end', () => said().length === 2)
  t.strictSame(said(), ['rabbitmq problem', 'rabbitmq recovered'])
})

t.test('a test message, for whoever wants to see that alerts arrive', async (t) => {
  const { receiver, startIngress } = await alertsWorld(t)
  const { url } = await startIngress()
  const environment = { INGRESS_URL: url, SYNC_OPERATOR_TOKEN: TOKEN }
  const lines: string[] = []
  const run = () => alertTestCommand({ environment, say: (line) => lines.push(line) })
  t.equal(await run(), true)
  t.match(lines.pop(), /The receiver has taken a test message \(HTTP 200, \d+ ms\)/)
  t.match(receiver.got, [{ state: 'test', condition: 'test', text: /^clinic-sync on clinic-host: TEST: / }])
  receiver.answer = 403
  t.equal(await run(), false)
  t.equal(lines.pop(), 'No alert arrives. It answered HTTP 403.')
  const wrong = { ...environment, SYNC_OPERATOR_TOKEN: 'another-token-0123456789' }
  await t.rejects(alertTestCommand({ environment: wrong, say: () => undefined }), { code: 'SYNC_INGRESS' })
  await t.rejects(
    alertTestCommand({ environment: { ...environment, INGRESS_URL: 'http://127.0.0.1:9' }, say: () => undefined }),
    {
      code: 'SYNC_INGRESS',
    },
  )
})
