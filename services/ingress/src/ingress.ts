import type { Consumer } from '@clinic-sync/broker'
import { directionFrom, type DoorbellTest, type LeaderFacts, type Minute, type Side } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import { setMaxListeners } from 'node:events'
import { sentence } from './describe.ts'
import { bellOf, doorbellOf, ringsByHttp, ringsByItself } from './doorbells.ts'
import { Drain } from './drain.ts'
import { Ears } from './ears.ts'
import type { Outbox } from './empty-outbox.ts'
import type { IngressOptions } from './ingress-options.ts'
import { KnownState } from './known-state.ts'
import { Leader } from './leader.ts'
import { lookUntilThere } from './look.ts'
import { settleOutcomes } from './outcomes.ts'
import { brokerReason, watchForReadiness, watchForRestores } from './readiness.ts'
import type { RestoreWatch } from './restored.ts'
import type { HttpBells } from './routes/doorbells.ts'
import { Term } from './term.ts'
import { testDoorbell } from './test-doorbell.ts'
import type { Watched } from './watched-outbox.ts'

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
    this.#restored = watchForRestores(options, this.state)
    const watched = (outbox: Outbox) => watchForReadiness(outbox, this.state, this.#restored)
    this.#outboxes = { clinic: watched(clinic), portal: watched(portal) }
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
      if (!ringsByItself(doorbellOf(side, options))) continue
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
      return { doorbell: doorbellOf(side, this.#options), heard: false, ms: null, message }
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
    if (passed && ringsByHttp(doorbellOf(side, this.#options))) this.#ears.heard(side)
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
      doorbell: doorbellOf(side, this.#options),
      ringer: this.#options[side],
      ears: this.#ears,
      known: () => (ringsByHttp(doorbellOf(side, this.#options)) ? null : this.state.reason(bellOf(side))),
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

  #look(outbox: Outbox): Promise<void> {
    const { signal } = this.#stopping
    return lookUntilThere(outbox, { signal, isEnough: () => this.leads, onFatal: this.#fatal })
  }
}
