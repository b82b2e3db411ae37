import { deadQueue, outcomeQueue, startEventConsumer, type Broker, type Consumer, type Step } from '@clinic-sync/broker'
import type { Outcome, OutcomeBatch } from '@clinic-sync/contracts'
import { testPostgresServer } from '@clinic-sync/dev-services/testing'
import { openPortal } from '@clinic-sync/portal'
import t from 'tap'
import { keepLines, testBroker, until } from '../../../packages/broker/test/support/helpers.ts'
import { proxyTo } from '../../../packages/broker/test/support/proxy.ts'
import { testRabbit } from '../../../packages/broker/test/support/rabbit.ts'
import { doctor, patient, work } from './support/events.ts'
import { testPortal } from './support/postgres.ts'
import { runProcess } from './support/service.ts'

const direction = 'sql-to-postgres'
const retryDelaysMs = [200, 300, 400]
const [rabbit, postgres] = await Promise.all([testRabbit(t), testPortal(t)])
const settings = { RABBITMQ_URL: rabbit.url, POSTGRES_URL: postgres.url, LOG_LEVEL: 'debug' }

// Counts every write of the sync: what is applied twice shows.
await postgres.query(`CREATE TABLE public.writes (name text, key int)`)
await postgres.query(`CREATE FUNCTION public.count_write() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN INSERT INTO public.writes VALUES (TG_TABLE_NAME, NEW.person_id); RETURN NULL; END $$`)
await postgres.query(`CREATE TRIGGER count_write AFTER INSERT OR UPDATE ON public.patients
  FOR EACH ROW EXECUTE FUNCTION public.count_write()`)

const count = async (text: string, ...values: unknown[]) => Number((await postgres.query(text, values))[0]?.count)
const patients = (from: number, to: number) =>
  count('SELECT count(*) FROM public.patients WHERE person_id BETWEEN $1 AND $2', from, to)
const outcomes = async (): Promise<Outcome[]> =>
  (await rabbit.take(outcomeQueue(direction))).flatMap(
    ({ content }) => (JSON.parse(content.toString()) as OutcomeBatch).outcomes,
  )
const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)
const tally = (all: readonly Outcome[]) => {
  const counts: Record<string, number> = {}
  for (const { outcome } of all) counts[outcome] = (counts[outcome] ?? 0) + 1
  return counts
}

interface Here {
  readonly broker: Broker
  readonly consumer: Consumer
}
async function consumeHere(t: Parameters<typeof testBroker>[0], url = postgres.url): Promise<Here> {
  const log = keepLines()
  const portal = await openPortal({ url, log })
  const broker = await testBroker(t, rabbit.url, { retryDelaysMs, log })
  t.teardown(async () => {
    await broker.close()
    await portal.close()
  })
  const consumer = startEventConsumer({ broker, direction, target: portal, log })
  await broker.ready()
  return { broker, consumer }
}

t.test('events become rows, and outcomes tell the ingress', async (t) => {
  const here = await consumeHere(t)
  await here.broker.publishEvents(range(1, 500).map((key) => patient(key, key)))
  await until('all are there', async () => (await patients(1, 500)) === 500)
  await here.broker.close()
  t.strictSame(tally(await outcomes()), { applied: 500 })
  t.equal(await count('SELECT count(*) FROM sync.row_state WHERE clinic_version = record_id'), 500)
})

t.test('of several versions in one batch the newest is written, the others are settled with it', async (t) => {
  const broker = await testBroker(t, rabbit.url, { retryDelaysMs })
  await broker.ready()
  await broker.publishEvents(range(601, 640).map((version) => patient(600, version, `version ${version}`)))
  await broker.close()
  const here = await consumeHere(t)
  await until('it is there', async () => (await patients(600, 600)) === 1)
  await here.broker.close()
  t.strictSame(tally(await outcomes()), { stale: 39, applied: 1 })
  const [row] = await postgres.query('SELECT patient_name FROM public.patients WHERE person_id = 600')
  t.equal(row?.patient_name, 'version 640')
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

t.test('a missing parent is retried, and applied once the parent is there', async (t) => {
  const here = await consumeHere(t)
  await here.broker.publishEvents([work(1, 2_001, 2_000)])
  const early: Outcome[] = []
  await until('it waits', async () => early.push(...(await outcomes())) > 0)
  t.match(early, [{ outcome: 'retry', table: 'work', key: 1, version: '2001' }])
  await here.broker.publishEvents([patient(2_000, 2_000)])
  await until('it is there', async () => (await count('SELECT count(*) FROM public.work')) === 1)
  await here.broker.close()
  t.strictSame(tally((await outcomes()).filter(({ table }) => table === 'work')).applied, 1)
  t.equal((await rabbit.take(deadQueue(direction))).length, 0)
})

t.test('a parent that never comes ends in the dead-letter queue', async (t) => {
  const here = await consumeHere(t)
  await here.broker.publishEvents([work(2, 2_101, 2_100)])
  await until('it is dead', async () => (await rabbit.channel.checkQueue(deadQueue(direction))).messageCount === 1)
  await here.broker.close()
  t.strictSame(tally(await outcomes()), { retry: 3, dead: 1 })
  t.match((await rabbit.take(deadQueue(direction)))[0]?.properties.headers, {
    'sync-error-type': 'parent',
    'sync-attempts': 4,
  })
})

t.test('killed between any two steps, nothing is lost and nothing applied twice', async (t) => {
  const steps: Step[] = ['received', 'applied', 'outcomes-published', 'acked']
  for (const [index, step] of steps.entries()) {
    const [from, to] = [3_001 + index * 1_000, 3_250 + index * 1_000]
    const broker = await testBroker(t, rabbit.url, { retryDelaysMs })
    await broker.ready()
    await broker.publishEvents(range(from, to).map((key) => patient(key, key)))
    await broker.close()
    const first = runProcess(t, 'consumer-process.ts', { ...settings, CLINIC_SYNC_TEST_DIE_AT: step })
    t.equal(await first.ended, 'SIGKILL', `killed at ${step}`)
    const applied = await patients(from, to)
    t.equal(applied > 0, step !== 'received')
    const second = await consumeHere(t)
    await until('all are there', async () => (await patients(from, to)) === to - from + 1)
    const all = new Map<number, Outcome[]>()
    await until('all are reported', async () => {
      for (const outcome of await outcomes()) all.set(outcome.key, [...(all.get(outcome.key) ?? []), outcome])
      return all.size === to - from + 1
    })
    await second.broker.close()
    for (const outcome of await outcomes()) all.set(outcome.key, [...(all.get(outcome.key) ?? []), outcome])
    const kinds = tally([...all.values()].flat())
    t.strictSame(
      Object.keys(kinds).filter((kind) => kind !== 'applied' && kind !== 'duplicate'),
      [],
    )
    if (step === 'applied')
      t.equal(kinds.duplicate, applied, 'what was applied but not reported comes back as a duplicate')
    const writes = await count('SELECT count(*) FROM public.writes WHERE key BETWEEN $1 AND $2', from, to)
    t.equal(writes, to - from + 1, 'each row was written once')
  }
  t.equal((await rabbit.take(deadQueue(direction))).length, 0)
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
  await rabbit.take(outcomeQueue(direction))
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
