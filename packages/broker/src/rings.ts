import { randomUUID } from 'node:crypto'
import {
  countedMinutesValidator,
  leaderAnswerValidator,
  leaderQuestionValidator,
  passedRingValidator,
  type LeaderAnswer,
  type LeaderQuestion,
  type Minute,
  type Side,
} from '@clinic-sync/contracts'
import { ADVICE, type ErrorCode, SyncError } from '@clinic-sync/sync'
import type { Channel, ConsumeMessage } from 'amqplib'
import type { Candidate, Log } from './api.ts'
import { describe } from './errors.ts'
import { nowInSeconds } from './message.ts'
import type { OutgoingMessage, Publisher } from './publisher.ts'
import { RINGS } from './topology.ts'

const RING = 'sync.ring.v1'
/** Services of 1.0 do not know these: the one of them that leads passes over each with a line in its log. */
const COUNTED = 'sync.counted.v1'
const KEPT = 'sync.kept.v1'
const QUESTION = 'sync.question.v1'
const ANSWER = 'sync.answer.v1'

/** How long a question waits for the leader's first word, and for each one after it. */
export const PATIENCE_MS = 6_000
/** Words of a leader that is still at work, for each time that somebody waits for one. */
const WORDS = 3
const MAX_BYTES = 64 * 1024

export interface RingsOptions {
  readonly publisher: Publisher
  readonly log: Log
  readonly name: string
  readonly patienceMs: number
  readonly leads: () => boolean
  readonly candidate: Pick<Candidate, 'rang' | 'asked' | 'counted' | 'kept'>
}

interface Asked {
  readonly answer: (answer: LeaderAnswer) => void
  readonly fail: (error: SyncError) => void
  /** The leader is at work. */
  readonly heard: () => void
}

/**
 * What the ingresses say to each other: rings, which whoever leads answers with a drain, and questions to it. Each hears on
 * an exclusive queue that goes with its connection. Nothing that is said here is written anywhere.
 */
export class Rings {
  readonly #options: RingsOptions
  readonly #asked = new Map<string, Asked>()
  /** The words to those who wait for this one's answer. */
  readonly #words = new Set<NodeJS.Timeout>()
  readonly #underWay = new Map<Side, Promise<void>>()
  readonly #next = new Map<Side, Promise<void>>()
  #inbox: string | null = null

  constructor(options: RingsOptions) {
    this.#options = options
  }

  /** Hears from now on; to be called before the lead can be had, so that no ring finds a leader who does not hear. */
  async open(channel: Channel, abandon: (reason: string) => void): Promise<void> {
    const inbox = `${RINGS}.${randomUUID()}`
    await channel.assertQueue(inbox, { exclusive: true, durable: false, autoDelete: true })
    await channel.bindQueue(inbox, RINGS, '')
    await channel.consume(
      inbox,
      (message) => {
        if (message === null) abandon('RabbitMQ cancelled the consumer of rings')
        else this.#hear(message)
      },
      { noAck: true },
    )
    this.#inbox = inbox
  }

