import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { tooMany } from './limits.ts'

const digest = (text: string): Buffer => createHash('sha256').update(text).digest()

/**
 * Whether the request carries the secret, in `x-sync-secret` or as `authorization: Bearer`. Either will do: proxies and
 * Supabase set an Authorization header of their own. Digests of equal length are compared in constant time.
 */
export function carriesSecret(headers: IncomingHttpHeaders, secret: string): boolean {
  const wanted = digest(secret)
  const bearer = /^Bearer +(\S+) *$/i.exec(headers.authorization ?? '')?.[1]
  const given = [headers['x-sync-secret'], bearer].map((value) => (typeof value === 'string' ? value : ''))
  // No short cut: both are compared, whatever the first one says. An empty header equals no secret.
  return given.filter((value) => timingSafeEqual(digest(value), wanted) && value !== '').length > 0
}

/** An onRequest hook: answers 401 before anything of the body is read; 429 to a source that has had that often enough. */
export function requireSecret(secret: string) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    if (carriesSecret(request.headers, secret)) return
    return refuse(request, reply, {
      why: 'no or wrong secret',
      says: 'Send the secret in the header x-sync-secret or as a bearer token.',
    })
  }
}

export interface Refusal {
  /** For the log: what was wrong with the proof, never what it was. */
  readonly why: string
  readonly says: string
  readonly details?: object
}

/** Counts and answers a request whose proof is missing or wrong, and puts it on record unless its source is beyond its limit. */
export async function refuse(
  request: FastifyRequest,
  reply: FastifyReply,
  { why, says, details = {} }: Refusal,
): Promise<FastifyReply> {
  const retryAfter = await countRefusal(request, why, details)
  return retryAfter === null ? reply.unauthorized(says) : tooMany(reply, retryAfter)
}

/**
 * Counts a refusal, and puts it on record: what was wrong with the proof, never what it was. Of a source beyond its limit
 * nothing is written: a log that somebody without a secret can fill is a disk that he can fill.
 *
 * @returns seconds for which its source is answered 429; null: it is told what was wrong.
 */
export async function countRefusal(request: FastifyRequest, why: string, details: object = {}): Promise<number | null> {
  const { left, retryAfter } = await request.server.limits.refused(request)
  if (retryAfter !== null) return retryAfter
  const further = left === 0 ? { further: 'not logged for a minute' } : {}
  request.log.warn({ route: request.routeOptions.url, from: request.ip, ...details, ...further }, `refused: ${why}`)
  return null
}
