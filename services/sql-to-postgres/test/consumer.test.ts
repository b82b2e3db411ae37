import { deadQueue, retryQueue } from '@clinic-sync/broker'
import type { Outcome } from '@clinic-sync/contracts'
import { testPostgresServer } from '@clinic-sync/dev-services/testing'
import { openPortal } from '@clinic-sync/portal'
import pg from 'pg'
import t, { type Test } from 'tap'
import { keepLines, until } from '../../../packages/broker/test/support/helpers.ts'
import { proxyTo } from '../../../packages/broker/test/support/proxy.ts'
import { testRabbit } from '../../../packages/broker/test/support/rabbit.ts'
import { consumeInto, publish, range, takeOutcomes, tally } from './support/consuming.ts'
import { doctor, patient, work } from './support/events.ts'
import { countWrites, testPortal } from './support/postgres.ts'

const direction = 'sql-to-postgres'
const [rabbit, postgres] = await Promise.all([testRabbit(t), testPortal(t)])
await countWrites(postgres)

const count = async (text: string, ...values: unknown[]) => Number((await postgres.query(text, values))[0]?.count)
const patients = (from: number, to: number) =>
  count('SELECT count(*) FROM public.patients WHERE person_id BETWEEN $1 AND $2', from, to)
const outcomes = () => takeOutcomes(rabbit, direction)
const consumeHere = async (t: Test, url = postgres.url, patienceMs?: number) =>
  consumeInto(t, rabbit, direction, await openPortal({ url, log: keepLines() }), patienceMs)

t.test('events become rows, and outcomes tell the ingress', async (t) => {
  const here = await consumeHere(t)
  await here.broker.publishEvents(range(1, 500).map((key) => patient(key, key)))
  await until('all are there', async () => (await patients(1, 500)) === 500)
  await here.broker.close()
  t.strictSame(tally(await outcomes()), { applied: 500 })
  t.equal(await count('SELECT count(*) FROM sync.row_state WHERE clinic_version = record_id'), 500)
})

t.test('of several versions in one batch the newest is written, the others are settled with it', async (t) => {
  const versions = range(601, 640).map((version) => patient(600, version, `version ${version}`))
  await publish(t, rabbit, versions)
  const here = await consumeHere(t)
  await until('the newest is there', async () => {
    const [row] = await postgres.query('SELECT patient_name FROM public.patients WHERE person_id = 600')
    return row?.patient_name === 'version 640'
  })
  await here.broker.close()
  const { applied = 0, stale = 0, ...others } = tally(await outcomes())
  t.same([applied + stale, others], [40, {}])
  // On a busy machine they may come in more than one batch.
  t.ok(applied < 5, 'few are written', { applied })
})

t.test('one poisoned event among 200 is dead alone', async (t) => {
  const here = await consumeHere(t)
  const good = range(1_001, 1_199).map((key) => doctor(key, key, `${key}@example.com`))
  await here.broker.publishEvents([...good, doctor(1_200, 1_200, `${'1200'.repeat(70)}@example.com`)])
  await until('it is dead', async () => (await rabbit.channel.checkQueue(deadQueue(direction))).messageCount === 1)
  await until('the others are there', async () => (await count('SELECT count(*) FROM public.aligner_doctors')) === 199)
  await here.broker.close()
  const all = await outcomes()
  t.strictSame(tally(all), { applied: 199, dead: 1 })
  t.match(
    all.find(({ outcome }) => outcome === 'dead'),
    { code: '22001', reason: /aligner_doctors/ },
  )
  const [dead] = await rabbit.take(deadQueue(direction))
  t.match(dead?.properties.headers, { 'sync-error-type': 'permanent', 'sync-error-code': '22001', 'sync-attempts': 1 })
  t.notMatch(JSON.stringify([dead?.properties, all]), /@example/)
})

t.test('a thousand poisoned events: those among them and behind them flow on', async (t) => {
  const poison = range(20_001, 21_000).map((key) => doctor(key, key, `${'1200'.repeat(70)}@example.com`))
  const among = poison.flatMap((event) => {
    const key = event.data.key
    return key % 10 === 0 ? [event, patient(key, key)] : [event]
  })
  await publish(t, rabbit, among)
  const here = await consumeHere(t)
  const since = performance.now()
  await here.broker.publishEvents([patient(30_000, 30_000)])
  await until('the good ones are there', async () => (await patients(20_001, 30_000)) === 101)
  // 5,000 took 11 s; 146 s while each refused row cost a new connection.
  t.comment(`${Math.round(performance.now() - since)} ms`)
  const dead = async () => (await rabbit.channel.checkQueue(deadQueue(direction))).messageCount
  await until('the others are dead', async () => (await dead()) === 1_000)
  await here.broker.close()
  t.strictSame(tally(await outcomes()), { applied: 101, dead: 1_000 })
  await rabbit.take(deadQueue(direction))
})

t.test('a child that is a moment ahead of its parent is written with it', async (t) => {
  const here = await consumeHere(t, postgres.url, 30_000)
  await here.broker.publishEvents([work(3, 2_201, 2_200)])
  await here.broker.publishEvents([patient(2_200, 2_200)])
  await until('it is there', async () => (await count('SELECT count(*) FROM public.work WHERE work_id = 3')) === 1)
  const all: Outcome[] = []
  await until('both are reported', async () => all.push(...(await outcomes())) === 2)
  await here.broker.close()
  t.strictSame(tally(all), { applied: 2 })
})

