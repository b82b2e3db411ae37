import type { Broker, Consumer } from '@clinic-sync/broker'
import {
  directionFrom,
  type DoorbellTest,
  type LeaderFacts,
  type Minute,
  type OutcomeBatch,
  type Side,
} from '@clinic-sync/contracts'
import {
  Backoff,
  DatabaseError,
  type Delays,
  type Doorbell,
  type Observer,
  type OpenTransactions,
  type Ringer,
  SyncError,
} from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { setMaxListeners } from 'node:events'
import { setTimeout as sleep } from 'node:timers/promises'
import { sentence } from './describe.ts'
import { Drain } from './drain.ts'
import { Ears } from './ears.ts'
import type { Outbox } from './empty-outbox.ts'
import { KnownState } from './known-state.ts'
import { Leader } from './leader.ts'
import { mergeSettlements } from './merge-settlements.ts'
import { settleOutcomes } from './outcomes.ts'
import { RestoreWatch, type Sides } from './restored.ts'
import type { HttpBells } from './routes/doorbells.ts'
import type { ClinicDoorbell, PortalDoorbell } from './start-lines.ts'
import { RINGS_BEFORE_COMMIT, Term } from './term.ts'
import { testDoorbell } from './test-doorbell.ts'
import { guarded, type Watched, watchOutbox } from './watched-outbox.ts'

export interface IngressOptions {
  readonly clinic: Outbox & Doorbell & Ringer & OpenTransactions
  readonly portal: Outbox & Doorbell & Ringer
  readonly broker: Pick<Broker, 'publishEvents' | 'consumeOutcomes' | 'onReconnect' | 'state' | 'standForLead'>
  readonly clinicDoorbell: ClinicDoorbell
  readonly portalDoorbell: PortalDoorbell
  readonly log: FastifyBaseLogger
  readonly observer?: Observer | undefined
  /** A database is not migrated: the process should say so and end. */
  readonly onFatal: (error: SyncError) => void
  /** When to look once more after the start and after the last HTTP doorbell of the clinic, in milliseconds. */
  readonly secondLookMs?: number
  /** Told of outcomes that were settled here. */
  readonly onSettled?: (batches: readonly OutcomeBatch[]) => void
  /** Told of what another ingress has counted. */
  readonly onCounted?: (minutes: readonly Minute[]) => void
  /** Told that another ingress knows of a verification that was kept. */
  readonly onKept?: () => void
  /** Both sides' bookkeeping; missing: a restored database is not noticed. */
  readonly bookkeeping?: Sides
}

const RINGS_BY_HTTP: ReadonlySet<ClinicDoorbell | PortalDoorbell> = new Set([
  ...RINGS_BEFORE_COMMIT,
  'webhook',
] as const)
const RETRY: Delays = { min: 200, max: 30_000 }
const SIDES: readonly Side[] = ['clinic', 'portal']

/** Somebody who drains a side's outbox when asked, and says what was published. */
export interface Drainer {
  /** @throws SyncError */
  request(): Promise<{ readonly published: number }>
}

/**
 * The ingress without its HTTP face: a drain, a settler and a doorbell for each side. Of several ingresses one leads: it alone
 * drains and hears doorbells on connections of its own; what another is told, it passes on. Any of them settles.
 */
export class Ingress {
  readonly drains: Readonly<Record<Side, Drain>>
  /** As `drains`, wherever the drain is. */
  readonly drainers: Readonly<Record<Side, Drainer>>
  readonly state = new KnownState()
  readonly #options: IngressOptions
  readonly #outboxes: Readonly<Record<Side, Watched>>
  readonly #ears = new Ears()
  readonly #stopping = new AbortController()
  readonly #leader: Leader
  #term: Term | undefined
  /** The end of the term before. */
  #ended: Promise<void> = Promise.resolve()
  #consumers: Consumer[] = []
  #failed = false
  readonly #fatal: (error: SyncError) => void
  readonly #restored: RestoreWatch | undefined

