import { testVhost } from '@clinic-sync/dev-services/testing'
import { connect } from 'amqplib'
import t from 'tap'
import { NOTE } from '../src/index.ts'
import { testBroker } from './support/helpers.ts'

t.test('a note takes the place of the one before, and outlives who wrote it', async (t) => {
  const { url } = await testVhost(t)
  const broker = await testBroker(t, url)
  await broker.ready()
  t.equal(await broker.note.read(), null)
  for (const text of ['first', 'second', 'the last ✍️']) await broker.note.write(text)
  t.equal(await broker.note.read(), 'the last ✍️')
  t.equal(await broker.note.read(), 'the last ✍️', 'reading takes nothing away')
  await broker.close()
  const other = await testBroker(t, url)
  t.equal(await other.note.read(), 'the last ✍️')
  await Promise.all(Array.from({ length: 5 }, (_, i) => other.note.write(`at once ${i}`)))
  t.match(await other.note.read(), /^at once \d$/)
  const model = await connect(url)
  t.teardown(() => model.close())
  const { messageCount } = await (await model.createChannel()).checkQueue(NOTE)
  t.equal(messageCount, 1)
})

t.test('a queue of that name that is another one: an error, and the broker goes on', async (t) => {
  const { url } = await testVhost(t)
  const broker = await testBroker(t, url)
  await broker.ready()
  const model = await connect(url)
  t.teardown(() => model.close())
  await (await model.createChannel()).assertQueue(NOTE, { durable: true })
  await t.rejects(broker.note.read(), { code: 'SYNC_BROKER_DOWN' })
  await t.rejects(broker.note.write('text'), { code: 'SYNC_BROKER_DOWN' })
  t.ok((await broker.queueDepths()).length > 10)
})

t.test('without RabbitMQ it says so within some seconds', async (t) => {
  const broker = await testBroker(t, 'amqp://127.0.0.1:9')
  await t.rejects(broker.note.read(), { code: 'SYNC_BROKER_DOWN' })
})
