// Generated from src/definitions by `npm run generate`: plain JSON Schemas, so that no service has to load TypeBox.
import type * as defined from './definitions/index.ts'

export const QueueNotify = { type: 'object', properties: {} } as unknown as typeof defined.QueueNotify
export type QueueNotify = defined.QueueNotify

export const Version = { type: 'string', pattern: '^(0|[1-9][0-9]{0,18})$' } as unknown as typeof defined.Version
export type Version = defined.Version

export const Key = { type: 'integer', minimum: -2147483648, maximum: 2147483647 } as unknown as typeof defined.Key
export type Key = defined.Key

export const Side = {
  anyOf: [
    { type: 'string', const: 'clinic' },
    { type: 'string', const: 'portal' },
  ],
} as unknown as typeof defined.Side
export type Side = defined.Side

export const Session = {
  type: 'object',
  required: ['expiresAt'],
  properties: { expiresAt: { type: 'string' } },
} as unknown as typeof defined.Session
export type Session = defined.Session

export const RecordQuery = {
  type: 'object',
  properties: { values: { enum: ['true', 'false'] } },
  additionalProperties: false,
} as unknown as typeof defined.RecordQuery
export type RecordQuery = defined.RecordQuery

export const Direction = {
  anyOf: [
    { type: 'string', const: 'sql-to-postgres' },
    { type: 'string', const: 'postgres-to-sql' },
  ],
} as unknown as typeof defined.Direction
export type Direction = defined.Direction

export const DrainReport = {
  type: 'object',
  required: ['published'],
  properties: { published: { type: 'integer', minimum: 0 } },
} as unknown as typeof defined.DrainReport
export type DrainReport = defined.DrainReport

export const VerificationRequest = {
  type: 'object',
  properties: { kept: { type: 'boolean', const: true } },
  additionalProperties: false,
} as unknown as typeof defined.VerificationRequest
export type VerificationRequest = defined.VerificationRequest

export const AlertCondition = {
  enum: ['rabbitmq', 'clinic', 'portal', 'restored', 'doorbell', 'stalled', 'dead-letters', 'verification', 'test'],
} as unknown as typeof defined.AlertCondition
export type AlertCondition = defined.AlertCondition

export const VerificationStarted = {
  type: 'object',
  required: ['startedAt'],
  properties: { startedAt: { type: 'string', minLength: 1, maxLength: 40 } },
} as unknown as typeof defined.VerificationStarted
export type VerificationStarted = defined.VerificationStarted

export const HistoryQuery = {
  type: 'object',
  properties: { hours: { type: 'string', pattern: '^([1-9]|1[0-9]|2[0-4])$' } },
  additionalProperties: false,
} as unknown as typeof defined.HistoryQuery
export type HistoryQuery = defined.HistoryQuery

export const TriggerRequest = {
  type: 'object',
  properties: { direction: { enum: ['sql-to-postgres', 'postgres-to-sql', 'both'] } },
  additionalProperties: false,
} as unknown as typeof defined.TriggerRequest
export type TriggerRequest = defined.TriggerRequest

export const Unreachable = {
  type: 'object',
  required: ['reachable', 'reason'],
  properties: { reachable: { type: 'boolean', const: false }, reason: { type: 'string' } },
} as unknown as typeof defined.Unreachable
export type Unreachable = defined.Unreachable

export const Value = {
  anyOf: [
    { type: 'null' },
    { type: 'boolean' },
    { type: 'integer', minimum: -9007199254740991, maximum: 9007199254740991 },
    { type: 'string' },
  ],
} as unknown as typeof defined.Value
export type Value = defined.Value

export const SessionRequest = {
  type: 'object',
  required: ['token'],
  properties: { token: { type: 'string', minLength: 1, maxLength: 1000 } },
  additionalProperties: false,
} as unknown as typeof defined.SessionRequest
export type SessionRequest = defined.SessionRequest

export const DoorbellResponse = {
  type: 'object',
  required: ['rang'],
  properties: { rang: Side },
} as unknown as typeof defined.DoorbellResponse
export type DoorbellResponse = defined.DoorbellResponse

export const PassedRing = {
  type: 'object',
  required: ['side'],
  properties: { side: Side },
} as unknown as typeof defined.PassedRing
export type PassedRing = defined.PassedRing

