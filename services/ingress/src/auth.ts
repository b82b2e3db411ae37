import { createHash, timingSafeEqual } from 'node:crypto'
import type { IncomingHttpHeaders } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { crossSite } from './cross-site.ts'
import { tooMany } from './limits.ts'
import { type OpenSession, Sessions } from './session.ts'

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

/** In constant time. An empty text is no secret. */
export const isSecret = (text: string, secret: string): boolean =>
  timingSafeEqual(digest(text), digest(secret)) && text !== ''

/** An onRequest hook: answers 401 before anything of the body is read; 429 to a source that has had that often enough. */
export function requireSecret(secret: string) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    if (carriesSecret(request.headers, secret)) return
    return refuse(request, reply, NO_SECRET)
  }
}

const sessionsOf = new WeakMap<FastifyRequest, OpenSession>()
/** The session that has opened a route; undefined: it was opened by the token itself. */
export const sessionOf = (request: FastifyRequest): OpenSession | undefined => sessionsOf.get(request)

/** An onRequest hook as `requireSecret`, which lets the status page's cookie through as well, where our own page sends it. */
export function requireOperator(token: string) {
  const withSession = requireSession(token)
  return async (request: FastifyRequest, reply: FastifyReply) =>
    carriesSecret(request.headers, token) ? undefined : withSession(request, reply)
}

/** An onRequest hook: only the cookie will do. */
export function requireSession(token: string) {
  const sessions = new Sessions(token)
  return async (request: FastifyRequest, reply: FastifyReply) => {
    const session = sessions.read(request)
    if (session === 'over') return refuse(request, reply, OVER)
    if (session === null) return refuse(request, reply, NO_SECRET)
    sessionsOf.set(request, session)
    return allowPageOnly(request, reply)
  }
}

const NO_SECRET: Refusal = {
  why: 'no or wrong secret',
  says: 'Send the secret in the header x-sync-secret or as a bearer token.',
}
const OVER: Refusal = { why: 'the session is over', says: 'The session is over: sign in again.' }

/** An onRequest hook: refuses what another site has a browser send. */
export async function allowPageOnly(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
  const wrong = crossSite(request)
  if (wrong === null) return undefined
  const retryAfter = await countRefusal(request, wrong.why)
  if (retryAfter !== null) return tooMany(reply, retryAfter)
  return wrong.status === 415 ? reply.unsupportedMediaType(wrong.says) : reply.forbidden(wrong.says)
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