t.test('a missing parent is retried, and applied once the parent is there', async (t) => {
  const here = await consumeHere(t, postgres.url, 0)
  await here.broker.publishEvents([work(1, 2_001, 2_000)])
  const early: Outcome[] = []
  await until('it waits', async () => early.push(...(await outcomes())) > 0)
  t.match(early, [{ outcome: 'retry', table: 'work', key: 1, version: '2001' }])
  await here.broker.publishEvents([patient(2_000, 2_000)])
  await until('it is there', async () => (await count('SELECT count(*) FROM public.work WHERE work_id = 1')) === 1)
  await here.broker.close()
  t.strictSame(tally((await outcomes()).filter(({ table }) => table === 'work')).applied, 1)
  t.equal((await rabbit.take(deadQueue(direction))).length, 0)
})

t.test('a parent that never comes ends in the dead-letter queue', async (t) => {
  const here = await consumeHere(t, postgres.url, 0)
  await here.broker.publishEvents([work(2, 2_101, 2_100)])
  await until('it is dead', async () => (await rabbit.channel.checkQueue(deadQueue(direction))).messageCount === 1)
  await here.broker.close()
  t.strictSame(tally(await outcomes()), { retry: 3, dead: 1 })
  t.match((await rabbit.take(deadQueue(direction)))[0]?.properties.headers, {
    'sync-error-type': 'parent',
    'sync-attempts': 4,
  })
})

t.test('a patient that somebody holds stops no other, and is written as soon as they commit', async (t) => {
  await postgres.query(`INSERT INTO public.patients (person_id, patient_name) VALUES (12001, 'before')`)
  const person = new pg.Client({ connectionString: postgres.url })
  await person.connect()
  t.teardown(() => person.end())
  await person.query('BEGIN')
  await person.query(`UPDATE public.patients SET phone = '0750' WHERE person_id = 12001`)
  const here = await consumeHere(t, postgres.url, 30_000)
  await here.broker.publishEvents(range(12_001, 12_300).map((key) => patient(key, key, 'met a person')))
  const all: Outcome[] = []
  await until('the others are reported', async () => all.push(...(await outcomes())) >= 299)
  t.strictSame(tally(all), { applied: 299 })
  await person.query('COMMIT')
  await until('it is reported', async () => all.push(...(await outcomes())) >= 300)
  await here.broker.close()
  t.strictSame(tally(all), { applied: 300 })
  t.equal(await count(`SELECT count(*) FROM public.patients WHERE patient_name = 'met a person'`), 300)
  t.equal((await rabbit.channel.checkQueue(retryQueue(1))).messageCount, 0)
})

t.test('the portal goes away and comes back: nothing is dead, everything arrives', async (t) => {
  const proxy = await proxyTo(t, postgres.url)
  const here = await consumeHere(t, proxy.url)
  await here.broker.publishEvents([patient(8_000, 8_000)])
  await until('it works', async () => (await patients(8_000, 8_000)) === 1)
  for (let round = 1; round <= 2; round++) {
    const [from, to] = [8_000 + round * 300 + 1, 8_000 + round * 300 + 300]
    proxy.refuse = true
    const publishing = here.broker.publishEvents(range(from, to).map((key) => patient(key, key)))
    proxy.cut()
    await publishing
    await until('it pauses', () => here.consumer.state === 'paused')
    proxy.refuse = false
    await until('all are there', async () => (await patients(from, to)) === 300)
  }
  await here.broker.close()
  t.strictSame(
    Object.keys(tally(await outcomes())).filter((kind) => kind === 'retry' || kind === 'dead'),
    [],
  )
  t.equal((await rabbit.take(deadQueue(direction))).length, 0)
})

t.test('connections ended by the server in the middle of a batch cost nothing', async (t) => {
  const here = await consumeHere(t)
  const publishing = here.broker.publishEvents(range(9_001, 11_000).map((key) => patient(key, key)))
  for (let round = 0; round < 5; round++) {
    await postgres.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'clinic-sync'`,
    )
    await until('it goes on', async () => (await patients(9_001, 11_000)) >= round * 200)
  }
  await publishing
  await until('all are there', async () => (await patients(9_001, 11_000)) === 2_000)
  await here.broker.close()
  t.equal((await rabbit.take(deadQueue(direction))).length, 0)
  t.equal(await count('SELECT count(*) FROM public.writes WHERE key BETWEEN 9001 AND 11000'), 2_000)
  await outcomes()
})

t.test('Postgres crashes amid a batch and comes back: nothing is dead, everything arrives once', async (t) => {
  const server = await testPostgresServer(t)
  const portal = await testPortal(t, server.url)
  const arrived = async () => Number((await portal.query('SELECT count(*) FROM public.patients'))[0]?.count)
  const here = await consumeHere(t, server.url)
  const publishing = here.broker.publishEvents(range(20_001, 23_000).map((key) => patient(key, key)))
  await until('some are there', async () => (await arrived()) > 0)
  await server.restart()
  await publishing
  // The pool of the test itself may have lost its connections.
  await until('all are there', () =>
    arrived().then(
      (count) => count === 3_000,
      () => false,
    ),
  )
  await here.broker.close()
  t.strictSame(
    Object.keys(tally(await outcomes()))
      .toSorted()
      .filter((kind) => kind === 'retry' || kind === 'dead'),
    [],
  )
  t.equal((await rabbit.take(deadQueue(direction))).length, 0)
})
