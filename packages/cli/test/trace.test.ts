// `trace` against the whole sync: the simulator, Postgres and RabbitMQ, each service in this process.
import t from 'tap'
import { tracing } from './support/tracing.ts'

t.test('all is well: there, back, and the ruling', async (t) => {
  const world = await tracing(t)
  await world.startIngress()
  await world.startConsumers()
  const told = await world.say()
  t.match(told, /clinic: written, and captured by its trigger +\d/)
  t.match(told, /The canary came all the way round in \d+ ms\.\n$/)
  const { code, ok, hops, faults, untried, totalMs } = await world.trace()
  t.strictSame({ code, ok, faults, untried }, { code: 0, ok: true, faults: [], untried: [] })
  t.strictSame(
    hops.map(({ leg, hop }) => `${leg} ${hop}`),
    [
      ...['captured', 'published', 'applied', 'settled'].map((hop) => `there ${hop}`),
      ...['captured', 'published', 'applied', 'settled'].map((hop) => `back ${hop}`),
      ...['published', 'applied', 'settled'].map((hop) => `ruling ${hop}`),
    ],
  )
  t.ok(hops.every(({ ms }) => ms >= 0 && ms < 3_000))
  t.equal(hops.at(-1)?.atMs, totalMs)
  await world.clean(t)
})
