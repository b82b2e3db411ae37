import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto'

/**
 * Standard Webhooks 1.0.0, symmetric scheme `v1`: HMAC-SHA256 over `id.timestamp.body`
 * (github.com/standard-webhooks/standard-webhooks, spec/standard-webhooks.md). Pure: the time is an argument.
 */

/** A signing key: 24 to 64 bytes, as the standard says. */
export type WebhookKey = Uint8Array

/** What the three headers say. */
export interface WebhookStamp {
  /** `webhook-id`: names the message, and stays the same when it is sent again. */
  readonly id: string
  /** `webhook-timestamp`: Unix seconds of this attempt, in digits. */
  readonly timestamp: string
  /** `webhook-signature`: `v1,<base64>`, several separated by blanks while keys are exchanged. */
  readonly signature: string
}

/** How far a timestamp may be from the receiver's clock, either way; in seconds. */
export const WEBHOOK_TOLERANCE_S = 300

const PREFIX = 'whsec_'
/** The standard's "512 maximum" is bits. */
const [LEAST_BYTES, MOST_BYTES] = [24, 64]
/** Visible ASCII, but no dot: the parts of what is signed are joined with dots, and must come apart in one way only. */
const ID = /^[!-\-/-~]{1,128}$/
const SECONDS = /^\d{1,12}$/

/**
 * The keys in a text: `whsec_` and the base64 of 24 to 64 bytes each, separated by blanks or commas; one, or two while they are
 * exchanged. Base64 must be as Postgres writes and reads it, with its padding: Node alone would read anything.
 *
 * @returns null for anything else
 */
export function parseWebhookKeys(text: string): readonly WebhookKey[] | null {
  const words = text.split(/[\s,]+/).filter((word) => word !== '')
  const keys = words.map(parseKey)
  if (words.length < 1 || words.length > 2) return null
  return keys.every((key) => key !== null) ? keys : null
}

function parseKey(word: string): WebhookKey | null {
  if (!word.startsWith(PREFIX)) return null
  const base64 = word.slice(PREFIX.length)
  const key = Buffer.from(base64, 'base64')
  const fits = key.length >= LEAST_BYTES && key.length <= MOST_BYTES && key.toString('base64') === base64
  return fits ? key : null
}

/** One signature as it stands in the header. */
export function webhookSignature(key: WebhookKey, id: string, timestamp: string, body: string | Uint8Array): string {
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.`).update(body).digest('base64')}`
}

/**
 * The headers of a signed request: what a sender sets. With several keys it carries a signature of each.
 *
 * @param body exactly what is sent
 * @param options.now milliseconds since 1970
 */
export function signWebhook(
  keys: readonly WebhookKey[],
  body: string | Uint8Array,
  { id = `msg_${randomUUID()}`, now = Date.now() }: { readonly id?: string; readonly now?: number } = {},
): Readonly<Record<'webhook-id' | 'webhook-timestamp' | 'webhook-signature', string>> {
  const timestamp = String(Math.floor(now / 1000))
  const signature = keys.map((key) => webhookSignature(key, id, timestamp, body)).join(' ')
  return { 'webhook-id': id, 'webhook-timestamp': timestamp, 'webhook-signature': signature }
}

export type WebhookVerdict =
  | { readonly is: 'valid' }
  /** A header is not what the standard says, or no signature is one of these keys'. Nothing else is told apart. */
  | { readonly is: 'unproven' }
  /** Signed with one of the keys, but too long ago or too far ahead: the sender's time minus ours, in seconds. */
  | { readonly is: 'stale'; readonly offBy: number }

/**
 * Judges a signed request. The signature comes first: only who knows a key hears anything about the time.
 *
 * @param body the bytes as they came
 * @param now milliseconds since 1970
 */
export function verifyWebhook(
  keys: readonly WebhookKey[],
  { id, timestamp, signature }: WebhookStamp,
  body: Uint8Array,
  now: number,
): WebhookVerdict {
  if (!ID.test(id) || !SECONDS.test(timestamp)) return { is: 'unproven' }
  const expected = keys.map((key) => Buffer.from(webhookSignature(key, id, timestamp, body)))
  const given = signature.split(' ').map((text) => Buffer.from(text))
  // No short cut: each is compared with each. A signature's length is no secret.
  const right = given.flatMap((one) => expected.filter((own) => one.length === own.length && timingSafeEqual(one, own)))
  if (right.length === 0) return { is: 'unproven' }
  const offBy = Number(timestamp) - Math.floor(now / 1000)
  return Math.abs(offBy) <= WEBHOOK_TOLERANCE_S ? { is: 'valid' } : { is: 'stale', offBy }
}
