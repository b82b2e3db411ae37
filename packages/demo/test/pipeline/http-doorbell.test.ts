import { setTimeout as delay } from 'node:timers/promises'
import { openScriptConnection } from '@clinic-sync/clinic'
import t from 'tap'
import { addCase, preparePipeline, WEBHOOK_SECRET } from './pipeline.ts'

// SQL Server calls the ingress from within the statement that changes something, before it is committed: nothing of it can be
// read yet when it rings, and nothing rings again. The services log in with the rights that the migrations give them, no more.
const QUIET_MS = 2_000
/** How long a transaction is held open. */
const HELD_MS = 300

const prepared = await preparePipeline(t)
const { clinic, portal, simulator } = prepared
const services = () =>
  prepared.start('debug', { CLINIC_DOORBELL: 'ole-automation', SQLSERVER_URL: simulator.serviceUrl })
const pipeline = await services()
const { until, settled } = pipeline

const url = `${pipeline.ingressUrl}/api/sync/queue-notify`
await clinic
  .request()
  .batch(`EXEC sync.UseDoorbell @Doorbell = N'ole-automation', @URL = N'${url}', @Secret = N'${WEBHOOK_SECRET}'`)
for (const key of [1, 2]) await addCase(clinic, key)
await settled()

/** Somebody at work, on a connection of his own. */
const person = () => {
  const hands = openScriptConnection(simulator.url)
  t.teardown(() => hands.close())
  return (statement: string) => hands.batch(statement)
}
const phone = (text: string, key = 1) => `UPDATE dbo.tblpatients SET Phone = N'${text}' WHERE PersonID = ${key}`
const hasArrived = async (text: string, key = 1) => {
  const { rows } = await portal.query<{ phone: string }>('SELECT phone FROM patients WHERE person_id = $1', [key])
  return rows[0]?.phone === text
}
const inLogs = async (text: string) => (await pipeline.logs()).split(text).length - 1
/** How often the clinic has rung so far. */
const rings = () => inLogs('"/api/sync/queue-notify"')
/** How often the ingress has looked some time after the last ring. */
const laterLooks = () => inLogs('looking once more')

t.test('a single UPDATE arrives within a second', async (t) => {
  const somebody = person()
  const before = await rings()
  await somebody(phone('single'))
  const committed = performance.now()
  await until('it arrives', () => hasArrived('single'))
  const ms = Math.round(performance.now() - committed)
  t.ok(ms < 1_000, `${ms} ms`)
  t.equal((await rings()) - before, 1, 'it rang once')
})

t.test(
  'several statements in a transaction arrive at its commit, with no further ring; others before it',
  async (t) => {
    const [slow, quick] = [person(), person()]
    await slow('BEGIN TRANSACTION')
    await slow(phone('first'))
    await slow(phone('second'))
    const held = delay(HELD_MS)
    await quick(phone('meanwhile', 2))
    await until('what others change meanwhile arrives', () => hasArrived('meanwhile', 2))
    await held
    t.notOk((await hasArrived('first')) || (await hasArrived('second')), 'what is not committed has not arrived')
    const before = await rings()
    await slow('COMMIT')
    const committed = performance.now()
    await until('it arrives', () => hasArrived('second'))
    const ms = Math.round(performance.now() - committed)
    t.ok(ms < 1_000, `${ms} ms after the commit`)
    t.equal(await rings(), before, 'nobody rang for it again')
  },
)

t.test('a transaction that is rolled back does nothing; idle, nothing is asked', async (t) => {
  const somebody = person()
  await somebody('BEGIN TRANSACTION')
  await somebody(phone('never'))
  await delay(HELD_MS)
  await somebody('ROLLBACK')
  const looks = await laterLooks()
  await somebody(phone('after', 2))
  await until('the next change arrives', () => hasArrived('after', 2))
  await settled()
  t.notOk(await hasArrived('never'))
  await until('the look some time after the last ring is over', async () => (await laterLooks()) > looks)
  // A look that is still at it.
  await delay(HELD_MS)
  const before = simulator.queries()
  await delay(QUIET_MS)
  t.equal(simulator.queries(), before, 'queries to the clinic')
})

t.test('with the ingress down the statement takes less than a second, and arrives when it starts', async (t) => {
  await pipeline.stop()
  const somebody = person()
  const started = performance.now()
  await somebody(phone('while it was down'))
  const ms = Math.round(performance.now() - started)
  t.ok(ms < 1_000, `${ms} ms`)
  t.notOk(await hasArrived('while it was down'))
  await services()
  await until('it arrives', () => hasArrived('while it was down'))
})
