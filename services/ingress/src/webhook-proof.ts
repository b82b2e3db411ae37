import { verifyWebhook, WEBHOOK_TOLERANCE_S, type WebhookKey } from '@clinic-sync/contracts'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { carriesSecret, countRefusal, refuse } from './auth.ts'
import { parseBodies } from './body.ts'
import { tooMany } from './limits.ts'
import { PendingBodies } from './pending-bodies.ts'
import { SeenIds } from './seen-ids.ts'

/** A timestamp may lie as far ahead as behind, so a request can come again for twice that, and for its part of a second. */
const REPLAYABLE_MS = (2 * WEBHOOK_TOLERANCE_S + 1) * 1000
/** Some 10 MB. The older half goes first: over 40 signed webhooks a second, a replay may pass; it costs one empty look. */
const MOST_IDS = 50_000

/** Signed requests whose body is on its way, at most. */
export const MOST_CLAIMS = 100

/** Bytes of a body that are read of whoever claims to have signed it. Our own trigger sends 200. */
const SMALL = 16 * 1024

const UNPROVEN =
  'Send the secret in the header x-sync-secret or as a bearer token, or sign the request (Standard Webhooks).'
const NO_KEY =
  'The signature is not right: no key of SYNC_WEBHOOK_KEYS gives it over webhook-id, webhook-timestamp and this body.'
const STALE =
  "The signature is right, but webhook-timestamp is more than 5 minutes from this server's clock: check both clocks."
const TOO_MANY = 'Too many requests from your address that no key has signed: try again in a minute.'
const REPLAYED = 'A request with this webhook-id was accepted before.'

export interface WebhookProofOptions {
  /** SYNC_WEBHOOK_SECRET */
  readonly secret: string
  /** SYNC_WEBHOOK_KEYS; none: signatures are refused. */
  readonly keys: readonly WebhookKey[]
}

/**
 * Guards the routes of `app`: a request must carry the secret, or a signature of one of the keys over the bytes of its body.
 * Without either it is refused before the body is read; with a signature, before the body is parsed.
 *
 * @returns to be called when an accepted request is about to take effect. @throws 409 if a signed one with its id has before
 */
export function requireProof(
  app: FastifyInstance,
  { secret, keys }: WebhookProofOptions,
): (request: FastifyRequest) => Promise<void> {
  /** Requests whose signature is still to be checked, and those where it was right. */
  const claims = new WeakMap<FastifyRequest, 'claimed' | 'signed'>()
  const pending = new PendingBodies(MOST_CLAIMS)
  const seen = new SeenIds({ forMs: REPLAYABLE_MS, most: MOST_IDS })

  app.addHook('onRequest', async (request: FastifyRequest, reply: FastifyReply) => {
    if (carriesSecret(request.headers, secret)) return
    if (header(request, 'webhook-signature') === '')
      return refuse(request, reply, { why: 'no or wrong secret, and not signed', says: UNPROVEN })
    if (keys.length === 0)
      return refuse(request, reply, { why: 'signed, but SYNC_WEBHOOK_KEYS is not set', says: NO_KEY })
    const { retryAfter } = await app.limits.refused(request, { add: false })
    // A signature is known to be wrong only after the whole body. Our own trigger's is small, and always looked at.
    if (retryAfter !== null && !(Number(request.headers['content-length']) <= SMALL)) return tooMany(reply, retryAfter)
    claims.set(request, 'claimed')
    pending.add(request)
  })

  async function inspect(request: FastifyRequest, bytes: Buffer): Promise<void> {
    if (claims.get(request) !== 'claimed') return
    pending.done(request)
    const stamp = {
      id: header(request, 'webhook-id'),
      timestamp: header(request, 'webhook-timestamp'),
      signature: header(request, 'webhook-signature'),
    }
    const verdict = verifyWebhook(keys, stamp, bytes, Date.now())
    if (verdict.is === 'stale') {
      await countRefusal(request, 'signed at another time', { offBySeconds: verdict.offBy })
      throw app.httpErrors.unauthorized(STALE)
    }
    if (verdict.is === 'unproven') {
      const retryAfter = await countRefusal(request, 'the signature is not right')
      throw retryAfter === null ? app.httpErrors.unauthorized(NO_KEY) : app.httpErrors.tooManyRequests(TOO_MANY)
    }
    claims.set(request, 'signed')
  }
  parseBodies(app, inspect)
  // Where there is no body at all, nothing is parsed.
  app.addHook('preValidation', async (request) => inspect(request, Buffer.alloc(0)))

  return async (request) => {
    if (claims.get(request) !== 'signed' || seen.add(header(request, 'webhook-id'))) return
    await countRefusal(request, 'this webhook-id was accepted before')
    throw app.httpErrors.conflict(REPLAYED)
  }
}

const header = (request: FastifyRequest, name: string): string => {
  const value = request.headers[name]
  return typeof value === 'string' ? value : ''
}
