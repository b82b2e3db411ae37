import { readFile } from 'node:fs/promises'
import { openClinic, openScriptConnection, runBatches } from '@clinic-sync/clinic'
import { startSimulator } from '@clinic-sync/sqlserver-simulator'
import { pino } from 'pino'
import t, { type Test } from 'tap'

const log = pino({ level: 'silent' })

async function opened(t: Test, migrated = true) {
  const simulator = await startSimulator({ migrated })
  t.teardown(() => simulator.stop())
  const clinic = await openClinic({ url: simulator.url, timeZone: 'Asia/Baghdad', log })
  t.teardown(() => clinic.close())
  const hands = openScriptConnection(simulator.url)
  t.teardown(() => hands.close())
  const edit = () => hands.batch("INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'Dr. Sara')")
  return { simulator, clinic, edit }
}

t.test('the first wait connects, the next ones hear the changes, also those made in between', async (t) => {
  const { clinic, edit } = await opened(t)
  const { signal } = new AbortController()
  t.equal(await clinic.waitForChanges(signal), 'connected')
  const waiting = clinic.waitForChanges(signal)
  await edit()
  t.equal(await waiting, 'changed')
  await edit()
  t.equal(await clinic.waitForChanges(signal), 'changed')
})

t.test('a lost connection is told, and the next wait says that it is a new one', async (t) => {
  const { clinic, simulator } = await opened(t)
  const { signal } = new AbortController()
  await clinic.waitForChanges(signal)
  const waiting = clinic.waitForChanges(signal)
  const lost = t.rejects(waiting, { failure: 'down', code: 'SYNC_DATABASE_DOWN' })
  // The wait must have reached the server.
  const arrived = () => simulator.statements().filter(({ text }) => /WaitForChanges/.test(text)).length
  while (arrived() < 2) await new Promise((resolve) => setImmediate(resolve))
  simulator.dropConnections()
  await lost
  t.equal(await clinic.waitForChanges(signal), 'connected')
  await t.resolves(clinic.check())
})

t.test('an abort ends the wait at any moment, with its reason; another may follow', async (t) => {
  const moments = [(f: () => void) => f(), setImmediate, (f: () => void) => setTimeout(f, 20)]
  for (const moment of moments) {
    for (const connects of [true, false]) {
      const { clinic } = await opened(t)
      const reason = new Error('stop')
      const controller = new AbortController()
      if (!connects) await clinic.waitForChanges(controller.signal)
      const waiting = clinic.waitForChanges(controller.signal)
      moment(() => controller.abort(reason))
      const ended = await waiting.catch((error: unknown) => error)
      // A connection may be made before the abort comes.
      t.ok(ended === reason || (connects && ended === 'connected'))
      await clinic.close()
    }
  }
  const { clinic } = await opened(t)
  const controller = new AbortController()
  await clinic.waitForChanges(controller.signal)
  const waiting = t.rejects(clinic.waitForChanges(controller.signal))
  controller.abort()
  await waiting
  t.equal(await clinic.waitForChanges(new AbortController().signal), 'connected')
})

t.test('close ends a wait', async (t) => {
  const { clinic } = await opened(t)
  const { signal } = new AbortController()
  await clinic.waitForChanges(signal)
  const waiting = t.rejects(clinic.waitForChanges(signal), { failure: 'down', code: 'SYNC_DATABASE_DOWN' })
  await clinic.close()
  await waiting
})

t.test('a database that is not migrated is said to be so', async (t) => {
  const { clinic } = await opened(t, false)
  const notMigrated = { code: 'SYNC_NOT_MIGRATED', failure: 'down' }
  await t.rejects(clinic.check(), notMigrated)
  await t.rejects(clinic.takeChanges(1), notMigrated)
  await t.rejects(clinic.waitForChanges(new AbortController().signal), notMigrated)
})

t.test('a database migrated by an older version lacks the way back, and is said to', async (t) => {
  const { clinic, simulator } = await opened(t, false)
  const hands = openScriptConnection(simulator.url)
  t.teardown(() => hands.close())
  const folder = new URL('../../../migrations/sqlserver/', import.meta.url)
  for (const name of ['01_sync_schema', '02_sync_capture', '03_sync_procedures'])
    await runBatches(hands, await readFile(new URL(`${name}.sql`, folder), 'utf8'))
  await t.resolves(clinic.takeChanges(1))
  await t.rejects(clinic.check(), { code: 'SYNC_NOT_MIGRATED', message: /sync\.ApplyPortalChanges/ })
  await runBatches(hands, await readFile(new URL('05_sync_apply.sql', folder), 'utf8'))
  await t.resolves(clinic.check())
})

t.test('idle, nothing is asked', async (t) => {
  const { clinic, simulator } = await opened(t)
  await clinic.check()
  const { signal } = new AbortController()
  await clinic.waitForChanges(signal)
  const ended = t.rejects(clinic.waitForChanges(signal))
  const before = simulator.queries()
  await clinic.takeChanges(1)
  // One call, one query: acquiring a connection asks nothing.
  t.ok(simulator.queries() - before <= 2)
  await clinic.close()
  await ended
})
