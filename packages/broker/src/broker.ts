import { randomUUID } from 'node:crypto'
import type { Direction, Outcome, OutcomeBatch, SyncEvent } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import type {
  Broker,
  BrokerOptions,
  BrokerState,
  Candidate,
  QueueDepth,
  ConsumeOptions,
  Consumer,
  ConsumerState,
  DeadLetterKeeper,
  EventHandler,
  KeepDeadLettersOptions,
  Lead,
  LeadTiming,
  OutcomeHandler,
} from './api.ts'
import { Connection } from './connection.ts'
import { giveUpEvents, handleEvents } from './consume-events.ts'
import { giveUpOutcomes, handleOutcomes } from './consume-outcomes.ts'
import { handleRejected } from './consume-rejected.ts'
import { BatchConsumer, type BatchConsumerOptions, type Delivered } from './consumer.ts'
import { Keeper } from './dead-letter-keeper.ts'
import { describe, PublishError } from './errors.ts'
import { Leadership } from './leader.ts'
import { eventMessage, MAX_MESSAGE_BYTES, outcomeMessage } from './message.ts'
import { unannotated } from './headers.ts'
import { observeCopies, observePublish } from './observe.ts'
import { freshCopy } from './failed.ts'
import { Intake } from './intake.ts'
import { Topology } from './prepare.ts'
import { Note } from './note.ts'
import { Publisher, type OutgoingMessage } from './publisher.ts'
import { QueueDepths } from './queue-depths.ts'
import {
  DIRECTIONS,
  EVENTS,
  eventQueues,
  keyOfEventQueue,
  outcomeKey,
  outcomeQueue,
  OUTCOMES,
  RETRY_DELAYS_MS,
  queueDefinitions,
  rejectedQueue,
} from './topology.ts'
import { processTraced, publishTraced } from './trace.ts'

const FLUSH_MS = 10_000

/**
 * Starts connecting to RabbitMQ and returns without waiting for it: see `ready`. The topology is
 * declared, or looked for, before each channel.
 *
 * Publishing and consuming have a connection each: RabbitMQ stops reading from one that publishes while it is out of
 * memory or disk, and with it the acknowledgements that would free some.
 *
 * @throws SyncError SYNC_CONFIG when the URL is none
 */
export async function connectBroker(options: BrokerOptions): Promise<Broker> {
  return new RabbitBroker(options)
}

class RabbitBroker implements Broker {
  readonly #options: BrokerOptions & Required<Pick<BrokerOptions, 'retryDelaysMs' | 'maxMessageBytes'>>
  readonly #publishing: Connection
  readonly #consuming: Connection
  readonly #intake = new Intake()
  readonly #topology: Topology
  readonly #publisher: Publisher
  readonly #depths: QueueDepths
  readonly note: Note
  readonly #consumers = new Set<BatchConsumer>()
  readonly #keepers = new Set<Keeper>()
  readonly #leads = new Set<Leadership>()
  readonly #listeners = new Set<() => void>()
  #consumingStarted = false
  readonly #closing = new AbortController()
  #closed = false

  constructor(options: BrokerOptions) {
    this.#options = { retryDelaysMs: RETRY_DELAYS_MS, maxMessageBytes: MAX_MESSAGE_BYTES, ...options }
    const { url, log, name, retryDelaysMs, observer } = this.#options
    this.#publishing = new Connection(url, `${name} publishing`, log)
    this.#consuming = new Connection(url, `${name} consuming`, log)
    this.#publishing.onReconnected = () => observer?.reconnected?.('publishing')
    this.#consuming.onReconnected = () => observer?.reconnected?.('consuming')
    this.#consuming.isDeaf = () => this.#intake.isFull
    const queues = queueDefinitions(retryDelaysMs).map(({ name: queue }) => queue)
    this.#depths = new QueueDepths(this.#consuming, queues)
    this.note = new Note(this.#publishing)
    this.#topology = new Topology(retryDelaysMs, log)
    this.#publisher = new Publisher({
      connection: this.#publishing,
      log,
      label: `${name} publishing`,
      topology: this.#topology,
      onReady: () => {
        for (const listener of this.#listeners) this.#call(listener)
      },
    })
    this.#publishing.start()
    this.#publisher.start()
  }

