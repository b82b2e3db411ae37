// What an open page costs: nothing at either database while nothing changes; and nothing at all while nobody looks.
import { setTimeout as sleep } from 'node:timers/promises'
import { useDoorbell } from '@clinic-sync/cli'
import pg from 'pg'
import t from 'tap'
import { until } from './help.ts'
import { pageStage, TOKEN } from './page-stage.ts'

/** Longer than anything that comes round: the stream's heartbeat, 15 s, the questions to RabbitMQ, 5 s. */
const LOOK_MS = 20_000

const stage = await pageStage(t, { clinicDoorbell: 'service-broker', portalDoorbell: 'listen' })
const { simulator, staff, ask, url } = stage
await useDoorbell(staff, { doorbell: 'service-broker', ingressUrl: '', secret: '' })
const server = new pg.Client(Object.assign(new URL(stage.postgres.url), { pathname: '/postgres' }).href)
await server.connect()
t.teardown(() => server.end())

let depths = 0
const queueDepths = stage.broker.queueDepths.bind(stage.broker)
stage.broker.queueDepths = () => {
  depths++
  return queueDepths()
}

/** Each connection to the portal's database and when it was asked last: from another database, so that looking is no question. */
async function portalQueries(): Promise<ReadonlyMap<string, string>> {
  const { rows } = await server.query<{ pid: string; at: string }>(
    `SELECT pid || ' ' || backend_start AS pid, query_start::text AS at FROM pg_stat_activity WHERE datname = $1`,
    [stage.postgres.name],
  )
  return new Map(rows.map(({ pid, at }) => [pid, at]))
}

/** What was asked of either while `LOOK_MS` passed. A connection that closes asks nothing; looked at five times a second. */
async function asked(): Promise<string[]> {
  const found: string[] = []
  const clinic = simulator.queries()
  let before = await portalQueries()
  for (const end = performance.now() + LOOK_MS; performance.now() < end; await sleep(200)) {
    const now = await portalQueries()
    for (const [pid, at] of now) if (before.get(pid) !== at) found.push(`portal: ${pid}`)
    before = now
  }
  const more = simulator.queries() - clinic
  if (more > 0)
    found.push(
      ...simulator
        .statements()
        .slice(-more)
        .map(({ text }) => `clinic: ${text}`),
    )
  return found
}

/** Resolves when nothing has been asked for a second. */
async function quiet(): Promise<void> {
  let last = ''
  await until(
    'it is quiet',
    async () => {
      const now = `${simulator.queries()} ${[...(await portalQueries()).values()].join()}`
      const same = now === last
      last = now
      if (!same) await sleep(1_000)
      return same
    },
    60_000,
  )
}

t.test('a stream held open asks neither database anything while nothing changes', async (t) => {
  const ending = new AbortController()
  const { body } = await fetch(`${url}/api/sync/status/stream`, {
    headers: { authorization: `Bearer ${TOKEN}` },
    signal: ending.signal,
  })
  let events = 0
  let heartbeats = 0
  void (async () => {
    for await (const chunk of body ?? []) {
      const text = Buffer.from(chunk).toString()
      events += text.split('event: status').length - 1
      heartbeats += text.split(': here').length - 1
    }
  })().catch(() => undefined)
  await until('it tells how it is', () => events > 0)
  await ask('/history')
  await quiet()
  const before = { events, depths, heartbeats }
  t.same(await asked(), [])
  t.equal(events, before.events, 'and tells nothing')
  t.ok(heartbeats > before.heartbeats, 'the line is alive')
  t.ok(depths > before.depths, 'RabbitMQ alone is asked how deep its queues are')
  await staff.batch("INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'somebody')")
  await until('a change is told', () => events > before.events)
  t.ok(simulator.queries() > 0)
  ending.abort()
})

t.test('while nobody looks nothing is asked, of RabbitMQ neither', async (t) => {
  await quiet()
  const before = depths
  t.same(await asked(), [])
  t.equal(depths, before)
})
