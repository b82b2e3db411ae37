import type { AlertMessage } from '@clinic-sync/contracts'
import { keyOf, type Subject } from '@clinic-sync/operations'
import { Backoff, type Delays, type Observer } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'
import { sendAlert } from './send.ts'

const RETRY: Delays = { min: 1_000, max: 300_000 }
/** What nobody has taken by then is no news any more. */
const GIVE_UP_MS = 6 * 3_600_000
/** At the end, for all that is left. */
const LAST_MS = 3_000

export interface OutgoingOptions {
  /** ALERT_WEBHOOK_URL. Never logged: its path is a secret. */
  readonly url: string
  readonly log: FastifyBaseLogger
  readonly observer?: Observer | undefined
  /** Called whenever a message has come or gone. */
  readonly onChange?: () => void
  readonly retry?: Delays
  readonly giveUpMs?: number
  readonly patienceMs?: number
  readonly lastMs?: number
}

/**
 * The messages on their way to the receiver: one at a time, in order, each until it is taken, refused, or too old. One condition has
 * one message waiting: what is newer takes the place of what was not taken yet, so that nobody reads of a state that is over. An
 * end whose beginning nobody has read is told nevertheless: it says that there was something, and for how long.
 */
export class Outgoing {
  readonly #options: OutgoingOptions
  readonly #backoff: Backoff
  /** Ends what is under way. */
  readonly #stop = new AbortController()
  /** Ends the pauses: what is left is tried once. */
  readonly #closing = new AbortController()
  #current: AlertMessage | null = null
  /** What is under way was forgotten meanwhile: it is not tried again. */
  #dropped = false
  /** By their subjects, which bounds them. */
  #queue: AlertMessage[] = []
  #running: Promise<void> | null = null
  #reason: string | null = null

  constructor(options: OutgoingOptions) {
    this.#options = options
    this.#backoff = new Backoff(options.retry ?? RETRY)
  }

  /** Why messages do not arrive; null: they do, or none was sent. */
  get reason(): string | null {
    return this.#reason
  }

  /** Those that nobody has taken yet, in order. */
  get waiting(): readonly AlertMessage[] {
    return this.#current === null ? this.#queue : [this.#current, ...this.#queue]
  }

  /** Takes its place behind the others, and that of an older one on the same subject. */
  send(message: AlertMessage): void {
    if (this.#closing.signal.aborted) return
    const others = this.#queue.filter((each) => subjectOf(each) !== subjectOf(message))
    if (others.length < this.#queue.length) this.#options.observer?.alerted?.('replaced')
    this.#queue = [...others, message]
    this.#changed()
    this.#running ??= this.#run().finally(() => (this.#running = null))
  }

  /** Forgets what waits: another ingress has it. */
  forget(keep: (subject: Subject['condition']) => boolean): void {
    const stays = ({ condition }: AlertMessage) => condition !== 'test' && keep(condition)
    this.#queue = this.#queue.filter(stays)
    if (this.#current !== null && !stays(this.#current)) this.#dropped = true
  }

  /** Tries what is left once more, for 3 s in all. */
  async close(): Promise<void> {
    const { log, lastMs = LAST_MS } = this.#options
    this.#closing.abort()
    const timer = setTimeout(() => this.#stop.abort(), lastMs)
    await this.#running
    clearTimeout(timer)
    if (this.#queue.length > 0) log.warn({ alerts: this.#queue.length }, 'alerts could not be sent before the end')
  }

  async #run(): Promise<void> {
    const left: AlertMessage[] = []
    for (let next = this.#queue.shift(); next !== undefined; next = this.#queue.shift()) {
      this.#current = next
      this.#dropped = false
      const pause = this.#stop.signal.aborted ? 0 : await this.#attempt(next)
      this.#current = null
      if (this.#dropped) {
        this.#changed()
        continue
      }
      if (pause !== null && this.#closing.signal.aborted) left.push(next)
      else if (pause !== null && !this.#queue.some((each) => subjectOf(each) === subjectOf(next))) {
        this.#queue.unshift(next)
        await sleep(pause, undefined, { signal: this.#closing.signal }).catch(() => undefined)
      } else if (pause !== null) this.#options.observer?.alerted?.('replaced')
      this.#changed()
    }
    this.#queue = left
  }

  /** @returns milliseconds before the next attempt; null: there is to be none */
  async #attempt(message: AlertMessage): Promise<number | null> {
    const { url, log, observer, patienceMs, giveUpMs = GIVE_UP_MS } = this.#options
    const { condition, state, id } = message
    const attempt = await sendAlert(url, message, { signal: this.#stop.signal, ...(patienceMs && { patienceMs }) })
    if (attempt.is === 'taken') {
      if (this.#reason !== null) log.info({}, 'alerts are taken again')
      log.info({ condition, state, id }, 'an alert was sent')
      this.#reason = null
      this.#backoff.reset()
      observer?.alerted?.('sent')
      return null
    }
    const { is, why, status } = attempt
    const reason = `ALERT_WEBHOOK_URL: ${why}.`
    if (is === 'refused') {
      observer?.alerted?.('refused')
      log.error({ condition, state, id, status }, `an alert was not taken, and is not sent again: ${why}`)
      this.#reason = reason
      return null
    }
    observer?.alerted?.('failed')
    if (this.#reason === null)
      log.warn({ condition, state, id, status }, `an alert could not be sent: ${why}; trying again`)
    this.#reason = reason
    if (Date.now() - Date.parse(message.at) < giveUpMs) return Math.max(attempt.afterMs ?? 0, this.#backoff.next())
    observer?.alerted?.('given-up')
    log.error({ condition, state, id, status }, `an alert is given up, after hours: ${why}`)
    return null
  }

  #changed(): void {
    this.#options.onChange?.()
  }
}

const subjectOf = ({ condition, side, direction }: AlertMessage): string =>
  condition === 'test' ? condition : keyOf({ condition, side, direction })
