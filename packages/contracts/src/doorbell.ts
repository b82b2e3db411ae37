import Type, { type Static } from 'typebox'
import { Direction } from './value.ts'

const RecordOrNull = Type.Union([Type.Object({}), Type.Null()])

/**
 * Supabase's database webhook (pg_net 0.20): validated for shape, so that a misconfigured webhook gets a clear answer;
 * its contents are never used. `schema` and `old_record` may be missing, as in the original system's manual test.
 */
export const SupabaseWebhook = Type.Object({
  type: Type.Union([Type.Literal('INSERT'), Type.Literal('UPDATE'), Type.Literal('DELETE')]),
  table: Type.String({ minLength: 1, maxLength: 63 }),
  schema: Type.Optional(Type.String({ minLength: 1, maxLength: 63 })),
  record: Type.Optional(RecordOrNull),
  old_record: Type.Optional(RecordOrNull),
})
export type SupabaseWebhook = Static<typeof SupabaseWebhook>

/** What SQL Server sends to `queue-notify`: nothing, or an object that is ignored. */
export const QueueNotify = Type.Union([Type.Null(), Type.Object({})])
export type QueueNotify = Static<typeof QueueNotify>

/** The operator's trigger. No body, or no direction, means both. */
export const TriggerRequest = Type.Union([
  Type.Null(),
  Type.Object(
    { direction: Type.Optional(Type.Union([Direction, Type.Literal('both')])) },
    { additionalProperties: false },
  ),
])
export type TriggerRequest = Static<typeof TriggerRequest>

export const DrainReport = Type.Object({ published: Type.Integer({ minimum: 0 }) })

/** What a drain published, for each direction that was asked for. */
export const TriggerResponse = Type.Partial(
  Type.Object({ 'sql-to-postgres': DrainReport, 'postgres-to-sql': DrainReport }),
)
export type TriggerResponse = Static<typeof TriggerResponse>