export const DoorbellTestRequest = {
  type: 'object',
  properties: { side: Side },
  additionalProperties: false,
} as unknown as typeof defined.DoorbellTestRequest
export type DoorbellTestRequest = defined.DoorbellTestRequest

export const ExplanationPart = {
  type: 'object',
  required: ['heading', 'sentences'],
  properties: { heading: { type: 'string' }, sentences: { type: 'array', items: { type: 'string' } } },
} as unknown as typeof defined.ExplanationPart
export type ExplanationPart = defined.ExplanationPart

export const Readiness = {
  type: 'object',
  required: ['status', 'checks'],
  properties: {
    status: { enum: ['ready', 'not ready'] },
    checks: { type: 'object', patternProperties: { '^.*$': { type: 'string' } } },
  },
} as unknown as typeof defined.Readiness
export type Readiness = defined.Readiness

export const RecordParams = {
  type: 'object',
  required: ['table', 'key'],
  properties: {
    table: { type: 'string', minLength: 1, maxLength: 100, pattern: '\\S' },
    key: { type: 'string', pattern: '^-?[0-9]{1,10}$' },
  },
} as unknown as typeof defined.RecordParams
export type RecordParams = defined.RecordParams

export const LeaderFacts = {
  type: 'object',
  required: ['host', 'pid', 'since'],
  properties: {
    host: { type: 'string', maxLength: 255 },
    pid: { type: 'integer', minimum: 1 },
    since: { type: 'string', maxLength: 40 },
  },
} as unknown as typeof defined.LeaderFacts
export type LeaderFacts = defined.LeaderFacts

export const Row = { type: 'object', patternProperties: { '^.*$': Value } } as unknown as typeof defined.Row
export type Row = defined.Row

export const DeadLetterRequest = {
  type: 'object',
  required: ['ids'],
  properties: {
    ids: { type: 'array', items: { type: 'string', minLength: 1, maxLength: 200 }, minItems: 1, maxItems: 200 },
  },
  additionalProperties: false,
} as unknown as typeof defined.DeadLetterRequest
export type DeadLetterRequest = defined.DeadLetterRequest

export const RulingParams = {
  type: 'object',
  required: ['side', 'id'],
  properties: { side: Side, id: { type: 'string', pattern: '^[0-9]{1,18}$' } },
} as unknown as typeof defined.RulingParams
export type RulingParams = defined.RulingParams

export const RunningVerification = {
  type: 'object',
  required: ['startedAt', 'rows', 'of'],
  properties: {
    startedAt: { type: 'string' },
    rows: { type: 'integer', minimum: 0 },
    of: { anyOf: [{ type: 'integer', minimum: 0 }, { type: 'null' }] },
  },
} as unknown as typeof defined.RunningVerification
export type RunningVerification = defined.RunningVerification

export const Latency = {
  type: 'object',
  required: ['medianMs', 'worstMs'],
  properties: {
    medianMs: { type: 'integer', minimum: 0, maximum: 9007199254740991 },
    worstMs: { type: 'integer', minimum: 0, maximum: 9007199254740991 },
  },
} as unknown as typeof defined.Latency
export type Latency = defined.Latency

export const DrainFailure = {
  type: 'object',
  required: ['code', 'side', 'message'],
  properties: { code: { type: 'string' }, side: Side, message: { type: 'string' } },
} as unknown as typeof defined.DrainFailure
export type DrainFailure = defined.DrainFailure

export const PageFailure = {
  type: 'object',
  required: ['statusCode', 'error', 'message'],
  properties: {
    statusCode: { type: 'integer' },
    error: { type: 'string' },
    code: { type: 'string' },
    message: { type: 'string' },
    field: { type: 'string' },
  },
} as unknown as typeof defined.PageFailure
export type PageFailure = defined.PageFailure

export const RulingsQuery = {
  type: 'object',
  properties: {
    max: { type: 'string', pattern: '^([1-9][0-9]?|1[0-9][0-9]|200)$' },
    before: { type: 'string', pattern: '^(clinic/[0-9]{1,18})?,(portal/[0-9]{1,18})?$' },
  },
  additionalProperties: false,
} as unknown as typeof defined.RulingsQuery
export type RulingsQuery = defined.RulingsQuery

