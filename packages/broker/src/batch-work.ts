import { backoffMs, DatabaseError } from '@clinic-sync/sync'
import type { ConsumerState } from './api.ts'
import { acknowledge } from './acknowledge.ts'
import { type BatchConsumerOptions, type Delivered, failureOf, type Handled, type Open } from './consumer.ts'
import type { BatchLimits, TakenMessage } from './deliveries.ts'
import { describe, isBrokerTrouble } from './errors.ts'
import { fitting, renewWorn, storeAnew } from './rounds.ts'
import { sleep } from './wait.ts'

/**
 * RabbitMQ closes the channel of a delivery unacknowledged for 30 minutes, and each return to the queue counts as a delivery. So what
 * cannot be settled for so long, though the database is there, is stored anew, behind what is in its queue, and then acknowledged.
 */
const HOLD_MS = 10 * 60_000
const UNEXPECTED_TRIES = 3

/**
 * `settled`: acknowledged. `lost`: the channel is gone, all will be delivered again. `down`: the database is. `held`: in hand for too
 * long.
 */
export type Result = 'settled' | 'lost' | 'down' | 'held'

export interface BatchWorkOptions extends BatchConsumerOptions {
  readonly limits: BatchLimits
  readonly open: Open
  /** By consumer tag. */
  readonly queueOf: ReadonlyMap<string, string>
  /** Aborts when there is nothing left to finish. */
  readonly stop: AbortSignal
  readonly onState: (state: ConsumerState) => void
}

/** What came of a first attempt. */
type Tried = { readonly handled: Handled } | { readonly error: unknown }

/** A batch that is handled, and whose traces are being stored. */
interface Storing {
  readonly batch: readonly Delivered[]
  /** Null: acknowledged, or the channel is lost. Rejects with what `onAcked` throws. */
  readonly ended: Promise<{ readonly error: unknown } | null>
}

/**
 * The work of one channel: batches are handled one at a time, in their order, and acknowledged in that order, each when all its traces are
 * stored. While RabbitMQ stores the traces of one, the next is handled: one ahead, so that a crash finds two batches unacknowledged at
 * most. As soon as anything fails it is one step after the other, beginning with the older batch, until all in hand is settled.
 */
export class BatchWork {
  readonly #options: BatchWorkOptions
  readonly #open: Open
  /** Messages that a batch, handled and not acknowledged yet, puts off: `Deliveries` does not count them before. */
  #puttingOff = 0

  constructor(options: BatchWorkOptions) {
    this.#options = options
    this.#open = options.open
  }

  /** Until no more batches are wanted, or the channel is no longer usable. */
  async run(): Promise<Exclude<Result, 'held'>> {
    const { deliveries, lost } = this.#open
    let before: Storing | null = null
    for (;;) {
      const taken = await deliveries.next()
      // None: the batch before could not be stored, or there are no more.
      const batch = this.#named(taken ?? [])
      const tried = batch.length === 0 ? null : await this.#try(batch)
      const unstored = before === null ? null : await before.ended
      if (lost.aborted) return 'lost'
      const todo: { batch: readonly Delivered[]; tried: Tried }[] = []
      if (before !== null && unstored !== null) todo.push({ batch: before.batch, tried: unstored })
      before = null
      if (tried !== null && 'handled' in tried && todo.length === 0) before = this.#store(batch, tried.handled)
      else if (tried !== null) todo.push({ batch, tried })
      const result = await this.#oneByOne(todo)
      if (result !== 'settled' || taken === null) return result
    }
  }

  /** How many of the next batch may be put off. */
  get #room(): number {
    return Math.max(0, this.#options.limits.maxBatch - this.#open.deliveries.late - this.#puttingOff)
  }

  async #try(batch: readonly Delivered[]): Promise<Tried> {
    try {
      return { handled: await this.#options.handle(batch, this.#room) }
    } catch (error) {
      return { error }
    }
  }

