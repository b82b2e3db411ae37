import type { Channel } from 'amqplib'
import t from 'tap'
import { Connection } from '../src/connection.ts'
import { QueueDepths } from '../src/queue-depths.ts'
import { keepLines, until } from './support/helpers.ts'
import { testRabbit } from './support/rabbit.ts'

t.test('however many ask at a time, and whatever is missing, one channel stays', async (t) => {
  const rabbit = await testRabbit(t)
  await rabbit.channel.assertQueue('a queue', { durable: true })
  const connection = new Connection(rabbit.url, 'test', keepLines())
  connection.start()
  t.teardown(() => connection.close())
  const model = await connection.opened(new AbortController().signal)
  if (model === null) throw new Error('there is no connection')
  const open = new Set<Channel>()
  const create = model.createChannel.bind(model)
  model.createChannel = async () => {
    const channel = await create()
    open.add(channel)
    channel.on('close', () => open.delete(channel))
    return channel
  }
  const depths = new QueueDepths(connection, ['a queue', 'no queue', 'a queue'])
  for (const read of await Promise.all([depths.read(), depths.read(), depths.read()]))
    for (const { queue } of read) t.equal(queue, 'a queue')
  t.same(
    (await depths.read()).map(({ queue, messages }) => [queue, messages]),
    [
      ['a queue', 0],
      ['a queue', 0],
    ],
  )
  await until('the others are closed', () => open.size <= 1)
  t.equal(open.size, 1)
})