export const AlertTestResponse = {
  type: 'object',
  required: ['sent', 'status', 'ms', 'message'],
  properties: {
    sent: { type: 'boolean' },
    status: { anyOf: [{ type: 'integer' }, { type: 'null' }] },
    ms: { type: 'integer', minimum: 0 },
    message: { anyOf: [{ type: 'string' }, { type: 'null' }] },
  },
} as unknown as typeof defined.AlertTestResponse
export type AlertTestResponse = defined.AlertTestResponse

export const DeadLetterDiscard = {
  type: 'object',
  required: ['discarded', 'refused'],
  properties: {
    discarded: { type: 'integer', minimum: 0 },
    refused: {
      type: 'array',
      items: {
        type: 'object',
        required: ['id', 'reason'],
        properties: { id: { type: 'string' }, reason: { type: 'string' } },
      },
    },
  },
} as unknown as typeof defined.DeadLetterDiscard
export type DeadLetterDiscard = defined.DeadLetterDiscard

export const DoorbellTest = {
  type: 'object',
  required: ['doorbell', 'heard', 'ms', 'message'],
  properties: {
    doorbell: { type: 'string' },
    heard: { type: 'boolean' },
    ms: { anyOf: [{ type: 'integer', minimum: 0 }, { type: 'null' }] },
    message: { anyOf: [{ type: 'string' }, { type: 'null' }] },
  },
} as unknown as typeof defined.DoorbellTest
export type DoorbellTest = defined.DoorbellTest

export const OutcomeKind = {
  anyOf: [
    { type: 'string', const: 'applied' },
    { type: 'string', const: 'duplicate' },
    { type: 'string', const: 'stale' },
    { type: 'string', const: 'unchanged' },
    { type: 'string', const: 'conflict' },
    { type: 'string', const: 'retry' },
    { type: 'string', const: 'dead' },
  ],
} as unknown as typeof defined.OutcomeKind
export type OutcomeKind = defined.OutcomeKind

export const DeadLetterRehearsal = {
  type: 'object',
  required: ['id', 'outcome', 'columns', 'passes'],
  properties: {
    id: { type: 'string' },
    outcome: { type: 'string' },
    code: { type: 'string' },
    reason: { type: 'string' },
    columns: { type: 'array', items: { type: 'string' } },
    passes: { type: 'boolean' },
  },
} as unknown as typeof defined.DeadLetterRehearsal
export type DeadLetterRehearsal = defined.DeadLetterRehearsal

export const TriggerResponse = {
  type: 'object',
  properties: { 'sql-to-postgres': DrainReport, 'postgres-to-sql': DrainReport },
} as unknown as typeof defined.TriggerResponse
export type TriggerResponse = defined.TriggerResponse

export const LastEvent = {
  type: 'object',
  required: ['table', 'key', 'capturedAt', 'settledAt', 'latencyMs'],
  properties: {
    table: { type: 'string' },
    key: Key,
    capturedAt: { type: 'string' },
    settledAt: { type: 'string' },
    latencyMs: { type: 'integer', minimum: 0 },
  },
} as unknown as typeof defined.LastEvent
export type LastEvent = defined.LastEvent

export const DeadCause = {
  type: 'object',
  required: ['direction', 'cause', 'letters', 'superseded'],
  properties: {
    direction: { anyOf: [Direction, { type: 'null' }] },
    cause: { type: 'string' },
    letters: { type: 'integer', minimum: 0 },
    superseded: { type: 'integer', minimum: 0 },
  },
} as unknown as typeof defined.DeadCause
export type DeadCause = defined.DeadCause

export const DeadLetterDiscardRequest = {
  type: 'object',
  required: ['ids', 'who', 'why'],
  properties: {
    ids: { type: 'array', items: { type: 'string', minLength: 1, maxLength: 200 }, minItems: 1, maxItems: 200 },
    who: { type: 'string', minLength: 1, maxLength: 100, pattern: '\\S' },
    why: { type: 'string', minLength: 1, maxLength: 500, pattern: '\\S' },
  },
  additionalProperties: false,
} as unknown as typeof defined.DeadLetterDiscardRequest
export type DeadLetterDiscardRequest = defined.DeadLetterDiscardRequest

export const DeadLetterRehearsals = {
  type: 'object',
  required: ['rehearsed'],
  properties: { rehearsed: { type: 'array', items: DeadLetterRehearsal } },
} as unknown as typeof defined.DeadLetterRehearsals
export type DeadLetterRehearsals = defined.DeadLetterRehearsals

