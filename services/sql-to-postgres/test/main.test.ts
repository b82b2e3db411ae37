import { testPostgres } from '@clinic-sync/dev-services/testing'
import t from 'tap'
import { outcomeQueue } from '@clinic-sync/broker'
import { testBroker, until } from '../../../packages/broker/test/support/helpers.ts'
import { proxyTo } from '../../../packages/broker/test/support/proxy.ts'
import { testRabbit } from '../../../packages/broker/test/support/rabbit.ts'
import { patient } from './support/events.ts'
import { testPortal } from './support/postgres.ts'
import { freePort, runProcess } from './support/service.ts'

const main = '../../src/main.ts'
const [rabbit, postgres] = await Promise.all([testRabbit(t), testPortal(t)])
const settings = { RABBITMQ_URL: rabbit.url, POSTGRES_URL: postgres.url, LOG_LEVEL: 'debug' }
const says = (text: RegExp) => (line: Record<string, unknown>) => text.test(String(line.msg))

t.test('a missing setting is one line, and exit code 1', async (t) => {
  const service = runProcess(t, main, { RABBITMQ_URL: rabbit.url })
  t.equal(await service.ended, 1)
  t.match(service.lines(), [{ level: 'fatal', code: 'SYNC_CONFIG', msg: /^POSTGRES_URL is missing/ }])
})

t.test('a portal without schema sync is said, with the command to run', async (t) => {
  const empty = await testPostgres(t)
  const service = runProcess(t, main, { ...settings, POSTGRES_URL: empty.url })
  t.equal(await service.ended, 1)
  t.match(service.lines().at(-1) ?? {}, {})
  t.match(
    service.lines().find(({ level }) => level === 'fatal'),
    { code: 'SYNC_NOT_MIGRATED', msg: /npm run sync -- migrate/ },
  )
})

t.test('with both servers away it waits, says so once, starts when they come, and shows it in /readyz', async (t) => {
  const [amqp, sql] = [await proxyTo(t, rabbit.url), await proxyTo(t, postgres.url)]
  amqp.refuse = true
  sql.refuse = true
  const port = await freePort()
  const health = `http://127.0.0.1:${port}`
  const service = runProcess(t, main, {
    ...settings,
    RABBITMQ_URL: amqp.url,
    POSTGRES_URL: sql.url,
    HEALTH_PORT: String(port),
  })
  await until('it waits', () => service.lines().some(says(/^waiting for the portal/)))
  await until('several attempts were made', () => sql.accepted > 4 && amqp.accepted > 4)
  t.equal((await fetch(`${health}/healthz`)).status, 200)
  const notReady = await fetch(`${health}/readyz`)
  t.equal(notReady.status, 503)
  t.match(await notReady.json(), { reasons: [/portal/, /RabbitMQ/] })
  for (const text of [/^waiting for the portal/, /^cannot connect to RabbitMQ/]) {
    const reasons = service
      .lines()
      .filter(says(text))
      .map(({ reason }) => reason)
    t.strictSame(reasons, [...new Set(reasons)], 'each reason is said once')
  }
  amqp.refuse = false
  sql.refuse = false
  await until('it is ready', async () => (await fetch(`${health}/readyz`)).status === 200)
  const metrics = async () => (await fetch(`${health}/metrics`)).text()
  await until('/metrics says that it consumes', async () =>
    /^clinic_sync_consumer_state\{direction="sql-to-postgres",messages="events",state="consuming"\} 1$/m.test(
      await metrics(),
    ),
  )
  t.match(await metrics(), /^clinic_sync_database_errors_total\{side="portal",class="down"\} [1-9]/m)
  t.match(service.lines().find(says(/^applies the clinic/)), {
    direction: 'sql-to-postgres',
    queues: [
      'sync.sql-to-postgres.p0',
      'sync.sql-to-postgres.p1',
      'sync.sql-to-postgres.p2',
      'sync.sql-to-postgres.p3',
    ],
    portal: /^127\.0\.0\.1:\d+\/\w+$/,
  })
  service.kill('SIGTERM')
  t.equal(await service.ended, 0)
  t.notMatch(JSON.stringify(service.lines()), /postgres:postgres@|guest/)
})

t.test('SIGTERM while it waits ends it at once', async (t) => {
  const sql = await proxyTo(t, postgres.url)
  sql.refuse = true
  const service = runProcess(t, main, { ...settings, POSTGRES_URL: sql.url })
  await until('it waits', () => service.lines().some(says(/^waiting/)))
  service.kill('SIGTERM')
  t.equal(await service.ended, 0)
})

t.test('SIGTERM finishes the batch in flight: what was written is reported and acknowledged', async (t) => {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  const service = runProcess(t, main, settings)
  await until(
    'it consumes',
    async () => (await rabbit.channel.checkQueue('sync.sql-to-postgres.p0')).consumerCount === 1,
  )
  const publishing = broker.publishEvents(
    Array.from({ length: 5_000 }, (_, index) => patient(index + 1, index + 1, 'Leila Hassan')),
  )
  const written = async () => Number((await postgres.query('SELECT count(*) FROM public.patients'))[0]?.count)
  // Reported, so that its way to RabbitMQ is open: without it a stop gives the batch back, to be applied again.
  await until('some are reported', async () => {
    return (await rabbit.channel.checkQueue(outcomeQueue('sql-to-postgres'))).messageCount > 0
  })
  service.kill('SIGTERM')
  t.equal(await service.ended, 0)
  await publishing
  const reported = (await rabbit.take(outcomeQueue('sql-to-postgres'))).flatMap(
    ({ content }) => JSON.parse(content.toString()).outcomes as unknown[],
  )
  t.equal(reported.length, await written())
  let left = 0
  for (let partition = 0; partition < 4; partition++)
    left += (await rabbit.take(`sync.sql-to-postgres.p${partition}`)).length
  t.equal(left, 5_000 - reported.length)
  t.notMatch(JSON.stringify(service.lines()), /Leila/)
})
