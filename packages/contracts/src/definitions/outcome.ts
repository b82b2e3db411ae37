import Type, { type Static } from 'typebox'
import { Direction, Key, Version } from './value.ts'

const Milliseconds = Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER })

export const OutcomeKind = Type.Union([
  Type.Literal('applied'),
  Type.Literal('duplicate'),
  Type.Literal('stale'),
  Type.Literal('unchanged'),
  Type.Literal('conflict'),
  Type.Literal('retry'),
  Type.Literal('dead'),
])
/**
 * What became of an event at its target.
 *
 * `applied`: written. `unchanged`: already equal. `duplicate`: this very version was applied before. `stale`: a newer
 * version was applied before. `conflict`: both sides had edited; decided and logged. `retry`: not now (a parent is
 * missing, a lock, a passing fault). `dead`: never, as it is; it is in the dead-letter queue.
 */
export type OutcomeKind = Static<typeof OutcomeKind>

/**
 * Reasons carry the names of tables and columns, SQLSTATEs and limits; never a column's value.
 */
export const Outcome = Type.Object({
  table: Type.String({ minLength: 1, maxLength: 63 }),
  key: Key,
  version: Version,
  outcome: OutcomeKind,
  code: Type.Optional(Type.String({ maxLength: 64 })),
  reason: Type.Optional(Type.String({ maxLength: 1000 })),
})
export type Outcome = Static<typeof Outcome>

/**
 * From a change's commit at its source until it was applied, over the events of a batch that were; milliseconds, by the two machines'
 * clocks, so that one that is ahead makes it 0 rather than negative.
 */
export const Latency = Type.Object({ medianMs: Milliseconds, worstMs: Milliseconds })
export type Latency = Static<typeof Latency>

/**
 * The message with which a consumer reports a batch to the ingress. `direction` is that of the events. Consumers of 1.0 send no
 * `latency`, and so does one whose batch applied nothing; an ingress of 1.0 passes over it.
 */
export const OutcomeBatch = Type.Object({
  direction: Direction,
  outcomes: Type.Array(Outcome, { maxItems: 10_000 }),
  latency: Type.Optional(Latency),
})
export type OutcomeBatch = Static<typeof OutcomeBatch>

/**
 * Moves an outbox row on: `queued` once the broker has confirmed its event, later the event's outcome. `discarded`: an operator
 * has given a dead event up; `reason` says who and why, and the outbox adds its own code and what the failure was.
 */
export type Settlement = Omit<Outcome, 'outcome'> & { outcome: OutcomeKind | 'queued' | 'discarded' }