export const SupabaseWebhook = {
  type: 'object',
  required: ['type', 'table'],
  properties: {
    type: { enum: ['INSERT', 'UPDATE', 'DELETE'] },
    table: { type: 'string', minLength: 1, maxLength: 63 },
    schema: { type: 'string', minLength: 1, maxLength: 63 },
    record: { anyOf: [QueueNotify, { type: 'null' }] },
    old_record: { anyOf: [QueueNotify, { type: 'null' }] },
  },
} as unknown as typeof defined.SupabaseWebhook
export type SupabaseWebhook = defined.SupabaseWebhook

export const DeadLetterExplanations = {
  type: 'object',
  required: ['explanations'],
  properties: {
    explanations: {
      type: 'array',
      items: {
        type: 'object',
        required: ['id', 'parts'],
        properties: { id: { type: 'string' }, parts: { type: 'array', items: ExplanationPart } },
      },
    },
  },
} as unknown as typeof defined.DeadLetterExplanations
export type DeadLetterExplanations = defined.DeadLetterExplanations

export const Ruling = {
  type: 'object',
  required: ['id', 'table', 'key', 'columns', 'ruling', 'version', 'at'],
  properties: {
    id: { type: 'string' },
    table: { type: 'string' },
    key: Key,
    columns: { anyOf: [{ type: 'array', items: { type: 'string' } }, { type: 'null' }] },
    ruling: { type: 'string' },
    version: { type: 'string' },
    at: { type: 'string' },
  },
} as unknown as typeof defined.Ruling
export type Ruling = defined.Ruling

export const VerifiedTable = {
  type: 'object',
  required: ['table', 'clinicRows', 'portalRows', 'kept', 'differences', 'stuck', 'inFlight'],
  properties: {
    table: { type: 'string', minLength: 1, maxLength: 63 },
    clinicRows: { type: 'integer', minimum: 0 },
    portalRows: { type: 'integer', minimum: 0 },
    kept: { type: 'integer', minimum: 0 },
    differences: { type: 'integer', minimum: 0 },
    stuck: { type: 'integer', minimum: 0 },
    inFlight: { type: 'integer', minimum: 0 },
  },
} as unknown as typeof defined.VerifiedTable
export type VerifiedTable = defined.VerifiedTable

export const Minute = {
  type: 'object',
  required: ['at', 'direction', 'changes', 'medianMs', 'worstMs'],
  properties: {
    at: { type: 'string', pattern: '^\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d[.]\\d{3}Z$' },
    direction: Direction,
    changes: { type: 'integer', minimum: 0 },
    medianMs: { anyOf: [{ type: 'integer', minimum: 0 }, { type: 'null' }] },
    worstMs: { anyOf: [{ type: 'integer', minimum: 0 }, { type: 'null' }] },
  },
} as unknown as typeof defined.Minute
export type Minute = defined.Minute

export const LeaderQuestion = {
  anyOf: [
    { type: 'object', required: ['ask', 'side'], properties: { ask: { type: 'string', const: 'drain' }, side: Side } },
    {
      type: 'object',
      required: ['ask', 'side'],
      properties: { ask: { type: 'string', const: 'test-doorbell' }, side: Side },
    },
    { type: 'object', required: ['ask'], properties: { ask: { type: 'string', const: 'who' } } },
  ],
} as unknown as typeof defined.LeaderQuestion
export type LeaderQuestion = defined.LeaderQuestion

export const Versions = {
  type: 'object',
  required: ['version', 'node', 'migrations', 'rabbitmq', 'doorbells'],
  properties: {
    version: { type: 'string' },
    node: { type: 'string' },
    migrations: {
      type: 'object',
      required: ['clinic', 'portal'],
      properties: {
        clinic: { anyOf: [{ type: 'string' }, { type: 'null' }] },
        portal: { anyOf: [{ type: 'string' }, { type: 'null' }] },
      },
    },
    rabbitmq: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    doorbells: {
      type: 'object',
      required: ['clinic', 'portal'],
      properties: { clinic: { type: 'string' }, portal: { type: 'string' } },
    },
  },
} as unknown as typeof defined.Versions
export type Versions = defined.Versions

