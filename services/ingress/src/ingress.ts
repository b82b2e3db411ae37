import type { Broker, Consumer } from '@clinic-sync/broker'
import { directionFrom, type DoorbellTest, type Side } from '@clinic-sync/contracts'
import {
  DatabaseError,
  type Doorbell,
  type Observer,
  type OpenTransactions,
  type Ringer,
  SyncError,
} from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { setMaxListeners } from 'node:events'
import { sentence } from './describe.ts'
import { Drain } from './drain.ts'
import { Ears } from './ears.ts'
import type { Outbox } from './empty-outbox.ts'
import { hearDoorbell } from './hear-doorbell.ts'
import { KnownState } from './known-state.ts'
import { OpenTransactionWaits } from './open-transactions.ts'
import { settleOutcomes } from './outcomes.ts'
import type { HttpBells } from './routes/doorbells.ts'
import type { ClinicDoorbell, PortalDoorbell } from './start-lines.ts'
import { testDoorbell } from './test-doorbell.ts'
import { type Watched, watchOutbox } from './watched-outbox.ts'

export interface IngressOptions {
  readonly clinic: Outbox & Doorbell & Ringer & OpenTransactions
  readonly portal: Outbox & Doorbell & Ringer
  readonly broker: Pick<Broker, 'publishEvents' | 'consumeOutcomes' | 'onReconnect' | 'state'>
  readonly clinicDoorbell: ClinicDoorbell
  readonly portalDoorbell: PortalDoorbell
  readonly log: FastifyBaseLogger
  readonly observer?: Observer | undefined
  /** A database is not migrated: the process should say so and end. */
  readonly onFatal: (error: SyncError) => void
  /** When to look once more after the start and after the last HTTP doorbell of the clinic, in milliseconds. */
  readonly secondLookMs?: number
}

/** What SQL Server calls from within the transaction that changes something: nothing of it can be read then. */
const RINGS_BEFORE_COMMIT: ReadonlySet<ClinicDoorbell> = new Set(['ole-automation', 'rest-endpoint', 'http'] as const)
const RINGS_BY_HTTP: ReadonlySet<ClinicDoorbell | PortalDoorbell> = new Set([
  ...RINGS_BEFORE_COMMIT,
  'webhook',
] as const)

/**
 * After a call that nobody answered in time, a session of SQL Server does not call for 5 s (migrations 04 and 08): what it writes just
 * after this ingress is back, or after an answer that came too late, rings for nobody. So there is one more look when that is over:
 * after the start, and after the last ring. Milliseconds.
 */
const SECOND_LOOK_MS = 6_000

/** The ingress without its HTTP face: a drain, a settler and a doorbell for each side. */
export class Ingress {
  readonly drains: Readonly<Record<Side, Drain>>
  readonly state = new KnownState()
  readonly #options: IngressOptions
  readonly #outboxes: Readonly<Record<Side, Watched>>
  readonly #ears = new Ears()
  readonly #waits: OpenTransactionWaits | undefined
  readonly #stopping = new AbortController()
  #consumers: Consumer[] = []
  #hearing: Promise<void>[] = []
  #forget: (() => void) | undefined
  #secondLook: NodeJS.Timeout | undefined
  #failed = false
  readonly #fatal: (error: SyncError) => void

