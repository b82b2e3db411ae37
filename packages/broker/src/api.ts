import type {
  Direction,
  LeaderAnswer,
  LeaderQuestion,
  Minute,
  Outcome,
  OutcomeBatch,
  Side,
  SyncEvent,
} from '@clinic-sync/contracts'
import type { FailureClass, Observer, SyncError } from '@clinic-sync/sync'
import type { About } from './headers.ts'

/** One event as it was delivered. */
export interface EventDelivery {
  readonly event: SyncEvent
  /** Failed attempts so far, counted by us: 0 the first time. */
  readonly attempt: number
  /** Absent: this delivery has not been put off. */
  readonly waited?: Waited
}

/** How often, and how long since the first time (ms), the handler has put a delivery off. */
export interface Waited {
  readonly times: number
  readonly ms: number
}

/** A message that is not a valid event. The broker package dead-letters it after the handler has returned. */
export interface BadDelivery {
  /** SYNC_BAD_MESSAGE; names fields, never values. */
  readonly error: SyncError
  /** Which change it was about, where our own headers say so: for the outcome. */
  readonly about: { readonly table: string; readonly key: number; readonly version: string } | null
}

/** A batch from the partitions of one direction, each partition in its order. */
export interface EventBatch {
  readonly events: readonly EventDelivery[]
  readonly bad: readonly BadDelivery[]
  /** How many of `events` may be put off (`later`), those included that have been before. */
  readonly room: number
  /**
   * Takes what publishes the outcomes: it is called once the handler has returned, and the batch is acknowledged when it has resolved.
   * The next batch is handled meanwhile. If it rejects, the handler is called again, as if it had thrown. Absent: the handler
   * publishes them itself.
   */
  readonly report?: (publish: () => Promise<void>) => void
}

/** Why a message is retried or dead, as an operator will read it in the headers of the dead letter. */
export interface Failure {
  readonly type: FailureClass | 'bad-message' | 'unexpected' | 'delivery-limit'
  /** SQLSTATE, SQL Server error number, or one of our codes. */
  readonly code: string
  /** Names and limits; never a column's value. */
  readonly message: string
}

/**
 * What to do with a delivered event. `retry` becomes `dead` when the retries are used up: see {@link willDie}. `later` keeps
 * it in hand, unacknowledged, and gives it to the handler again after about `afterMs` milliseconds, with others whose time has
 * come and nothing else; until then the events behind it pass it. No attempt is counted.
 */
export type Disposition =
  | { readonly action: 'done' }
  | { readonly action: 'later'; readonly afterMs: number }
  | { readonly action: 'retry'; readonly failure: Failure }
  | { readonly action: 'dead'; readonly failure: Failure }

/**
 * Applies a batch and returns one disposition for each of `batch.events`, in order.
 *
 * It may be called again with the same batch, or parts of it: it must be idempotent. Throwing settles nothing: a
 * `DatabaseError` of class `down` pauses consuming until `check` succeeds; SYNC_BROKER_DOWN, SYNC_PUBLISH_REFUSED and
 * SYNC_UNROUTABLE repeat the batch with a growing delay; any other error is tried three times, then it counts as a
 * retry of every event in the batch.
 */
export type EventHandler = (batch: EventBatch) => Promise<readonly Disposition[]>

/** An outcome that the outbox does not take, and why. It becomes a dead letter of its own. */
export interface RefusedOutcome {
  readonly outcome: Outcome
  readonly failure: Failure
}

/**
 * Settles outcome batches, and returns those that were refused for good; nothing means none. Throwing means the same as for
 * {@link EventHandler}, but what fails for good is dead at once.
 */
export type OutcomeHandler = (batches: readonly OutcomeBatch[]) => Promise<readonly RefusedOutcome[] | void>

export interface KeepDeadLettersOptions {
  /**
   * What the outbox that a direction's events come from says of these versions. Asked once for each dead letter; where it fails, a
   * later look asks again.
   */
  readonly versionsOf?: (
    direction: Direction,
    records: readonly About[],
  ) => Promise<readonly { readonly supersededBy: string | null }[]>
  /** Milliseconds between what calls for a look into the dead letters and the look. Default 1 s. */
  readonly restMs?: number
}