export const QueuesPart = {
  anyOf: [
    {
      type: 'object',
      required: ['reachable', 'queues', 'missing'],
      properties: {
        reachable: { type: 'boolean', const: true },
        queues: {
          type: 'array',
          items: {
            type: 'object',
            required: ['name', 'messages', 'consumers'],
            properties: {
              name: { type: 'string' },
              messages: { type: 'integer', minimum: 0 },
              consumers: { type: 'integer', minimum: 0 },
            },
          },
        },
        missing: { type: 'array', items: { type: 'string' } },
      },
    },
    Unreachable,
  ],
} as unknown as typeof defined.QueuesPart
export type QueuesPart = defined.QueuesPart

export const DoorbellTestResponse = {
  type: 'object',
  properties: { clinic: DoorbellTest, portal: DoorbellTest },
} as unknown as typeof defined.DoorbellTestResponse
export type DoorbellTestResponse = defined.DoorbellTestResponse

export const CountedMinutes = {
  type: 'object',
  required: ['minutes'],
  properties: { minutes: { type: 'array', items: Minute, maxItems: 100 } },
} as unknown as typeof defined.CountedMinutes
export type CountedMinutes = defined.CountedMinutes

export const Rulings = {
  type: 'object',
  required: ['rulings', 'next', 'unasked'],
  properties: {
    rulings: { type: 'array', items: Ruling },
    next: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    unasked: { type: 'array', items: { type: 'string' } },
  },
} as unknown as typeof defined.Rulings
export type Rulings = defined.Rulings

export const History = {
  type: 'object',
  required: ['startedAt', 'minutes'],
  properties: { startedAt: { type: 'string' }, minutes: { type: 'array', items: Minute } },
} as unknown as typeof defined.History
export type History = defined.History

export const Outcome = {
  type: 'object',
  required: ['table', 'key', 'version', 'outcome'],
  properties: {
    table: { type: 'string', minLength: 1, maxLength: 63 },
    key: Key,
    version: Version,
    outcome: OutcomeKind,
    code: { type: 'string', maxLength: 64 },
    reason: { type: 'string', maxLength: 1000 },
  },
} as unknown as typeof defined.Outcome
export type Outcome = defined.Outcome

export const DeadLetterReplay = {
  type: 'object',
  required: ['sent', 'outcomes', 'unfit', 'stopped', 'left'],
  properties: {
    sent: { type: 'integer', minimum: 0 },
    outcomes: { type: 'object', patternProperties: { '^.*$': { type: 'integer', minimum: 0 } } },
    unfit: {
      type: 'array',
      items: {
        type: 'object',
        required: ['id', 'reason'],
        properties: { id: { type: 'string' }, reason: { type: 'string' } },
      },
    },
    stopped: {
      anyOf: [
        {
          type: 'object',
          required: ['id', 'what', 'code', 'reason'],
          properties: {
            id: { type: 'string' },
            what: { enum: ['dead', 'retry', 'unanswered', 'unsent'] },
            code: { type: 'string' },
            reason: { type: 'string' },
          },
        },
        { type: 'null' },
      ],
    },
    left: { type: 'integer', minimum: 0 },
  },
} as unknown as typeof defined.DeadLetterReplay
export type DeadLetterReplay = defined.DeadLetterReplay

export const RulingValues = {
  type: 'object',
  required: ['id', 'values'],
  properties: {
    id: { type: 'string' },
    values: {
      type: 'array',
      items: {
        type: 'object',
        required: ['column', 'clinic', 'portal', 'base'],
        properties: { column: { type: 'string' }, clinic: Value, portal: Value, base: Value },
      },
    },
  },
} as unknown as typeof defined.RulingValues
export type RulingValues = defined.RulingValues

export const DeadLettersPart = {
  anyOf: [
    {
      type: 'object',
      required: ['reachable', 'letters', 'causes'],
      properties: {
        reachable: { type: 'boolean', const: true },
        letters: { type: 'integer', minimum: 0 },
        causes: { type: 'array', items: DeadCause },
      },
    },
    Unreachable,
  ],
} as unknown as typeof defined.DeadLettersPart
export type DeadLettersPart = defined.DeadLettersPart

export const TriggerFailure = {
  type: 'object',
  required: ['statusCode', 'error', 'message'],
  properties: {
    statusCode: { type: 'number', const: 503 },
    error: { type: 'string' },
    message: { type: 'string' },
    'sql-to-postgres': { anyOf: [DrainReport, DrainFailure] },
    'postgres-to-sql': { anyOf: [DrainReport, DrainFailure] },
  },
} as unknown as typeof defined.TriggerFailure
export type TriggerFailure = defined.TriggerFailure

