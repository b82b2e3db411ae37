import type { BrokerState, OutcomeHandler } from '@clinic-sync/broker'
import type { Direction, OutcomeBatch } from '@clinic-sync/contracts'
import { DatabaseError, type SyncError } from '@clinic-sync/sync'
import t, { type Test } from 'tap'
import { Ingress } from '../src/ingress.ts'
import { startLines, type ClinicDoorbell, type PortalDoorbell } from '../src/start-lines.ts'
import { databaseDown, Fake } from './fake-outbox.ts'
import { leadAlone, recordingLog, until } from './help.ts'

/** A side with a doorbell; `ring` rings it. It is not there at all where `missing` says so, or while the side is down. */
function withBell(fake: Fake, missing: () => Error | null) {
  let ring: () => void = () => undefined
  const waitForChanges = (signal: AbortSignal) =>
    new Promise<'changed'>((resolve, reject) => {
      if (fake.down ?? missing()) return reject(fake.down ?? missing())
      ring = () => resolve('changed')
      signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
    })
  return { side: Object.assign(fake, { waitForChanges }), ring: () => ring() }
}

interface Setup {
  readonly clinicDoorbell?: ClinicDoorbell
  readonly portalDoorbell?: PortalDoorbell
  /** What both databases answer that have no doorbell. */
  readonly noBell?: Error | null
}

/** An ingress over outboxes in memory, and the broker's side of it. */
function start(t: Test, { clinicDoorbell = 'http', portalDoorbell = 'webhook', noBell = null }: Setup = {}) {
  const clinic = new Fake('clinic')
  const portal = new Fake('portal')
  const handlers = new Map<Direction, OutcomeHandler>()
  const checks = new Map<Direction, () => Promise<void>>()
  const listeners = new Set<() => void>()
  const fatal: SyncError[] = []
  const state: BrokerState = { ready: true, publisher: 'up', consumers: [] }
  let broker = state
  let bell = noBell
  const bells = { clinic: withBell(clinic, () => bell), portal: withBell(portal, () => bell) }
  const { log, lines } = recordingLog()
  const leading = leadAlone()
  const ingress = new Ingress({
    clinic: bells.clinic.side,
    portal: bells.portal.side,
    broker: {
      publishEvents: (events) => (events[0]?.source === 'clinic' ? clinic : portal).publishEvents(events),
      consumeOutcomes(direction, handler, { check }) {
        handlers.set(direction, handler)
        checks.set(direction, check)
        return { state: 'consuming', close: async () => void handlers.delete(direction) }
      },
      onReconnect(listener) {
        listeners.add(listener)
        if (broker.publisher === 'up') queueMicrotask(listener)
        return () => listeners.delete(listener)
      },
      state: () => broker,
      standForLead: leading.standForLead,
    },
    clinicDoorbell,
    portalDoorbell,
    log,
    onFatal: (error) => void fatal.push(error),
  })
  t.teardown(() => ingress.stop())
  const report = (batch: OutcomeBatch) => handlers.get(batch.direction)?.([batch])
  return {
    ingress,
    clinic,
    portal,
    fatal,
    report,
    handlers,
    checks,
    listeners,
    bells,
    lines,
    leading,
    setBell: (missing: Error | null) => (bell = missing),
    setBroker: (over: Partial<BrokerState>) => (broker = { ...state, ...over }),
  }
}

t.test('a start drains both sides; a reconnection does so again', async (t) => {
  const { ingress, clinic, portal, listeners } = start(t)
  clinic.change(1)
  portal.change(2)
  t.match(ingress.state.read(), {
    ready: false,
    checks: { clinic: /not answered/, portal: /not answered/, broker: 'ok' },
  })
  ingress.start()
  await until('both are drained', () => clinic.pending() + portal.pending() === 0)
  t.match(ingress.state.read(), { ready: true, checks: { clinic: 'ok', portal: 'ok', broker: 'ok' } })
  t.same(
    [...clinic.published, ...portal.published].map(({ id }) => id),
    ['clinic/aligner_notes/1/1', 'portal/aligner_notes/2/1'],
  )
  clinic.change(3)
  portal.change(4)
  for (const listener of listeners) listener()
  await until('both are drained again', () => clinic.pending() + portal.pending() === 0)
})

