// What `trace` says where somebody cannot be reached, refuses the login, or is not migrated.
import { byWayOf, openProxy, placeOf } from '@clinic-sync/dev-services/proxy'
import { testPostgres } from '@clinic-sync/dev-services/testing'
import type { Environment } from '@clinic-sync/runtime'
import { startSimulator } from '@clinic-sync/sqlserver-simulator'
import t from 'tap'
import { ALL, kinds, tracing } from './support/tracing.ts'
import { until } from './support/whole-sync.ts'

const world = await tracing(t)
const whole = await world.startIngress()
await world.startConsumers()
const { environment } = world
const rabbitmqUrl = environment.RABBITMQ_URL

const withLogin = (url: string, login: { username?: string; password?: string }) =>
  Object.assign(new URL(url), login).href
const NOBODY = (url: string) => byWayOf(url, 9)

const bare = await startSimulator({ migrated: false })
t.teardown(() => bare.stop())
const empty = await testPostgres(t)

const cases: [what: string, settings: Environment, kind: string, found: RegExp][] = [
  [
    'SQL Server cannot be reached',
    { SQLSERVER_URL: NOBODY(environment.SQLSERVER_URL) },
    'database-unreachable',
    /The clinic: .*ECONNREFUSED/,
  ],
  [
    'Postgres cannot be reached',
    { POSTGRES_URL: NOBODY(environment.POSTGRES_URL) },
    'database-unreachable',
    /The portal: .*ECONNREFUSED/,
  ],
  [
    'SQL Server refuses the login',
    { SQLSERVER_URL: withLogin(environment.SQLSERVER_URL, { password: 'wrong' }) },
    'login-refused',
    /refused the login/,
  ],
  [
    'Postgres refuses the login',
    { POSTGRES_URL: withLogin(environment.POSTGRES_URL, { username: 'nobody_at_all', password: 'x' }) },
    'login-refused',
    /The portal: .*login/,
  ],
  ['the clinic is not migrated', { SQLSERVER_URL: bare.url }, 'not-migrated', /The clinic: /],
  ['the portal is not migrated', { POSTGRES_URL: empty.url }, 'not-migrated', /The portal: /],
]
for (const [what, settings, kind, found] of cases)
  t.test(what, async (t) => {
    const result = await world.trace(2, settings)
    t.strictSame(kinds(result), [`- - ${kind}`])
    t.match(result.faults[0]?.what, found)
    t.ok(result.faults[0]?.todo)
    t.strictSame(result.hops, [])
    t.equal(result.untried.length, 3)
    t.equal(result.code, 1)
    t.notMatch(JSON.stringify(result), /wrong|Service_Login/)
    await world.clean(t)
  })

t.test('RabbitMQ cannot be reached from here alone: the canary comes round, by what the outboxes say', async (t) => {
  const result = await world.trace(3, { RABBITMQ_URL: NOBODY(rabbitmqUrl) })
  t.strictSame(kinds(result), [])
  t.equal(result.hops.length, ALL)
  t.match(result.notes, [/RabbitMQ: .*The services reach it/])
  t.equal(result.code, 0)
  await world.clean(t)
})

t.test('RabbitMQ refuses the login', async (t) => {
  const result = await world.trace(3, { RABBITMQ_URL: withLogin(rabbitmqUrl, { password: 'wrong' }) })
  t.match(result.notes, [/RabbitMQ: .*(ACCESS_REFUSED|refused)/i])
})

t.test('RabbitMQ is down, for the ingress and from here', async (t) => {
  const place = placeOf(rabbitmqUrl)
  if (place === null) throw new Error('no place')
  const proxy = await openProxy(place.host, place.port)
  await whole.close()
  const cutOff = await world.startIngress({ rabbitmqUrl: byWayOf(rabbitmqUrl, proxy.port) })
  t.ok((await world.trace()).ok)
  await proxy.close()
  await until('the ingress has noticed', async () => !(await fetch(`${environment.INGRESS_URL}/readyz`)).ok)
  const result = await world.trace(1, { RABBITMQ_URL: NOBODY(rabbitmqUrl) })
  t.strictSame(kinds(result), ['there published broker-unreachable'])
  t.match(result.faults[0], { what: /RabbitMQ: /, todo: /Check that RabbitMQ runs/ })

  const fromHere = await world.trace(1)
  t.match(kinds(fromHere)[0], /^there published (no-leader|ingress-lacks)$/, 'the ingress alone does not reach it')
  await cutOff.close()
  await world.startIngress()
  await until('the round is whole again', async () => (await world.trace()).ok)
  await world.clean(t)
})