export const Verification = {
  type: 'object',
  required: ['through', 'finishedAt', 'complete', 'rows', 'differences', 'inFlight', 'tables'],
  properties: {
    through: { type: 'string', minLength: 1, maxLength: 40 },
    finishedAt: { type: 'string', minLength: 1, maxLength: 40 },
    complete: { type: 'boolean' },
    rows: { type: 'integer', minimum: 0 },
    differences: { type: 'integer', minimum: 0 },
    inFlight: { type: 'integer', minimum: 0 },
    tables: { type: 'array', items: VerifiedTable, maxItems: 100 },
  },
} as unknown as typeof defined.Verification
export type Verification = defined.Verification

export const LeaderAnswer = {
  anyOf: [
    { type: 'object', required: ['working'], properties: { working: { type: 'boolean', const: true } } },
    {
      type: 'object',
      required: ['code', 'message'],
      properties: { code: { type: 'string', maxLength: 64 }, message: { type: 'string', maxLength: 2000 } },
    },
    { type: 'object', required: ['drained'], properties: { drained: DrainReport } },
    { type: 'object', required: ['tested'], properties: { tested: DoorbellTest } },
    { type: 'object', required: ['leader'], properties: { leader: LeaderFacts } },
  ],
} as unknown as typeof defined.LeaderAnswer
export type LeaderAnswer = defined.LeaderAnswer

export const OutcomeBatch = {
  type: 'object',
  required: ['direction', 'outcomes'],
  properties: { direction: Direction, outcomes: { type: 'array', items: Outcome, maxItems: 10000 }, latency: Latency },
} as unknown as typeof defined.OutcomeBatch
export type OutcomeBatch = defined.OutcomeBatch

export const AlertMessage = {
  type: 'object',
  required: [
    'id',
    'text',
    'state',
    'condition',
    'side',
    'direction',
    'since',
    'until',
    'lastedSeconds',
    'problems',
    'at',
    'version',
    'host',
  ],
  properties: {
    id: { type: 'string', minLength: 1, maxLength: 64 },
    text: { type: 'string', minLength: 1, maxLength: 8000 },
    state: { enum: ['problem', 'recovered', 'test'] },
    condition: AlertCondition,
    side: { anyOf: [Side, { type: 'null' }] },
    direction: { anyOf: [Direction, { type: 'null' }] },
    since: { type: 'string', minLength: 1, maxLength: 40 },
    until: { anyOf: [{ type: 'string', minLength: 1, maxLength: 40 }, { type: 'null' }] },
    lastedSeconds: { anyOf: [{ type: 'integer', minimum: 0 }, { type: 'null' }] },
    problems: { type: 'array', items: { type: 'string', maxLength: 4000 }, maxItems: 20 },
    at: { type: 'string', minLength: 1, maxLength: 40 },
    version: { type: 'string', maxLength: 64 },
    host: { type: 'string', maxLength: 255 },
  },
} as unknown as typeof defined.AlertMessage
export type AlertMessage = defined.AlertMessage

export const DeadLetterFacts = {
  type: 'object',
  required: [
    'id',
    'event',
    'direction',
    'table',
    'key',
    'version',
    'cause',
    'type',
    'message',
    'attempts',
    'replays',
    'firstFailedAt',
    'failedAt',
    'standing',
    'supersededBy',
    'outboxStatus',
    'queue',
    'bytes',
  ],
  properties: {
    id: { type: 'string' },
    event: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    direction: { anyOf: [Direction, { type: 'null' }] },
    table: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    key: { anyOf: [Key, { type: 'null' }] },
    version: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    cause: { type: 'string' },
    type: { type: 'string' },
    message: { type: 'string' },
    attempts: { type: 'integer', minimum: 0 },
    replays: { type: 'integer', minimum: 0 },
    firstFailedAt: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    failedAt: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    standing: { enum: ['standing', 'superseded', 'settled', 'discarded', 'unclear'] },
    supersededBy: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    outboxStatus: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    queue: { type: 'string' },
    bytes: { type: 'integer', minimum: 0 },
  },
} as unknown as typeof defined.DeadLetterFacts
export type DeadLetterFacts = defined.DeadLetterFacts

