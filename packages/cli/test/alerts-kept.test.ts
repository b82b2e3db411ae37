import t from 'tap'
import { alertTestCommand } from '../src/alert-test/command.ts'
import { alertsWorld, QUIET_MS } from './support/alerts-world.ts'
import { pause, TOKEN, until } from './support/whole-sync.ts'

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
  const { clinicSql, said, receiver, gates, startIngress, startConsumers } = await alertsWorld(t)
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
})

t.test('a verification is told to whoever stands by: the one that leads alerts of it', async (t) => {
  const { portalSql, said, receiver, startIngress } = await alertsWorld(t)
  const one = await startIngress({ host: 'one' })
  await until('one leads', () => one.ingress.leads)
  const two = await startIngress({ host: 'two' })
  await until('the other stands by', () => two.ingress.standsBy)
  // The one that leads has read the last one: there is none.
  await pause(QUIET_MS)
  const post = async (body: string) => {
    const headers = { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' }
    const answer = await fetch(`${two.url}/api/sync/verifications`, { method: 'POST', headers, body })
    t.ok(answer.ok, String(answer.status))
  }
  const at = new Date().toISOString()
  const kept = { complete: true, through: at, finishedAt: at, rows: 5, differences: 2, inFlight: 0, tables: [] }
  await portalSql(`SELECT sync.keep_verification('${JSON.stringify(kept)}')`)
  await post('{"kept":true}')
  await until('it is told', () => said().includes('verification problem'))
  t.equal(receiver.got.find(({ condition }) => condition === 'verification')?.host, 'one')
  // One that runs in the one that stands by.
  await post('{}')
  await until('its end is told', () => said().includes('verification recovered'))
  t.equal(receiver.got.find(({ state }) => state === 'recovered')?.host, 'one')
})

t.test('one that stood by speaks of RabbitMQ when it may be all that is left', async (t) => {
  const { gates, said, receiver, vhost, startIngress } = await alertsWorld(t)
  const one = await startIngress({ host: 'one' })
  await until('one leads', () => one.ingress.leads)
  const two = await startIngress({ host: 'two', rabbit: vhost.url })
  await until('the other stands by', () => two.ingress.standsBy)
  // Who led loses RabbitMQ, and the other leads: what the first tells, it takes back itself.
  await gates.rabbit.shut()
  await until('the other leads', () => two.ingress.leads)
  await until('the first has told of its RabbitMQ', () => said().length === 1)
  t.match(receiver.got, [{ condition: 'rabbitmq', host: 'one' }])
  await gates.rabbit.open()
  await until('the first stands by', () => one.ingress.standsBy)
  await until('it has taken it back', () => said().length === 2)
  t.match(receiver.got[1], { condition: 'rabbitmq', state: 'recovered', host: 'one' })
  // Now it is cut off again, and is not the one that led last.
  receiver.got.length = 0
  await gates.rabbit.shut()
  const began = performance.now()
  await until('it speaks at last', () => said().length === 1)
  t.ok(performance.now() - began >= 4_000, 'the other one had its time to tell')
  t.match(receiver.got, [
    { condition: 'rabbitmq', host: 'one', problems: [/It stood by: if another ingress has told/] },
  ])
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
  const { receiver, environment, startIngress } = await alertsWorld(t)
  await startIngress()
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