/** Keeps the dead letters' headers true, and reports those that RabbitMQ itself has made, until closed. */
export interface DeadLetterKeeper {
  close(): Promise<void>
}

export interface ConsumeOptions {
  /** Resolves when the target database can be used again. Asked after a `down`, after 0.1 s, then up to every 30 s. */
  readonly check: () => Promise<void>
  /** Messages in a batch at most. Default 200. */
  readonly maxBatch?: number
  /** Milliseconds that a batch waits for more after its first message. Default: 5 while messages flow, none where they come singly. */
  readonly maxWaitMs?: number
  /** Bytes after which a batch takes no more. Default 16 MiB. */
  readonly maxBatchBytes?: number
  /**
   * Milliseconds that a batch is held while its database answers `check` and yet fails as `down`; then all in hand goes to the end
   * of its queue. Default 10 min.
   */
  readonly holdMs?: number
  /** A batch has been acknowledged, as far as it was not put off. For tests and metrics. */
  readonly onAcked?: () => void | Promise<void>
  /** Called when `state` changes. */
  readonly onState?: (state: ConsumerState) => void
}

/** For tests: shorter times, in milliseconds. */
export interface LeadTiming {
  /** After which the token of the lead is given back and delivered anew. Default 10 min. */
  readonly renewMs?: number
  /** How long a question waits for each word of the leader. Default 6 s. */
  readonly patienceMs?: number
}

/** `connecting`: no channel. `paused`: the database is down. */
export type ConsumerState = 'connecting' | 'consuming' | 'paused' | 'closed'

export interface Consumer {
  readonly state: ConsumerState
  /** Takes no more messages, finishes the batch in flight (at most 10 s), gives the rest back to the queues. */
  close(): Promise<void>
}

export interface BrokerState {
  /** Publishing is possible now, and every consumer is consuming. */
  readonly ready: boolean
  /** `blocked`: RabbitMQ is out of memory or disk and takes no messages for now; publishes wait. */
  readonly publisher: 'connecting' | 'up' | 'blocked' | 'closed'
  readonly consumers: readonly ConsumerState[]
}

/** A queue as RabbitMQ sees it now. */
export interface QueueDepth {
  readonly queue: string
  /** Ready to be delivered: not those in some consumer's hands. */
  readonly messages: number
  /** Those that stand by included. */
  readonly consumers: number
}

export interface BrokerOptions {
  /** `amqp://user:password@host:port/vhost`, or `amqps:`. */
  readonly url: string
  readonly log: Log
  /** The service's name: shown in RabbitMQ's list of connections, and in dead letters. */
  readonly name: string
  /**
   * Milliseconds that a failed message waits: its first, second … retry. Default 5 s, 60 s, 10 min. Queue arguments: fixed once
   * declared.
   */
  readonly retryDelaysMs?: readonly number[]
  /** Messages above this are refused, here and at consuming. Default 15 MiB: RabbitMQ 4 takes 16 MiB by default. */
  readonly maxMessageBytes?: number
  /** Is told of what happens, for metrics. */
  readonly observer?: Observer
}

/** `connecting`: it hears nothing, and nobody hears it. */
export type LeadState = 'connecting' | 'standby' | 'leads'

/** One of several ingresses, of which one leads at a time. None of these may throw; all return at once. */
export interface Candidate {
  /** It leads from now on: whatever has rung until now must be looked after. */
  gained(): void
  /** It leads no more, since it has closed or its connection was lost. */
  lost(): void
  /** It can be heard from now on. What it heard ring before, and could tell nobody, it should pass on, unless it leads by now. */
  standing(): void
  /** Another has heard this side's doorbell. Told only to who leads. */
  rang(side: Side): void
  /** Another says what it has counted. Told to all. */
  counted?(minutes: readonly Minute[]): void
  /** Another knows that the result of a verification has been kept. Told to all. */
  kept?(): void
  /** Another asks. Told only to who leads; what it rejects with is told the asker, if it is a SyncError. */
  asked(question: LeaderQuestion): Promise<LeaderAnswer>
}

