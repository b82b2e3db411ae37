import type { Side } from '@clinic-sync/contracts'
import { Backoff, type Delays, type Observer, SyncError } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { describe } from './describe.ts'
import { type Drained, emptyOutbox, type Outbox, type Publisher } from './empty-outbox.ts'
import { observeDrain } from './observe-drain.ts'

const RETRY: Delays = { min: 200, max: 30_000 }
const LOCKED: Delays = { min: 250, max: 5_000 }
/**
 * After three runs in a row that found nothing: a burst of useless doorbells costs 20 looks a second. One or two are ordinary while people
 * work (what rang during a run was found by it), and the next ring is of a change that must not wait.
 */
const REST_MS = 50
const USELESS_RUNS = 3

export interface DrainOptions {
  readonly outbox: Outbox
  readonly publisher: Publisher
  readonly log: FastifyBaseLogger
  /** Called before each run; gives the number of open transactions that nothing else will ring for. */
  readonly look?: (() => Promise<number>) | undefined
  /** A failure that no retry cures: the database is not migrated. The drain has stopped. */
  readonly onFatal?: (error: SyncError) => void
  readonly observer?: Observer | undefined
  /** Asked before each step that only one ingress should take: whether this is the one. */
  readonly may?: () => boolean
  readonly batch?: number
  /** Delays after a failure, and while open transactions hold records; in milliseconds. */
  readonly retry?: Delays
  readonly locked?: Delays
  /** Milliseconds that must pass after the third run in a row that found nothing before a doorbell starts the next. */
  readonly restMs?: number
}

interface Waiter {
  resolve(drained: Drained): void
  reject(error: unknown): void
}

/**
 * Empties one side's outbox into the broker whenever it is rung.
 *
 * One run at a time; a ring during a run makes it run once more, so no wake-up is lost. A row's status moves only after
 * the broker's confirm: a crash in between publishes the same events, with the same ids and versions, once more. A failed
 * run is tried again with growing delays, until it succeeds; nothing else ever starts a run by time.
 */
export class Drain {
  readonly side: Side
  readonly #options: DrainOptions
  readonly #log: FastifyBaseLogger
  readonly #retry: Backoff
  readonly #lockedBackoff: Backoff
  #stopped = false
  /** A ring that no run has answered yet; and whether it may not wait for a retry. */
  #wanted = false
  #urgent = false
  #running = false
  /** Stopped, but a ring is still to be answered. */
  #owed = false
  #waiters: Waiter[] = []
  #timer: NodeJS.Timeout | undefined
  /** Code of the failure that the pending retry is for. */
  #failing: string | undefined
  #heldBefore = 0
  /** Runs in a row that found nothing; since when the drain rests from them, and whether the timer is set for the end of it. */
  #useless = 0
  #restedFrom = Number.NEGATIVE_INFINITY
  #resting = false
  #onIdle: (() => void)[] = []

  constructor(options: DrainOptions) {
    this.#options = options
    this.side = options.outbox.side
    this.#log = options.log.child({ outbox: this.side })
    this.#retry = new Backoff(options.retry ?? RETRY)
    this.#lockedBackoff = new Backoff(options.locked ?? LOCKED)
  }

