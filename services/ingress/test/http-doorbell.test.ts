import { openClinic, openScriptConnection } from '@clinic-sync/clinic'
import type { SyncEvent } from '@clinic-sync/contracts'
import { testClinic, wireTo } from '@clinic-sync/dev-services/testing'
import type { Simulator } from '@clinic-sync/sqlserver-simulator'
import t, { type Test } from 'tap'
import { serve } from '../src/serve.ts'
import { Fake } from './fake-outbox.ts'
import { leadAlone, listening, recordingLog, until } from './help.ts'

// A clinic that rings by HTTP, from within the statement and before the commit. RabbitMQ and the portal are in memory.
const SECRET = 'http-doorbell-test-secret-0123456789'

/** An ingress; the clinic's side of it by way of a wire of its own, and with the login that may do the least. */
async function startIngress(t: Test, simulator: Simulator, secondLookMs: number) {
  const { log, texts } = recordingLog()
  const wire = await wireTo(t, simulator.serviceUrl)
  const clinic = await openClinic({ url: wire.url, timeZone: 'Asia/Baghdad', log })
  const events: SyncEvent[] = []
  /** Waits in the clinic's database: now, at most at a time, in all; and how often it was asked who is open. */
  const waits = { now: 0, most: 0, all: 0, looks: 0 }
  const served = await serve({
    clinic: {
      ...clinic,
      openTransactions() {
        waits.looks++
        return clinic.openTransactions()
      },
      async awaitTransaction(transaction, signal) {
        waits.all++
        waits.most = Math.max(waits.most, ++waits.now)
        await clinic.awaitTransaction(transaction, signal).finally(() => waits.now--)
      },
    },
    portal: Object.assign(new Fake('portal'), { waitForChanges: () => Promise.reject(new Error('not asked for')) }),
    broker: {
      publishEvents: async (published) => void events.push(...published),
      consumeOutcomes: () => ({ state: 'consuming', close: async () => undefined }),
      onReconnect(listener) {
        queueMicrotask(listener)
        return () => undefined
      },
      state: () => ({ ready: true, publisher: 'up', consumers: [] }),
      standForLead: leadAlone().standForLead,
    },
    log,
    onFatal: (error) => t.fail(error.message),
    clinicDoorbell: 'ole-automation',
    portalDoorbell: 'none',
    ...listening(SECRET),
    secondLookMs,
  })
  t.teardown(async () => {
    await served.close()
    await clinic.close()
  })
  const { drains, state } = served.ingress
  await until('it is ready', () => state.read().ready)
  const test = async () => {
    const headers = { 'x-sync-secret': SECRET, 'content-type': 'application/json' }
    const request = { method: 'POST', headers, body: '{"side":"clinic"}' }
    return (await (await fetch(`${served.url}/api/sync/doorbells/test`, request)).json()) as unknown
  }
  return {
    url: `${served.url}/api/sync/queue-notify`,
    wire,
    waits,
    test,
    texts,
    /** The doctors whose events were published. */
    arrived: () => events.map(({ data }) => String(data.row?.['doctor_name'])),
    /** A look that begins now, and everything before it, is over. */
    quiet: () => drains.clinic.request(),
    stop: () => served.close(),
  }
}

async function start(t: Test, secondLookMs = 1) {
  const simulator = await testClinic(t)
  const ingress = await startIngress(t, simulator, secondLookMs)
  /** Somebody at work, on a connection of his own. */
  const person = () => {
    const hands = openScriptConnection(simulator.url)
    t.teardown(() => hands.close())
    return {
      does: (statement: string) => hands.batch(statement),
      adds: (name: string) => hands.batch(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'${name}')`),
      begins: async (name: string) => {
        await hands.batch('BEGIN TRANSACTION')
        await hands.batch(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES (N'${name}')`)
      },
    }
  }
  const operator = person()
  const use = (url: string, secret = SECRET) =>
    operator.does(`EXEC sync.UseDoorbell @Doorbell = N'ole-automation', @URL = N'${url}', @Secret = N'${secret}'`)
  await use(ingress.url)
  return { simulator, ingress, person, use }
}

t.test(
  'what is committed after the ring arrives without another; an hour-long transaction holds up nobody',
  async (t) => {
    const { ingress, person } = await start(t)
    const [long, short, other] = [person(), person(), person()]
    await long.begins('long')
    for (let i = 1; i <= 3; i++) {
      await short.begins(`short ${i}`)
      await short.adds(`again ${i}`)
      await other.adds(`other ${i}`)
      await until('what others commit arrives', () => ingress.arrived().includes(`other ${i}`))
      t.notOk(ingress.arrived().includes(`short ${i}`))
      await short.does('COMMIT')
      await until('it arrives at its commit', () => ingress.arrived().includes(`again ${i}`))
    }
    await short.begins('never')
    await short.does('ROLLBACK')
    await ingress.quiet()
    t.equal(ingress.arrived().length, 9)
    t.ok(ingress.waits.all <= 10, `${ingress.waits.all} waits: one a transaction`)
    await long.does('COMMIT')
    await until('the long one arrives', () => ingress.arrived().includes('long'))
    t.equal(new Set(ingress.arrived()).size, 10, 'and nothing of what was rolled back')
  },
)

