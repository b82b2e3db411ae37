import Type, { type Static, type TObject } from 'typebox'
import { LeaderFacts } from './leading.ts'
import { Direction, Key } from './value.ts'
import { Verification } from './verification.ts'

const Count = Type.Integer({ minimum: 0 })
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) => Type.Union([type, Type.Null()])
/** ISO 8601, UTC. */
const Instant = Type.String()

/** A part of the whole that could not be asked: a sentence says why. */
export const Unreachable = Type.Object({ reachable: Type.Literal(false), reason: Type.String() })
export type Unreachable = Static<typeof Unreachable>

const part = <T extends TObject>(type: T) =>
  Type.Union([Type.Evaluate(Type.Intersect([Type.Object({ reachable: Type.Literal(true) }), type])), Unreachable])

/** An event of this side's that was settled last: from its capture here until its outcome was known here. */
export const LastEvent = Type.Object({
  table: Type.String(),
  key: Key,
  capturedAt: Instant,
  settledAt: Instant,
  latencyMs: Count,
})
export type LastEvent = Static<typeof LastEvent>

const OutboxFigures = Type.Object({
  rows: Type.Object({ Pending: Count, Queued: Count, Synced: Count, Failed: Count }),
  /** Age of the oldest row that waits to be sent, and of the oldest that waits for its outcome; null: there is none. */
  oldestPendingSeconds: orNull(Count),
  oldestQueuedSeconds: orNull(Count),
  /** Queued rows whose event has failed and waits to be tried again. */
  retrying: Count,
  /** Failed rows by cause; `discarded`: an operator has given these up. */
  failed: Type.Array(Type.Object({ cause: Type.String(), rows: Count, discarded: Type.Boolean() })),
  last: orNull(LastEvent),
})
/** The outbox of one side. */
export const OutboxPart = part(OutboxFigures)
export type OutboxPart = Static<typeof OutboxPart>

const QueueFigures = Type.Object({
  queues: Type.Array(
    Type.Object({
      name: Type.String(),
      /** Those that nobody has in hand. */
      messages: Count,
      /** Those that stand by included. */
      consumers: Count,
    }),
  ),
  /** Queues that should be there and are not, or that have no leader now. */
  missing: Type.Array(Type.String()),
})
/** RabbitMQ's queues. */
export const QueuesPart = part(QueueFigures)
export type QueuesPart = Static<typeof QueuesPart>

/** Dead letters of one cause. `superseded`: those whose record has succeeded since, with a later version. */
export const DeadCause = Type.Object({
  direction: orNull(Direction),
  cause: Type.String(),
  letters: Count,
  superseded: Count,
})
export type DeadCause = Static<typeof DeadCause>

/** What lies in the dead-letter queues. */
export const DeadLettersPart = part(Type.Object({ letters: Count, causes: Type.Array(DeadCause) }))
export type DeadLettersPart = Static<typeof DeadLettersPart>

const DoorbellFigures = Type.Object({
  /** The one that the ingress is set to. */
  doorbell: Type.String(),
  /** Null: it calls by HTTP, so that nobody knows before it rings; or it is the leader that hears it. */
  heard: orNull(Type.Boolean()),
  /** Why it is not heard. */
  reason: orNull(Type.String()),
  /** When this ingress heard it last, since it started. */
  lastRang: orNull(Instant),
})
const IngressFigures = Type.Object({
  /** Of several ingresses one leads: it drains. The others stand by. */
  lead: Type.Enum(['leads', 'standby', 'connecting']),
  /** The one that leads; null: none answers. */
  leader: orNull(LeaderFacts),
  startedAt: Instant,
  doorbells: Type.Object({ clinic: DoorbellFigures, portal: DoorbellFigures }),
  /** What it needs and does not have, by name. */
  lacks: Type.Array(Type.Object({ name: Type.String(), reason: Type.String() })),
})
/** The ingress that was asked. */
export const IngressPart = part(IngressFigures)
export type IngressPart = Static<typeof IngressPart>

/** A comparison of both databases that runs now, in the ingress that was asked. `of`: about how many rows there are; null: not known yet. */
export const RunningVerification = Type.Object({ startedAt: Instant, rows: Count, of: orNull(Count) })
export type RunningVerification = Static<typeof RunningVerification>

/** The last comparison of all tables, and the one that runs now; null: there is none. */
export const VerificationPart = part(Type.Object({ last: orNull(Verification), running: orNull(RunningVerification) }))
export type VerificationPart = Static<typeof VerificationPart>

/** How the sync does: names, keys and figures, no value of a patient's. Each part says by itself if it could not be asked. */
export const SyncStatus = Type.Object({
  /** Nothing is stuck, and everything could be asked. */
  ok: Type.Boolean(),
  /** What is wrong, worst first: sentences that say what to do. */
  problems: Type.Array(Type.String()),
  at: Instant,
  ingress: IngressPart,
  outboxes: Type.Object({ clinic: OutboxPart, portal: OutboxPart }),
  queues: QueuesPart,
  deadLetters: DeadLettersPart,
  verification: VerificationPart,
})
export type SyncStatus = Static<typeof SyncStatus>

/** The part, where it could be asked. */
export type Reachable<T extends { reachable: boolean }> = Extract<T, { reachable: true }>

/** `GET /readyz`: `checks` says of each part that it is there, or why not. */
export const Readiness = Type.Object({
  status: Type.Enum(['ready', 'not ready']),
  checks: Type.Record(Type.String(), Type.String()),
})
export type Readiness = Static<typeof Readiness>
