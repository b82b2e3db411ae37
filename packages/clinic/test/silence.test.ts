// Half-open connections: what is sent vanishes, nothing is reset, and TCP's keepalive goes on being answered.
import { readdir, readFile } from 'node:fs/promises'
import { openClinic, openScriptConnection, runBatches } from '@clinic-sync/clinic'
import { byWayOf, openProxy } from '@clinic-sync/dev-services/proxy'
import { startSimulator } from '@clinic-sync/sqlserver-simulator'
import type { Patience } from '@clinic-sync/sync'
import { pino } from 'pino'
import t, { type Test } from 'tap'

const log = pino({ level: 'silent' })
const { signal } = new AbortController()
const DOWN = { failure: 'down', code: 'SYNC_DATABASE_DOWN' }
const PATIENCE: Patience = { connectMs: 2_000, statementMs: 1_200, answerMs: 1_500, beatMs: 200 }
const EDIT = "INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'Dr. Sara')"

async function opened(t: Test, patience = PATIENCE, migrated = true) {
  const simulator = await startSimulator({ migrated })
  t.teardown(() => simulator.stop())
  const hands = openScriptConnection(simulator.url)
  t.teardown(() => hands.close())
  const proxy = await openProxy('127.0.0.1', simulator.port)
  t.teardown(() => proxy.close())
  const clinic = await openClinic({ url: byWayOf(simulator.url, proxy.port), timeZone: 'Asia/Baghdad', log, patience })
  t.teardown(() => clinic.close())
  return { simulator, hands, proxy, clinic, edit: () => hands.batch(EDIT) }
}
const took = async (promise: Promise<unknown>) => {
  const since = performance.now()
  await promise
  return performance.now() - since
}
const soon = (t: Test, promise: Promise<unknown>, shape: object) =>
  took(t.rejects(promise, shape as Error)).then((ms) => t.ok(ms < 5_000, 'and soon'))
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

t.test('a doorbell that has gone silent is told so, and heard again once the way is there', async (t) => {
  const { clinic, proxy, edit } = await opened(t)
  t.equal(await clinic.waitForChanges(signal), 'connected')
  const lost = soon(t, clinic.waitForChanges(signal), { ...DOWN, message: /silent for 0.45 s in sync\.WaitForChanges/ })
  proxy.vanish()
  await edit()
  await lost
  await soon(t, clinic.waitForChanges(signal), DOWN)
  proxy.resume()
  t.equal(await clinic.waitForChanges(signal), 'connected', 'look into the outbox now')
  const next = clinic.waitForChanges(signal)
  await edit()
  t.equal(await next, 'changed')
})

t.test('a live one waits in peace, and asks nothing', async (t) => {
  const { clinic, simulator, edit } = await opened(t, { ...PATIENCE, beatMs: 40 })
  await clinic.waitForChanges(signal)
  const waiting = clinic.waitForChanges(signal)
  const before = simulator.queries()
  // Ten beats: long enough to be lost four times over, if they did not come.
  await pause(400)
  t.equal(simulator.queries(), before + 1, 'the wait itself')
  await edit()
  t.equal(await waiting, 'changed')
})

t.test('a database of an older version is waited for as ever', async (t) => {
  const { clinic, hands, edit } = await opened(t, { ...PATIENCE, beatMs: 20 }, false)
  const folder = new URL('../../../migrations/sqlserver/', import.meta.url)
  const names = (await readdir(folder)).filter((name) => /^0[1235679]_.*\.sql$/.test(name)).sort()
  for (const name of names) await runBatches(hands, await readFile(new URL(name, folder), 'utf8'))
  await hands.batch("EXEC sync.UseDoorbell N'service-broker'")
  t.equal(await clinic.waitForChanges(signal), 'connected')
  const waiting = clinic.waitForChanges(signal)
  await pause(200)
  await edit()
  t.equal(await waiting, 'changed')
})

t.test("a wait for somebody's transaction too", async (t) => {
  const { clinic, proxy, hands } = await opened(t)
  await hands.batch('BEGIN TRANSACTION')
  await hands.batch(EDIT)
  const [open] = await clinic.openTransactions()
  if (open === undefined) throw new Error('the transaction is not seen')
  const waiting = clinic.awaitTransaction(open, signal)
  await pause(PATIENCE.beatMs * 4)
  const lost = soon(t, waiting, { ...DOWN, message: /silent for 0.45 s in sync\.AwaitTransaction/ })
  proxy.vanish()
  await lost
  proxy.resume()
  const again = clinic.awaitTransaction(open, signal)
  await hands.batch('COMMIT TRANSACTION')
  await again
})

t.test('a request without an answer is given up, and whatever idles beside it', async (t) => {
  const { clinic, proxy } = await opened(t)
  await Promise.all([1, 2, 3, 4].map(() => clinic.check()))
  t.ok(proxy.count() > 1, 'there are several connections')
  proxy.vanish()
  await soon(t, clinic.takeChanges(1), { ...DOWN, message: /silent for 1.5 s in sync\.TakeChanges/ })
  proxy.resume()
  t.ok((await took(clinic.check())) < PATIENCE.statementMs, 'no other has to find out for itself')
})

t.test('a slow server is no silent one: it takes the cancellation', async (t) => {
  const { clinic, proxy, hands } = await opened(t)
  await clinic.check()
  const connections = proxy.count()
  await hands.batch(EDIT)
  await hands.batch('BEGIN TRANSACTION')
  await hands.batch("UPDATE dbo.AlignerDoctors SET DoctorName = N'Dr. Mona'")
  await soon(t, clinic.readRows('aligner_doctors', 0, 10), { failure: 'transient', number: '-2' })
  await hands.batch('ROLLBACK TRANSACTION')
  await t.resolves(clinic.readRows('aligner_doctors', 0, 10))
  t.equal(proxy.count(), connections, 'on the connection that it had')
})
