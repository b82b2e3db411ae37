import { inspectBroker } from '@clinic-sync/broker'
import { testVhost } from '@clinic-sync/dev-services/testing'
import t from 'tap'
import { migrateBroker, namesBroker } from '../src/migrate/broker.ts'

const { url } = await testVhost(t)

async function run(dryRun = false): Promise<string[]> {
  const lines: string[] = []
  await migrateBroker({ environment: { RABBITMQ_URL: url }, dryRun, onLine: (line) => lines.push(line) })
  return lines
}
const missing = async () => (await inspectBroker({ url })).queues.filter(({ state }) => state !== 'ok').length

t.test('declares what is missing, says what, and is safe to repeat', async (t) => {
  const all = await missing()
  const would = await run(true)
  t.equal(await missing(), all, 'a dry run declares nothing')
  t.ok(would.includes('broker: queue sync.dead.sql-to-postgres would be declared'))
  t.same(
    await run(),
    would.map((line) => line.replace('would be declared', 'declared')),
  )
  t.equal(await missing(), 0)
  t.match(await run(), [/^broker: up to date \(\d+ exchanges and queues\)$/])
})

t.test('a RabbitMQ that is not there is said so, without the URL', async (t) => {
  const environment = { RABBITMQ_URL: 'amqp://user:hunter2@127.0.0.1:1' }
  const failing = migrateBroker({ environment, dryRun: false, onLine: () => undefined })
  await t.rejects(failing, { code: 'SYNC_BROKER_DOWN', message: /^((?!hunter2).)*$/ })
})

t.test('plain migrate leaves RabbitMQ out where no address is set', async (t) => {
  t.equal(namesBroker({}), false)
  t.equal(namesBroker({ RABBITMQ_URL: '' }), false)
  t.equal(namesBroker({ RABBITMQ_URL: url }), true)
  t.equal(namesBroker({ RABBITMQ_URL_FILE: 'secrets/rabbitmq_url' }), true)
})
