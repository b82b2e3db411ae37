import type { ConsumeMessage } from 'amqplib'
import { type Direction, type Key, type Outcome, type Version } from '@clinic-sync/contracts'
import { partitionOf, SyncError } from '@clinic-sync/sync'
import { HEADER, headersOf } from './headers.ts'
import { decodeOutcomes, MAX_MESSAGE_BYTES } from './message.ts'
import { DIRECTIONS, eventKey, EVENTS, OUTCOMES } from './topology.ts'
import { type Watch, watch, type WatchOptions } from './watching.ts'

/** What was seen of a record on its way: its event, as the ingress has published it, or what a consumer reports of it. */
export type RecordSight =
  | { readonly kind: 'event'; readonly direction: Direction; readonly version: Version }
  | { readonly kind: 'outcome'; readonly direction: Direction; readonly outcome: Outcome }

export interface WatchRecordOptions extends WatchOptions {
  readonly table: string
  readonly key: Key
  /** Must not throw. */
  readonly onSight: (sight: RecordSight) => void
}

/**
 * Watches one record's events and their outcomes, both ways: see `watch`, also for what it throws. Of the events of other records,
 * which come through the same partition, it reads one header and no more.
 */
export function watchRecord({ table, key, onSight, ...options }: WatchRecordOptions): Promise<Watch> {
  return watch({
    ...options,
    what: `${table}/${key}`,
    bindings: DIRECTIONS.flatMap((direction) => [
      { exchange: EVENTS, key: eventKey(direction, partitionOf(table, key)) },
      { exchange: OUTCOMES, key: `${direction}.#` },
    ]),
    onMessage(message) {
      for (const sight of sightsIn(message, table, key)) onSight(sight)
    },
  })
}

function sightsIn(message: ConsumeMessage, table: string, key: Key): RecordSight[] {
  const { exchange, routingKey } = message.fields
  const direction = DIRECTIONS.find((each) => routingKey.startsWith(`${each}.`))
  if (direction === undefined) return []
  if (exchange === EVENTS) {
    const headers = headersOf(message)
    const version = headers[HEADER.version]
    if (headers[HEADER.entityKey] !== `${table}/${key}` || typeof version !== 'string') return []
    return [{ kind: 'event', direction, version }]
  }
  try {
    const { outcomes } = decodeOutcomes(message, direction, MAX_MESSAGE_BYTES)
    return outcomes.flatMap((outcome) =>
      outcome.table === table && outcome.key === key ? [{ kind: 'outcome' as const, direction, outcome }] : [],
    )
  } catch (error) {
    // Somebody else's, or of another version: whoever settles it says so.
    if (error instanceof SyncError) return []
    throw error
  }
}
