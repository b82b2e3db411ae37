import { connectBroker } from '@clinic-sync/broker'
import type { Direction, OutcomeBatch } from '@clinic-sync/contracts'
import type { Ring } from '@clinic-sync/sync'
import t, { type Test } from 'tap'
import { Drain } from '../src/drain.ts'
import { Ingress } from '../src/ingress.ts'
import type { IngressOptions } from '../src/ingress-options.ts'
import { databaseDown, Fake } from './fake-outbox.ts'
import { recordingLog, until } from './help.ts'
import { testVhost, wireTo } from '@clinic-sync/dev-services/testing'

/** A database that two ingresses share, with a doorbell that gives each ring to one of those who wait, as Service Broker does. */
class Shared extends Fake {
  /** Those who wait now, the oldest first; and how many there were at most. */
  readonly waiting: ((ring: Ring) => void)[] = []
  mostWaiting = 0
  #rung = false

  /** Each ingress has a connection of its own. */
  connection() {
    let isNew = true
    return (signal: AbortSignal): Promise<Ring> => {
      if (isNew) {
        isNew = false
        return Promise.resolve('connected')
      }
      return new Promise((resolve, reject) => {
        const wake = (ring: Ring) => {
          this.waiting.splice(this.waiting.indexOf(wake), 1)
          signal.removeEventListener('abort', abort)
          resolve(ring)
        }
        const abort = () => {
          this.waiting.splice(this.waiting.indexOf(wake), 1)
          isNew = true
          reject(signal.reason as Error)
        }
        this.waiting.push(wake)
        this.mostWaiting = Math.max(this.mostWaiting, this.waiting.length)
        signal.addEventListener('abort', abort, { once: true })
        if (this.#rung) this.bell()
      })
    }
  }

  bell(): void {
    const [first] = this.waiting
    this.#rung = first === undefined
    first?.('changed')
  }

  ids(): string[] {
    return this.published.map(({ id }) => id)
  }
}

const sides = () => ({ clinic: new Shared('clinic'), portal: new Shared('portal') })
type Sides = ReturnType<typeof sides>

async function join(
  t: Test,
  url: string,
  name: string,
  { clinic, portal }: Sides,
  settings: Partial<IngressOptions> = {},
) {
  const { log, lines } = recordingLog()
  const broker = await connectBroker({ url, log, name })
  const view = (side: Shared) => ({
    side: side.side,
    check: () => side.check(),
    takeChanges: (max: number) => side.takeChanges(max),
    settleChanges: (settlements: Parameters<Fake['settleChanges']>[0]) => side.settleChanges(settlements),
    openTransactions: () => side.openTransactions(),
    awaitTransaction: (...wait: Parameters<Fake['awaitTransaction']>) => side.awaitTransaction(...wait),
    ringDoorbell: () => side.ringDoorbell(),
    waitForChanges: side.connection(),
  })
  const ingress = new Ingress({
    clinic: view(clinic),
    portal: view(portal),
    broker: {
      ...pick(broker),
      publishEvents: (events) => (events[0]?.source === 'clinic' ? clinic : portal).publishEvents(events),
    },
    clinicDoorbell: 'service-broker',
    portalDoorbell: 'listen',
    log,
    onFatal: (error) => t.fail(error.message),
    ...settings,
  })
  let stopped: Promise<void> | undefined
  const stop = () =>
    (stopped ??= (async () => {
      await ingress.stop()
      await broker.close()
    })())
  t.teardown(stop)
  ingress.start()
  const lead = () => ingress.state.read().checks['lead'] ?? ''
  await until(`${name} is ready`, () => ingress.state.read().ready)
  return { ingress, broker, lines, stop, lead }
}

const pick = (broker: Awaited<ReturnType<typeof connectBroker>>): IngressOptions['broker'] => ({
  publishEvents: (events) => broker.publishEvents(events),
  consumeOutcomes: (direction, handler, options) => broker.consumeOutcomes(direction, handler, options),
  onReconnect: (listener) => broker.onReconnect(listener),
  state: () => broker.state(),
  standForLead: (candidate) => broker.standForLead(candidate, { patienceMs: 2_000 }),
})

const takes = (fake: Fake) => fake.calls.filter((call) => call === 'take').length
const bothLead = (a: { lead(): string }, b: { lead(): string }) => a.lead() === 'leads' && b.lead() === 'leads'

t.test('one drains and hears the doorbells, the other is ready and says standby; nothing is doubled', async (t) => {
  const both = sides()
  const { url } = await testVhost(t)
  const a = await join(t, url, 'a', both)
  const b = await join(t, url, 'b', both)
  t.same([a.lead(), b.lead()], ['leads', 'standby'])
  t.match(b.ingress.state.read(), {
    ready: true,
    checks: { clinic: 'ok', 'clinic-doorbell': 'ok', 'portal-doorbell': 'ok' },
  })
  t.match(await b.ingress.leader(), { pid: process.pid, host: String })
  for (let key = 1; key <= 20; key++) {
    both.clinic.change(key)
    both.clinic.bell()
    both.portal.change(key)
    both.portal.bell()
    await until('both are drained', () => both.clinic.pending() + both.portal.pending() === 0)
  }
  t.same([both.clinic.mostWaiting, both.portal.mostWaiting], [1, 1], 'one waits for rings at a time')

  both.clinic.change(21)
  await b.stop()
  t.equal(both.clinic.pending(), 1, 'a standby that stops drains nothing')
  const c = await join(t, url, 'c', both)
  await until('who comes makes the leader look', () => both.clinic.pending() === 0)
  both.clinic.change(22)
  await a.stop()
  await until('the other leads, and looks at once', () => c.lead() === 'leads' && both.clinic.pending() === 0)
  both.clinic.change(23)
  both.clinic.bell()
  await until('it hears the doorbell', () => both.clinic.pending() === 0)
  t.equal(new Set(both.clinic.ids()).size, both.clinic.ids().length, 'nothing was published twice')
  t.equal(both.clinic.ids().length, 23)
})

t.test('what a standby is told by HTTP, the leader drains', async (t) => {
  const both = sides()
  const { url } = await testVhost(t)
  const settings = { clinicDoorbell: 'http', portalDoorbell: 'webhook' } as const
  const a = await join(t, url, 'a', both, settings)
  const b = await join(t, url, 'b', both, settings)
  for (let key = 1; key <= 5; key++) {
    both.clinic.open(50 + key, key)
    both.portal.change(key)
    b.ingress.bells.rang('clinic')
    b.ingress.bells.rang('portal')
    await until('the portal is drained, the clinic waited for', () => {
      return both.portal.pending() === 0 && (both.clinic.waits.get(50 + key) ?? 0) === 1
    })
    both.clinic.commit(50 + key)
    await until('the clinic is drained', () => both.clinic.pending() === 0)
  }
  t.equal(both.clinic.waited.all, 5, 'each transaction is waited for once')
  t.same([both.clinic.ids().length, both.portal.ids().length], [5, 5])

  both.portal.change(6)
  both.portal.change(7)
  t.same(
    await b.ingress.drainers.portal.request(),
    { published: 2 },
    "the operator's trigger is answered by the leader",
  )
  both.portal.down = databaseDown()
  await t.rejects(b.ingress.drainers.portal.request(), {
    code: 'SYNC_DATABASE_DOWN',
    message: 'It cannot be reached.',
  })
  both.portal.down = null
  both.portal.rung = async () => {
    b.ingress.bells.rang('portal')
    return { rang: true, answer: null }
  }
  t.match(await b.ingress.testDoorbell('portal'), { doorbell: 'webhook', heard: true }, 'so is the test of a doorbell')
  const before = takes(both.portal)
  for (let ring = 0; ring < 500; ring++) b.ingress.bells.rang('portal')
  await b.ingress.drainers.portal.request()
  t.ok(takes(both.portal) - before < 10, `${takes(both.portal) - before} looks for 500 rings`)
  t.equal(a.lead(), 'leads')
})

t.test('a standby settles outcomes too, and tells the leader to look for rulings before it does', async (t) => {
  const both = sides()
  const { url } = await testVhost(t)
  const settings = { clinicDoorbell: 'http', portalDoorbell: 'webhook' } as const
  const a = await join(t, url, 'a', both, settings)
  const handlers = new Map<Direction, (batches: readonly OutcomeBatch[]) => Promise<unknown>>()
  const broker = await connectBroker({ url, log: recordingLog().log, name: 'b' })
  t.teardown(() => broker.close())
  const b = await join(t, url, 'b', both, {
    ...settings,
    broker: {
      ...pick(broker),
      consumeOutcomes(direction, handler) {
        handlers.set(direction, handler)
        return { state: 'consuming', close: async () => undefined }
      },
    },
  })
  both.portal.change(1)
  await a.ingress.drainers.portal.request()
  both.clinic.change(1)
  const outcomes = [{ table: 'aligner_notes', key: 1, version: '1', outcome: 'applied' as const }]
  await handlers.get('postgres-to-sql')?.([{ direction: 'postgres-to-sql', outcomes }])
  t.equal(both.portal.rows[0]?.status, 'Synced')
  await until('the ruling is published', () => both.clinic.pending() === 0)
  await a.stop()
  await until('b leads', () => b.lead() === 'leads')
})

t.test('the leader is cut off from RabbitMQ: the other takes over, and both are heard of', async (t) => {
  const both = sides()
  const { url } = await testVhost(t)
  const wire = await wireTo(t, url)
  const a = await join(t, wire.url, 'a', both)
  const b = await join(t, url, 'b', both)
  const from = performance.now()
  wire.cut()
  both.clinic.change(1)
  both.clinic.bell()
  await until('b leads and has drained', () => b.lead() === 'leads' && both.clinic.pending() === 0)
  t.ok(performance.now() - from < 5_000, `${Math.round(performance.now() - from)} ms`)
  // RabbitMQ may notice it some milliseconds before a does.
  await until('a knows', () => /Not connected to RabbitMQ/.test(a.lead()))
  await t.rejects(a.ingress.drainers.clinic.request(), { code: 'SYNC_BROKER_DOWN' })
  t.match(await a.ingress.testDoorbell('clinic'), {
    doorbell: 'service-broker',
    heard: false,
    message: /RabbitMQ.*nobody hears/,
  })
  both.portal.change(2)
  a.ingress.bells.rang('portal')
  wire.mend()
  await until('what a heard alone is drained, once it is back', () => both.portal.pending() === 0)
  await until('a stands by', () => a.lead() === 'standby')
  t.notOk(bothLead(a, b))
  t.same([both.clinic.waiting.length, both.portal.waiting.length], [1, 1])
})

t.test('who loses the lead between the take and the publish leaves what it took to the other', async (t) => {
  const fake = new Fake()
  const { log, lines } = recordingLog()
  let leads = true
  const drain = new Drain({ outbox: fake, publisher: fake, log, may: () => leads, retry: { min: 2, max: 8 } })
  t.teardown(() => drain.stop())
  fake.change(1)
  fake.pause = (point) => {
    if (point === 'after take') leads = false
  }
  await t.rejects(drain.request(), { code: 'SYNC_NO_LEADER' })
  t.same([fake.published.length, fake.pending()], [0, 1])
  drain.standDown()
  fake.pause = () => undefined
  drain.ring(true)
  await t.rejects(drain.request(), { code: 'SYNC_NO_LEADER' })
  t.same(fake.calls, ['take'], 'nothing is taken, rung or tried again')
  leads = true
  drain.ring(true)
  await until('it drains again', () => fake.pending() === 0)
  t.notOk(lines.some(({ level }) => level >= 40))
})

t.test('a batch that is being published when the lead is lost is settled; the next is not taken', async (t) => {
  const fake = new Fake()
  let leads = true
  const drain = new Drain({ outbox: fake, publisher: fake, log: recordingLog().log, may: () => leads, batch: 2 })
  t.teardown(() => drain.stop())
  for (let key = 1; key <= 4; key++) fake.change(key)
  fake.pause = (point) => {
    if (point !== 'before publish') return
    leads = false
    drain.standDown()
  }
  drain.ring()
  await until('the first batch is settled', () => fake.pending() === 2)
  fake.pause = () => undefined
  await new Promise((resolve) => setImmediate(resolve))
  t.equal(fake.pending(), 2)
  t.equal(takes(fake), 1)
})
