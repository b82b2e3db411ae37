import { testRabbitServer } from '@clinic-sync/dev-services/testing'
import t from 'tap'
import { note, testBroker, until } from './support/helpers.ts'

t.test('RabbitMQ crashes amid 5,000 events and comes back: what was confirmed arrives', async (t) => {
  const server = await testRabbitServer(t)
  const broker = await testBroker(t, server.url)
  await broker.ready()
  const events = Array.from({ length: 5_000 }, (_, index) => note(index, 1))
  const seen = new Set<string>()
  const confirmed = new Set<string>()
  const consumer = broker.consumeEvents(
    'sql-to-postgres',
    ({ events: batch }) => {
      for (const { event } of batch) seen.add(event.id)
      return Promise.resolve(batch.map(() => ({ action: 'done' })))
    },
    { check: () => Promise.resolve() },
  )
  await until('it consumes', () => consumer.state === 'consuming')
  let restarting: Promise<void> | undefined
  for (let from = 0; from < events.length; from += 100) {
    const part = events.slice(from, from + 100)
    if (from === 2_500) restarting = server.restart()
    while (!part.every(({ id }) => confirmed.has(id))) {
      await broker.ready()
      await broker.publishEvents(part).then(
        () => part.forEach(({ id }) => confirmed.add(id)),
        () => undefined,
      )
    }
  }
  await restarting
  await until('all have arrived', () => seen.size === events.length)
  t.equal(confirmed.size, events.length)
  t.equal(broker.state().ready, true)
})