t.test('what rang for nobody just after a start arrives all the same', async (t) => {
  const { ingress, person, use } = await start(t, 1_000)
  await ingress.quiet()
  await use('http://127.0.0.1:1/api/sync/queue-notify')
  await person().adds('unheard')
  await until('the look after the start finds it', () => ingress.arrived().includes('unheard'))
})

t.test('who was answered too late does not call for a while: what he writes then arrives all the same', async (t) => {
  const { ingress, person, use } = await start(t, 300)
  await until('the look after the start is over', () => ingress.texts(20).some((text) => /once more/.test(text)))
  await ingress.quiet()
  await person().adds('heard')
  await use('http://127.0.0.1:1/api/sync/queue-notify')
  await person().adds('unheard')
  await until('the look after the last ring finds it', () => ingress.arrived().includes('unheard'))
})

t.test('10,000 rows and many rings: one wait; idle, no query', async (t) => {
  // The one look after the last ring is not due here.
  const { simulator, ingress, person } = await start(t, 600_000)
  const busy = person()
  const values = Array.from({ length: 1000 }, (_, i) => `(N'Dr. ${i}')`).join(', ')
  await busy.does('BEGIN TRANSACTION')
  for (let i = 0; i < 10; i++) await busy.does(`INSERT INTO dbo.AlignerDoctors (DoctorName) VALUES ${values}`)
  const ring = () => fetch(ingress.url, { method: 'POST', headers: { 'x-sync-secret': SECRET } })
  for (let i = 0; i < 10; i++) await Promise.all(Array.from({ length: 50 }, ring))
  await ingress.quiet()
  t.match(ingress.waits, { all: 1, now: 1 })
  t.ok(ingress.waits.looks < 100, `${ingress.waits.looks} looks for 510 rings`)
  const before = simulator.queries()
  await new Promise((resolve) => setTimeout(resolve, 500))
  t.equal(simulator.queries(), before, 'while it is open, nothing is asked')
  await busy.does('COMMIT')
  await until('all arrive', () => ingress.arrived().length === 10_000)
  await ingress.quiet()
  const after = simulator.queries()
  await new Promise((resolve) => setTimeout(resolve, 500))
  t.equal(simulator.queries(), after, 'nor afterwards')
})

t.test('more than 16 are open: all arrive, and no more than 16 connections wait', async (t) => {
  const { ingress, person } = await start(t)
  const people = Array.from({ length: 20 }, person)
  for (const [i, one] of people.entries()) await one.begins(`Dr. ${i}`)
  await until('as many as may are waited for', () => ingress.waits.now === 16)
  const last = people.pop()
  await last?.does('COMMIT')
  await until('one that nobody may wait for arrives', () => ingress.arrived().includes('Dr. 19'))
  await Promise.all(people.map((one) => one.does('COMMIT')))
  await until('all arrive', () => ingress.arrived().length === 20)
  t.equal(ingress.waits.most, 16)
})

t.test('connections that are cut while they wait: what was committed meanwhile arrives', async (t) => {
  const { ingress, person } = await start(t)
  const [one, two] = [person(), person()]
  await one.begins('one')
  await two.begins('two')
  await ingress.quiet()
  ingress.wire.cut()
  await one.does('COMMIT')
  // Heard by nobody: the database cannot be reached, though the ingress can.
  await until('the loss is known', () => ingress.texts(40).length > 0)
  ingress.wire.mend()
  await until('what was committed meanwhile arrives', () => ingress.arrived().includes('one'))
  await two.does('COMMIT')
  await until('what is committed afterwards arrives', () => ingress.arrived().includes('two'))
})

t.test('two ingresses: one stops, the other has waited for the same transaction', async (t) => {
  const { simulator, ingress, person, use } = await start(t)
  const one = person()
  await one.begins('one')
  await ingress.quiet()
  // It hears no ring: it asks when it starts.
  const second = await startIngress(t, simulator, 1)
  await second.quiet()
  await one.adds('two')
  await ingress.stop()
  await use(second.url)
  await one.does('COMMIT')
  await until('all arrives', () => new Set(second.arrived()).size === 2)
})

t.test('the doorbell is tested: heard; a wrong secret; nobody there; another doorbell; none', async (t) => {
  const { ingress, person, use } = await start(t)
  const clinic = (expected: object) => async (name: string) => t.match(await ingress.test(), { clinic: expected }, name)
  await clinic({ doorbell: 'ole-automation', heard: true, ms: Number, message: null })('heard')
  await use(ingress.url, 'another secret 0123456789')
  await clinic({ heard: false, ms: null, message: /answered HTTP 401.*secret/ })('a wrong secret')
  await use(ingress.url.replace('queue-notify', 'nowhere'))
  await clinic({ heard: false, message: /answered HTTP 404/ })('a wrong path')
  await use('http://127.0.0.1:1/api/sync/queue-notify')
  await clinic({ heard: false, message: /could not connect/ })('nobody there')
  await person().does("EXEC sync.UseDoorbell @Doorbell = N'service-broker'")
  await clinic({ heard: false, message: /rings through service-broker, and CLINIC_DOORBELL is ole-automation/ })(
    'another',
  )
  await person().does("EXEC sync.UseDoorbell @Doorbell = N'none'")
  await clinic({ heard: false, message: /No doorbell is switched on/ })('none')
  t.same(ingress.arrived(), [], 'a ring is no change')
})