export const RowDeleted = {
  type: 'object',
  required: ['specversion', 'id', 'source', 'subject', 'time', 'type', 'data'],
  properties: {
    specversion: { type: 'string', const: '1.0' },
    id: { type: 'string', minLength: 1, maxLength: 200 },
    source: Side,
    subject: { type: 'string', minLength: 1, maxLength: 150 },
    time: { type: 'string', minLength: 1, maxLength: 40 },
    traceparent: { type: 'string', pattern: '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' },
    tracestate: { type: 'string', maxLength: 512 },
    type: { type: 'string', const: 'sync.row.deleted.v1' },
    data: {
      type: 'object',
      required: ['table', 'key', 'version', 'seen', 'since', 'base', 'row'],
      properties: {
        table: { type: 'string', minLength: 1, maxLength: 63 },
        key: Key,
        version: Version,
        seen: Version,
        since: { anyOf: [Version, { type: 'null' }] },
        base: { anyOf: [Row, { type: 'null' }] },
        row: { type: 'null' },
      },
    },
  },
} as unknown as typeof defined.RowDeleted

export const OutboxPart = {
  anyOf: [
    {
      type: 'object',
      required: ['reachable', 'rows', 'oldestPendingSeconds', 'oldestQueuedSeconds', 'retrying', 'failed', 'last'],
      properties: {
        reachable: { type: 'boolean', const: true },
        rows: {
          type: 'object',
          required: ['Pending', 'Queued', 'Synced', 'Failed'],
          properties: {
            Pending: { type: 'integer', minimum: 0 },
            Queued: { type: 'integer', minimum: 0 },
            Synced: { type: 'integer', minimum: 0 },
            Failed: { type: 'integer', minimum: 0 },
          },
        },
        oldestPendingSeconds: { anyOf: [{ type: 'integer', minimum: 0 }, { type: 'null' }] },
        oldestQueuedSeconds: { anyOf: [{ type: 'integer', minimum: 0 }, { type: 'null' }] },
        retrying: { type: 'integer', minimum: 0 },
        failed: {
          type: 'array',
          items: {
            type: 'object',
            required: ['cause', 'rows', 'discarded'],
            properties: {
              cause: { type: 'string' },
              rows: { type: 'integer', minimum: 0 },
              discarded: { type: 'boolean' },
            },
          },
        },
        last: { anyOf: [LastEvent, { type: 'null' }] },
      },
    },
    Unreachable,
  ],
} as unknown as typeof defined.OutboxPart
export type OutboxPart = defined.OutboxPart

export const DeadLetterList = {
  type: 'object',
  required: ['letters', 'total', 'unasked'],
  properties: {
    letters: { type: 'array', items: DeadLetterFacts },
    total: { type: 'integer', minimum: 0 },
    unasked: { type: 'array', items: { type: 'string' } },
  },
} as unknown as typeof defined.DeadLetterList
export type DeadLetterList = defined.DeadLetterList

export const IngressPart = {
  anyOf: [
    {
      type: 'object',
      required: ['reachable', 'lead', 'leader', 'startedAt', 'doorbells', 'lacks'],
      properties: {
        reachable: { type: 'boolean', const: true },
        lead: { enum: ['leads', 'standby', 'connecting'] },
        leader: { anyOf: [LeaderFacts, { type: 'null' }] },
        startedAt: { type: 'string' },
        doorbells: {
          type: 'object',
          required: ['clinic', 'portal'],
          properties: {
            clinic: {
              type: 'object',
              required: ['doorbell', 'heard', 'reason', 'lastRang'],
              properties: {
                doorbell: { type: 'string' },
                heard: { anyOf: [{ type: 'boolean' }, { type: 'null' }] },
                reason: { anyOf: [{ type: 'string' }, { type: 'null' }] },
                lastRang: { anyOf: [{ type: 'string' }, { type: 'null' }] },
              },
            },
            portal: {
              type: 'object',
              required: ['doorbell', 'heard', 'reason', 'lastRang'],
              properties: {
                doorbell: { type: 'string' },
                heard: { anyOf: [{ type: 'boolean' }, { type: 'null' }] },
                reason: { anyOf: [{ type: 'string' }, { type: 'null' }] },
                lastRang: { anyOf: [{ type: 'string' }, { type: 'null' }] },
              },
            },
          },
        },
        lacks: {
          type: 'array',
          items: {
            type: 'object',
            required: ['name', 'reason'],
            properties: { name: { type: 'string' }, reason: { type: 'string' } },
          },
        },
      },
    },
    Unreachable,
  ],
} as unknown as typeof defined.IngressPart
export type IngressPart = defined.IngressPart

