import Type, { type Static } from 'typebox'
import { Side } from './value.ts'

const RecordOrNull = Type.Union([Type.Object({}), Type.Null()])

/**
 * Supabase's database webhook (pg_net 0.20), and our own trigger's, which leaves the records null: validated for shape, so
 * that a misconfigured webhook gets a clear answer; its contents are never used. `schema` and `old_record` may be missing, as
 * in the original system's manual test; unknown fields are allowed, since Supabase may add some.
 */
export const SupabaseWebhook = Type.Object({
  type: Type.Enum(['INSERT', 'UPDATE', 'DELETE']),
  table: Type.String({ minLength: 1, maxLength: 63 }),
  schema: Type.Optional(Type.String({ minLength: 1, maxLength: 63 })),
  record: Type.Optional(RecordOrNull),
  old_record: Type.Optional(RecordOrNull),
})
export type SupabaseWebhook = Static<typeof SupabaseWebhook>

/** What SQL Server sends to `queue-notify`: an object that is ignored. No body at all counts as `{}`. */
export const QueueNotify = Type.Object({})
export type QueueNotify = Static<typeof QueueNotify>

/** The operator's trigger. No direction, or no body at all (which counts as `{}`), means both. */
export const TriggerRequest = Type.Object(
  { direction: Type.Optional(Type.Enum(['sql-to-postgres', 'postgres-to-sql', 'both'])) },
  { additionalProperties: false },
)
export type TriggerRequest = Static<typeof TriggerRequest>

/** A doorbell was heard: the outbox of this side will be drained. Answered before the drain reads anything. */
export const DoorbellResponse = Type.Object({ rang: Side })
export type DoorbellResponse = Static<typeof DoorbellResponse>

/** `published`: events that the broker has confirmed in the drain that started after the request. */
export const DrainReport = Type.Object({ published: Type.Integer({ minimum: 0 }) })
export type DrainReport = Static<typeof DrainReport>

/** Why a direction was not drained: a code of the catalogue, the side whose outbox it is, and one sentence. */
export const DrainFailure = Type.Object({ code: Type.String(), side: Side, message: Type.String() })
export type DrainFailure = Static<typeof DrainFailure>

/** What a drain published, for each direction that was asked for. */
export const TriggerResponse = Type.Partial(
  Type.Object({ 'sql-to-postgres': DrainReport, 'postgres-to-sql': DrainReport }),
)
export type TriggerResponse = Static<typeof TriggerResponse>

const DrainResult = Type.Union([DrainReport, DrainFailure])

/** The answer, with status 503, when at least one direction failed; the other was drained all the same. */
export const TriggerFailure = Type.Object({
  statusCode: Type.Literal(503),
  error: Type.String(),
  message: Type.String(),
  'sql-to-postgres': Type.Optional(DrainResult),
  'postgres-to-sql': Type.Optional(DrainResult),
})
export type TriggerFailure = Static<typeof TriggerFailure>

/** The operator asks whether a side's doorbell is heard. No side, or no body at all, means both. */
export const DoorbellTestRequest = Type.Object({ side: Type.Optional(Side) }, { additionalProperties: false })
export type DoorbellTestRequest = Static<typeof DoorbellTestRequest>

/**
 * What became of a ring that the ingress asked the side's database for. `doorbell`: the one that the ingress is set to.
 * `ms`: from asking until it was heard; null where it was not. `message`: why not, in a sentence without values.
 */
export const DoorbellTest = Type.Object({
  doorbell: Type.String(),
  heard: Type.Boolean(),
  ms: Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]),
  message: Type.Union([Type.String(), Type.Null()]),
})
export type DoorbellTest = Static<typeof DoorbellTest>

/** The sides that were asked for. */
export const DoorbellTestResponse = Type.Partial(Type.Object({ clinic: DoorbellTest, portal: DoorbellTest }))
export type DoorbellTestResponse = Static<typeof DoorbellTestResponse>
