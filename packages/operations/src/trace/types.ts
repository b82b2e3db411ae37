import type { QueueFacts, RecordSight } from '@clinic-sync/broker'
import type { Direction, DoorbellTest, Settlement, Side, SyncStatus } from '@clinic-sync/contracts'
import type { Traceable } from '@clinic-sync/sync'

/** There and back, and the clinic's answer to what came back. */
export const LEGS = ['there', 'back', 'ruling'] as const
export type Leg = (typeof LEGS)[number]

/**
 * `captured`: written, and its trigger has put it into the outbox. `published`: the doorbell was heard, the outbox drained, and the event
 * is in RabbitMQ. `applied`: in the other database. `settled`: its outcome is back, the outbox row is Synced.
 */
export const HOPS = ['captured', 'published', 'applied', 'settled'] as const
export type HopName = (typeof HOPS)[number]

export interface Hop {
  readonly leg: Leg
  readonly hop: HopName
  /** In words. */
  readonly what: string
  /** Since the hop before it, and since the start. */
  readonly ms: number
  readonly atMs: number
}

/** What is dead, by a word of its own that scripts may go by. */
export type FaultKind =
  | 'database-unreachable'
  | 'login-refused'
  | 'not-migrated'
  | 'restored'
  | 'broker-unreachable'
  | 'trigger-disabled'
  | 'trigger-missing'
  | 'not-captured'
  | 'not-written'
  | 'locked'
  | 'ingress-unreachable'
  | 'no-leader'
  | 'ingress-lacks'
  | 'drain-fails'
  | 'doorbell'
  | 'not-taken'
  | 'queue-missing'
  | 'consumer-down'
  | 'consumer-paused'
  | 'consumer-behind'
  | 'consumer-holds'
  | 'retrying'
  | 'dead'
  | 'failed'
  | 'not-settled'
  | 'captures'

export interface Fault {
  readonly kind: FaultKind
  /** Null: it was found beside the canary's way. */
  readonly leg: Leg | null
  readonly hop: HopName | null
  /** Sentences: what is dead, and what to do. */
  readonly what: string
  readonly todo: string
}

/** A leg that could not be tried, and why. */
export interface Untried {
  readonly leg: Leg
  readonly why: string
}

export interface TraceResult {
  /** It came all the way round, and nothing is dead. */
  readonly ok: boolean
  readonly totalMs: number
  readonly hops: readonly Hop[]
  readonly faults: readonly Fault[]
  readonly untried: readonly Untried[]
  /** What does not keep changes from travelling. */
  readonly notes: readonly string[]
}

/** A side as the canary's trace uses it. */
export interface TraceSide extends Traceable {
  readonly side: Side
  /** As the services ask at their start. */
  check(): Promise<void>
  settleChanges(settlements: readonly Settlement[]): Promise<void>
}

/** Whom the trace asks. Each may reject with a SyncError. */
export interface TracePorts {
  readonly clinic: TraceSide
  readonly portal: TraceSide
  /** Listens at RabbitMQ for the canary. */
  watch(onSight: (sight: RecordSight) => void): Promise<{ close(): Promise<void> }>
  queues(): Promise<readonly QueueFacts[]>
  /** What the ingress says of itself and of the rest. */
  status(): Promise<SyncStatus>
  /** Rings by hand; resolves when the drain after it has published. */
  ring(direction: Direction): Promise<void>
  /** Has the database ring, and the ingress say whether it heard; null: it does not say. */
  testDoorbell(side: Side): Promise<DoorbellTest | null>
  /** What is wrong with the triggers on the records themselves: the canary's are its own. */
  captures(): Promise<readonly Pick<Fault, 'what' | 'todo'>[]>
  /** Removes the canary's dead letters. @returns how many */
  removeDeadLetters(direction: Direction): Promise<number>
}
