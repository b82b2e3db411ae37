import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'

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

/** An onRequest hook: answers 401 before anything of the body is read. */
export function requireSecret(secret: string) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    if (carriesSecret(request.headers, secret)) return
    refused(request, 'no or wrong secret')
    return reply.unauthorized('Send the secret in the header x-sync-secret or as a bearer token.')
  }
}

/** Puts a refusal on record: what was wrong with the proof, never what it was. */
export function refused(request: FastifyRequest, why: string, details: object = {}): void {
  request.log.warn({ route: request.routeOptions.url, from: request.ip, ...details }, `refused: ${why}`)
}