t.test('outcomes settle the outbox that their events came from', async (t) => {
  const { ingress, clinic, portal, report } = start(t)
  clinic.change(1)
  portal.change(1)
  ingress.start()
  await until('both are drained', () => clinic.pending() + portal.pending() === 0)
  const outcomes = [{ table: 'aligner_notes', key: 1, version: '1', outcome: 'applied' as const }]
  await report({ direction: 'sql-to-postgres', outcomes })
  t.same([clinic.rows[0]?.status, portal.rows[0]?.status], ['Synced', 'Queued'])
  await report({ direction: 'postgres-to-sql', outcomes })
  t.same([clinic.rows[0]?.status, portal.rows[0]?.status], ['Synced', 'Synced'])
})

t.test(
  'what the clinic makes of doctors’ edits is fetched when they are reported, where no Service Broker rings',
  async (t) => {
    const outcomes = [{ table: 'aligner_notes', key: 1, version: '1', outcome: 'applied' as const }]
    for (const clinicDoorbell of ['http', 'service-broker'] as const) {
      const { ingress, clinic, portal, report, bells } = start(t, { clinicDoorbell })
      portal.change(1)
      ingress.start()
      await until('the portal is drained', () => portal.pending() === 0)
      await ingress.drains.clinic.request()
      clinic.change(1)
      await report({ direction: 'postgres-to-sql', outcomes })
      if (clinicDoorbell === 'http') await until('the ruling is published', () => clinic.pending() === 0)
      else t.equal(clinic.pending(), 1, 'Service Broker would ring')
      bells.clinic.ring()
      await until('the clinic is drained', () => clinic.pending() === 0)
      t.equal(portal.rows[0]?.status, 'Synced')
    }
  },
)

t.test('a look at a database that has gone down says so, however often it answered before', async (t) => {
  const { ingress, clinic, checks } = start(t)
  ingress.start()
  await until('it is ready', () => ingress.state.read().ready)
  clinic.down = databaseDown()
  await t.rejects(checks.get('sql-to-postgres')?.() ?? Promise.resolve(), { code: 'SYNC_DATABASE_DOWN' })
  t.match(ingress.state.read().checks, { clinic: 'It cannot be reached.' })
})

t.test('a side that is down holds up neither the start nor the other side', async (t) => {
  const { ingress, clinic, portal, report } = start(t)
  clinic.down = databaseDown()
  portal.change(1)
  clinic.change(1)
  ingress.start()
  await until('the portal is drained', () => portal.pending() === 0)
  t.match(ingress.state.read(), { ready: false, checks: { clinic: 'It cannot be reached.', portal: 'ok' } })
  const outcomes = [{ table: 'aligner_notes', key: 1, version: '1', outcome: 'applied' as const }]
  await t.rejects(report({ direction: 'sql-to-postgres', outcomes }) ?? Promise.resolve(), {
    code: 'SYNC_DATABASE_DOWN',
  })
  clinic.down = null
  await until('the clinic is drained', () => clinic.pending() === 0)
  t.equal(ingress.state.read().ready, true)
})

t.test('a stop does not wait for a broker that is blocked and confirms nothing', async (t) => {
  const { ingress, clinic, setBroker } = start(t)
  clinic.change(1)
  clinic.pause = (point) => (point === 'before publish' ? new Promise(() => undefined) : undefined)
  ingress.start()
  await until('it publishes', () => clinic.calls.includes('publish'))
  setBroker({ publisher: 'blocked', ready: false })
  await ingress.stop()
  t.equal(clinic.pending(), 1, 'what was not confirmed stays pending')
})

t.test('the broker is not ready: said in words', async (t) => {
  const { ingress, setBroker } = start(t)
  const reason = () => ingress.state.read().checks['broker']
  setBroker({ publisher: 'connecting', ready: false })
  t.match(reason(), /Not connected/)
  setBroker({ publisher: 'blocked', ready: false })
  t.match(reason(), /memory or disk/)
  setBroker({ ready: false, consumers: ['paused'] })
  t.match(reason(), /Outcomes/)
})