  /**
   * Look in the outbox: at once, or 50 ms after three looks that found nothing. After a failure the retry that is due anyway
   * answers it, so that doorbells do not hammer a database that is down. `urgent` (a connection came back, an operator asks)
   * waits for neither.
   */
  ring(urgent = false): void {
    if (this.#stopped) return
    this.#wanted = true
    this.#urgent ||= urgent
    if (this.#running || !this.#may() || (this.#failing !== undefined && !urgent)) return
    if (urgent || this.#restLeft() <= 0) void this.#loop()
    else this.#rest()
  }

  /**
   * Runs a drain that starts after this call, and resolves with what it published.
   *
   * @throws SyncError if it failed (a retry is under way nevertheless), or if the service is stopping.
   */
  request(): Promise<Drained> {
    if (this.#stopped) return Promise.reject(stopping())
    if (!this.#may()) return Promise.reject(notLeading())
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.ring(true)
    })
  }

  /**
   * Another ingress drains from now on, and looks by itself: every ring and retry is forgotten. A batch that is being published is
   * finished, since RabbitMQ may have it already.
   */
  standDown(): void {
    clearTimeout(this.#timer)
    this.#wanted = false
    this.#urgent = false
    this.#resting = false
    this.#failing = undefined
    this.#heldBefore = 0
    this.#useless = 0
    this.#restedFrom = Number.NEGATIVE_INFINITY
    this.#retry.reset()
    this.#lockedBackoff.reset()
    this.#dismissWaiters(notLeading())
  }

  /**
   * Finishes the batch in flight, and answers a doorbell that has been accepted with one batch more: another ingress that
   * takes over may have looked before it rang. Starts nothing else.
   */
  async stop(): Promise<void> {
    this.#owed = this.#wanted && this.#failing === undefined && !this.#stopped
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#dismissWaiters(stopping())
    if (this.#owed && !this.#running) void this.#loop()
    if (this.#running) await new Promise<void>((resolve) => this.#onIdle.push(resolve))
  }

  async #loop(): Promise<void> {
    this.#running = true
    // No await between the last look at #wanted and #running = false: a ring in such a gap would be lost.
    while (this.#wanted && this.#may() && (!this.#stopped || this.#owed)) {
      this.#owed = false
      clearTimeout(this.#timer)
      this.#resting = false
      this.#wanted = false
      this.#urgent = false
      const waiters = this.#waiters.splice(0)
      try {
        // Before the outbox is read: see OpenTransactionWaits.
        const unheard = (await this.#options.look?.()) ?? 0
        const drained = await this.#run()
        for (const waiter of waiters) waiter.resolve(drained)
        this.#succeeded(drained, unheard)
        if (this.#wanted && !this.#urgent && this.#restLeft() > 0) {
          this.#rest()
          break
        }
      } catch (error) {
        for (const waiter of waiters) waiter.reject(error)
        this.#failed(error)
        // Who asked during the failed run, or connected again during it, gets a new run; doorbells wait for the retry.
        if (!this.#urgent) break
      }
    }
    this.#running = false
    if (this.#stopped) this.#dismissWaiters(stopping())
    for (const resolve of this.#onIdle.splice(0)) resolve()
  }

  #run(): Promise<Drained> {
    const { outbox, publisher, batch, observer } = this.#options
    const [isStopped, may] = [() => this.#stopped, () => this.#may()]
    const run = () => emptyOutbox({ outbox, publisher, log: this.#log, batch, isStopped, may })
    return observeDrain(this.side, observer, run)
  }

  #succeeded({ published, locked }: Drained, unheard: number): void {
    if (this.#failing !== undefined) this.#log.info(`the ${this.side}'s outbox is drained again`)
    this.#failing = undefined
    this.#useless = published === 0 ? this.#useless + 1 : 0
    if (this.#useless >= USELESS_RUNS) this.#restedFrom = performance.now()
    this.#retry.reset()
    const held = locked + unheard
    if (held > 0 && this.#heldBefore === 0)
      this.#log.info({ locked, unheard }, 'open transactions hold records: looking again')
    if (held === 0 && this.#heldBefore > 0) this.#log.info('no record is held any more')
    this.#heldBefore = held
    if (held > 0) this.#ringIn(this.#lockedBackoff.next())
    else this.#lockedBackoff.reset()
  }

  #failed(error: unknown): void {
    if (error instanceof SyncError && error.code === 'SYNC_NO_LEADER') return
    const what = describe(error)
    if (error instanceof SyncError && error.code === 'SYNC_NOT_MIGRATED' && this.#options.onFatal) {
      this.#stopped = true
      this.#options.onFatal(error)
      return
    }
    const code = String(what['number'] ?? what['code'])
    if (code !== this.#failing) this.#log.warn(what, `the ${this.side}'s outbox cannot be drained: trying again`)
    else this.#log.debug(what, 'still failing')
    this.#failing = code
    this.#ringIn(this.#retry.next())
  }

  #may(): boolean {
    return this.#options.may?.() ?? true
  }

  #restLeft(): number {
    return this.#restedFrom + (this.#options.restMs ?? REST_MS) - performance.now()
  }

  #rest(): void {
    if (!this.#resting) this.#ringIn(this.#restLeft())
    this.#resting = true
  }

  #dismissWaiters(error: SyncError): void {
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
  }

  #ringIn(ms: number): void {
    clearTimeout(this.#timer)
    if (!this.#stopped && this.#may()) this.#timer = setTimeout(() => this.ring(true), ms)
  }
}

const notLeading = () => new SyncError('SYNC_NO_LEADER', 'This ingress does not lead: another one drains.')
const stopping = () => new SyncError('SYNC_STOPPING', 'The ingress is stopping.')
