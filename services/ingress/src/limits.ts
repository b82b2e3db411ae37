import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'

/** How many requests of one source are answered in full. A source is an IPv4 address, or an IPv6 network of 64 bits. */
export interface Limits {
  /** Without the secret that their route asks for. */
  readonly refused: number
  /** To routes that ask for none. */
  readonly open: number
  /** In so many milliseconds. */
  readonly windowMs: number
}

export const LIMITS: Limits = { refused: 60, open: 600, windowMs: 60_000 }
/** Some 300 bytes each. Beyond it the source that was quiet longest is forgotten. */
const MOST_SOURCES = 5_000

export interface Counted {
  /** Requests that are still answered in full after this one. */
  readonly left: number
  /** Seconds until they are again; null: this one is. */
  readonly retryAfter: number | null
}
/** Counts a request of its source, or with `add: false` looks only. */
type Count = (request: FastifyRequest, options?: { readonly add: boolean }) => Promise<Counted>

declare module 'fastify' {
  interface FastifyInstance {
    readonly limits: { readonly refused: Count; readonly open: Count }
  }
}

/**
 * What somebody without a secret may cost: a source beyond its limit gets 429 before anything more of its request is read, its
 * connection is closed, and no line is logged for it.
 *
 * A request with the right secret is never counted nor refused. A doorbell that gets 429 would be a change that arrives late, and
 * behind a tunnel all requests have one source: whoever floods it would silence it. A burst of doorbells costs nothing either: one
 * drain runs at a time. Guessing is not what this stops, the secrets' length does (docs/decisions/013-a-right-secret-is-never-limited.md).
 */
export async function limitSources(app: FastifyInstance, { refused, open, windowMs }: Limits = LIMITS): Promise<void> {
  await app.register(rateLimit, { global: false, cache: MOST_SOURCES })
  const counter = (max: number): Count => {
    const count = app.createRateLimit({ max, timeWindow: windowMs, cache: MOST_SOURCES } as object)
    return async (request, { add } = { add: true }) => {
      const counted = await count(request, { increment: add })
      if (counted.isAllowed) return { left: max, retryAfter: null }
      const { remaining: left, isExceeded, ttlInSeconds } = counted
      return { left, retryAfter: isExceeded ? Math.max(1, ttlInSeconds) : null }
    }
  }
  app.decorate('limits', { refused: counter(refused), open: counter(open) })
}

/** An onRequest hook for a route that asks for no secret. */
export async function limitOpen(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> {
  const { retryAfter } = await request.server.limits.open(request)
  return retryAfter === null ? undefined : tooMany(reply, retryAfter)
}

/** Answers 429, and closes the connection: what is left of the request need not come. */
export function tooMany(reply: FastifyReply, retryAfter: number): FastifyReply {
  reply.header('retry-after', retryAfter).header('connection', 'close')
  return reply.tooManyRequests(`Too many requests from your address: try again in ${retryAfter} s.`)
}
