// Half-open connections: what is sent vanishes, nothing is reset, and TCP's keepalive goes on being answered.
import { byWayOf, openProxy, placeOf } from '@clinic-sync/dev-services/proxy'
import t, { type Test } from 'tap'
import { keepChannel } from '../src/channel.ts'
import { Connection } from '../src/connection.ts'
import { RETRY_DELAYS_MS, type Broker, type ConsumeOptions, type EventBatch } from '../src/index.ts'
import { Topology } from '../src/prepare.ts'
import { keepLines, note, testBroker, until } from './support/helpers.ts'
import { testRabbit } from './support/rabbit.ts'

const rabbit = await testRabbit(t)
const direction = 'sql-to-postgres'
const options: ConsumeOptions = { check: () => Promise.resolve() }

async function behindProxy(t: Test, more = '') {
  const place = placeOf(rabbit.url)
  if (place === null) throw new Error('no proxy can be in between')
  const proxy = await openProxy(place.host, place.port)
  t.teardown(() => proxy.close())
  return { proxy, url: `${byWayOf(rabbit.url, proxy.port)}${more}` }
}

/** What arrives there. */
function consume(broker: Broker): Set<string> {
  const seen = new Set<string>()
  broker.consumeEvents(
    direction,
    ({ events }: EventBatch) => {
      for (const { event } of events) seen.add(event.id)
      return Promise.resolve(events.map(() => ({ action: 'done' as const })))
    },
    options,
  )
  return seen
}

t.test('both ends notice: another instance takes over, and the silent one comes back by itself', async (t) => {
  const { proxy, url } = await behindProxy(t, '?heartbeat=1')
  const broker = await testBroker(t, url)
  await broker.ready()
  const seen = consume(broker)
  await broker.publishEvents([note(1, 1)])
  await until('it arrives', () => seen.size === 1)

  const other = await testBroker(t, rabbit.url)
  await other.ready()
  const seenByOther = consume(other)
  proxy.vanish()
  const since = performance.now()
  await t.rejects(broker.publishEvents([note(1, 2)]), { code: 'SYNC_BROKER_DOWN' })
  const noticed = performance.now() - since
  await other.publishEvents([note(1, 3)])
  await until('the other instance has it', () => seenByOther.size > 0)
  t.ok(noticed < 5_000, `${Math.round(noticed)} ms with a heartbeat of a second`)

  proxy.resume()
  // The attempt that is under way would end by itself, as in the next test, after 10 s.
  proxy.cut('all')
  await broker.ready()
  await broker.publishEvents([note(1, 4)])
  await until('the one that was silent publishes again', () => seen.size + seenByOther.size >= 3)
})

t.test('an attempt to connect ends, at whatever step of the handshake the way is lost', async (t) => {
  const log = keepLines()
  const { proxy, url } = await behindProxy(t)
  const connection = new Connection(url, 'test', log, 200)
  t.teardown(() => connection.close())
  proxy.vanish()
  connection.start()
  await until('the first attempt was given up', () => log.lines.length > 0)
  await until('another is made', () => proxy.count() > 0)
  proxy.resume()
  t.ok(await connection.opened(new AbortController().signal))
})

t.test(
  'a declaration that is never answered: the connection is given up, long before a heartbeat is missed',
  async (t) => {
    const log = keepLines()
    const { proxy, url } = await behindProxy(t, '?heartbeat=60')
    const connection = new Connection(url, 'test', log, 500, 1_000)
    t.teardown(() => connection.close())
    const stop = new AbortController()
    connection.start()
    await connection.opened(stop.signal)
    proxy.vanish()
    const topology = new Topology(RETRY_DELAYS_MS, log)
    let opened = 0
    const loop = keepChannel({
      connection,
      signal: stop.signal,
      label: 'test',
      log,
      open: async (model) => {
        await topology.prepare(model)
        return model.createChannel()
      },
      use: ({ lost }) => {
        opened++
        return new Promise((resolve) => {
          for (const signal of [lost, stop.signal]) signal.addEventListener('abort', () => resolve(), { once: true })
        })
      },
    })
    const lost = () => log.lines.find(({ message }) => message.startsWith('lost the connection'))
    await until('it is given up', () => lost() !== undefined)
    t.match(lost(), { fields: { reason: /has not answered for 1 s/ } })
    t.equal(opened, 0)
    proxy.resume()
    await until('all is declared, and the channel is there', () => opened === 1)
    // What is answered, and a channel at rest, are no silence.
    await new Promise((resolve) => setTimeout(resolve, 1_500))
    t.equal(opened, 1)
    stop.abort()
    await loop
  },
)
