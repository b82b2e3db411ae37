import Type, { type Static } from 'typebox'
import { DoorbellTest, DrainReport } from './doorbell.ts'
import { Side } from './value.ts'

/** Said to all ingresses: a side has rung. Whoever leads drains that outbox. */
export const PassedRing = Type.Object({ side: Side })
export type PassedRing = Static<typeof PassedRing>

/** Which ingress drains. `since`: when it took the lead, ISO 8601. */
export const LeaderFacts = Type.Object({
  host: Type.String({ maxLength: 255 }),
  pid: Type.Integer({ minimum: 1 }),
  since: Type.String({ maxLength: 40 }),
})
export type LeaderFacts = Static<typeof LeaderFacts>

/** What an ingress asks of the one that leads: to drain, to test a doorbell, or who it is. */
export const LeaderQuestion = Type.Union([
  Type.Object({ ask: Type.Literal('drain'), side: Side }),
  Type.Object({ ask: Type.Literal('test-doorbell'), side: Side }),
  Type.Object({ ask: Type.Literal('who') }),
])
export type LeaderQuestion = Static<typeof LeaderQuestion>

/** The leader's word: it is at work, or it failed (a code of the catalogue, one sentence), or what was asked for. */
export const LeaderAnswer = Type.Union([
  Type.Object({ working: Type.Literal(true) }),
  Type.Object({ code: Type.String({ maxLength: 64 }), message: Type.String({ maxLength: 2000 }) }),
  Type.Object({ drained: DrainReport }),
  Type.Object({ tested: DoorbellTest }),
  Type.Object({ leader: LeaderFacts }),
])
export type LeaderAnswer = Static<typeof LeaderAnswer>
