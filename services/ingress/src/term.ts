import type { Side } from '@clinic-sync/contracts'
import { type Doorbell, type Observer, type OpenTransactions, SyncError } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { sentence } from './describe.ts'
import { hearDoorbell } from './hear-doorbell.ts'
import { OpenTransactionWaits } from './open-transactions.ts'
import type { ClinicDoorbell, PortalDoorbell } from './start-lines.ts'
import type { Watched } from './watched-outbox.ts'

/** What SQL Server calls from within the transaction that changes something: nothing of it can be read then. */
export const RINGS_BEFORE_COMMIT: ReadonlySet<ClinicDoorbell> = new Set([
  'ole-automation',
  'rest-endpoint',
  'http',
] as const)

/**
 * After a call that nobody answered in time, a session of SQL Server does not call for 5 s (migrations 04 and 08): what it writes just
 * after this ingress is back, or after an answer that came too late, rings for nobody. So there is one more look when that is over:
 * after the start, and after the last ring. Milliseconds.
 */
const SECOND_LOOK_MS = 6_000

export interface TermOptions {
  readonly clinic: Doorbell & OpenTransactions
  readonly portal: Doorbell
  readonly outboxes: Readonly<Record<Side, Watched>>
  readonly clinicDoorbell: ClinicDoorbell
  readonly portalDoorbell: PortalDoorbell
  /** The outbox is to be looked into. After the term too: whoever leads by then must hear of it. */
  readonly ring: (side: Side, urgent: boolean) => void
  /** A doorbell was heard, and not just connected. */
  readonly onHeard: (side: Side) => void
  readonly onFatal: (error: SyncError) => void
  readonly log: FastifyBaseLogger
  readonly observer?: Observer | undefined
  readonly secondLookMs?: number | undefined
}

/**
 * What only the ingress that leads does, for as long as it leads: it hears the doorbells on connections of their own, and waits
 * for open transactions. Service Broker gives each ring to one who waits: two who wait would take each other's.
 */
export class Term {
  readonly #options: TermOptions
  readonly #over = new AbortController()
  readonly #waits: OpenTransactionWaits | undefined
  readonly #reasons = new Map<Side, string | null>()
  readonly #hearing: Promise<void>[] = []
  #secondLook: NodeJS.Timeout | undefined

  /** @param before the end of the term before: a side has one connection that hears. */
  constructor(options: TermOptions, before: Promise<void>) {
    this.#options = options
    if (RINGS_BEFORE_COMMIT.has(options.clinicDoorbell)) this.#waits = this.#waitsFor()
    if (options.clinicDoorbell === 'service-broker') this.#hear('clinic', before)
    if (options.portalDoorbell === 'listen') this.#hear('portal', before)
    this.lookAgain()
  }

  /** Why a side's doorbell is not heard; null: it is, or needs no connection. */
  reason(side: Side): string | null {
    return this.#reasons.get(side) ?? null
  }

  /** Waits for those who are open now; to be called before a drain. See {@link OpenTransactionWaits.look}. */
  async look(): Promise<number> {
    return (await this.#waits?.look()) ?? 0
  }

  /** Where the clinic rings by HTTP: one look more, when nobody has rung for a while. */
  lookAgain(): void {
    const { log, ring, secondLookMs = SECOND_LOOK_MS } = this.#options
    if (this.#waits === undefined || this.#over.signal.aborted) return
    clearTimeout(this.#secondLook)
    this.#secondLook = setTimeout(() => {
      log.debug('looking once more, for those whose call was not answered in time')
      ring('clinic', false)
    }, secondLookMs)
  }

  async end(): Promise<void> {
    clearTimeout(this.#secondLook)
    this.#over.abort()
    await Promise.all([this.#waits?.stop(), ...this.#hearing])
  }

  /** Rings a side's drain for what is heard on a connection of its own. */
  #hear(side: Side, before: Promise<void>): void {
    const { [side]: doorbell, log, observer, ring, onHeard } = this.#options
    this.#reasons.set(side, 'has not answered yet')
    const told = (error: unknown) => {
      this.#reasons.set(side, error === null ? null : sentence(error))
      if (error instanceof SyncError && error.code === 'SYNC_NOT_MIGRATED') void this.#noBell(side, error)
    }
    const rang = (connected: boolean) => {
      // What a new connection is for is not a ring.
      if (!connected) {
        onHeard(side)
        observer?.rang?.(side, side === 'clinic' ? 'service-broker' : 'listen')
      }
      ring(side, connected)
      // Its drain may have waited for this side, to compare both.
      if (connected) ring(side === 'clinic' ? 'portal' : 'clinic', true)
    }
    const hear = () => hearDoorbell({ side, doorbell, ring: rang, onHeard: told, log }, this.#over.signal)
    this.#hearing.push(before.then(hear))
  }

  /**
   * Where all but the doorbell is installed, no waiting helps: the migrations bring it. Where nothing is installed, that is said
   * by whoever looks into the outbox. A doorbell that is there and not switched on is waited for.
   */
  async #noBell(side: Side, error: SyncError): Promise<void> {
    const { outboxes, onFatal } = this.#options
    const migrated = await outboxes[side].check().then(
      () => true,
      () => false,
    )
    if (!migrated) return
    const what =
      "CLINIC_DOORBELL is service-broker, but the clinic's database has no such doorbell: `npm run sync -- migrate` installs " +
      'it, where the engine has Service Broker, and `npm run sync -- doorbell` switches it on.'
    onFatal(side === 'portal' ? error : new SyncError('SYNC_NOT_MIGRATED', what, { cause: error }))
  }

  /** Rings the clinic's drain when the transactions end that are open now. */
  #waitsFor(): OpenTransactionWaits {
    const { clinic, outboxes, log, ring } = this.#options
    const database: OpenTransactions = {
      openTransactions: () => outboxes.clinic.use(() => clinic.openTransactions()),
      awaitTransaction: (transaction, signal) => clinic.awaitTransaction(transaction, signal),
    }
    return new OpenTransactionWaits({ database, ring: () => ring('clinic', false), log })
  }
}
