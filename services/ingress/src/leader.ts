import { type Broker, type Candidate, type Lead, PublishError } from '@clinic-sync/broker'
import type { DoorbellTest, LeaderAnswer, LeaderFacts, LeaderQuestion, Minute, Side } from '@clinic-sync/contracts'
import { Backoff, type Delays, type Observer, SyncError } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { hostname } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe } from './describe.ts'

const RETRY: Delays = { min: 200, max: 30_000 }
const SIDES: readonly Side[] = ['clinic', 'portal']

export interface LeaderOptions {
  readonly broker: Pick<Broker, 'standForLead' | 'onReconnect'>
  readonly log: FastifyBaseLogger
  readonly observer?: Observer | undefined
  /** It leads from now on: both outboxes are to be looked into. */
  readonly onGained: () => void
  readonly onLost: () => void
  /** Another ingress has heard a doorbell, or RabbitMQ is there again: the outbox is to be looked into. Only who leads is told. */
  readonly onRang: (side: Side, passed: boolean) => void
  /** Another ingress says what it has counted. */
  readonly onCounted: (minutes: readonly Minute[]) => void
  /** Another ingress knows that a verification was kept. */
  readonly onKept: () => void
  readonly drain: (side: Side) => Promise<{ readonly published: number }>
  readonly test: (side: Side) => Promise<DoorbellTest>
}

/**
 * This ingress among others: it leads, or stands by and passes on what it hears to the one that leads. The token behind it is
 * the broker package's.
 */
export class Leader {
  readonly #options: LeaderOptions
  readonly #stopping = new AbortController()
  #lead: Lead | undefined
  #forget: (() => void) | undefined
  #since: string | null = null
  /** Whether the one that leads has answered since this one stands by; null: it has not been asked yet. */
  #known: LeaderFacts | SyncError | null = null

  constructor(options: LeaderOptions) {
    this.#options = options
  }

  get leads(): boolean {
    return this.#lead?.leads ?? false
  }

  /** It does not lead, and another does. */
  get standsBy(): boolean {
    return !this.leads && this.#lead?.state === 'standby' && this.#met
  }

  /** Why it neither leads nor stands by; null: it does. */
  get reason(): string | null {
    if (this.leads || this.standsBy) return null
    if (this.#lead?.state !== 'standby') return 'Not connected to RabbitMQ, which holds the token of who leads.'
    return this.#known instanceof SyncError ? this.#known.message : 'Not known yet who leads.'
  }

  start(): void {
    const { broker, log, observer, onGained, onLost, onRang, onCounted, onKept, drain, test } = this.#options
    const candidate: Candidate = {
      gained: () => {
        this.#since = new Date().toISOString()
        this.#known = null
        log.info('this ingress leads: it drains both outboxes')
        observer?.leads?.(true)
        onGained()
      },
      lost: () => {
        this.#since = null
        if (!this.#stopping.signal.aborted) log.warn('this ingress leads no more: another one takes over')
        observer?.leads?.(false)
        onLost()
      },
      standing: () => {
        this.#known = null
        this.#lookAround()
      },
      rang: (side) => onRang(side, true),
      counted: onCounted,
      kept: onKept,
      asked: (question) => answer(question, { drain, test, facts: () => this.#facts() }),
    }
    observer?.leads?.(false)
    this.#forget = broker.onReconnect(() => {
      if (this.leads) for (const side of SIDES) onRang(side, false)
      // What was heard while nobody could be told. Before it stands, nobody would hear; then it looks around.
      else if (this.#lead?.state === 'standby') this.#passAll()
    })
    this.#lead = broker.standForLead(candidate)
  }

  /**
   * Tells whoever leads that a side has rung. Resolves once RabbitMQ has it. After a failure it is passed on again as soon as
   * RabbitMQ is there.
   *
   * @throws SyncError
   */
  async pass(side: Side): Promise<void> {
    try {
      await this.#lead?.ring(side)
    } catch (error) {
      this.#options.log.debug(
        { side, ...describe(error) },
        'a ring could not be passed on: again once RabbitMQ is there',
      )
      throw error instanceof PublishError ? new SyncError(error.code, error.message, { cause: error }) : error
    }
  }

  /** Tells all others what was counted here. It is said once: a chart that lacks a minute is no loss. */
  share(minutes: readonly Minute[]): void {
    this.#lead?.tell(minutes).catch((error: unknown) => {
      this.#options.log.debug(describe(error), 'what was counted could not be told to other ingresses')
    })
  }

