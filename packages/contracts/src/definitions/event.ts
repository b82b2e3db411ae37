import Type, { type Static } from 'typebox'
import { Key, Row, Side, Version } from './value.ts'

const Envelope = {
  specversion: Type.Literal('1.0'),
  id: Type.String({ minLength: 1, maxLength: 200 }),
  source: Side,
  subject: Type.String({ minLength: 1, maxLength: 150 }),
  time: Type.String({ minLength: 1, maxLength: 40 }),
  traceparent: Type.Optional(Type.String({ pattern: '^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' })),
  tracestate: Type.Optional(Type.String({ maxLength: 512 })),
}

const Change = {
  table: Type.String({ minLength: 1, maxLength: 63 }),
  key: Key,
  version: Version,
  seen: Version,
  since: Type.Union([Version, Type.Null()]),
  base: Type.Union([Row, Type.Null()]),
}

/** The record exists at its source and looks like `data.row`. */
export const RowUpserted = Type.Object({
  ...Envelope,
  type: Type.Literal('sync.row.upserted.v1'),
  data: Type.Object({ ...Change, row: Row }),
})

/** The record is gone at its source, or has left what is synced. */
export const RowDeleted = Type.Object({
  ...Envelope,
  type: Type.Literal('sync.row.deleted.v1'),
  data: Type.Object({ ...Change, row: Type.Null() }),
})

/**
 * What one side tells the other: CloudEvents' field names around the record's full current state.
 *
 * - `id`: `source/table/key/version`; the same change always has the same id.
 * - `time`: when the oldest change carried by this event was captured; for people and latency only, never compared.
 * - `data.version`: the source's queue id. `data.seen`: the highest version of the other side that the source had
 *   applied to this record when it was read.
 * - `data.since`, `data.base`: the portal's edits in flight, see "Applying" in docs/protocol.md; null from the clinic.
 */
export const SyncEvent = Type.Union([RowUpserted, RowDeleted])
export type SyncEvent = Static<typeof SyncEvent>

/** A change as a database hands it out, before it has an envelope. */
export type Change = SyncEvent['data'] & { capturedAt: string }
