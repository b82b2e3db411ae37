import { createServer } from 'node:net'
import { openClinic } from '@clinic-sync/clinic'
import { pino } from 'pino'
import t, { type Test } from 'tap'

const log = pino({ level: 'silent' })
const clinicAt = (port: number) =>
  openClinic({ url: `mssql://sync:s3cret@127.0.0.1:${port}/clinic?encrypt=false`, timeZone: 'Asia/Baghdad', log })

/** A port on which nothing listens, or on which every connection is closed at once. */
async function portOf(t: Test, listens: boolean): Promise<number> {
  const server = createServer((socket) => socket.destroy())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  const close = () => new Promise<void>((resolve) => server.close(() => resolve()))
  if (listens) t.teardown(close)
  else await close()
  return address.port
}

t.test('opening does not connect', async (t) => {
  const clinic = await clinicAt(await portOf(t, false))
  await clinic.close()
})

t.test('a server that is not there, or hangs up, is down; every call says so anew', async (t) => {
  for (const listens of [false, true]) {
    const clinic = await clinicAt(await portOf(t, listens))
    const down = { failure: 'down', code: 'SYNC_DATABASE_DOWN', message: /^(?!.*s3cret)/ }
    await t.rejects(clinic.check(), down)
    if (!listens) await t.rejects(clinic.check(), { message: /\(ESOCKET, ECONNREFUSED\)/ })
    await t.rejects(clinic.takeChanges(1), down)
    await t.rejects(clinic.waitForChanges(AbortSignal.timeout(10_000)), down)
    await t.rejects(clinic.waitForChanges(AbortSignal.timeout(10_000)), down)
    await clinic.close()
    await t.rejects(clinic.check(), down)
  }
})

t.test('a wait that is aborted before it begins', async (t) => {
  const clinic = await clinicAt(await portOf(t, false))
  const reason = new Error('stop')
  await t.rejects(clinic.waitForChanges(AbortSignal.abort(reason)), reason)
  await clinic.close()
})

t.test('settling nothing asks nothing', async (t) => {
  const clinic = await clinicAt(await portOf(t, false))
  await t.resolves(clinic.settleChanges([]))
  await clinic.close()
})