t.test('a database that is not migrated is fatal, on either side', async (t) => {
  for (const side of ['clinic', 'portal'] as const) {
    const started = start(t)
    started[side].unmigrated = true
    started.ingress.start()
    await until('it is said', () => started.fatal.length > 0)
    t.match(started.fatal, [{ code: 'SYNC_NOT_MIGRATED', advice: /npm run sync -- migrate/ }], side)
    t.notOk(started[side].calls.includes('take'), 'nothing was taken')
    t.equal(started.fatal.length, 1)
  }
})

t.test('a database that is not migrated is said without RabbitMQ, too', async (t) => {
  const { ingress, clinic, fatal, setBroker } = start(t)
  setBroker({ publisher: 'connecting', ready: false })
  clinic.unmigrated = true
  ingress.start()
  await until('it is said', () => fatal.length > 0)
})

t.test('nothing is taken before RabbitMQ is there', async (t) => {
  const { ingress, clinic, listeners, setBroker } = start(t)
  setBroker({ publisher: 'connecting', ready: false })
  clinic.change(1)
  ingress.start()
  await until('it is looked at', () => clinic.calls.includes('check'))
  t.same(clinic.calls, ['check'])
  for (const listener of listeners) listener()
  await until('it is drained', () => clinic.pending() === 0)
})

for (const [side, other] of [
  ['clinic', 'portal'],
  ['portal', 'clinic'],
] as const) {
  t.test(`the ${side}'s doorbell rings for the ${side} alone`, async (t) => {
    const doorbell = side === 'clinic' ? { clinicDoorbell: 'service-broker' } : { portalDoorbell: 'listen' }
    const { ingress, bells, ...sides } = start(t, doorbell as Setup)
    ingress.start()
    await until('the start is over', () => sides[side].calls.includes('take') && sides[other].calls.includes('take'))
    t.match(ingress.state.read().checks, { [`${side}-doorbell`]: /not answered/ })
    t.notOk(`${other}-doorbell` in ingress.state.read().checks, 'only what is set is waited for')
    sides[side].change(1)
    bells[side].ring()
    await until('it is drained', () => sides[side].pending() === 0)
    t.equal(sides[other].calls.filter((call) => call === 'take').length, 1)
    t.equal(ingress.state.read().ready, true)
  })
}

const noDoorbell = (number: string, message: string) =>
  new DatabaseError('down', message, { code: 'SYNC_NO_DOORBELL', number })
const missing = new DatabaseError('down', 'It lacks a doorbell.', { code: 'SYNC_NOT_MIGRATED' })

t.test(
  'a clinic without Service Broker’s doorbell is fatal, and says what to run; not migrated at all, it says that',
  async (t) => {
    for (const unmigrated of [false, true]) {
      const { ingress, clinic, fatal } = start(t, { clinicDoorbell: 'service-broker', noBell: missing })
      clinic.unmigrated = unmigrated
      ingress.start()
      await until('it is said', () => fatal.length > 0)
      const what = unmigrated ? /Schema sync is missing/ : /CLINIC_DOORBELL.*sync -- migrate.*sync -- doorbell/
      t.match(fatal, [{ code: 'SYNC_NOT_MIGRATED', message: what }])
      t.equal(fatal.length, 1)
    }
  },
)

t.test(
  'a clinic whose Service Broker is off, or not the doorbell switched on: said once, not ready, and it heals',
  async (t) => {
    const { ingress, clinic, fatal, bells, setBell, lines } = start(t, {
      clinicDoorbell: 'service-broker',
      noBell: noDoorbell('51210', 'ALTER DATABASE.'),
    })
    ingress.start()
    const bell = () => ingress.state.read().checks['clinic-doorbell']
    await until('it is known', () => bell() === 'ALTER DATABASE.')
    clinic.change(1)
    await until('the outbox is drained nevertheless, by the start', () => clinic.calls.includes('take'))
    setBell(noDoorbell('51211', 'Not switched on.'))
    await until('the new reason is known', () => bell() === 'Not switched on.')
    t.equal(ingress.state.read().ready, false)
    setBell(null)
    await until('it has healed', () => {
      bells.clinic.ring()
      return bell() === 'ok'
    })
    await until('it is drained', () => clinic.pending() === 0)
    t.same(fatal, [])
    const warned = lines.filter(({ level }) => level === 40)
    t.match(warned, [
      { code: 'SYNC_NO_DOORBELL', number: '51210', reason: 'ALTER DATABASE.', advice: /sync -- doorbell/ },
      { code: 'SYNC_NO_DOORBELL', number: '51211' },
    ])
    t.equal(warned.length, 2, 'each once')
  },
)

