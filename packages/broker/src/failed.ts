import { hostname } from 'node:os'
import type { ConsumeMessage } from 'amqplib'
import type { Direction } from '@clinic-sync/contracts'
import type { Failure } from './api.ts'
import { type About, aboutOf, HEADER, headersOf, type Labelled, MAX_TEXT, newDeadId, TRACE_HEADERS } from './headers.ts'
import { attemptOf, nowInSeconds } from './message.ts'
import type { OutgoingMessage } from './publisher.ts'
import { DEAD, deadKey, discardedKey, RETRY, retryKey } from './topology.ts'

/** Of a header that is no reason. amqplib encodes 64 KiB of headers at most. */
const MAX_NAME = 512

/** The copy of a message that waits in a retry queue. `retry` counts from 1. */
export function retryCopy(
  message: ConsumeMessage,
  options: { direction: Direction; partition: number; retry: number; failure: Failure; appId: string },
): OutgoingMessage {
  const { direction, partition, retry, failure, appId } = options
  return copy(message, RETRY, retryKey(direction, partition, retry), appId, {
    [HEADER.attempt]: retry,
    [HEADER.errorType]: failure.type,
    [HEADER.errorCode]: failure.code.slice(0, MAX_TEXT),
    [HEADER.firstFailedAt]: firstFailedAt(message),
  })
}

/** The copy of a message for the end of its own queue: no attempt is counted, and RabbitMQ counts its deliveries anew. */
export function freshCopy(
  message: ConsumeMessage,
  options: { exchange: string; routingKey: string; appId: string },
): OutgoingMessage {
  const attempt = attemptOf(message)
  return copy(message, options.exchange, options.routingKey, options.appId, {
    [HEADER.attempt]: attempt,
    ...(attempt > 0 && { [HEADER.firstFailedAt]: firstFailedAt(message) }),
  })
}

export interface DeadCopyOptions {
  readonly direction: Direction
  readonly failure: Failure
  /** Where it came from. */
  readonly queue: string
  readonly appId: string
  /** The change, where it is known; else the message's own headers say it. */
  readonly about?: About | null
  /** Its name, where it has one already. */
  readonly id?: string
  /** How often it has been tried, where our own count does not say; ISO 8601, where it did not fail now. */
  readonly attempts?: number
  readonly failedAt?: string
}

/** The annotated copy of a message in the dead-letter queue: what, why, when, how often, by whom. See `HEADER`. */
export function deadCopy(message: Labelled, options: DeadCopyOptions): OutgoingMessage {
  const { direction, failure, queue, appId, id = newDeadId(), failedAt = new Date().toISOString() } = options
  const { about = aboutOf(message), attempts = attemptOf(message) + 1 } = options
  return copy(message, DEAD, deadKey(direction), appId, {
    [HEADER.deadId]: id,
    [HEADER.direction]: direction,
    ...(about !== null && {
      [HEADER.table]: about.table,
      [HEADER.key]: String(about.key),
      [HEADER.entityKey]: `${about.table}/${about.key}`,
      [HEADER.version]: about.version,
    }),
    [HEADER.attempt]: attempts,
    [HEADER.errorType]: failure.type,
    [HEADER.errorMessage]: failure.message.slice(0, MAX_TEXT),
    [HEADER.errorCode]: failure.code.slice(0, MAX_TEXT),
    [HEADER.firstFailedAt]: firstFailedAt(message),
    [HEADER.failedAt]: failedAt,
    [HEADER.attempts]: attempts,
    [HEADER.sourceQueue]: queue,
    [HEADER.consumer]: consumerName(appId),
  })
}

/** A dead letter, told that a later version has succeeded. All else about it stays. */
export const supersededCopy = (message: Labelled, direction: Direction, version: string): OutgoingMessage =>
  annotatedCopy(message, deadKey(direction), {
    [HEADER.supersededBy]: version,
    [HEADER.supersededAt]: new Date().toISOString(),
  })

/** A dead letter that an operator has given up, for the queue of those. All else about it stays. */
export const discardedCopy = (message: Labelled, { by, why }: { by: string; why: string }): OutgoingMessage =>
  annotatedCopy(message, discardedKey, {
    [HEADER.discardedBy]: by.slice(0, MAX_TEXT),
    [HEADER.discardedWhy]: why.slice(0, MAX_TEXT),
    [HEADER.discardedAt]: new Date().toISOString(),
  })

function annotatedCopy(message: Labelled, routingKey: string, headers: Record<string, unknown>): OutgoingMessage {
  const before = headersOf(message)
  const ours: Record<string, unknown> = {}
  for (const name of Object.values(HEADER)) {
    const value = before[name]
    if (typeof value === 'string') ours[name] = value.slice(0, name === HEADER.errorMessage ? MAX_TEXT : MAX_NAME)
    else if (isCount(value)) ours[name] = value
  }
  return copy(message, DEAD, routingKey, shortText(message.properties.appId) ?? 'unknown', { ...ours, ...headers })
}

/** The process, as a dead letter names it. */
const consumerName = (appId: string) => `${appId}@${hostname()}:${process.pid}`

function firstFailedAt(message: Pick<Labelled, 'properties'>): string {
  const before = headersOf(message)[HEADER.firstFailedAt]
  return typeof before === 'string' ? before.slice(0, 40) : new Date().toISOString()
}

/**
 * The same body under new headers. Only our own are carried over: with RabbitMQ's `x-death` in it a republished message can
 * vanish as a "cycle".
 */
function copy(
  message: Labelled,
  exchange: string,
  routingKey: string,
  appId: string,
  headers: Record<string, unknown>,
): OutgoingMessage {
  const { properties } = message
  const before = headersOf(message)
  const kept = [HEADER.entityKey, HEADER.version, ...TRACE_HEADERS].flatMap((name) => {
    const value = before[name]
    return typeof value === 'string' ? [[name, value.slice(0, MAX_NAME)] as const] : []
  })
  const replays = before[HEADER.replays]
  return {
    exchange,
    routingKey,
    content: message.content,
    options: {
      messageId: shortText(properties.messageId) ?? 'none',
      contentType: shortText(properties.contentType) ?? 'application/octet-stream',
      type: shortText(properties.type) ?? 'unknown',
      timestamp: nowInSeconds(),
      appId,
      headers: {
        ...Object.fromEntries(kept),
        ...(isCount(replays) && { [HEADER.replays]: replays }),
        ...headers,
      },
    },
  }
}

/** What another client has sent as a number need not be a count. */
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/** AMQP's short strings hold 255 bytes. */
const shortText = (value: unknown): string | null =>
  typeof value === 'string' && Buffer.byteLength(value) <= 255 && value !== '' ? value : null
