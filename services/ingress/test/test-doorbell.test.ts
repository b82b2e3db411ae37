import { DatabaseError, type Rung } from '@clinic-sync/sync'
import t from 'tap'
import { Ears } from '../src/ears.ts'
import { testDoorbell, type TestDoorbellOptions } from '../src/test-doorbell.ts'
import { databaseDown } from './fake-outbox.ts'

/** Rings, and `hears` what follows from it here. */
function test(
  options: Partial<TestDoorbellOptions> & Pick<TestDoorbellOptions, 'side' | 'doorbell'>,
  ring: (ears: Ears) => Promise<Rung>,
) {
  const ears = new Ears()
  const ringer = { ringDoorbell: () => ring(ears) }
  const { signal } = new AbortController()
  return testDoorbell({ ringer, ears, known: () => null, signal, patienceMs: 20, ...options })
}
const rang = (answer: string | null = null, doorbell?: string): Rung => ({
  rang: true,
  answer,
  ...(doorbell !== undefined && { doorbell }),
})
const CLINIC = { side: 'clinic', doorbell: 'ole-automation' } as const
const PORTAL = { side: 'portal', doorbell: 'webhook' } as const
const SILENT = { heard: false, ms: null }

t.test('heard, before the ring has answered or after', async (t) => {
  const before = await test(CLINIC, async (ears) => {
    ears.heard('clinic')
    return rang('HTTP 202', 'ole-automation')
  })
  t.match(before, { doorbell: 'ole-automation', heard: true, ms: Number, message: null })
  const after = await test({ ...PORTAL, patienceMs: 5_000 }, async (ears) => {
    setTimeout(() => ears.heard('portal'), 5)
    return rang()
  })
  t.match(after, { heard: true, ms: Number, message: null })
})

t.test("not heard: the receiver's answer, what was refused here, and what /readyz knows are said", async (t) => {
  t.match(
    await test({ ...CLINIC, patienceMs: 60_000 }, async () => ({ ...rang('HTTP 401', 'ole-automation'), rang: false })),
    {
      ...SILENT,
      message:
        "The receiver of the clinic's doorbell answered HTTP 401: it is not the secret there, SYNC_WEBHOOK_SECRET.",
    },
  )
  t.match(await test(CLINIC, async () => rang('HTTP 202', 'ole-automation')), {
    ...SILENT,
    message: /here; HTTP 202\.$/,
  })
  const refused = await test(PORTAL, async (ears) => {
    ears.refused('portal', 401)
    ears.refused('clinic', 404)
    ears.heard('clinic')
    return rang()
  })
  t.match(refused, { ...SILENT, message: /nothing was heard here; a request was refused here \(HTTP 401\)\.$/ })
  const known = () => 'It cannot be reached.'
  const listening = await test({ side: 'portal', doorbell: 'listen', known }, async () => rang())
  t.match(listening, { ...SILENT, message: /heard here; It cannot be reached\.$/ })
})

t.test('what did not ring, or rings another way, is not waited for', async (t) => {
  const patient = { patienceMs: 60_000 }
  const answer = 'could not connect'
  t.match(await test({ ...CLINIC, ...patient }, async () => ({ rang: false, answer, doorbell: 'ole-automation' })), {
    ...SILENT,
    message: answer,
  })
  const another = await test({ ...CLINIC, ...patient }, async (ears) => {
    ears.heard('clinic')
    return rang(null, 'service-broker')
  })
  t.match(another, { ...SILENT, message: /rings through service-broker, and CLINIC_DOORBELL is ole-automation/ })
  t.match(await test({ ...CLINIC, ...patient }, async () => ({ rang: false, answer: null, doorbell: 'none' })), {
    ...SILENT,
    message: /No doorbell is switched on.*npm run sync -- doorbell/,
  })
  t.match(await test({ ...CLINIC, ...patient }, () => Promise.reject(databaseDown())), {
    ...SILENT,
    message: 'It cannot be reached.',
  })
  const off = new DatabaseError('down', 'ALTER DATABASE.', { code: 'SYNC_NO_DOORBELL' })
  t.match(await test({ ...CLINIC, ...patient }, () => Promise.reject(off)), { message: 'ALTER DATABASE.' })
  t.match(await test({ ...CLINIC, ...patient }, () => Promise.reject(new TypeError('PLANTED'))), {
    message: /see the log/,
  })
})

t.test('where nothing of ours rings, nobody is asked', async (t) => {
  const never = () => Promise.reject(new Error('asked'))
  t.match(await test({ side: 'clinic', doorbell: 'http' }, never), {
    ...SILENT,
    message: /is http: nothing of ours rings/,
  })
  t.match(await test({ side: 'clinic', doorbell: 'none' }, never), { ...SILENT, message: /CLINIC_DOORBELL is none/ })
  t.match(await test({ side: 'portal', doorbell: 'none' }, never), { ...SILENT, message: /PORTAL_DOORBELL is none/ })
})

t.test('a database that hangs, and a service that stops, end it', async (t) => {
  const hangs = () => new Promise<never>(() => undefined)
  t.match(await test(CLINIC, hangs), { ...SILENT, message: "The clinic's database did not answer within 0.02 s." })
  const controller = new AbortController()
  const stopped = test({ ...CLINIC, patienceMs: 60_000, signal: controller.signal }, async () => rang())
  controller.abort()
  t.match(await stopped, { ...SILENT, message: /stopping/ })
  t.match(await test({ ...CLINIC, patienceMs: 60_000, signal: AbortSignal.abort() }, hangs), SILENT)
})