/** A candidate's place among the others. */
export interface Lead {
  readonly state: LeadState
  /** Whether it leads at this moment: to be asked before each step that only one should take. */
  readonly leads: boolean
  /**
   * Tells whoever leads that a side has rung. Resolves once RabbitMQ has it for that one; if nobody leads, whoever comes next looks
   * anyway.
   *
   * @throws PublishError: pass it on again when `standing` is called, or RabbitMQ is connected again.
   */
  ring(side: Side): Promise<void>
  /**
   * Asks whoever else leads, and waits for the answer, as long as the other one says every few seconds that it is at work.
   *
   * @throws SyncError SYNC_NO_LEADER, SYNC_BROKER_DOWN, or what the leader rejected it with
   */
  ask(question: LeaderQuestion): Promise<LeaderAnswer>
  /** Tells all others what was counted here. Resolves once RabbitMQ has it. @throws PublishError */
  tell(minutes: readonly Minute[]): Promise<void>
  /** Tells all others that the result of a verification has been kept. Resolves once RabbitMQ has it. @throws PublishError */
  tellKept(): Promise<void>
  /** Gives the lead away: another has it some milliseconds later. Waits for rings on their way, 3 s at most. */
  close(): Promise<void>
}

/** What this package needs of pino's Logger. */
export interface Log {
  debug(fields: object, message: string): void
  info(fields: object, message: string): void
  warn(fields: object, message: string): void
  error(fields: object, message: string): void
}

/**
 * RabbitMQ, as the services see it. Reconnects by itself until closed.
 */
export interface Broker {
  /**
   * Publishes events to their partitions. Resolves when every one of them is confirmed by the broker, that is, stored
   * on a majority of the queue's nodes. Waits while RabbitMQ is blocked (out of memory or disk).
   *
   * @throws PublishError when any is not; its `failures` says which, and why. The others are confirmed.
   */
  publishEvents(events: readonly SyncEvent[]): Promise<void>
  /** Publishes what became of a batch, for the ingress. Resolves when confirmed. @throws PublishError */
  publishOutcomes(batch: OutcomeBatch): Promise<void>
  /** Consumes all partitions of a direction. Returns at once; connects, and comes back, by itself. */
  consumeEvents(direction: Direction, handler: EventHandler, options: ConsumeOptions): Consumer
  consumeOutcomes(direction: Direction, handler: OutcomeHandler, options: ConsumeOptions): Consumer
  /**
   * Calls `listener` every time that publishing has become possible: the first connection (at once, if it is there
   * already) and each later one. Returns a function that removes it.
   */
  onReconnect(listener: () => void): () => void
  /**
   * Writes into a dead letter that a later version of its record has succeeded, as the outcomes settled by `consumeOutcomes` tell;
   * gives our headers to those that RabbitMQ itself has made (20 deliveries), and reports them as dead. Returns at once.
   */
  keepDeadLetters(options?: KeepDeadLettersOptions): DeadLetterKeeper
  /** Stands for the lead among the ingresses, until closed. Returns at once. */
  standForLead(candidate: Candidate, timing?: LeadTiming): Lead
  /** Resolves when publishing is possible; rejects when closed or `signal` aborts. */
  ready(signal?: AbortSignal): Promise<void>
  state(): BrokerState
  /** RabbitMQ's version, of the connection that there is; null: there is none now. */
  serverVersion(): string | null
  /** Every queue of ours that RabbitMQ knows, within 3 s: none while it cannot be asked. Never rejects. */
  queueDepths(): Promise<readonly QueueDepth[]>
  /**
   * The text that alerts keep for the ingress that leads next. Each call ends within 5 s.
   *
   * @throws SyncError SYNC_BROKER_DOWN
   */
  readonly note: { read(): Promise<string | null>; write(text: string): Promise<void> }
  /** Whether a failed attempt (0-based) was the last one: a `retry` would be turned into `dead`. */
  willDie(attempt: number): boolean
  /** Closes consumers first, then waits for outstanding confirms (at most 10 s), then closes the connections. */
  close(): Promise<void>
}
