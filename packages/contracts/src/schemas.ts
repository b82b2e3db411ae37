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

export const Readiness = {
  type: 'object',
  required: ['status', 'checks'],
  properties: {
    status: { enum: ['ready', 'not ready'] },
    checks: { type: 'object', patternProperties: { '^.*$': { type: 'string' } } },
  },
} as unknown as typeof defined.Readiness
export type Readiness = defined.Readiness

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

export const DrainFailure = {
  type: 'object',
  required: ['code', 'side', 'message'],
  properties: { code: { type: 'string' }, side: Side, message: { type: 'string' } },
} as unknown as typeof defined.DrainFailure
export type DrainFailure = defined.DrainFailure

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

export const VerifiedTable = {
  type: 'object',
  required: ['table', 'clinicRows', 'portalRows', 'differences', 'stuck', 'inFlight'],
  properties: {
    table: { type: 'string', minLength: 1, maxLength: 63 },
    clinicRows: { type: 'integer', minimum: 0 },
    portalRows: { type: 'integer', minimum: 0 },
    differences: { type: 'integer', minimum: 0 },
    stuck: { type: 'integer', minimum: 0 },
    inFlight: { type: 'integer', minimum: 0 },
  },
} as unknown as typeof defined.VerifiedTable
export type VerifiedTable = defined.VerifiedTable

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

export const Verification = {
  type: 'object',
  required: ['through', 'finishedAt', 'rows', 'differences', 'inFlight', 'tables'],
  properties: {
    through: { type: 'string', minLength: 1, maxLength: 40 },
    finishedAt: { type: 'string', minLength: 1, maxLength: 40 },
    rows: { type: 'integer', minimum: 0 },
    differences: { type: 'integer', minimum: 0 },
    inFlight: { type: 'integer', minimum: 0 },
    tables: { type: 'array', items: VerifiedTable, maxItems: 100 },
  },
} as unknown as typeof defined.Verification
export type Verification = defined.Verification

export const OutcomeBatch = {
  type: 'object',
  required: ['direction', 'outcomes'],
  properties: { direction: Direction, outcomes: { type: 'array', items: Outcome, maxItems: 10000 } },
} as unknown as typeof defined.OutcomeBatch
export type OutcomeBatch = defined.OutcomeBatch

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

export const SyncEvent = { anyOf: [RowUpserted, RowDeleted] } as unknown as typeof defined.SyncEvent
export type SyncEvent = defined.SyncEvent

export const SyncStatus = {
  type: 'object',
  required: ['ok', 'problems', 'at', 'ingress', 'outboxes', 'queues', 'deadLetters'],
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
  },
} as unknown as typeof defined.SyncStatus
export type SyncStatus = defined.SyncStatus