export const VerificationPart = {
  anyOf: [
    {
      type: 'object',
      required: ['reachable', 'last', 'running'],
      properties: {
        reachable: { type: 'boolean', const: true },
        last: { anyOf: [Verification, { type: 'null' }] },
        running: { anyOf: [RunningVerification, { type: 'null' }] },
      },
    },
    Unreachable,
  ],
} as unknown as typeof defined.VerificationPart
export type VerificationPart = defined.VerificationPart

export const RowUpserted = {
  type: 'object',
  required: ['specversion', 'id', 'source', 'subject', 'time', 'type', 'data'],
  properties: {
    specversion: { type: 'string', const: '1.0' },
    id: { type: 'string', minLength: 1, maxLength: 200 },
    source: Side,
    subject: { type: 'string', minLength: 1, maxLength: 150 },
    time: { type: 'string', minLength: 1, maxLength: 40 },
    traceparent: { type: 'string', pattern: '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' },
    tracestate: { type: 'string', maxLength: 512 },
    type: { type: 'string', const: 'sync.row.upserted.v1' },
    data: {
      type: 'object',
      required: ['table', 'key', 'version', 'seen', 'since', 'base', 'row'],
      properties: {
        table: { type: 'string', minLength: 1, maxLength: 63 },
        key: Key,
        version: Version,
        seen: Version,
        since: { anyOf: [Version, { type: 'null' }] },
        base: { anyOf: [Row, { type: 'null' }] },
        row: Row,
      },
    },
  },
} as unknown as typeof defined.RowUpserted

export const RecordTold = {
  type: 'object',
  required: ['table', 'key', 'at', 'verdict', 'equal', 'outlook', 'sections', 'columns', 'rulings', 'unasked'],
  properties: {
    table: { type: 'string' },
    key: Key,
    at: { type: 'string' },
    verdict: { type: 'string' },
    equal: { anyOf: [{ type: 'boolean' }, { type: 'null' }] },
    outlook: { anyOf: [{ type: 'string' }, { type: 'null' }] },
    sections: { type: 'array', items: ExplanationPart },
    columns: {
      type: 'array',
      items: {
        type: 'object',
        required: ['column', 'clinicColumn', 'whose', 'equal', 'how'],
        properties: {
          column: { type: 'string' },
          clinicColumn: { type: 'string' },
          whose: { type: 'string' },
          equal: { anyOf: [{ type: 'boolean' }, { type: 'null' }] },
          how: { anyOf: [{ type: 'string' }, { type: 'null' }] },
          clinic: Value,
          portal: Value,
        },
      },
    },
    rulings: {
      type: 'array',
      items: {
        type: 'object',
        required: ['id', 'table', 'key', 'columns', 'ruling', 'version', 'at'],
        properties: {
          id: { type: 'string' },
          table: { type: 'string' },
          key: Key,
          columns: { anyOf: [{ type: 'array', items: { type: 'string' } }, { type: 'null' }] },
          ruling: { type: 'string' },
          version: { type: 'string' },
          at: { type: 'string' },
          values: {
            type: 'array',
            items: {
              type: 'object',
              required: ['column', 'clinic', 'portal', 'base'],
              properties: { column: { type: 'string' }, clinic: Value, portal: Value, base: Value },
            },
          },
        },
      },
    },
    unasked: { type: 'array', items: { type: 'string' } },
  },
} as unknown as typeof defined.RecordTold
export type RecordTold = defined.RecordTold

export const SyncEvent = { anyOf: [RowUpserted, RowDeleted] } as unknown as typeof defined.SyncEvent
export type SyncEvent = defined.SyncEvent

export const SyncStatus = {
  type: 'object',
  required: ['ok', 'problems', 'at', 'ingress', 'outboxes', 'queues', 'deadLetters', 'verification'],
  properties: {
    ok: { type: 'boolean' },
    problems: { type: 'array', items: { type: 'string' } },
    at: { type: 'string' },
    ingress: IngressPart,
    outboxes: {
      type: 'object',
      required: ['clinic', 'portal'],
      properties: { clinic: OutboxPart, portal: OutboxPart },
    },
    queues: QueuesPart,
    deadLetters: DeadLettersPart,
    verification: VerificationPart,
  },
} as unknown as typeof defined.SyncStatus
export type SyncStatus = defined.SyncStatus