  /** Tells all others that a verification was kept. It is said once: who leads later reads it then. */
  shareKept(): void {
    this.#lead?.tellKept().catch((error: unknown) => {
      this.#options.log.debug(describe(error), 'that a verification was kept could not be told to other ingresses')
    })
  }

  /** The drain of whoever leads. @throws SyncError */
  async askToDrain(side: Side): Promise<{ readonly published: number }> {
    const said = await this.#ask({ ask: 'drain', side })
    if ('drained' in said) return said.drained
    throw notUnderstood()
  }

  /** Whether the one that leads hears a side's doorbell. @throws SyncError */
  async askToTest(side: Side): Promise<DoorbellTest> {
    const said = await this.#ask({ ask: 'test-doorbell', side })
    if ('tested' in said) return said.tested
    throw notUnderstood()
  }

  /** Who leads; null: nobody answers. */
  async who(): Promise<LeaderFacts | null> {
    if (this.leads) return this.#facts()
    try {
      const said = await this.#ask({ ask: 'who' })
      return 'leader' in said ? said.leader : null
    } catch {
      return null
    }
  }

  /** Gives the lead away; another has it some milliseconds later. */
  async stop(): Promise<void> {
    this.#forget?.()
    this.#stopping.abort()
    await this.#lead?.close()
  }

  #ask(question: LeaderQuestion): Promise<LeaderAnswer> {
    return this.#lead?.ask(question) ?? Promise.reject(notUnderstood())
  }

  get #met(): boolean {
    return this.#known !== null && !(this.#known instanceof Error)
  }

  #facts(): LeaderFacts {
    return { host: hostname(), pid: process.pid, since: this.#since ?? new Date().toISOString() }
  }

  /** Passes on what may have been heard before, and finds out who leads, if it is not this one. */
  #lookAround(): void {
    if (this.leads) return
    this.#passAll()
    void this.#meet()
  }

  #passAll(): void {
    for (const side of SIDES) void this.pass(side).catch(() => undefined)
  }

  async #meet(): Promise<void> {
    const { log } = this.#options
    const { signal } = this.#stopping
    const lead = this.#lead
    const backoff = new Backoff(RETRY)
    while (!signal.aborted && lead?.state === 'standby' && !this.#met) {
      try {
        const said = await this.#ask({ ask: 'who' })
        if (!('leader' in said)) throw notUnderstood()
        if (this.leads) return
        this.#known = said.leader
        log.info({ leader: said.leader }, 'this ingress stands by: another one leads')
      } catch (error) {
        if (this.leads || signal.aborted) return
        this.#known = error instanceof SyncError ? error : notUnderstood()
        await sleep(backoff.next(), undefined, { signal }).catch(() => undefined)
      }
    }
  }
}

interface Answers extends Pick<LeaderOptions, 'drain' | 'test'> {
  readonly facts: () => LeaderFacts
}

async function answer(question: LeaderQuestion, { drain, test, facts }: Answers): Promise<LeaderAnswer> {
  switch (question.ask) {
    case 'who':
      return { leader: facts() }
    case 'drain': {
      const { published } = await drain(question.side)
      return { drained: { published } }
    }
    case 'test-doorbell':
      return { tested: await test(question.side) }
  }
}

const notUnderstood = () => new SyncError('SYNC_NO_LEADER', 'The ingress that leads did not answer what was asked.')
