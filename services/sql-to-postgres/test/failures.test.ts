import { deadQueue, retryQueue } from '@clinic-sync/broker'
import type { Outcome } from '@clinic-sync/contracts'
import { openPortal } from '@clinic-sync/portal'
import t, { type Test } from 'tap'
import { keepLines, until } from '../../../packages/broker/test/support/helpers.ts'
import { testRabbit } from '../../../packages/broker/test/support/rabbit.ts'
import { consumeInto, publish, range, retryDelaysMs, takeOutcomes, tally } from './support/consuming.ts'
import { doctor, patient } from './support/events.ts'
import { testPortal } from './support/postgres.ts'

const direction = 'sql-to-postgres'
const [rabbit, postgres] = await Promise.all([testRabbit(t), testPortal(t)])
const { query } = postgres
const [{ name } = { name: '' }] = await query('SELECT current_database() AS name')
const patients = async (from: number, to: number) =>
  Number((await query('SELECT count(*) FROM public.patients WHERE person_id BETWEEN $1 AND $2', [from, to]))[0]?.count)
const consume = async (t: Test, patienceMs = 1_000, url = postgres.url) =>
  consumeInto(t, rabbit, direction, await openPortal({ url, log: keepLines() }), patienceMs)
const waiting = async (queue: string) => (await rabbit.channel.checkQueue(queue)).messageCount

/** Has the portal fail with this SQLSTATE for each patient's row that fits, until it is lifted. */
async function failing(state: string, when = 'true'): Promise<() => Promise<unknown>> {
  await query(`CREATE FUNCTION public.fail() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN IF ${when} THEN RAISE EXCEPTION 'Zaynab-4711' USING ERRCODE = '${state}'; END IF; RETURN NEW; END $$`)
  await query(
    'CREATE TRIGGER fail BEFORE INSERT OR UPDATE ON public.patients FOR EACH ROW EXECUTE FUNCTION public.fail()',
  )
  return () => query('DROP FUNCTION public.fail CASCADE')
}

let next = 0
/** Keys that no other test uses. */
const keys = (many: number) => {
  next += 1_000
  return range(next, next + many - 1)
}
const take = async (into: Outcome[]) => into.push(...(await takeOutcomes(rabbit, direction)))

for (const [what, state] of [
  ['a full disk', '53100'],
  ['no memory', '53200'],
  ['a damaged block', 'XX001'],
  ['a database that lacks a right', '42501'],
] as const) {
  t.test(`${what}: consuming stops, nothing is dead or retried, and goes on by itself`, async (t) => {
    const all = keys(300)
    const lift = await failing(state)
    const { broker, consumer } = await consume(t)
    await broker.publishEvents(all.map((key) => patient(key, key)))
    await until('it pauses', () => consumer.state === 'paused')
    t.strictSame(await takeOutcomes(rabbit, direction), [])
    await lift()
    await until('all are there', async () => (await patients(all[0] ?? 0, all.at(-1) ?? 0)) === 300)
    const outcomes: Outcome[] = []
    await until('all are reported', async () => (await take(outcomes)) >= 300)
    await broker.close()
    t.strictSame(tally(outcomes), { applied: 300 })
    for (const queue of [deadQueue(direction), retryQueue(1)]) t.equal(await waiting(queue), 0)
  })
}