  async publishEvents(events: readonly SyncEvent[]): Promise<void> {
    const { name, observer } = this.#options
    const publish = (traced: readonly SyncEvent[]) => this.#publish(traced.map((event) => eventMessage(event, name)))
    await observePublish(events, observer, () => publishTraced(events, publish))
  }

  async publishOutcomes(batch: OutcomeBatch): Promise<void> {
    await this.#publish([outcomeMessage(batch, this.#options.name, randomUUID())])
  }

  consumeEvents(direction: Direction, handler: EventHandler, consume: ConsumeOptions): Consumer {
    const { name, retryDelaysMs, maxMessageBytes } = this.#options
    const work = { direction, handler, retries: retryDelaysMs.length, maxMessageBytes, appId: name }
    const queues = eventQueues(direction)
    return this.#consume(queues, this.#observed(consume, direction, 'events'), {
      handle: (batch, room) => processTraced(batch, `sync.${direction}`, () => handleEvents(batch, room, work)),
      onCopies: (copies) => observeCopies(copies, direction, this.#options.observer),
      again: ({ message, queue }) =>
        freshCopy(message, { exchange: EVENTS, routingKey: keyOfEventQueue(queue), appId: name }),
      giveUp: (batch, error) => giveUpEvents(batch, error, work),
    })
  }

  consumeOutcomes(direction: Direction, handler: OutcomeHandler, consume: ConsumeOptions): Consumer {
    const { name, maxMessageBytes } = this.#options
    const onSettled = (outcomes: readonly Outcome[]) => {
      for (const keeper of this.#keepers) keeper.settled(direction, outcomes)
    }
    const work = { direction, handler, maxMessageBytes, appId: name, onSettled }
    const queue = outcomeQueue(direction)
    const onState = (state: ConsumerState) => {
      // A standby may settle outcomes while this one does not.
      if (state !== 'consuming') for (const keeper of this.#keepers) keeper.unsure(direction)
      consume.onState?.(state)
    }
    return this.#consume([queue], this.#observed({ ...consume, onState }, direction, 'outcomes'), {
      handle: (batch) => processTraced(batch, queue, async () => ({ copies: await handleOutcomes(batch, work) })),
      onCopies: (copies) => observeCopies(copies, direction, this.#options.observer),
      again: ({ message }) =>
        freshCopy(message, { exchange: OUTCOMES, routingKey: outcomeKey(direction), appId: name }),
      giveUp: (batch, error) => giveUpOutcomes(batch, error, work),
    })
  }

  onReconnect(listener: () => void): () => void {
    this.#listeners.add(listener)
    if (this.#publisher.up) queueMicrotask(() => this.#listeners.has(listener) && this.#call(listener))
    return () => this.#listeners.delete(listener)
  }

  keepDeadLetters(keeping: KeepDeadLettersOptions = {}): DeadLetterKeeper {
    const { url, log, name, maxMessageBytes, observer } = this.#options
    const keeper = new Keeper({ ...keeping, url, log, name, maxMessageBytes, observer, publisher: this.#publisher })
    this.#keepers.add(keeper)
    const consumers = DIRECTIONS.map((direction) => {
      const work = { direction, maxMessageBytes, appId: name, log }
      const report = (batch: readonly Delivered[]) => {
        // Its first copy lies in the dead-letter queue, and has RabbitMQ's headers alone.
        keeper.look(direction)
        for (const { message } of batch) this.#options.observer?.died?.(direction, unannotated(message).code)
        return handleRejected(batch, work)
      }
      return this.#consume(
        [rejectedQueue(direction)],
        { check: () => Promise.resolve() },
        {
          handle: (batch) => Promise.resolve({ copies: report(batch) }),
          giveUp: (batch) => Promise.resolve(report(batch)),
          // Nothing goes round: a copy made by us would not say any more why RabbitMQ has given it up.
        },
      )
    })
    return {
      close: async () => {
        this.#keepers.delete(keeper)
        await Promise.all([keeper.close(), ...consumers.map((consumer) => consumer.close())])
      },
    }
  }

  standForLead(candidate: Candidate, timing: LeadTiming = {}): Lead {
    const { url, log, name } = this.#options
    const [publisher, topology] = [this.#publisher, this.#topology]
    const lead = new Leadership({ url, log, name, publisher, topology, candidate, ...timing })
    this.#leads.add(lead)
    return lead
  }

  async ready(signal?: AbortSignal): Promise<void> {
    if (this.#closed) throw closed()
    if (this.#publisher.up) return
    await new Promise<void>((resolve, reject) => {
      const remove = this.onReconnect(() => {
        remove()
        signal?.removeEventListener('abort', abort)
        this.#closing.signal.removeEventListener('abort', abort)
        resolve()
      })
      const abort = () => {
        remove()
        reject(new SyncError('SYNC_BROKER_DOWN', 'not connected to RabbitMQ', { cause: signal?.reason }))
      }
      if (signal?.aborted === true) abort()
      else signal?.addEventListener('abort', abort, { once: true })
      this.#closing.signal.addEventListener('abort', abort, { once: true })
    })
  }

  state(): BrokerState {
    const consumers = [...this.#consumers].map((consumer) => consumer.state)
    const publisher = this.#closed
      ? 'closed'
      : this.#publishing.blocked
        ? 'blocked'
        : this.#publisher.up
          ? 'up'
          : 'connecting'
    return { ready: publisher === 'up' && consumers.every((state) => state === 'consuming'), publisher, consumers }
  }

  serverVersion(): string | null {
    return this.#publishing.serverVersion
  }

  queueDepths(): Promise<readonly QueueDepth[]> {
    this.#startConsuming()
    return this.#depths.read()
  }

  willDie(attempt: number): boolean {
    return attempt >= this.#options.retryDelaysMs.length
  }

  async close(): Promise<void> {
    if (this.#closed) return
    await Promise.all([...this.#keepers, ...this.#consumers, ...this.#leads].map((each) => each.close()))
    this.#closed = true
    this.#closing.abort()
    await this.#publisher.close(FLUSH_MS)
    await Promise.all([this.#consuming.close(), this.#publishing.close()])
    this.#listeners.clear()
  }

  /** A listener that throws must not cost the channel. */
  #call(listener: () => void): void {
    try {
      listener()
    } catch (error) {
      this.#options.log.error(describe(error), 'a listener for the reconnection failed')
    }
  }

  async #publish(messages: readonly OutgoingMessage[]): Promise<void> {
    if (this.#closed) throw closed()
    const { maxMessageBytes } = this.#options
    const tooLarge = messages.flatMap(({ content }, index) => (content.length > maxMessageBytes ? [index] : []))
    if (tooLarge.length === 0) return this.#publisher.publish(messages)
    // Sent nevertheless, RabbitMQ would close the channel and fail everything that is under way on it.
    const failures = new Map<number, SyncError>()
    for (const index of tooLarge) {
      const size = messages[index]?.content.length
      failures.set(index, new SyncError('SYNC_BAD_MESSAGE', `${size} bytes; the limit is ${maxMessageBytes}`))
    }
    const fine = messages.flatMap((_, index) => (failures.has(index) ? [] : [index]))
    try {
      await this.#publisher.publish(fine.flatMap((index) => messages[index] ?? []))
    } catch (error) {
      if (!(error instanceof PublishError)) throw error
      for (const [position, failure] of error.failures) failures.set(fine[position] ?? -1, failure)
    }
    throw new PublishError(failures, messages.length)
  }

  #startConsuming(): void {
    if (!this.#consumingStarted) this.#consuming.start()
    this.#consumingStarted = true
  }

  #observed(consume: ConsumeOptions, direction: Direction, messages: 'events' | 'outcomes'): ConsumeOptions {
    const onState = (state: ConsumerState) => {
      this.#options.observer?.consumer?.(direction, messages, state)
      consume.onState?.(state)
    }
    this.#options.observer?.consumer?.(direction, messages, 'connecting')
    return { ...consume, onState }
  }

  #consume(
    queues: readonly string[],
    consume: ConsumeOptions,
    work: Pick<BatchConsumerOptions, 'handle' | 'again' | 'giveUp' | 'onCopies'>,
  ): Consumer {
    const { log, name } = this.#options
    this.#startConsuming()
    const consumer = new BatchConsumer({
      connection: this.#consuming,
      intake: this.#intake,
      publisher: this.#publisher,
      log,
      label: name,
      queues,
      topology: this.#topology,
      consume,
      ...work,
    })
    this.#consumers.add(consumer)
    return {
      get state() {
        return consumer.state
      },
      close: async () => {
        await consumer.close()
        this.#consumers.delete(consumer)
      },
    }
  }
}

const closed = () => new SyncError('SYNC_BROKER_DOWN', 'the connection to RabbitMQ is closed')