  constructor(options: IngressOptions) {
    const { clinic, portal, broker, log, onFatal, observer } = options
    // Each test of a doorbell listens; Node would take more than ten for a leak.
    setMaxListeners(0, this.#stopping.signal)
    this.#options = options
    this.#restored = this.#watchForRestores()
    this.#outboxes = { clinic: this.#watch(clinic), portal: this.#watch(portal) }
    const fatal = (error: SyncError) => {
      // Both sides, or a look and a drain, may find the same: it is said once.
      if (!this.#failed) onFatal(error)
      this.#failed = true
    }
    this.#fatal = fatal
    this.#leader = new Leader({
      broker,
      log,
      observer,
      onGained: () => this.#lead(),
      onLost: () => this.#standDown(),
      onRang: (side, passed) => this.#onRang(side, passed),
      onCounted: (minutes) => options.onCounted?.(minutes),
      onKept: () => options.onKept?.(),
      drain: (side) => this.drains[side].request(),
      test: (side) => this.#test(side),
    })
    const may = () => this.#leader.leads
    const drain = (outbox: Outbox, look?: () => Promise<number>) =>
      new Drain({ outbox, publisher: broker, log, onFatal: fatal, look, observer, may })
    this.drains = {
      clinic: drain(this.#outboxes.clinic, async () => (await this.#term?.look()) ?? 0),
      portal: drain(this.#outboxes.portal),
    }
    const drainer = (side: Side): Drainer => ({ request: () => this.#request(side) })
    this.drainers = { clinic: drainer('clinic'), portal: drainer('portal') }
    this.state.ask('broker', () => brokerReason(broker.state()))
    this.state.ask(
      'lead',
      () => this.#leader.reason,
      () => (this.leads ? 'leads' : 'standby'),
    )
    for (const side of SIDES) {
      if (!this.#ringsByItself(side)) continue
      this.state.ask(bellOf(side), () => {
        if (this.#term !== undefined) return this.#term.reason(side)
        return this.#leader.standsBy ? null : 'has not answered yet: who leads hears it'
      })
    }
  }

  /** Whether this one drains, of all the ingresses there are. */
  get leads(): boolean {
    return this.#leader.leads
  }

  /** Whether another one leads. */
  get standsBy(): boolean {
    return this.#leader.standsBy
  }

  /** Why it neither leads nor stands by; null: it does. */
  get leadReason(): string | null {
    return this.#leader.reason
  }

  /** Asks a side's database whether it is there; `state` knows then. @throws SyncError */
  probe(side: Side): Promise<void> {
    return this.#outboxes[side].check()
  }

  /** Which ingress leads; null: none answers within some seconds. */
  leader(): Promise<LeaderFacts | null> {
    return this.#leader.who()
  }

  /** Leads or stands by as soon as RabbitMQ is there; who leads drains both sides, and then whenever something rings. Returns at once. */
  start(): void {
    const { broker, log, observer } = this.#options
    for (const outbox of Object.values(this.#outboxes)) void this.#look(outbox)
    this.#consumers = [this.#outboxes.clinic, this.#outboxes.portal].map((outbox) => {
      const settle = settleOutcomes({ outbox, log, signal: this.#stopping.signal })
      return broker.consumeOutcomes(
        directionFrom(outbox.side),
        async (batches) => {
          for (const { outcomes } of batches) observer?.settling?.(directionFrom(outbox.side), outcomes)
          if (outbox.side === 'portal') await this.#lookForRulings()
          if (batches.some(({ outcomes }) => outcomes.some(({ outcome }) => outcome === 'stale')))
            this.#restored?.suspect()
          const refused = await settle(batches)
          this.#options.onSettled?.(batches)
          return refused
        },
        { check: () => outbox.check() },
      )
    })
    this.#leader.start()
  }

  /** What the HTTP doorbells tell. Each rings, whatever the settings say. */
  readonly bells: HttpBells = {
    rang: (side) => {
      this.#options.observer?.rang?.(side, side === 'clinic' ? 'http' : 'webhook')
      if (this.leads) this.#onRang(side, true)
      // A failure is passed on later.
      else void this.#leader.pass(side).catch(() => undefined)
    },
    refused: (side, status) => this.#ears.refused(side, status),
  }

  /** Tells all other ingresses what was counted here; if RabbitMQ is away, they do not learn of it. */
  share(minutes: readonly Minute[]): void {
    this.#leader.share(minutes)
  }

  /** Tells all other ingresses that the result of a verification was kept; if RabbitMQ is away, they do not learn of it. */
  shareKept(): void {
    this.#leader.shareKept()
  }

  /** Asks a side's database to ring, and says whether it was heard by who leads. */
  async testDoorbell(side: Side): Promise<DoorbellTest> {
    if (this.leads) return this.#test(side)
    try {
      return await this.#leader.askToTest(side)
    } catch (error) {
      const why = sentence(error).replace(/\.$/, '')
      const message = `${this.#leader.reason?.replace(/\.$/, '') ?? why}: nobody hears the doorbell here.`
      return { doorbell: this.#doorbellOf(side), heard: false, ms: null, message }
    }
  }

  /**
   * Finishes the batches in flight on both sides; nothing is rung, drained or settled afterwards. The lead is given away last:
   * whoever has it then looks into both outboxes, so that nothing is lost that was heard here before.
   *
   * @param deaf resolves when nothing can be heard here any more.
   */
  async stop(deaf: Promise<unknown> = Promise.resolve()): Promise<void> {
    this.#stopping.abort()
    const drains = SIDES.map((side) => this.drains[side].stop())
    const ended = this.#endTerm()
    // While it is blocked RabbitMQ confirms nothing: what is in flight stays pending, and is published after the next start.
    const confirms = this.#options.broker.state().publisher !== 'blocked'
    await Promise.all([
      ...(confirms ? drains : []),
      ...this.#consumers.map((consumer) => consumer.close()),
      ended,
      deaf.catch(() => undefined),
    ])
    // A doorbell's ring follows its answer.
    await new Promise((resolve) => setImmediate(resolve))
    await this.#leader.stop()
  }

  #lead(): void {
    const { clinic, portal, clinicDoorbell, portalDoorbell, log, observer, secondLookMs, broker } = this.#options
    if (this.#stopping.signal.aborted) return
    const term = new Term(
      {
        clinic,
        portal,
        outboxes: this.#outboxes,
        clinicDoorbell,
        portalDoorbell,
        ring: (side, urgent) => this.#ring(side, urgent),
        onHeard: (side) => this.#ears.heard(side),
        onFatal: this.#fatal,
        log,
        observer,
        secondLookMs,
      },
      this.#ended,
    )
    this.#term = term
    // Otherwise its connection rings, when it is there: before it, a drain could only fail.
    if (broker.state().publisher !== 'connecting') for (const side of SIDES) this.drains[side].ring(true)
  }

  #standDown(): void {
    for (const side of SIDES) this.drains[side].standDown()
    void this.#endTerm()
    if (!this.#stopping.signal.aborted) for (const outbox of Object.values(this.#outboxes)) void this.#look(outbox)
  }

  #endTerm(): Promise<void> {
    const term = this.#term
    this.#term = undefined
    if (term !== undefined) this.#ended = Promise.all([this.#ended, term.end()]).then(() => undefined)
    return this.#ended
  }

  /** This one leads, and was told of a ring by HTTP, here or at another one (`passed`), or that RabbitMQ is there again. */
  #onRang(side: Side, passed: boolean): void {
    if (passed && this.#ringsByHttp(side)) this.#ears.heard(side)
    this.drains[side].ring(!passed)
    if (side === 'clinic') this.#term?.lookAgain()
  }

  #ring(side: Side, urgent: boolean): void {
    if (this.leads) this.drains[side].ring(urgent)
    else void this.#leader.pass(side).catch(() => undefined)
  }

  /** A drain that starts after this call, wherever. Who leads may change meanwhile: then the next one is asked, once. */
  async #request(side: Side): Promise<{ readonly published: number }> {
    const { leads } = this
    try {
      return await this.#drain(side, leads)
    } catch (error) {
      const moved = this.leads !== leads && error instanceof SyncError && error.code === 'SYNC_NO_LEADER'
      if (!moved || this.#stopping.signal.aborted) throw error
      return this.#drain(side, this.leads)
    }
  }

  #drain(side: Side, here: boolean): Promise<{ readonly published: number }> {
    return here || this.#stopping.signal.aborted ? this.drains[side].request() : this.#leader.askToDrain(side)
  }

  #test(side: Side): Promise<DoorbellTest> {
    return testDoorbell({
      side,
      doorbell: this.#doorbellOf(side),
      ringer: this.#options[side],
      ears: this.#ears,
      known: () => (this.#ringsByHttp(side) ? null : this.state.reason(bellOf(side))),
      signal: this.#stopping.signal,
    })
  }

  /**
   * The clinic has had doctors' edits: its rulings on them, and the columns computed from them, are in its outbox. Service Broker
   * rings for these as for any change. An HTTP doorbell need not: what SQL Server calls from within the consumer's transaction
   * comes before the commit. Once this ingress stops, another one must look: what is thrown here is delivered there. So is what
   * could not be passed on to the one that leads.
   */
  async #lookForRulings(): Promise<void> {
    this.#stopping.signal.throwIfAborted()
    if (this.#options.clinicDoorbell === 'service-broker') return
    if (this.leads) this.drains.clinic.ring()
    else await this.#leader.pass('clinic')
  }

  /**
   * Says at once if a database is not migrated, with or without RabbitMQ. If it is down, whoever leads finds out when it is back;
   * who does not looks again, for /readyz.
   */
  async #look(outbox: Outbox): Promise<void> {
    const { signal } = this.#stopping
    const backoff = new Backoff(RETRY)
    for (;;) {
      try {
        return await outbox.check()
      } catch (error) {
        if (error instanceof SyncError && error.code === 'SYNC_NOT_MIGRATED') return this.#fatal(error)
      }
      await sleep(backoff.next(), undefined, { signal }).catch(() => undefined)
      if (signal.aborted || this.leads) return
    }
  }

  #doorbellOf(side: Side): ClinicDoorbell | PortalDoorbell {
    const { clinicDoorbell, portalDoorbell } = this.#options
    return side === 'clinic' ? clinicDoorbell : portalDoorbell
  }

  #ringsByHttp(side: Side): boolean {
    return RINGS_BY_HTTP.has(this.#doorbellOf(side))
  }

  /** Whether it is heard on a connection of its own. */
  #ringsByItself(side: Side): boolean {
    return !this.#ringsByHttp(side) && this.#doorbellOf(side) !== 'none'
  }

  #watchForRestores(): RestoreWatch | undefined {
    const { bookkeeping: sides, log, observer } = this.#options
    if (sides === undefined) return undefined
    const watch = new RestoreWatch({ sides, log, onLooked: (found) => observer?.restored?.(found) })
    this.state.ask(
      'restored',
      () => watch.reason,
      () => 'no',
    )
    return watch
  }

  #watch(outbox: Outbox): Watched {
    this.state.expect(outbox.side)
    const watched = watchOutbox(outbox, (error) => {
      // A deadlock or a refused row says nothing about the database as a whole.
      const unusable = !(error instanceof DatabaseError) || error.failure === 'down'
      if (error === null) this.state.tell(outbox.side, null)
      else if (unusable) this.state.tell(outbox.side, sentence(error))
    })
    const merging = { ...watched, settleChanges: mergeSettlements(watched.settleChanges) }
    return this.#restored === undefined ? merging : guarded(merging, this.#restored)
  }
}

/** Its name in /readyz. */
const bellOf = (side: Side) => `${side}-doorbell`

function brokerReason({ ready, publisher }: ReturnType<Broker['state']>): string | null {
  if (publisher === 'blocked')
    return 'RabbitMQ takes no messages: it is out of memory or disk. Free some, or give it more; it goes on by itself.'
  if (publisher !== 'up') return 'Not connected to RabbitMQ.'
  return ready ? null : 'Outcomes are not consumed: RabbitMQ or a database is not reachable.'
}
