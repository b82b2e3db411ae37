import Type, { type Static } from 'typebox'

const Count = Type.Integer({ minimum: 0 })
/** ISO 8601, UTC. */
const Instant = Type.String({ minLength: 1, maxLength: 40 })

/** One table's share of a verification. `differences`: records that differ, or that one side alone has. */
export const VerifiedTable = Type.Object({
  table: Type.String({ minLength: 1, maxLength: 63 }),
  clinicRows: Count,
  portalRows: Count,
  /** Of the portal's rows: those that the clinic has deleted since, where the mapping lets the portal keep them. No difference. */
  kept: Count,
  differences: Count,
  /** Of the differences: records whose change has failed for good, so that a dead letter says why. */
  stuck: Count,
  /** Records that were still on their way when it ended: neither equal nor different. */
  inFlight: Count,
})
export type VerifiedTable = Static<typeof VerifiedTable>

/**
 * What came of comparing both databases. Everything that was committed before `through`, when it began, has been compared. `rows`: records
 * that either side has, each counted once.
 */
export const Verification = Type.Object({
  through: Instant,
  finishedAt: Instant,
  /** All tables were compared: only such a one says through when both sides agree. */
  complete: Type.Boolean(),
  rows: Count,
  differences: Count,
  inFlight: Count,
  tables: Type.Array(VerifiedTable, { maxItems: 100 }),
})
export type Verification = Static<typeof Verification>

/**
 * `POST /api/sync/verifications`. Without `kept` it starts one; with it, it says that a command has kept a result, so that the ingress reads
 * it again.
 */
export const VerificationRequest = Type.Object(
  { kept: Type.Optional(Type.Literal(true)) },
  { additionalProperties: false },
)
export type VerificationRequest = Static<typeof VerificationRequest>

/** One has begun; its progress and its result are in the status. */
export const VerificationStarted = Type.Object({ startedAt: Instant })
export type VerificationStarted = Static<typeof VerificationStarted>