t.test('a portal without its doorbell is fatal: the migrations bring it', async (t) => {
  for (const unmigrated of [false, true]) {
    const { ingress, portal, fatal } = start(t, { portalDoorbell: 'listen', noBell: missing })
    portal.unmigrated = unmigrated
    ingress.start()
    await until('it is said', () => fatal.length > 0)
    t.match(fatal, [{ code: 'SYNC_NOT_MIGRATED', advice: /npm run sync -- migrate/ }])
    t.equal(fatal.length, 1)
  }
})

t.test('a portal that goes away is not ready, and heard again when it is back', async (t) => {
  const { ingress, portal, bells } = start(t, { portalDoorbell: 'listen' })
  portal.down = databaseDown()
  ingress.start()
  const doorbell = () => ingress.state.read().checks['portal-doorbell'] ?? ''
  await until('it is known', () => doorbell() === 'It cannot be reached.')
  portal.change(1)
  portal.down = null
  await until('it is heard again', () => {
    bells.portal.ring()
    return doorbell() === 'ok'
  })
  await until('it is drained', () => portal.pending() === 0)
})

t.test('open transactions are waited for where the doorbell rings before the commit, and nowhere else', async (t) => {
  for (const clinicDoorbell of ['service-broker', 'ole-automation', 'rest-endpoint', 'http', 'none'] as const) {
    const { ingress, clinic, portal } = start(t, { clinicDoorbell })
    clinic.open(51, 1)
    portal.open(51, 1)
    ingress.start()
    await until('the start is over', () => clinic.calls.includes('take') && portal.calls.includes('take'))
    const isWaited = /^(ole|rest|http)/.test(clinicDoorbell)
    t.same([clinic.waited.all, portal.waited.all], [isWaited ? 1 : 0, 0], clinicDoorbell)
    t.equal(clinic.calls.includes('look'), isWaited)
    clinic.commit(51)
    if (isWaited) await until('it arrives without another ring', () => clinic.pending() === 0)
    await ingress.stop()
  }
})

t.test('a database that is migrated by an older version lacks the look, and is said to', async (t) => {
  const { ingress, clinic, fatal } = start(t)
  clinic.openTransactions = () => Promise.reject(missing)
  ingress.start()
  await until('it is said', () => fatal.length > 0)
  t.match(fatal, [{ code: 'SYNC_NOT_MIGRATED', advice: /npm run sync -- migrate/ }])
})

t.test('stopping ends everything', async (t) => {
  const { ingress, clinic, handlers, listeners } = start(t, {
    clinicDoorbell: 'service-broker',
    portalDoorbell: 'listen',
  })
  ingress.start()
  await ingress.stop()
  t.same([handlers.size, listeners.size], [0, 0])
  clinic.change(1)
  for (const drain of Object.values(ingress.drains)) drain.ring(true)
  t.equal(clinic.pending(), 1)
})

t.test('the start lines say which doorbells are in force, and what proves a webhook', async (t) => {
  const key = new Uint8Array(32)
  const lines = (clinicDoorbell: ClinicDoorbell, portalDoorbell: PortalDoorbell, keys: number) =>
    startLines({ clinicDoorbell, portalDoorbell, webhookKeys: Array.from({ length: keys }, () => key) })
  t.match(lines('service-broker', 'listen', 0), [
    /^Webhook-based sync enabled.*Service Broker/,
    /^Reverse sync.*NOTIFY.*with the secret$/,
    /^Nothing polls/,
  ])
  t.match(lines('ole-automation', 'webhook', 1), [
    /SQL Server rings with POST.*queue-notify on data changes.*OLE.*end of open transactions is waited for/,
    /Reverse sync.*Supabase webhooks ring.*doctor edits, with the secret or a signature$/,
    /Nothing polls/,
  ])
  t.match(lines('none', 'none', 2), [/no doorbell/, /no doorbell.*starts a drain$/, /Nothing polls/])
  t.match(lines('http', 'listen', 2)[1], /the secret or a signature of either of two keys$/)
})
