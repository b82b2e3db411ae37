import {
  directionFrom,
  outcomeBatchValidator,
  syncEventValidator,
  type Direction,
  type OutcomeBatch,
  type SyncEvent,
} from '@clinic-sync/contracts'
import { partitionOf, SyncError } from '@clinic-sync/sync'
import { HEADER, headersOf, type Labelled } from './headers.ts'
import type { OutgoingMessage } from './publisher.ts'
import { activeTrace, traceFieldsOf } from './trace.ts'
import { EVENTS, eventKey, OUTCOMES, outcomeKey } from './topology.ts'

/** Bytes. RabbitMQ 4 takes 16 MiB by default: below it, with room for what it adds. */
export const MAX_MESSAGE_BYTES = 15 * 1024 * 1024

export const OUTCOMES_TYPE = 'sync.outcomes.v1'

/** Seconds: AMQP's timestamps are no finer. */
export const nowInSeconds = () => Math.floor(Date.now() / 1000)

/** An event for its record's partition. Everything an operator or the consumer needs is in headers of our own. */
export function eventMessage(event: SyncEvent, appId: string): OutgoingMessage {
  const { table, key, version } = event.data
  return {
    exchange: EVENTS,
    routingKey: eventKey(directionFrom(event.source), partitionOf(table, key)),
    content: Buffer.from(JSON.stringify(event)),
    options: {
      messageId: event.id,
      type: event.type,
      contentType: 'application/json',
      timestamp: nowInSeconds(),
      appId,
      headers: {
        [HEADER.entityKey]: `${table}/${key}`,
        [HEADER.version]: version,
        [HEADER.attempt]: 0,
        ...traceFieldsOf(event),
      },
    },
  }
}

export function outcomeMessage(batch: OutcomeBatch, appId: string, messageId: string): OutgoingMessage {
  return {
    exchange: OUTCOMES,
    routingKey: outcomeKey(batch.direction),
    content: Buffer.from(JSON.stringify(batch)),
    options: {
      messageId,
      type: OUTCOMES_TYPE,
      contentType: 'application/json',
      timestamp: nowInSeconds(),
      appId,
      headers: activeTrace(),
    },
  }
}

/** @throws SyncError SYNC_BAD_MESSAGE that names the fields at fault, never their values */
export function decodeEvent(message: Labelled, direction: Direction, maxBytes: number): SyncEvent {
  return decode(message, maxBytes, (event) => {
    if (!syncEventValidator.Check(event)) throw wrongShape(syncEventValidator.Errors(event))
    if (directionFrom(event.source) !== direction) throw bad(`source: does not travel ${direction}`)
    return event
  })
}

/** @throws SyncError SYNC_BAD_MESSAGE */
export function decodeOutcomes(message: Labelled, direction: Direction, maxBytes: number): OutcomeBatch {
  return decode(message, maxBytes, (batch) => {
    if (!outcomeBatchValidator.Check(batch)) throw wrongShape(outcomeBatchValidator.Errors(batch))
    if (batch.direction !== direction) throw bad(`direction: is not ${direction}`)
    return batch
  })
}

/** Our own count of failed attempts; RabbitMQ's counters differ between its versions and count peeks as well. */
export function attemptOf(message: Pick<Labelled, 'properties'>): number {
  const attempt: unknown = headersOf(message)[HEADER.attempt]
  return typeof attempt === 'number' && Number.isInteger(attempt) && attempt >= 0 ? attempt : 0
}

/** Whatever goes wrong with a message is the message's fault: thrown on, it would come back, and stop its queue for good. */
function decode<T>({ content }: Labelled, maxBytes: number, validate: (value: unknown) => T): T {
  if (content.length > maxBytes) throw bad(`${content.length} bytes; the limit is ${maxBytes}`)
  try {
    return validate(parse(content))
  } catch (error) {
    throw error instanceof SyncError ? error : bad('cannot be read')
  }
}

function parse(content: Buffer): unknown {
  try {
    return JSON.parse(content.toString('utf8'))
  } catch {
    // Without the cause: a SyntaxError quotes the text.
    throw bad('not JSON')
  }
}

/** A field's name as it may be shown: a message that is not ours may have anything for a name. */
const shown = (path: string) => (/^[\w/-]{1,80}$/.test(path) ? path.slice(1).replaceAll('/', '.') : '(a field)')

function wrongShape(errors: readonly { readonly instancePath: string }[]): SyncError {
  const fields = new Set(
    errors.map((error) => (error.instancePath === '' ? 'the message itself' : shown(error.instancePath))),
  )
  // A union reports what each of its branches dislikes; the root always comes with them and says nothing more.
  if (fields.size > 1) fields.delete('the message itself')
  return bad(`wrong or missing: ${[...fields].slice(0, 6).join(', ')}`)
}

const bad = (what: string) => new SyncError('SYNC_BAD_MESSAGE', what)
