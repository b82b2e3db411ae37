import { Backoff, type Delays, type OpenTransaction, type OpenTransactions } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { setMaxListeners } from 'node:events'
import { describe } from './describe.ts'

/** Each waits on a connection of its own. */
const MOST = 16
const RETRY: Delays = { min: 250, max: 5_000 }

export interface OpenTransactionWaitsOptions {
  readonly database: OpenTransactions
  readonly ring: () => void
  readonly log: FastifyBaseLogger
  /** Delays before the ring for a wait that failed, in milliseconds. */
  readonly retry?: Delays
  readonly most?: number
}

interface Wait {
  queueId: string
  /** `resting`: it failed, and rings after a delay; `ended` and `due`: it has rung, and the next look judges it. */
  state: 'waiting' | 'ended' | 'resting' | 'due'
  /** Which look was the latest when it rang. */
  rangIn: number
  timer: NodeJS.Timeout | undefined
  readonly backoff: Backoff
}

/**
 * For doorbells that ring before the commit: waits until the transactions end that the outbox is not to be seen of yet, and
 * rings then. Each is waited for by itself, so an hour-long one holds up nobody, and once, however often the doorbell rings.
 */
export class OpenTransactionWaits {
  readonly #options: OpenTransactionWaitsOptions
  readonly #stopping = new AbortController()
  readonly #waits = new Map<OpenTransaction['session'], Wait>()
  readonly #running = new Set<Promise<void>>()
  #looks = 0
  #failing = false

  constructor(options: OpenTransactionWaitsOptions) {
    this.#options = options
    // Each wait listens; Node would take more than ten for a leak.
    setMaxListeners(0, this.#stopping.signal)
  }

  /**
   * Asks who is open, and waits for each that is not waited for yet. To be called before a drain, one call at a time: what is
   * committed after the answer rings, and what was before it, that drain sees. Asked after a drain, neither would find what is
   * committed in between.
   *
   * @returns how many are open and not waited for, since there are too many: look again later.
   * @throws DatabaseError
   */
  async look(): Promise<number> {
    if (this.#stopping.signal.aborted) return 0
    const look = ++this.#looks
    const open = await this.#options.database.openTransactions()
    if (this.#stopping.signal.aborted) return 0
    this.#forgetAllBut(new Set(open.map(({ session }) => session)))
    let unheard = 0
    for (const transaction of open) {
      const wait = this.#waits.get(transaction.session)
      if (wait !== undefined) this.#judge(wait, transaction, look)
      else if (this.#waits.size < (this.#options.most ?? MOST)) this.#begin(transaction, new Backoff(this.#retry))
      else unheard++
    }
    return unheard
  }

  /** Ends all waits at once; nothing rings afterwards. */
  async stop(): Promise<void> {
    this.#stopping.abort()
    for (const { timer } of this.#waits.values()) clearTimeout(timer)
    await Promise.all(this.#running)
  }

  get #retry(): Delays {
    return this.#options.retry ?? RETRY
  }

  /** What is not open any more, the drain that follows sees. A wait in the database is about to end by itself. */
  #forgetAllBut(open: ReadonlySet<number>): void {
    for (const [session, { state, timer }] of this.#waits) {
      if (open.has(session) || state === 'waiting') continue
      clearTimeout(timer)
      this.#waits.delete(session)
    }
  }

  #judge(wait: Wait, transaction: OpenTransaction, look: number): void {
    if (wait.state === 'waiting' || wait.state === 'resting') return
    // It rang while this look was under way: the look that the ring brings about knows better.
    if (wait.rangIn >= look) return
    if (wait.state === 'due') this.#begin(transaction, wait.backoff)
    else if (wait.queueId !== transaction.queueId) this.#begin(transaction, new Backoff(this.#retry))
    // The end was told, and it has not ended: at once, that would be a loop.
    else this.#rest(wait)
  }

  #begin(transaction: OpenTransaction, backoff: Backoff): void {
    const { database, log } = this.#options
    const { signal } = this.#stopping
    const { session, queueId } = transaction
    const wait: Wait = { queueId, state: 'waiting', rangIn: 0, timer: undefined, backoff }
    this.#waits.set(session, wait)
    const ended = () => {
      if (signal.aborted) return
      if (this.#failing) log.info('the end of open transactions is heard again')
      this.#failing = false
      this.#ring(wait, 'ended')
    }
    const failed = (error: unknown) => {
      if (signal.aborted) return
      if (this.#failing) log.debug(describe(error), 'the end of an open transaction is still not heard')
      else log.warn(describe(error), 'the end of an open transaction is not heard: looking again')
      this.#failing = true
      this.#rest(wait)
    }
    const running = database.awaitTransaction(transaction, signal).then(ended, failed)
    this.#running.add(running)
    void running.finally(() => this.#running.delete(running))
  }

  #rest(wait: Wait): void {
    wait.state = 'resting'
    wait.timer = setTimeout(() => this.#ring(wait, 'due'), wait.backoff.next())
  }

  #ring(wait: Wait, state: 'ended' | 'due'): void {
    wait.state = state
    wait.rangIn = this.#looks
    this.#options.ring()
  }
}