  constructor(options: IngressOptions) {
    const { clinic, portal, broker, log, onFatal, observer } = options
    // Each test of a doorbell listens; Node would take more than ten for a leak.
    setMaxListeners(0, this.#stopping.signal)
    this.#options = options
    this.#outboxes = { clinic: this.#watch(clinic), portal: this.#watch(portal) }
    const fatal = (error: SyncError) => {
      // Both sides, or a look and a drain, may find the same: it is said once.
      if (!this.#failed) onFatal(error)
      this.#failed = true
    }
    this.#fatal = fatal
    const waits = RINGS_BEFORE_COMMIT.has(options.clinicDoorbell) ? this.#waitsFor(clinic) : undefined
    const drain = (outbox: Outbox, look?: () => Promise<number>) =>
      new Drain({ outbox, publisher: broker, log, onFatal: fatal, look, observer })
    this.drains = {
      clinic: drain(this.#outboxes.clinic, waits && (() => waits.look())),
      portal: drain(this.#outboxes.portal),
    }
    this.#waits = waits
    this.state.ask('broker', () => brokerReason(broker.state()))
  }

  /** Drains both sides as soon as RabbitMQ is there, and then whenever something rings. Returns at once. */
  start(): void {
    const { broker, clinicDoorbell, portalDoorbell, log } = this.#options
    // Called for the first connection as well: before it, a drain could only fail.
    this.#forget = broker.onReconnect(() => this.ringAll(true))
    for (const outbox of Object.values(this.#outboxes)) this.#look(outbox)
    this.#consumers = [this.#outboxes.clinic, this.#outboxes.portal].map((outbox) => {
      const settle = settleOutcomes({ outbox, log, signal: this.#stopping.signal })
      return broker.consumeOutcomes(
        directionFrom(outbox.side),
        async (batches) => {
          if (outbox.side === 'portal') this.#lookForRulings()
          await settle(batches)
        },
        { check: () => outbox.check() },
      )
    })
    if (clinicDoorbell === 'service-broker') this.#hear('clinic')
    if (portalDoorbell === 'listen') this.#hear('portal')
    this.#lookAgain()
  }

  /** What the HTTP doorbells tell. Each rings, whatever the settings say. */
  readonly bells: HttpBells = {
    rang: (side) => {
      if (this.#ringsByHttp(side)) this.#ears.heard(side)
      this.#options.observer?.rang?.(side, side === 'clinic' ? 'http' : 'webhook')
      this.drains[side].ring()
      if (side === 'clinic') this.#lookAgain()
    },
    refused: (side, status) => this.#ears.refused(side, status),
  }

  /** Asks a side's database to ring, and says whether it was heard here. */
  testDoorbell(side: Side): Promise<DoorbellTest> {
    const { [side]: ringer } = this.#options
    const name = bellOf(side)
    return testDoorbell({
      side,
      doorbell: this.#doorbellOf(side),
      ringer,
      ears: this.#ears,
      known: () => (this.#ringsByHttp(side) ? null : this.state.reason(name)),
      signal: this.#stopping.signal,
    })
  }

  ringAll(urgent: boolean): void {
    for (const drain of Object.values(this.drains)) drain.ring(urgent)
  }

  /** Finishes the batches in flight on both sides; nothing is rung, drained or settled afterwards. */
  async stop(): Promise<void> {
    this.#forget?.()
    clearTimeout(this.#secondLook)
    this.#stopping.abort()
    const drains = Object.values(this.drains).map((drain) => drain.stop())
    await this.#waits?.stop()
    // While it is blocked RabbitMQ confirms nothing: what is in flight stays pending, and is published after the next start.
    const confirms = this.#options.broker.state().publisher !== 'blocked'
    await Promise.all([
      ...(confirms ? drains : []),
      ...this.#consumers.map((consumer) => consumer.close()),
      ...this.#hearing,
    ])
  }

  /**
   * The clinic has had doctors' edits: its rulings on them, and the columns computed from them, are in its outbox. Service Broker
   * rings for these as for any change. An HTTP doorbell need not: what SQL Server calls from within the consumer's transaction
   * comes before the commit. Once this ingress stops, another one must look: what is thrown here is delivered there.
   */
  #lookForRulings(): void {
    this.#stopping.signal.throwIfAborted()
    if (this.#options.clinicDoorbell !== 'service-broker') this.drains.clinic.ring()
  }

  /** Where the clinic rings by HTTP: one look more, when nobody has rung for a while. */
  #lookAgain(): void {
    const { log, secondLookMs = SECOND_LOOK_MS } = this.#options
    if (this.#waits === undefined || this.#stopping.signal.aborted) return
    clearTimeout(this.#secondLook)
    this.#secondLook = setTimeout(() => {
      log.debug('looking once more, for those whose call was not answered in time')
      this.drains.clinic.ring()
    }, secondLookMs)
  }

  /** Says at once if a database is not migrated, with or without RabbitMQ. If it is down, its drain tries again. */
  #look(outbox: Outbox): void {
    outbox.check().catch((error: unknown) => {
      if (error instanceof SyncError && error.code === 'SYNC_NOT_MIGRATED') this.#fatal(error)
    })
  }

  /** Rings a side's drain for what is heard on a connection of its own; /readyz knows whether there is one. */
  #hear(side: Side): void {
    const name = bellOf(side)
    this.state.expect(name)
    const onHeard = (error: unknown) => {
      this.state.tell(name, error === null ? null : sentence(error))
      if (error instanceof SyncError && error.code === 'SYNC_NOT_MIGRATED') void this.#noBell(side, error)
    }
    const { [side]: doorbell, log, observer } = this.#options
    const ring = (connected: boolean) => {
      // What a new connection is for is not a ring.
      if (!connected) {
        this.#ears.heard(side)
        observer?.rang?.(side, side === 'clinic' ? 'service-broker' : 'listen')
      }
      this.drains[side].ring(connected)
    }
    this.#hearing.push(hearDoorbell({ side, doorbell, ring, onHeard, log }, this.#stopping.signal))
  }

  /**
   * Where all but the doorbell is installed, no waiting helps: the migrations bring it. Where nothing is installed, that is said
   * by whoever looks into the outbox. A doorbell that is there and not switched on is waited for.
   */
  async #noBell(side: Side, error: SyncError): Promise<void> {
    const migrated = await this.#outboxes[side].check().then(
      () => true,
      () => false,
    )
    if (!migrated) return
    const what =
      "CLINIC_DOORBELL is service-broker, but the clinic's database has no such doorbell: `npm run sync -- migrate` installs " +
      'it, where the engine has Service Broker, and `npm run sync -- doorbell` switches it on.'
    this.#fatal(side === 'portal' ? error : new SyncError('SYNC_NOT_MIGRATED', what, { cause: error }))
  }

  #doorbellOf(side: Side): ClinicDoorbell | PortalDoorbell {
    const { clinicDoorbell, portalDoorbell } = this.#options
    return side === 'clinic' ? clinicDoorbell : portalDoorbell
  }

  #ringsByHttp(side: Side): boolean {
    return RINGS_BY_HTTP.has(this.#doorbellOf(side))
  }

  /** Rings the clinic's drain when the transactions end that are open now. */
  #waitsFor(clinic: OpenTransactions): OpenTransactionWaits {
    const { log } = this.#options
    const { use } = this.#outboxes.clinic
    const database: OpenTransactions = {
      openTransactions: () => use(() => clinic.openTransactions()),
      awaitTransaction: (transaction, signal) => clinic.awaitTransaction(transaction, signal),
    }
    return new OpenTransactionWaits({ database, ring: () => this.drains.clinic.ring(), log })
  }

  #watch(outbox: Outbox): Watched {
    this.state.expect(outbox.side)
    return watchOutbox(outbox, (error) => {
      // A deadlock or a refused row says nothing about the database as a whole.
      const unusable = !(error instanceof DatabaseError) || error.failure === 'down'
      if (error === null) this.state.tell(outbox.side, null)
      else if (unusable) this.state.tell(outbox.side, sentence(error))
    })
  }
}

/** Its name in /readyz. */
const bellOf = (side: Side) => `${side}-doorbell`

function brokerReason({ ready, publisher }: ReturnType<Broker['state']>): string | null {
  if (publisher === 'blocked') return 'RabbitMQ takes no messages: it is out of memory or disk.'
  if (publisher !== 'up') return 'Not connected to RabbitMQ.'
  return ready ? null : 'Outcomes are not consumed: RabbitMQ or a database is not reachable.'
}
