import { hostname } from 'node:os'
import type { ConsumeMessage } from 'amqplib'
import type { Direction } from '@clinic-sync/contracts'
import type { Failure } from './api.ts'
import { attemptOf, headersOf, nowInSeconds } from './message.ts'
import type { OutgoingMessage } from './publisher.ts'
import { DEAD, deadKey, RETRY, retryKey } from './topology.ts'

/** Long enough for any reason; the headers of a message must stay below the frame size. */
const MAX_TEXT = 1_000

/** The copy of a message that waits in a retry queue. `retry` counts from 1. */
export function retryCopy(
  message: ConsumeMessage,
  options: { direction: Direction; partition: number; retry: number; appId: string },
): OutgoingMessage {
  const { direction, partition, retry, appId } = options
  return copy(message, RETRY, retryKey(direction, partition, retry), appId, {
    'sync-attempt': retry,
    'sync-first-failed-at': firstFailedAt(message),
  })
}

/** The annotated copy of a message in the dead-letter queue: what, why, when, how often, by whom. */
export function deadCopy(
  message: ConsumeMessage,
  options: { direction: Direction; failure: Failure; queue: string; appId: string },
): OutgoingMessage {
  const { direction, failure, queue, appId } = options
  const attempts = attemptOf(message) + 1
  return copy(message, DEAD, deadKey(direction), appId, {
    'sync-attempt': attempts,
    'sync-error-type': failure.type,
    'sync-error-message': failure.message.slice(0, MAX_TEXT),
    'sync-error-code': failure.code.slice(0, MAX_TEXT),
    'sync-first-failed-at': firstFailedAt(message),
    'sync-failed-at': new Date().toISOString(),
    'sync-attempts': attempts,
    'sync-source-queue': queue,
    'sync-consumer': `${appId}@${hostname()}:${process.pid}`,
  })
}

function firstFailedAt(message: ConsumeMessage): string {
  const before = headersOf(message)['sync-first-failed-at']
  return typeof before === 'string' ? before.slice(0, 40) : new Date().toISOString()
}

/**
 * The same body under new headers. Only our own are carried over: with RabbitMQ's `x-death` in it a republished message can
 * vanish as a "cycle".
 */
function copy(
  message: ConsumeMessage,
  exchange: string,
  routingKey: string,
  appId: string,
  headers: Record<string, unknown>,
): OutgoingMessage {
  const { properties } = message
  const before = headersOf(message)
  const kept = ['sync-entity-key', 'sync-version'].flatMap((name) => {
    const value = before[name]
    return typeof value === 'string' ? [[name, value.slice(0, 200)] as const] : []
  })
  return {
    exchange,
    routingKey,
    content: message.content,
    options: {
      messageId: text(properties.messageId) ?? 'none',
      contentType: text(properties.contentType) ?? 'application/octet-stream',
      type: text(properties.type) ?? 'unknown',
      timestamp: nowInSeconds(),
      appId,
      headers: { ...Object.fromEntries(kept), ...headers },
    },
  }
}

/** AMQP's short strings hold 255 bytes. */
const text = (value: unknown): string | null =>
  typeof value === 'string' && Buffer.byteLength(value) <= 255 && value !== '' ? value : null
