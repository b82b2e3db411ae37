import { connectBroker, startEventConsumer } from '../../src/index.ts'

/**
 * Consumes in a process of its own, and applies nothing before it is told to. Tells its memory ten times a second, and what it
 * has applied.
 */
const quiet = () => undefined
const log = { debug: quiet, info: quiet, warn: quiet, error: quiet }
const told = new Promise<void>((resolve) => {
  process.once('message', () => resolve())
})
const broker = await connectBroker({ url: String(process.env['RABBITMQ_URL']), log, name: 'slow' })
const consumer = startEventConsumer({
  broker,
  direction: 'sql-to-postgres',
  log,
  target: {
    check: () => Promise.resolve(),
    applyChanges: async (events) => {
      await told
      process.send?.({ applied: events.map(({ data }) => data.key) })
      return events.map(({ data: { table, key, version } }) => ({ table, key, version, outcome: 'applied' as const }))
    },
  },
})
const timer = setInterval(() => process.send?.({ rss: process.memoryUsage().rss }), 100)
process.once('disconnect', () => {
  clearInterval(timer)
  void consumer.close().then(() => broker.close())
})
