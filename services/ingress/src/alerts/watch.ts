import type { Broker } from '@clinic-sync/broker'
import { DIRECTIONS } from '@clinic-sync/broker'
import type { AlertTestResponse, Direction, Side, Verification } from '@clinic-sync/contracts'
import {
  ALERT_LIMITS,
  ALERT_RULES,
  AlertBook,
  type AlertFacts,
  type AlertLimits,
  alertMessage,
  type AlertRules,
  type AlertSender,
  type DirectionFacts,
  judgeAlerts,
  testMessage,
} from '@clinic-sync/operations'
import type { Delays, Observer, Operable } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { randomUUID } from 'node:crypto'
import { describe } from '../describe.ts'
import { Doubts } from './doubts.ts'
import { type AlertMemory, Recollection } from './memory.ts'
import { Outgoing } from './outgoing.ts'
import { sendAlert } from './send.ts'
import type { Senses } from './senses.ts'

/** After a failure to read what the last verification found. */
const VERIFIED_AGAIN_MS = 60_000
const SIDES: readonly Side[] = ['clinic', 'portal']

/** Milliseconds. For tests: shorter ones. */
export interface AlertWatchTiming {
  /** Between two judgements of what is known, which cost microseconds. */
  readonly lookMs: number
  /** Between two questions to RabbitMQ how deep its queues are: 2 ms of this process's CPU (20 queues, RabbitMQ 4). */
  readonly askMs: number
  /** What needs a database must have failed for so long before it is asked. */
  readonly doubtMs: number
  /** Who started without RabbitMQ speaks of it after this; who stood by, and may be all that is left, after that. */
  readonly aloneMs: number
  readonly standbyMs: number
}

const TIMING: AlertWatchTiming = {
  lookMs: 5_000,
  askMs: 15_000,
  doubtMs: 10_000,
  aloneMs: 120_000,
  standbyMs: 15 * 60_000,
}

/** What is asked of the ingress. */
export interface AlertsOf {
  readonly leads: boolean
  readonly standsBy: boolean
  /** Why it neither leads nor stands by; null: it does. */
  readonly leadReason: string | null
  readonly state: { reason(name: string): string | null }
  probe(side: Side): Promise<void>
}

export interface AlertWatchOptions {
  /** ALERT_WEBHOOK_URL */
  readonly url: string
  readonly rabbitmqUrl: string
  readonly broker: Pick<Broker, 'queueDepths' | 'state'>
  readonly outboxes: Readonly<Record<Side, Pick<Operable, 'outboxStatus'>>>
  readonly senses: Senses
  readonly sender: AlertSender
  readonly log: FastifyBaseLogger
  readonly observer?: Observer | undefined
  /** The last that was kept; null: there is none. Asks the portal's database only where it has to: at the first time, and after a new one. */
  readonly verification?: (() => Promise<Verification | null>) | undefined
  /** Where what was told is kept for who leads next; missing: it is told anew. */
  readonly memory?: AlertMemory | undefined
  readonly timing?: Partial<AlertWatchTiming>
  readonly rules?: AlertRules
  readonly repeat?: Delays
  readonly limits?: AlertLimits
  readonly retry?: Delays
  readonly patienceMs?: number
}

/**
 * Tells people what stops the sync, and when it is over, as long as this ingress leads. It judges what the ingress knows anyway, and
 * RabbitMQ's counts; a database is asked only where these raise a doubt.
 *
 * Who leads is RabbitMQ's to say, so of RabbitMQ itself the one tells that led last. One that has never reached it tells after two
 * minutes; one that stood by after a quarter of an hour, since the one that led may be as dead as RabbitMQ.
 */
export class AlertWatch {
  readonly #options: AlertWatchOptions
  readonly #timing: AlertWatchTiming
  readonly #ingress: AlertsOf
  readonly #book: AlertBook
  readonly #outgoing: Outgoing
  readonly #doubts: Doubts
  readonly #memory: Recollection
  readonly #rules: AlertRules
  readonly #limits: AlertLimits
  #timer: NodeJS.Timeout | undefined
  #looking: Promise<void> = Promise.resolve()
  #busy = false
  #closed = false
  #askedAt = Number.NEGATIVE_INFINITY
  #asking = false
  /** Led last, or leads. */
  #onDuty = false
  #stoodBy = false
  /** For which what was told before is known. */
  #term = 0
  #downSince: number | null = null
  #verification: Verification | null = null
  #verifiedNotBefore = 0
  /** Since when a side's doorbell is not heard, or its events lie there. */
  readonly #doubtfulSince = new Map<Side, number>()

