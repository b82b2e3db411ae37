import Type, { type Static } from 'typebox'
import { Direction, Key, Side, Value } from './value.ts'

const Count = Type.Integer({ minimum: 0 })
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) => Type.Union([type, Type.Null()])
/** ISO 8601, UTC. */
const Instant = Type.String()
const Name = Type.String({ minLength: 1, maxLength: 100, pattern: '\\S' })

/** What the page's routes answer where they cannot do what was asked; `code` is one of the catalogue. */
export const PageFailure = Type.Object({
  statusCode: Type.Integer(),
  error: Type.String(),
  code: Type.Optional(Type.String()),
  message: Type.String(),
  /** The first field that is wrong. */
  field: Type.Optional(Type.String()),
})
export type PageFailure = Static<typeof PageFailure>

/** Signs in to the status page, with SYNC_OPERATOR_TOKEN. */
export const SessionRequest = Type.Object(
  { token: Type.String({ minLength: 1, maxLength: 1_000 }) },
  { additionalProperties: false },
)
export type SessionRequest = Static<typeof SessionRequest>

/** The session that the request's cookie stands for. */
export const Session = Type.Object({ expiresAt: Instant })
export type Session = Static<typeof Session>

/**
 * A minute in which changes of a direction arrived. `at`: when it began. Latency: from the change's commit until it was applied, by
 * the two machines' clocks; `medianMs` is the median of the batches' medians, weighted by their changes. Null: no consumer said.
 */
