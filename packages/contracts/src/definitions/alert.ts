import Type, { type Static } from 'typebox'
import { Direction, Side } from './value.ts'

const Count = Type.Integer({ minimum: 0 })
/** ISO 8601, UTC. */
const Instant = Type.String({ minLength: 1, maxLength: 40 })
const orNull = <T extends Parameters<typeof Type.Union>[0][number]>(type: T) => Type.Union([type, Type.Null()])

/** What an alert is about; docs/operations.md says what each means. `test`: an operator has asked for one. */
export const AlertCondition = Type.Enum([
  'rabbitmq',
  'clinic',
  'portal',
  'restored',
  'doorbell',
  'stalled',
  'dead-letters',
  'verification',
  'test',
])
export type AlertCondition = Static<typeof AlertCondition>

/**
 * The body of the request to ALERT_WEBHOOK_URL. `text` is all that Slack and its like show. Names, numbers and our own codes; a value of a
 * patient's never.
 */
export const AlertMessage = Type.Object({
  /** The same when it is sent again after a failure. */
  id: Type.String({ minLength: 1, maxLength: 64 }),
  text: Type.String({ minLength: 1, maxLength: 8_000 }),
  state: Type.Enum(['problem', 'recovered', 'test']),
  condition: AlertCondition,
  /** The database that it is about; null: not about one. */
  side: orNull(Side),
  /** The direction that it is about; null: not about one. */
  direction: orNull(Direction),
  since: Instant,
  /** When it was over, and for how many seconds it had lasted; null: it lasts. */
  until: orNull(Instant),
  lastedSeconds: orNull(Count),
  /** Sentences, each with what to do; of one that has recovered, as they were. */
  problems: Type.Array(Type.String({ maxLength: 4_000 }), { maxItems: 20 }),
  /** When this message was made. */
  at: Instant,
  version: Type.String({ maxLength: 64 }),
  host: Type.String({ maxLength: 255 }),
})
export type AlertMessage = Static<typeof AlertMessage>

/** What became of a test message. `message`: why it was not taken, in a sentence without the address; null: it was. */
export const AlertTestResponse = Type.Object({
  sent: Type.Boolean(),
  /** The receiver's; null: it gave none. */
  status: orNull(Type.Integer()),
  ms: Count,
  message: orNull(Type.String()),
})
export type AlertTestResponse = Static<typeof AlertTestResponse>