t.test('a database that is made read-only, and takes nobody: nothing is dead or retried', async (t) => {
  const cut = () =>
    query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
      WHERE application_name = 'clinic-sync' AND datname = current_database()`)
  const role = `few_${name}`
  await query(`CREATE ROLE ${role} LOGIN SUPERUSER PASSWORD 'x'`)
  t.teardown(() => query(`DROP ROLE ${role}`))
  const url = Object.assign(new URL(postgres.url), { username: role, password: 'x' }).href
  const { broker, consumer } = await consume(t, 1_000, url)
  for (const [breaks, heals] of [
    [`ALTER DATABASE ${name} SET default_transaction_read_only = on`, `ALTER DATABASE ${name} RESET ALL`],
    [`ALTER ROLE ${role} NOSUPERUSER CONNECTION LIMIT 0`, `ALTER ROLE ${role} SUPERUSER CONNECTION LIMIT -1`],
  ]) {
    const all = keys(200)
    const [from, to] = [all[0] ?? 0, all.at(-1) ?? 0]
    await query(breaks ?? '')
    await cut()
    await broker.publishEvents(all.map((key) => patient(key, key)))
    await until('it pauses', () => consumer.state === 'paused')
    // The session of the test may have begun as read-only.
    await query(`BEGIN READ WRITE; ${heals}; COMMIT`)
    await cut()
    await until('all are there', async () => (await patients(from, to)) === 200)
    const outcomes: Outcome[] = []
    await until('all are reported', async () => (await take(outcomes)) >= 200)
    t.strictSame(tally(outcomes), { applied: 200 })
  }
  await broker.close()
  for (const queue of [deadQueue(direction), retryQueue(1)]) t.equal(await waiting(queue), 0)
})

t.test(
  'one record that is cancelled again and again goes through all retries and is dead; the others pass it',
  async (t) => {
    const all = keys(200)
    const [bad = 0] = all.slice(77)
    const lift = await failing('57014', `NEW.person_id = ${bad}`)
    t.teardown(lift)
    const { broker } = await consume(t)
    const since = performance.now()
    await broker.publishEvents(all.map((key) => patient(key, key)))
    await until('it is dead', async () => (await waiting(deadQueue(direction))) === 1)
    const took = performance.now() - since
    await broker.close()
    const [dead] = await rabbit.take(deadQueue(direction))
    t.match(dead?.properties.headers, {
      'sync-entity-key': `patients/${bad}`,
      'sync-error-type': 'transient',
      'sync-error-code': '57014',
      'sync-error-message': /took too long and was cancelled \(57014\)/,
      'sync-attempts': 4,
    })
    t.notMatch(JSON.stringify(dead?.properties), /Zaynab|4711/)
    t.ok(took >= retryDelaysMs.reduce((sum, ms) => sum + ms, 0), `${Math.round(took)} ms`)
    t.strictSame(tally(await takeOutcomes(rabbit, direction)), { applied: 199, retry: 3, dead: 1 })
  },
)

t.test('an address that moves from one doctor to another arrives taker first', async (t) => {
  const { broker } = await consume(t)
  await broker.publishEvents([doctor(1, 1, 'one@example.com'), doctor(2, 2, 'two@example.com')])
  const outcomes: Outcome[] = []
  await until('both are there', async () => (await take(outcomes)) >= 2)
  await broker.publishEvents([doctor(2, 3, 'one@example.com')])
  await broker.publishEvents([doctor(1, 4, 'free@example.com')])
  await until('both are reported', async () => (await take(outcomes)) >= 4)
  await broker.close()
  t.strictSame(tally(outcomes), { applied: 4 })
  t.strictSame(await query('SELECT doctor_email AS m FROM public.aligner_doctors WHERE dr_id < 3 ORDER BY dr_id'), [
    { m: 'free@example.com' },
    { m: 'one@example.com' },
  ])
  t.equal(await waiting(retryQueue(1)), 0)
})

t.test('two doctors who swap their addresses in one batch', async (t) => {
  await publish(t, rabbit, [
    doctor(11, 11, 'a@example.com'),
    doctor(12, 12, 'b@example.com'),
    doctor(13, 13, 'c@example.com'),
  ])
  const { broker } = await consume(t)
  const outcomes: Outcome[] = []
  await until('all are there', async () => (await take(outcomes)) >= 3)
  await broker.publishEvents([
    doctor(11, 21, 'b@example.com'),
    doctor(12, 22, 'c@example.com'),
    doctor(13, 23, 'a@example.com'),
  ])
  await until('all are reported', async () => (await take(outcomes)) >= 6)
  await broker.close()
  t.strictSame(tally(outcomes), { applied: 6 })
  t.strictSame(await query('SELECT doctor_email AS m FROM public.aligner_doctors WHERE dr_id > 10 ORDER BY dr_id'), [
    { m: 'b@example.com' },
    { m: 'c@example.com' },
    { m: 'a@example.com' },
  ])
})

t.test('two doctors who swap their addresses, and come one by one: they meet while they wait', async (t) => {
  const { broker } = await consume(t, 20_000)
  await broker.publishEvents([doctor(21, 21, 'd@example.com'), doctor(22, 22, 'e@example.com')])
  const outcomes: Outcome[] = []
  await until('both are there', async () => (await take(outcomes)) >= 2)
  await broker.publishEvents([doctor(21, 31, 'e@example.com')])
  // Long enough for the first to have been tried alone: that the two come apart is what is tested, not when.
  await until('another comes through', async () => {
    await broker.publishEvents([patient(999_999, Date.now())])
    return (await take(outcomes)) >= 12
  })
  await broker.publishEvents([doctor(22, 32, 'd@example.com')])
  const swapped = () => outcomes.filter(({ table, key }) => table === 'aligner_doctors' && key < 23)
  await until('both are reported', async () => {
    await take(outcomes)
    return swapped().length === 4
  })
  await broker.close()
  t.strictSame(tally(swapped()), { applied: 4 })
})

t.test('a second doctor with the same address is dead after one retry, and readable', async (t) => {
  const { broker } = await consume(t, 100)
  await broker.publishEvents([doctor(31, 31, 'same@example.com')])
  await broker.publishEvents([doctor(32, 32, 'same@example.com')])
  await until('it is dead', async () => (await waiting(deadQueue(direction))) === 1)
  await broker.close()
  t.match((await rabbit.take(deadQueue(direction)))[0]?.properties.headers, {
    'sync-error-type': 'permanent',
    'sync-error-code': '23505',
    'sync-error-message': 'aligner_doctors.doctor_email must be unique (23505)',
    'sync-attempts': 2,
  })
  t.strictSame(tally(await takeOutcomes(rabbit, direction)), { applied: 1, retry: 1, dead: 1 })
})
