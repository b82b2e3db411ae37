import { deadQueue } from '@clinic-sync/broker'
import t from 'tap'
import { testBroker, until } from '../../../packages/broker/test/support/helpers.ts'
import { testRabbit } from '../../../packages/broker/test/support/rabbit.ts'
import { patient } from './support/events.ts'
import { countWrites, testPortal } from './support/postgres.ts'
import { HEARTBEAT, startPair, timed } from './support/takeover.ts'

t.setTimeout(400_000)

t.test('of two consumers the active one is frozen, comes back, and the other is killed amid its work', async (t) => {
  const [rabbit, portal] = await Promise.all([testRabbit(t), testPortal(t)])
  await countWrites(portal)
  const broker = await testBroker(t, rabbit.url)
  await broker.ready()
  let keys = 0
  const written = async () =>
    Number((await portal.query('SELECT count(DISTINCT key) AS n FROM public.writes'))[0]?.['n'])
  const send = async (count: number) => {
    await broker.publishEvents(Array.from({ length: count }, () => patient(++keys, keys)))
  }
  const arrive = () => until(`${keys} are written`, async () => (await written()) === keys)
  const settings = { RABBITMQ_URL: `${rabbit.url}${HEARTBEAT}`, POSTGRES_URL: portal.url }
  const { active, standby } = await startPair(t, '../../src/main.ts', settings, async () => {
    await send(200)
    await arrive()
  })

  // In the middle of something, wherever that is.
  await send(2_000)
  active.kill('SIGSTOP')
  const held = await portal.query(`SELECT a.state, l.mode FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE a.datname = current_database() AND a.application_name = 'clinic-sync' AND a.state LIKE 'idle in transaction%'`)
  t.same(held, [], 'a frozen client leaves no transaction open: a batch is one statement')
  const frozen = await timed(arrive)
  t.comment(`frozen: ${frozen} ms`)
  t.ok(frozen < 15_000, `taken over from a frozen one within ${frozen} ms`)

  active.kill('SIGCONT')
  await send(200)
  await arrive()
  await send(2_000)
  standby.kill('SIGKILL')
  const killed = await timed(arrive)
  t.comment(`killed: ${killed} ms`)
  t.ok(killed < 10_000, `taken over from a killed one within ${killed} ms`)
  await send(10)
  await arrive()

  const [{ n } = { n: null }] = await portal.query('SELECT count(*) AS n FROM public.writes')
  t.equal(Number(n), keys, 'each was written once')
  t.equal((await rabbit.take(deadQueue('sql-to-postgres'))).length, 0)
  const locks = await portal.query(`SELECT l.locktype FROM pg_locks l JOIN pg_stat_activity a USING (pid)
    WHERE a.datname = current_database() AND a.application_name = 'clinic-sync' AND a.state <> 'active'`)
  t.same(locks, [], 'no lock is left behind')
})