  /** The channel is gone: no answer will come. */
  lose(): void {
    this.#inbox = null
    for (const timer of this.#words) clearInterval(timer)
    this.#words.clear()
    for (const { fail } of this.#asked.values())
      fail(new SyncError('SYNC_BROKER_DOWN', 'the connection to RabbitMQ was lost before the answer came'))
  }

  /**
   * Tells whoever leads that a side has rung. Resolves once RabbitMQ has it in that one's queue. Rings that come while one is on
   * its way share the next.
   *
   * @throws PublishError
   */
  ring(side: Side): Promise<void> {
    const before = this.#underWay.get(side)
    if (before === undefined) return this.#pass(side)
    let next = this.#next.get(side)
    if (next === undefined) {
      const again = () => {
        this.#next.delete(side)
        return this.#pass(side)
      }
      next = before.then(again, again)
      this.#next.set(side, next)
    }
    return next
  }

  /** Tells all others. @throws PublishError */
  tell(minutes: readonly Minute[]): Promise<void> {
    return this.#options.publisher.publish([this.#message(RINGS, '', COUNTED, { minutes })])
  }

  /** Tells all others. @throws PublishError */
  tellKept(): Promise<void> {
    return this.#options.publisher.publish([this.#message(RINGS, '', KEPT, {})])
  }

  /** @throws SyncError SYNC_NO_LEADER, SYNC_BROKER_DOWN, or what the leader says */
  async ask(question: LeaderQuestion): Promise<LeaderAnswer> {
    const { publisher, patienceMs } = this.#options
    const seconds = patienceMs / 1000
    const id = randomUUID()
    let timer: NodeJS.Timeout | undefined
    const answered = new Promise<LeaderAnswer>((resolve, reject) => {
      const wait = (message: string) => {
        clearTimeout(timer)
        timer = setTimeout(() => reject(new SyncError('SYNC_NO_LEADER', message)), patienceMs)
      }
      wait(`No ingress leads: none answered within ${seconds} s.`)
      const heard = () => wait(`The ingress that leads has not answered for ${seconds} s.`)
      this.#asked.set(id, { answer: resolve, fail: reject, heard })
    })
    answered.catch(() => undefined)
    try {
      await publisher.publish([this.#message(RINGS, '', QUESTION, question, id)])
      return await answered
    } finally {
      clearTimeout(timer)
      this.#asked.delete(id)
    }
  }

  /** Resolves when what is on its way has arrived, or failed. */
  async passed(): Promise<void> {
    await Promise.allSettled([...this.#underWay.values(), ...this.#next.values()])
  }

  #pass(side: Side): Promise<void> {
    const passing = this.#options.publisher.publish([this.#message(RINGS, '', RING, { side })])
    this.#underWay.set(side, passing)
    const over = () => {
      if (this.#underWay.get(side) === passing) this.#underWay.delete(side)
    }
    passing.then(over, over)
    return passing
  }

  #hear(message: ConsumeMessage): void {
    const { type, replyTo, correlationId } = message.properties as unknown as Record<string, unknown>
    const said = parse(message)
    if (type === ANSWER && typeof correlationId === 'string') return this.#answered(correlationId, said)
    if (replyTo === this.#inbox) return
    if (type === COUNTED && countedMinutesValidator.Check(said)) return this.#options.candidate.counted?.(said.minutes)
    if (type === KEPT) return this.#options.candidate.kept?.()
    // A standby leaves everything else to the leader.
    if (!this.#options.leads()) return
    if (type === RING && passedRingValidator.Check(said)) this.#options.candidate.rang(said.side)
    else if (type === QUESTION && leaderQuestionValidator.Check(said)) {
      if (typeof correlationId === 'string') void this.#reply(said, correlationId)
    } else this.#options.log.warn({ type: String(type).slice(0, 40) }, 'what another ingress said is not understood')
  }

  #answered(id: string, said: unknown): void {
    const asked = this.#asked.get(id)
    if (asked === undefined || !leaderAnswerValidator.Check(said)) return
    if ('working' in said) asked.heard()
    else if ('code' in said) asked.fail(new SyncError(codeOf(said.code), said.message))
    else asked.answer(said)
  }

  /**
   * Says at once that it is at work, and again and again until it has the answer: the asker gives up on silence only. To all: who has
   * not asked passes it over, and a login that may publish to any queue by its name is not needed.
   */
  async #reply(question: LeaderQuestion, id: string): Promise<void> {
    const { candidate, publisher, log, patienceMs } = this.#options
    const say = (answer: LeaderAnswer) =>
      publisher
        .publish([this.#message(RINGS, '', ANSWER, answer, id)])
        // Who has asked may be gone, or RabbitMQ: then nobody waits.
        .catch((error: unknown) => log.debug(describe(error), 'an answer did not reach who asked'))
    void say({ working: true })
    const timer = setInterval(() => void say({ working: true }), patienceMs / WORDS)
    this.#words.add(timer)
    try {
      await say(await candidate.asked(question))
    } catch (error) {
      const known = error instanceof SyncError
      await say({
        code: known ? error.code : 'SYNC_UNFORESEEN',
        message: (known ? error.message : 'An unexpected error; see the log of the ingress that leads.').slice(0, 2000),
      })
    } finally {
      clearInterval(timer)
      this.#words.delete(timer)
    }
  }

  #message(exchange: string, routingKey: string, type: string, body: object, correlationId?: string): OutgoingMessage {
    return {
      exchange,
      routingKey,
      content: Buffer.from(JSON.stringify(body)),
      options: {
        messageId: randomUUID(),
        type,
        contentType: 'application/json',
        timestamp: nowInSeconds(),
        appId: this.#options.name,
        ...(this.#inbox !== null && { replyTo: this.#inbox }),
        ...(correlationId !== undefined && { correlationId }),
      },
    }
  }
}

function parse({ content }: ConsumeMessage): unknown {
  if (content.length > MAX_BYTES) return null
  try {
    return JSON.parse(content.toString('utf8'))
  } catch {
    return null
  }
}

const codeOf = (code: string): ErrorCode => (Object.hasOwn(ADVICE, code) ? (code as ErrorCode) : 'SYNC_UNFORESEEN')