export const Minute = Type.Object({
  at: Type.String({ pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d[.]\\d{3}Z$' }),
  direction: Direction,
  changes: Count,
  medianMs: orNull(Count),
  worstMs: orNull(Count),
})
export type Minute = Static<typeof Minute>

/** How many hours back; 6 where it is not said. */
export const HistoryQuery = Type.Object(
  { hours: Type.Optional(Type.String({ pattern: '^([1-9]|1[0-9]|2[0-4])$' })) },
  { additionalProperties: false },
)
export type HistoryQuery = Static<typeof HistoryQuery>

/** Said to all ingresses by the one that settled the outcomes: what it has counted in minutes that have ended. */
export const CountedMinutes = Type.Object({ minutes: Type.Array(Minute, { maxItems: 100 }) })
export type CountedMinutes = Static<typeof CountedMinutes>

/** The minutes with changes, the oldest first, since `startedAt`: before it nothing was counted. */
export const History = Type.Object({ startedAt: Instant, minutes: Type.Array(Minute) })
export type History = Static<typeof History>

/** A dead letter as `dead-letters list --json` prints it. */
export const DeadLetterFacts = Type.Object({
  id: Type.String(),
  /** The event's id. */
  event: orNull(Type.String()),
  direction: orNull(Direction),
  table: orNull(Type.String()),
  key: orNull(Key),
  version: orNull(Type.String()),
  cause: Type.String(),
  type: Type.String(),
  message: Type.String(),
  attempts: Count,
  replays: Count,
  firstFailedAt: orNull(Instant),
  failedAt: orNull(Instant),
  standing: Type.Enum(['standing', 'superseded', 'settled', 'discarded', 'unclear']),
  supersededBy: orNull(Type.String()),
  outboxStatus: orNull(Type.String()),
  queue: Type.String(),
  bytes: Count,
})
export type DeadLetterFacts = Static<typeof DeadLetterFacts>

/**
 * `letters`: at most a thousand of `total`, the oldest of each queue first. `unasked`: what of them is not known, since a database did not
 * answer; sentences.
 */
export const DeadLetterList = Type.Object({
  letters: Type.Array(DeadLetterFacts),
  total: Count,
  unasked: Type.Array(Type.String()),
})
export type DeadLetterList = Static<typeof DeadLetterList>

const Ids = Type.Array(Type.String({ minLength: 1, maxLength: 200 }), { minItems: 1, maxItems: 200 })
/** Some of them: by a letter's id, an event's, or a record (`aligner_notes/5`). */
export const DeadLetterRequest = Type.Object({ ids: Ids }, { additionalProperties: false })
export type DeadLetterRequest = Static<typeof DeadLetterRequest>

/** A heading and its sentences: keys, names, numbers; no value. */
export const ExplanationPart = Type.Object({ heading: Type.String(), sentences: Type.Array(Type.String()) })
export type ExplanationPart = Static<typeof ExplanationPart>

export const DeadLetterExplanations = Type.Object({
  explanations: Type.Array(Type.Object({ id: Type.String(), parts: Type.Array(ExplanationPart) })),
})
export type DeadLetterExplanations = Static<typeof DeadLetterExplanations>

/** What an attempt that was rolled back has shown. `columns`: those that would change, or that the target would keep; no value. */
export const DeadLetterRehearsal = Type.Object({
  id: Type.String(),
  /** An outcome; `error`: the target refuses it; `unfit`: it is no event of ours. */
  outcome: Type.String(),
  code: Type.Optional(Type.String()),
  reason: Type.Optional(Type.String()),
  columns: Type.Array(Type.String()),
  /** Whether it would go through. */
  passes: Type.Boolean(),
})
export type DeadLetterRehearsal = Static<typeof DeadLetterRehearsal>

export const DeadLetterRehearsals = Type.Object({ rehearsed: Type.Array(DeadLetterRehearsal) })
export type DeadLetterRehearsals = Static<typeof DeadLetterRehearsals>

/** What became of letters that were sent again. `left`: those that were not tried, since it stopped; they lie where before. */
export const DeadLetterReplay = Type.Object({
  sent: Count,
  outcomes: Type.Record(Type.String(), Count),
  /** Messages that are none of ours, or of another version: they stay. */
  unfit: Type.Array(Type.Object({ id: Type.String(), reason: Type.String() })),
  stopped: orNull(
    Type.Object({
      id: Type.String(),
      what: Type.Enum(['dead', 'retry', 'unanswered', 'unsent']),
      code: Type.String(),
      reason: Type.String(),
    }),
  ),
  left: Count,
})
export type DeadLetterReplay = Static<typeof DeadLetterReplay>

/** `who` and `why` go into the outbox and into RabbitMQ: no patient's data. */
export const DeadLetterDiscardRequest = Type.Object(
  { ids: Ids, who: Name, why: Type.String({ minLength: 1, maxLength: 500, pattern: '\\S' }) },
  { additionalProperties: false },
)
export type DeadLetterDiscardRequest = Static<typeof DeadLetterDiscardRequest>

/** `refused`: those that were left where they lie, and why. */
export const DeadLetterDiscard = Type.Object({
  discarded: Count,
  refused: Type.Array(Type.Object({ id: Type.String(), reason: Type.String() })),
})
export type DeadLetterDiscard = Static<typeof DeadLetterDiscard>

/** A conflict in the clinic's log, or a lost edit in the portal's; see `LoggedRuling` in packages/sync. */
export const Ruling = Type.Object({
  id: Type.String(),
  table: Type.String(),
  key: Key,
  columns: orNull(Type.Array(Type.String())),
  ruling: Type.String(),
  /** Of the portal's change that was ruled on; 0: it was none. Lines of one ruling have the same. */
  version: Type.String(),
  at: Instant,
})
export type Ruling = Static<typeof Ruling>

/** `max`: 1 to 200, 50 where it is not said. `before`: `next` of the answer before. */
export const RulingsQuery = Type.Object(
  {
    max: Type.Optional(Type.String({ pattern: '^([1-9][0-9]?|1[0-9][0-9]|200)$' })),
    before: Type.Optional(Type.String({ pattern: '^(clinic/[0-9]{1,18})?,(portal/[0-9]{1,18})?$' })),
  },
  { additionalProperties: false },
)
export type RulingsQuery = Static<typeof RulingsQuery>

/** A ruling's id, `clinic/17`, in a path. */
export const RulingParams = Type.Object({ side: Side, id: Type.String({ pattern: '^[0-9]{1,18}$' }) })
export type RulingParams = Static<typeof RulingParams>

/** Both sides' rulings, the newest first. `next`: what to ask with as `before` for older ones; null: there are none. */
export const Rulings = Type.Object({
  rulings: Type.Array(Ruling),
  next: orNull(Type.String()),
  unasked: Type.Array(Type.String()),
})
export type Rulings = Static<typeof Rulings>

/** A ruling's values: patients' data, for whoever asks for them. Of a whole row each of its columns. */
export const RulingValues = Type.Object({
  id: Type.String(),
  values: Type.Array(Type.Object({ column: Type.String(), clinic: Value, portal: Value, base: Value })),
})
export type RulingValues = Static<typeof RulingValues>

/** A record in a path, by either side's name of its table. `values`: patients' data with it, for who asks for them. */
export const RecordParams = Type.Object({ table: Name, key: Type.String({ pattern: '^-?[0-9]{1,10}$' }) })
export type RecordParams = Static<typeof RecordParams>
export const RecordQuery = Type.Object(
  { values: Type.Optional(Type.Enum(['true', 'false'])) },
  { additionalProperties: false },
)
export type RecordQuery = Static<typeof RecordQuery>

const RuledColumn = Type.Object({ column: Type.String(), clinic: Value, portal: Value, base: Value })

/** One record's story; see `RecordStory` in packages/operations. `sections` have no values; `columns` and `rulings` where they were asked for. */
export const RecordTold = Type.Object({
  table: Type.String(),
  key: Key,
  at: Instant,
  verdict: Type.String(),
  /** Whether both sides have what they should; null: that is not known, or there never was such a record. */
  equal: orNull(Type.Boolean()),
  outlook: orNull(Type.String()),
  sections: Type.Array(ExplanationPart),
  columns: Type.Array(
    Type.Object({
      column: Type.String(),
      clinicColumn: Type.String(),
      whose: Type.String(),
      equal: orNull(Type.Boolean()),
      how: orNull(Type.String()),
      clinic: Type.Optional(Value),
      portal: Type.Optional(Value),
    }),
  ),
  rulings: Type.Array(
    Type.Evaluate(Type.Intersect([Ruling, Type.Object({ values: Type.Optional(Type.Array(RuledColumn)) })])),
  ),
  unasked: Type.Array(Type.String()),
})
export type RecordTold = Static<typeof RecordTold>

/** What runs here and beside it, as far as it can be had without a question to a database for each look; null: not known now. */
export const Versions = Type.Object({
  version: Type.String(),
  node: Type.String(),
  /** The last migration of each side. */
  migrations: Type.Object({ clinic: orNull(Type.String()), portal: orNull(Type.String()) }),
  rabbitmq: orNull(Type.String()),
  doorbells: Type.Object({ clinic: Type.String(), portal: Type.String() }),
})
export type Versions = Static<typeof Versions>
