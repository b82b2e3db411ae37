import { createHash, randomInt } from 'node:crypto'
import type { Direction } from '@clinic-sync/contracts'
import type { Failure } from './api.ts'
import { DELIVERY_LIMIT } from './topology.ts'

/**
 * The headers of our messages. Without the prefix `x-`, which is RabbitMQ's; keys, names, limits and error numbers only, for
 * whoever may read the management UI. What is above `deadId` travels with every event; the rest is a dead letter's.
 */
export const HEADER = {
  /** Failed attempts so far. */
  attempt: 'sync-attempt',
  /** `table/key`. */
  entityKey: 'sync-entity-key',
  version: 'sync-version',
  firstFailedAt: 'sync-first-failed-at',
  /** How often an operator has replayed it. */
  replays: 'sync-replays',

  deadId: 'sync-dead-id',
  direction: 'sync-direction',
  table: 'sync-table',
  key: 'sync-key',
  errorType: 'sync-error-type',
  errorCode: 'sync-error-code',
  errorMessage: 'sync-error-message',
  failedAt: 'sync-failed-at',
  attempts: 'sync-attempts',
  sourceQueue: 'sync-source-queue',
  consumer: 'sync-consumer',
  /** The version that has succeeded since, and when that was found. */
  supersededBy: 'sync-superseded-by',
  supersededAt: 'sync-superseded-at',
  /** Who has given it up, why, and when. */
  discardedBy: 'sync-discarded-by',
  discardedWhy: 'sync-discarded-why',
  discardedAt: 'sync-discarded-at',
} as const

/** W3C trace context: carried from one copy of a message to the next. */
export const TRACE_HEADERS = ['traceparent', 'tracestate'] as const

export type Headers = Readonly<Record<string, unknown>>
/** What of a message tells what it is. */
export interface Labelled {
  readonly content: Buffer
  readonly properties: Labels
}
interface Labels {
  readonly headers?: Headers | undefined
  readonly messageId?: unknown
  readonly contentType?: unknown
  readonly type?: unknown
  readonly appId?: unknown
}

export const headersOf = ({ properties }: Pick<Labelled, 'properties'>): Headers => properties.headers ?? {}

const ALPHABET = '0123456789abcdefghijklmnopqrstuvwxyz'
const ID_LENGTH = 10

/** A dead letter's name for its operator: ten characters of [0-9a-z]. */
export const newDeadId = (): string =>
  Array.from({ length: ID_LENGTH }, () => ALPHABET.charAt(randomInt(ALPHABET.length))).join('')

/** The name of one that came without: RabbitMQ's own, or one that somebody put there. The same each time it is looked at. */
export function derivedDeadId({ properties, content }: Labelled): string {
  const { messageId } = properties
  const hash = createHash('sha256')
    .update(typeof messageId === 'string' ? messageId : '')
    .update('\n')
    .update(content)
    .digest()
  return Array.from(hash.subarray(0, ID_LENGTH), (byte) => ALPHABET.charAt(byte % ALPHABET.length)).join('')
}

/** A record and its version, as our own headers have them; null where they do not. */
export interface About {
  readonly table: string
  readonly key: number
  readonly version: string
}

/** Which change a message is about, by its headers alone. */
export function aboutOf(message: Pick<Labelled, 'properties'>): About | null {
  const { [HEADER.entityKey]: entity, [HEADER.version]: version } = headersOf(message)
  if (typeof entity !== 'string' || typeof version !== 'string') return null
  const match = /^([a-z_][a-z0-9_]{0,62})\/(-?\d{1,10})$/.exec(entity)
  if (match?.[1] === undefined || !/^\d{1,19}$/.test(version)) return null
  const key = Number(match[2])
  return key < -(2 ** 31) || key > 2 ** 31 - 1 ? null : { table: match[1], key, version: BigInt(version).toString() }
}