  /** Stores a batch's traces and acknowledges it. The rest of the work is told at once where that fails. */
  #store(batch: readonly Delivered[], handled: Handled): Storing {
    const store = async () => {
      try {
        await this.#publish(handled)
      } catch (error) {
        return { error }
      }
      await this.#done(batch, handled.later)
      return null
    }
    const wake = () => this.#open.deliveries.interrupt()
    this.#puttingOff = handled.later?.size ?? 0
    const ended = store()
    ended.then((unstored) => unstored !== null && wake(), wake)
    return { batch, ended }
  }

  async #publish({ report, copies }: Handled): Promise<void> {
    const { publisher, onCopies } = this.#options
    await report?.()
    // On a lost channel the batch will be delivered again: a copy now would only be one too many.
    if (this.#open.lost.aborted) return
    await publisher.publish(copies)
    onCopies?.(copies)
  }

  async #done(batch: readonly Delivered[], later: Handled['later']): Promise<void> {
    if (this.#open.lost.aborted) return
    const acked = acknowledge(batch, later, this.#open)
    this.#puttingOff = 0
    this.#options.onState('consuming')
    if (acked) await this.#options.consume.onAcked?.()
  }

  /** @param todo batches in their order, of which each has been tried once */
  async #oneByOne(todo: readonly { batch: readonly Delivered[]; tried: Tried }[]): Promise<Exclude<Result, 'held'>> {
    for (const [i, { batch, tried }] of todo.entries()) {
      const others = todo.slice(i + 1)
      const behind = others.flatMap((each) => each.batch)
      this.#puttingOff = others.reduce((sum, each) => sum + lateOf(each.tried), 0)
      let result = await this.#settle(batch, tried)
      let inHand: readonly Delivered[] = [...batch, ...behind]
      if (result === 'held') {
        ;[result, inHand] = await this.#goRound(inHand)
        if (result === 'settled') return result
      }
      if (result === 'down') await renewWorn([...inHand, ...this.#rest()], this.#options)
      if (result === 'lost' || result === 'down') return result
    }
    return 'settled'
  }

  /**
   * Works on a batch until its result is stored, or the channel is lost. Failures of the broker, or of a database that is there
   * when asked, are waited out with the batch in hand: giving it back would count as a delivery, and after 20 of
   * those RabbitMQ dead-letters a message that did nothing wrong.
   *
   * @param first what came of the first attempt, where that has been made
   */
  async #settle(batch: readonly Delivered[], first: Tried | null): Promise<Result> {
    const { lost, noMore } = this.#open
    const { consume, intake, again, stop, onState } = this.#options
    const { holdMs = HOLD_MS } = consume
    const since = performance.now()
    const unexpected: unknown[] = []
    for (let attempt = 0; !lost.aborted && !stop.aborted; attempt++) {
      if (attempt > 0) {
        await sleep(backoffMs(attempt - 1), noMore)
        if (noMore.aborted) return 'lost'
      }
      let later: Handled['later']
      try {
        later = await this.#attempt(batch, unexpected, attempt === 0 ? first : null)
      } catch (error) {
        if (lost.aborted) return 'lost'
        if (isDown(error)) {
          onState('paused')
          if ((await failureOf(consume.check)) !== null) return 'down'
        } else if (!isBrokerTrouble(error)) unexpected.push(error)
        this.#logFailure(batch, error, attempt)
        const tooLong = performance.now() - since > holdMs || intake.overflows
        if (tooLong && again !== undefined) return 'held'
        continue
      }
      if (lost.aborted) return 'lost'
      await this.#done(batch, later)
      return 'settled'
    }
    return 'lost'
  }

  /** @returns what is to be handled again */
  async #attempt(
    batch: readonly Delivered[],
    unexpected: readonly unknown[],
    tried: Tried | null,
  ): Promise<Handled['later']> {
    const { handle, giveUp } = this.#options
    if (tried !== null && 'error' in tried) throw tried.error
    const handled: Handled =
      tried !== null
        ? tried.handled
        : unexpected.length < UNEXPECTED_TRIES
          ? await handle(batch, this.#room)
          : { copies: await giveUp(batch, unexpected.at(-1)) }
    await this.#publish(handled)
    return handled.later
  }

  /** Stores all in hand anew. @returns what came of it, and what is still in hand */
  async #goRound(inHand: readonly Delivered[]): Promise<[Result, readonly Delivered[]]> {
    const { limits } = this.#options
    let left = inHand
    this.#puttingOff = 0
    for (let round = 0; ; round++) {
      left = inOrder([...left, ...this.#rest()])
      const result = await storeAnew(left, round, this.#options)
      if (result !== 'held') return [result, left]
      // Its own queue may be full, for as long as nobody takes from it, and that is us: so they are worked on once more.
      while (left.length > 0) {
        const count = fitting(left, limits)
        const again = await this.#settle(left.slice(0, count), null)
        if (again === 'lost' || again === 'down') return [again, left]
        if (again === 'held') break
        left = left.slice(count)
      }
      if (left.length === 0) return ['settled', left]
    }
  }

  #rest(): readonly Delivered[] {
    return this.#named(this.#open.deliveries.takeAll())
  }

  #named(taken: readonly TakenMessage[]): readonly Delivered[] {
    const { queueOf } = this.#options
    return taken.map(({ message, waited }) => {
      return { message, waited, queue: queueOf.get(message.fields.consumerTag) ?? '' }
    })
  }

  #logFailure(batch: readonly Delivered[], error: unknown, attempt: number): void {
    const { log, label } = this.#options
    const fields = { consumer: label, messages: batch.length, ...describe(error) }
    if (isDown(error) || isBrokerTrouble(error)) {
      if (attempt === 0) log.warn(fields, 'a batch waits in hand')
    } else log.error(fields, 'a batch failed in an unforeseen way')
  }
}

/** As they were delivered: an acknowledgement may be of all up to one. */
const inOrder = (delivered: readonly Delivered[]) =>
  delivered.toSorted((a, b) => a.message.fields.deliveryTag - b.message.fields.deliveryTag)

const lateOf = (tried: Tried) => ('handled' in tried ? (tried.handled.later?.size ?? 0) : 0)

const isDown = (error: unknown): boolean => error instanceof DatabaseError && error.failure === 'down'
