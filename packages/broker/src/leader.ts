import type { LeaderAnswer, LeaderQuestion, Minute, Side } from '@clinic-sync/contracts'
import type { Channel, ConsumeMessage } from 'amqplib'
import type { Candidate, Lead, LeadState, LeadTiming, Log } from './api.ts'
import { keepChannel, type Watched } from './channel.ts'
import { Connection } from './connection.ts'
import type { Topology } from './prepare.ts'
import type { Publisher } from './publisher.ts'
import { PATIENCE_MS, Rings } from './rings.ts'
import { LEADER, leaderKey } from './topology.ts'
import { within } from './wait.ts'

/**
 * RabbitMQ closes the channel of a delivery unacknowledged for 30 minutes: by then the token is given back, and delivered
 * anew. It stays with the single active consumer, whoever else waits. Each time counts as a delivery: a million last 19 years.
 */
const RENEW_MS = 10 * 60_000
/** RabbitMQ lets go of a leader that is silent for two of these, in seconds. A heartbeat in the URL wins. */
const HEARTBEAT_S = 5
/** Of a heartbeat: who has stood still for so long may have been let go. At the earliest that is after 1.5. */
const FROZEN = 1.2
const CLOSE_MS = 3_000

export interface LeadershipOptions extends LeadTiming {
  readonly url: string
  readonly log: Log
  readonly name: string
  readonly publisher: Publisher
  readonly topology: Topology
  readonly candidate: Candidate
}

/**
 * Who holds the unacknowledged token of the queue `sync.leader` leads: its single active consumer. When its connection ends,
 * RabbitMQ gives the token to the next who waits; nothing is left behind and nobody asks. See docs/decisions/012.
 *
 * On a connection of its own, with a short heartbeat, so that who hangs is noticed within 15 s.
 */
export class Leadership implements Lead {
  readonly #options: LeadershipOptions
  readonly #connection: Connection
  readonly #rings: Rings
  readonly #stop = new AbortController()
  readonly #loop: Promise<void>
  readonly #frozenMs: number
  readonly #watch: NodeJS.Timeout
  #held = false
  #standing = false
  #awakeAt = performance.now()
  #lose: (reason?: string) => void = () => undefined

  constructor(options: LeadershipOptions) {
    this.#options = options
    const { url, log, name, publisher, patienceMs = PATIENCE_MS, candidate } = options
    const { href, seconds } = withShortHeartbeat(url)
    this.#frozenMs = seconds * 1000 * FROZEN
    this.#watch = setInterval(() => this.#lookAtClock(), this.#frozenMs / 6)
    this.#connection = new Connection(href, `${name} leading`, log)
    this.#rings = new Rings({ publisher, log, name, patienceMs, leads: () => this.leads, candidate })
    this.#connection.start()
    this.#loop = keepChannel<Channel>({
      connection: this.#connection,
      signal: this.#stop.signal,
      label: `${name} leading`,
      log,
      open: async (model) => {
        await options.topology.prepare(model)
        return model.createChannel()
      },
      use: (watched) => this.#use(watched),
    })
  }

  /** Asked before each step: a process that has stood still must not go on where it was, though no event has told it yet. */
  get leads(): boolean {
    return this.#held && performance.now() - this.#awakeAt < this.#frozenMs
  }

  get state(): LeadState {
    return this.leads ? 'leads' : this.#standing ? 'standby' : 'connecting'
  }

  ring(side: Side): Promise<void> {
    return this.#rings.ring(side)
  }

  ask(question: LeaderQuestion): Promise<LeaderAnswer> {
    return this.#rings.ask(question)
  }

  tell(minutes: readonly Minute[]): Promise<void> {
    return this.#rings.tell(minutes)
  }

  tellKept(): Promise<void> {
    return this.#rings.tellKept()
  }

  async close(): Promise<void> {
    if (this.#options.publisher.up) await within(CLOSE_MS, this.#rings.passed())
    this.#stop.abort()
    this.#lose()
    clearInterval(this.#watch)
    await within(CLOSE_MS, this.#loop)
    await this.#connection.close()
  }

  async #use({ channel, lost, abandon }: Watched<Channel>): Promise<void> {
    const { candidate } = this.#options
    let renewal: NodeJS.Timeout | undefined
    let ended: () => void = () => undefined
    const over = new Promise<void>((resolve) => (ended = resolve))
    this.#lose = (reason) => {
      if (reason !== undefined) abandon(reason)
      clearTimeout(renewal)
      this.#lose = () => undefined
      this.#standing = false
      const held = this.#held
      this.#held = false
      this.#rings.lose()
      if (held) candidate.lost()
      ended()
    }
    const onLost = () => this.#lose()
    lost.addEventListener('abort', onLost, { once: true })
    if (lost.aborted || this.#stop.signal.aborted) return this.#lose()
    try {
      await channel.prefetch(1)
      await this.#rings.open(channel, abandon)
      // One token more does no harm: the queue keeps one beside the one that is held. None would mean that nobody leads.
      channel.publish(LEADER, leaderKey, Buffer.from('token'), { persistent: true })
      const receive = (token: ConsumeMessage | null) => {
        if (token === null) return abandon('RabbitMQ cancelled the consumer of the token: was the queue deleted?')
        if (lost.aborted || this.#stop.signal.aborted) return
        renewal = setTimeout(() => channel.nack(token, false, true), this.#options.renewMs ?? RENEW_MS)
        if (this.#held) return
        this.#held = true
        this.#awakeAt = performance.now()
        candidate.gained()
      }
      await channel.consume(LEADER, receive)
      if (lost.aborted || this.#stop.signal.aborted) return
      this.#standing = true
      candidate.standing()
      await over
    } finally {
      lost.removeEventListener('abort', onLost)
      this.#lose()
    }
  }

  /** A clock that has jumped means that this process stood still: RabbitMQ may have given the token to another. */
  #lookAtClock(): void {
    const still = performance.now() - this.#awakeAt
    if (this.#held && still >= this.#frozenMs)
      this.#lose(`this process stood still for ${(still / 1000).toFixed(1)} s: another may lead by now`)
    this.#awakeAt = performance.now()
  }
}

function withShortHeartbeat(text: string): { readonly href: string; readonly seconds: number } {
  // Connection says what is wrong with a URL that is none.
  if (!URL.canParse(text)) return { href: text, seconds: HEARTBEAT_S }
  const url = new URL(text)
  if (!url.searchParams.has('heartbeat')) url.searchParams.set('heartbeat', String(HEARTBEAT_S))
  const seconds = Number(url.searchParams.get('heartbeat'))
  return { href: url.href, seconds: seconds > 0 ? seconds : HEARTBEAT_S }
}
