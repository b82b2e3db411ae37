import t from 'tap'
import { deadQueue, eventQueue, inspectBroker, retryQueue } from '../src/index.ts'
import { queueDefinitions, RETRY_DELAYS_MS } from '../src/topology.ts'
import { testBroker, until } from './support/helpers.ts'
import { testRabbit } from './support/rabbit.ts'

t.test('it makes nothing where nothing is', async (t) => {
  const { url } = await testRabbit(t)
  const looks = [await inspectBroker({ url }), await inspectBroker({ url })]
  for (const { version, queues } of looks) {
    t.match(version, /^\d+\.\d+/)
    t.equal(queues.length, queueDefinitions(RETRY_DELAYS_MS).length)
    t.ok(queues.every(({ state }) => state === 'missing'))
  }
})

t.test('it counts messages and consumers, and names the queue whose arguments are not ours', async (t) => {
  const { url, channel } = await testRabbit(t)
  await channel.assertQueue(retryQueue(2), { durable: true, arguments: { 'x-queue-type': 'quorum' } })
  // A service that declares the rest meets the queue as well, and says so; here only its absence of consumers counts.
  for (const { name, options } of queueDefinitions(RETRY_DELAYS_MS))
    if (name !== retryQueue(2)) await channel.assertQueue(name, options)
  channel.sendToQueue(deadQueue('sql-to-postgres'), Buffer.from('{}'))
  await channel.waitForConfirms()
  await channel.consume(eventQueue('sql-to-postgres', 1), () => undefined)
  const { queues } = await inspectBroker({ url })
  t.same(
    queues.filter(({ state }) => state !== 'ok').map(({ name, state }) => [name, state]),
    [[retryQueue(2), 'misfit']],
  )
  const named = (name: string) => queues.find((queue) => queue.name === name)
  t.match(named(deadQueue('sql-to-postgres')), { messages: 1, consumers: 0 })
  t.match(named(eventQueue('sql-to-postgres', 1)), { messages: 0, consumers: 1 })
})

t.test('what a service declares is right', async (t) => {
  const { url } = await testRabbit(t)
  const broker = await testBroker(t, url)
  await broker.ready()
  await until('all is declared', async () => (await inspectBroker({ url })).queues.every(({ state }) => state === 'ok'))
})

t.test('a refused login and a closed port are SYNC_BROKER_DOWN, without the password', async (t) => {
  const { url } = await testRabbit(t)
  const wrong = Object.assign(new URL(url), { username: 'nobody', password: 'PLANTED' }).href
  await t.rejects(inspectBroker({ url: wrong }), {
    code: 'SYNC_BROKER_DOWN',
    message: /^(?!.*PLANTED).*ACCESS.REFUSED/,
  })
  await t.rejects(inspectBroker({ url: 'amqp://guest:PLANTED@127.0.0.1:1' }), {
    code: 'SYNC_BROKER_DOWN',
    message: /^(?!.*PLANTED).*ECONNREFUSED/,
  })
  // The doctor tells a missing virtual host by these words.
  const nowhere = Object.assign(new URL(url), { pathname: '/no-such-vhost' }).href
  await t.rejects(inspectBroker({ url: nowhere }), {
    code: 'SYNC_BROKER_DOWN',
    message: /no such virtual host|NOT.ALLOWED/,
  })
})