  constructor(options: AlertWatchOptions, ingress: AlertsOf) {
    this.#options = options
    this.#ingress = ingress
    this.#timing = { ...TIMING, ...options.timing }
    this.#rules = options.rules ?? ALERT_RULES
    this.#book = new AlertBook(this.#rules)
    const { url, log, observer, retry, patienceMs, senses, rabbitmqUrl, outboxes, repeat } = options
    this.#limits = options.limits ?? ALERT_LIMITS
    this.#outgoing = new Outgoing({
      url,
      log,
      observer,
      onChange: () => this.#keep(),
      ...(retry && { retry }),
      ...(patienceMs && { patienceMs }),
    })
    this.#doubts = new Doubts({
      senses,
      rabbitmqUrl,
      log,
      outboxes,
      probe: (side) => ingress.probe(side),
      ...(repeat && { repeat }),
      unsettledSeconds: this.#limits.unsettled,
    })
    this.#memory = new Recollection(options.memory, log)
  }

  /** Why messages do not arrive; null: they do, or none was sent. */
  get reason(): string | null {
    return this.#outgoing.reason
  }

  start(): void {
    this.#timer = setInterval(() => this.#tick(), this.#timing.lookMs)
  }

  /** Sends a test message, once. */
  async test(): Promise<AlertTestResponse> {
    const { url, sender, patienceMs } = this.#options
    const began = performance.now()
    const message = testMessage(sender, newId(), Date.now())
    const attempt = await sendAlert(url, message, patienceMs === undefined ? {} : { patienceMs })
    const why = attempt.is === 'taken' ? null : `${attempt.why[0]?.toUpperCase()}${attempt.why.slice(1)}.`
    return {
      sent: attempt.is === 'taken',
      status: attempt.status,
      ms: Math.round(performance.now() - began),
      message: why,
    }
  }

  /** To be called before anything else is closed: what ends then is no news. What is left is tried for some seconds. */
  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#timer)
    await this.#looking
    await this.#outgoing.close()
    this.#keep()
    await this.#memory.close()
  }

  #tick(): void {
    if (this.#busy || this.#closed) return
    this.#busy = true
    this.#looking = this.#look()
      .catch((error: unknown) => this.#options.log.error(describe(error), 'alerts: a look has failed'))
      .finally(() => (this.#busy = false))
  }

  async #look(): Promise<void> {
    const { leads, standsBy } = this.#ingress
    if (leads) await this.#lead()
    else if (standsBy) this.#standBy()
    if (this.#closed) return
    if (leads) this.#sense()
    const now = Date.now()
    const events = this.#book.step(judgeAlerts(this.#facts(leads, now), this.#limits), now)
    for (const event of events) this.#outgoing.send(alertMessage(event, this.#options.sender, newId(), now))
  }

  /** From now on this one tells: what another has told, or itself before a restart, is not told anew. */
  async #lead(): Promise<void> {
    const { terms } = this.#options.senses
    if (this.#term === terms) return
    const kept = await this.#memory.load()
    this.#term = terms
    this.#onDuty = true
    this.#stoodBy = false
    if (kept === null) return
    this.#book.take(kept.told, (key) => key === 'rabbitmq')
    for (const message of kept.waiting) this.#outgoing.send(message)
  }

  /** Another tells. What this one has told of RabbitMQ it takes back itself: the other may never have noticed. */
  #standBy(): void {
    if (this.#stoodBy) return
    this.#stoodBy = true
    this.#onDuty = false
    this.#doubts.forget()
    this.#book.take([], (key) => key === 'rabbitmq')
    this.#outgoing.forget((condition) => condition === 'rabbitmq')
  }

  /** Asks whoever has to be asked; the answers are there at a later look. */
  #sense(): void {
    this.#askQueues()
    for (const side of SIDES) this.#doubts.database(side, this.#isDoubtful(side))
    for (const direction of DIRECTIONS) this.#doubts.outcomes(direction)
    this.#doubts.deadLetters()
    this.#askVerification()
  }

  #askQueues(): void {
    const { broker, senses } = this.#options
    if (this.#asking || performance.now() - this.#askedAt < this.#timing.askMs) return
    this.#asking = true
    this.#askedAt = performance.now()
    void broker
      .queueDepths()
      .then((depths) => senses.asked(depths))
      .finally(() => (this.#asking = false))
  }

  #askVerification(): void {
    const { verification } = this.#options
    const mayAsk = this.#ingress.state.reason('portal') === null && performance.now() >= this.#verifiedNotBefore
    if (verification === undefined || !mayAsk) return
    // One answer at a time, and not soon again after a failure: with one at hand nobody is asked.
    this.#verifiedNotBefore = Number.POSITIVE_INFINITY
    void verification().then(
      (last) => {
        this.#verification = last
        this.#verifiedNotBefore = 0
      },
      () => (this.#verifiedNotBefore = performance.now() + VERIFIED_AGAIN_MS),
    )
  }

  /** Its doorbell is not heard, or nobody takes the events for it, or it was out of reach when last used. */
  #isDoubtful(side: Side): boolean {
    const { senses } = this.#options
    const { state } = this.#ingress
    const towards: Direction = side === 'portal' ? 'sql-to-postgres' : 'postgres-to-sql'
    const isAlone = (senses.unattended(towards)?.messages ?? 0) > 0
    const isOdd = state.reason(`${side}-doorbell`) !== null || isAlone || state.reason(side) !== null
    if (!isOdd) this.#doubtfulSince.delete(side)
    else if (!this.#doubtfulSince.has(side)) this.#doubtfulSince.set(side, performance.now())
    const since = this.#doubtfulSince.get(side)
    return since !== undefined && performance.now() - since >= this.#timing.doubtMs
  }

  #facts(leads: boolean, now: number): AlertFacts {
    const { state } = this.#ingress
    return {
      leads,
      rabbitmq: this.#rabbitmq(now),
      databases: { clinic: state.reason('clinic'), portal: state.reason('portal') },
      // Before that it is not known: what another has told of it stands.
      restored: this.#options.senses.isCompared ? state.reason('restored') : undefined,
      doorbells: { clinic: state.reason('clinic-doorbell'), portal: state.reason('portal-doorbell') },
      directions: {
        'sql-to-postgres': this.#direction('sql-to-postgres'),
        'postgres-to-sql': this.#direction('postgres-to-sql'),
      },
      verification: this.#verification,
    }
  }

  #direction(direction: Direction): DirectionFacts {
    const { senses } = this.#options
    return {
      ...senses.waiting(direction),
      unattended: senses.unattended(direction),
      unsettled: this.#doubts.unsettled(direction),
      unsure: senses.isUnsure(direction),
      dead: this.#doubts.dead(direction),
    }
  }

  #rabbitmq(now: number): AlertFacts['rabbitmq'] {
    const { publisher } = this.#options.broker.state()
    const reason =
      publisher === 'blocked'
        ? 'RabbitMQ takes no messages: it is out of memory or disk.'
        : publisher !== 'up'
          ? 'This ingress is not connected to RabbitMQ.'
          : this.#ingress.leadReason
    if (reason === null) {
      this.#downSince = null
      return null
    }
    this.#downSince ??= now
    const { aloneMs, standbyMs } = this.#timing
    const lasted = now - this.#downSince
    const seconds = lasted / 1000
    if (this.#onDuty || this.#ingress.leads) return { reason, seconds }
    if (!this.#stoodBy) return lasted >= aloneMs ? { reason, seconds } : null
    const says = `${reason} It stood by: if another ingress has told of this, it is the same outage.`
    return lasted >= standbyMs ? { reason: says, seconds } : null
  }

  #keep(): void {
    if (this.#ingress.leads) this.#memory.keep({ told: this.#book.told(), waiting: this.#outgoing.waiting })
  }
}

const newId = () => `alert_${randomUUID()}`