/** A dead letter as its headers tell it. */
export interface DeadLetter {
  readonly id: string
  /** Whether its headers are ours. False: RabbitMQ's own, or put there by somebody. */
  readonly annotated: boolean
  /** Null: its headers do not say which change it was. */
  readonly about: About | null
  /** Null: its headers do not say. */
  readonly direction: Direction | null
  readonly errorType: Failure['type']
  readonly errorCode: string
  readonly errorMessage: string
  /** Instants in UTC, ISO 8601; null: not known. */
  readonly firstFailedAt: string | null
  readonly failedAt: string | null
  readonly attempts: number
  readonly replays: number
  readonly sourceQueue: string | null
  readonly consumer: string | null
  readonly supersededBy: string | null
  readonly supersededAt: string | null
}

/** Reads a dead letter's headers, whoever wrote them: what is not as we write it counts as absent. */
export function readDeadLetter(message: Labelled): DeadLetter {
  const headers = headersOf(message)
  const text = (name: string): string | null => {
    const value = headers[name]
    return typeof value === 'string' && value !== '' ? value.slice(0, MAX_TEXT) : null
  }
  const count = (name: string): number => {
    const value = headers[name]
    return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : 0
  }
  const id = text(HEADER.deadId)
  const annotated = id !== null && ID.test(id)
  const supersededBy = text(HEADER.supersededBy)
  const own = annotated ? null : unannotated(message)
  return {
    id: annotated ? id : derivedDeadId(message),
    annotated,
    about: aboutOf(message),
    direction: asDirection(text(HEADER.direction)),
    errorType: own?.type ?? asType(text(HEADER.errorType)),
    errorCode: own?.code ?? text(HEADER.errorCode) ?? 'unknown',
    errorMessage: own?.message ?? text(HEADER.errorMessage) ?? '',
    firstFailedAt: text(HEADER.firstFailedAt),
    failedAt: text(HEADER.failedAt) ?? diedAt(headers),
    attempts: own?.type === 'delivery-limit' ? DELIVERY_LIMIT : count(HEADER.attempts),
    replays: count(HEADER.replays),
    sourceQueue: text(HEADER.sourceQueue) ?? text('x-first-death-queue'),
    consumer: text(HEADER.consumer),
    supersededBy: supersededBy !== null && /^\d{1,19}$/.test(supersededBy) ? supersededBy : null,
    supersededAt: text(HEADER.supersededAt),
  }
}

/** Why a message is dead whose headers do not say so in our words. */
export function unannotated(message: Pick<Labelled, 'properties'>): Failure {
  return headersOf(message)['x-first-death-reason'] === 'delivery_limit'
    ? {
        type: 'delivery-limit',
        code: 'SYNC_DELIVERY_LIMIT',
        message: `RabbitMQ delivered it ${DELIVERY_LIMIT} times, and each time its consumer crashed, or lost its connection, before it had settled it`,
      }
    : { type: 'unexpected', code: 'SYNC_BAD_MESSAGE', message: 'somebody put it into this queue without our headers' }
}

/** When RabbitMQ itself dead-lettered a message: AMQP's seconds. */
function diedAt(headers: Headers): string | null {
  const { 'x-death': deaths } = headers
  const last: unknown = Array.isArray(deaths) ? deaths[0] : null
  if (typeof last !== 'object' || last === null || !('time' in last)) return null
  const { time } = last
  const seconds: unknown = typeof time === 'object' && time !== null && 'value' in time ? time.value : time
  return typeof seconds === 'number' && seconds >= 0 && seconds < 1e11 ? new Date(seconds * 1000).toISOString() : null
}

/** Long enough for any reason; all headers of a message must stay well below a frame (128 KiB). */
export const MAX_TEXT = 1_000

const ID = /^[0-9a-z]{10}$/

const TYPES: ReadonlySet<string> = new Set<Failure['type']>([
  'transient',
  'parent',
  'permanent',
  'down',
  'bad-message',
  'unexpected',
  'delivery-limit',
])
const isType = (text: string): text is Failure['type'] => TYPES.has(text)
const asType = (text: string | null): Failure['type'] => (text !== null && isType(text) ? text : 'unexpected')

const asDirection = (text: string | null): Direction | null =>
  text === 'sql-to-postgres' || text === 'postgres-to-sql' ? text : null
