import { eventQueues, outcomeQueue } from '@clinic-sync/broker'
import { testClinic } from '@clinic-sync/dev-services/testing'
import { pino } from 'pino'
import t from 'tap'
import { testBroker, until } from '../../../packages/broker/test/support/helpers.ts'
import { proxyTo } from '../../../packages/broker/test/support/proxy.ts'
import { testRabbit } from '../../../packages/broker/test/support/rabbit.ts'
import { start } from '../src/index.ts'
import { treatedClinic } from './support/clinic.ts'
import { direction, freePort, MAIN, outcomesOf, runProcess } from './support/service.ts'

const [rabbit, clinic] = await Promise.all([testRabbit(t), treatedClinic(t)])
const settings = { RABBITMQ_URL: rabbit.url, SQLSERVER_URL: clinic.url, LOG_LEVEL: 'debug' }
const says = (text: RegExp) => (line: Record<string, unknown>) => text.test(String(line.msg))

t.test('a missing or wrong setting ends the start, by name', async (t) => {
  const { signal } = new AbortController()
  const context = { log: pino({ level: 'silent' }), signal, fail: () => undefined }
  const starting = (environment: Record<string, string>) => start({ ...context, environment })
  await t.rejects(starting({ RABBITMQ_URL: rabbit.url }), { code: 'SYNC_CONFIG', message: /^SQLSERVER_URL is missing/ })
  const nowhere = starting({ ...settings, CLINIC_TIME_ZONE: 'Mars/Olympus' })
  await t.rejects(nowhere, { code: 'SYNC_CONFIG', message: /^CLINIC_TIME_ZONE/ })
})

t.test('a clinic without schema sync is said in one sentence, with the command to run', async (t) => {
  const empty = await testClinic(t, { migrated: false })
  const service = runProcess(t, MAIN, { ...settings, SQLSERVER_URL: empty.url })
  t.equal(await service.ended, 1)
  t.match(
    service.lines().filter(({ level }) => level !== 'info' && level !== 'debug'),
    [{ level: 'fatal', code: 'SYNC_NOT_MIGRATED', msg: /npm run sync -- migrate/ }],
  )
})

t.test('with both servers away it waits, says so once, starts when they come, and shows it in /readyz', async (t) => {
  const [amqp, sql] = [await proxyTo(t, rabbit.url), await proxyTo(t, clinic.url)]
  amqp.refuse = true
  sql.refuse = true
  const port = await freePort()
  const health = `http://127.0.0.1:${port}`
  const addresses = { RABBITMQ_URL: amqp.url, SQLSERVER_URL: sql.url, HEALTH_PORT: String(port) }
  const service = runProcess(t, MAIN, { ...settings, ...addresses })
  await until('it waits', () => service.lines().some(says(/^waiting for the clinic/)))
  await until('several attempts were made', () => sql.accepted > 4 && amqp.accepted > 4)
  t.equal((await fetch(`${health}/healthz`)).status, 200)
  const notReady = await fetch(`${health}/readyz`)
  t.equal(notReady.status, 503)
  t.match(await notReady.json(), { reasons: [/clinic/, /RabbitMQ/] })
  for (const text of [/^waiting for the clinic/, /^cannot connect to RabbitMQ/]) {
    const reasons = service
      .lines()
      .filter(says(text))
      .map(({ reason }) => reason)
    t.strictSame(reasons, [...new Set(reasons)], 'each reason is said once')
  }
  amqp.refuse = false
  sql.refuse = false
  await until('it is ready', async () => (await fetch(`${health}/readyz`)).status === 200)
  t.match(service.lines().find(says(/^applies the doctors/)), {
    direction,
    queues: eventQueues(direction),
    clinic: /^127\.0\.0\.1:\d+\/clinic$/,
  })
  // The server dies under it: ready no more, and then again.
  sql.refuse = true
  sql.cut()
  await publishOne(t, -900_000)
  await until('it is not ready', async () => (await fetch(`${health}/readyz`)).status === 503)
  sql.refuse = false
  await until('it is ready again', async () => (await fetch(`${health}/readyz`)).status === 200)
  // Or the next service finds it.
  await until(
    'the event is reported',
    async () => (await rabbit.channel.checkQueue(outcomeQueue(direction))).messageCount > 0,
  )
  service.kill('SIGTERM')
  t.equal(await service.ended, 0)
  t.notMatch(JSON.stringify(service.lines()), /Simulator_1|guest/)
  await outcomesOf(rabbit)
})

t.test('SIGTERM while it waits ends it at once', async (t) => {
  const sql = await proxyTo(t, clinic.url)
  sql.refuse = true
  const service = runProcess(t, MAIN, { ...settings, SQLSERVER_URL: sql.url })
  await until('it waits', () => service.lines().some(says(/^waiting/)))
  service.kill('SIGTERM')
  t.equal(await service.ended, 0)
})

t.test('SIGTERM finishes the batch in flight: what was written is reported and acknowledged', async (t) => {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  const service = runProcess(t, MAIN, settings)
  await until('it consumes', async () => {
    const queues = await Promise.all(eventQueues(direction).map((queue) => rabbit.channel.checkQueue(queue)))
    return queues.every(({ consumerCount }) => consumerCount === 1)
  })
  const keys = Array.from({ length: 2_000 }, (_, index) => -1 - index)
  const publishing = broker.publishEvents(
    keys.map((key) => clinic.born(key, 1_000 - key, { note_text: 'Leila Hassan' })),
  )
  const written = () => clinic.count(`SELECT COUNT(*) AS n FROM dbo.tblAlignerNotes WHERE NoteText = N'Leila Hassan'`)
  // Reported, so that its way to RabbitMQ is open: without it a stop gives the batch back, to be applied again.
  await until('some are reported', async () => {
    return (await rabbit.channel.checkQueue(outcomeQueue(direction))).messageCount > 0
  })
  service.kill('SIGTERM')
  t.equal(await service.ended, 0)
  await publishing
  const reported = await outcomesOf(rabbit)
  t.equal(reported.length, await written())
  let left = 0
  for (const queue of eventQueues(direction)) left += (await rabbit.take(queue)).length
  t.equal(left, keys.length - reported.length)
  t.notMatch(JSON.stringify(service.lines()), /Leila/)
})

async function publishOne(t: Parameters<typeof testBroker>[0], key: number): Promise<void> {
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  await broker.publishEvents([clinic.born(key, 1)])
}
