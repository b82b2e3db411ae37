import { Session, SessionRequest } from '@clinic-sync/contracts'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { allowPageOnly, countRefusal, isSecret, refuse, requireSession, sessionOf } from '../auth.ts'
import { limitOpen, tooMany } from '../limits.ts'
import { allowOnly } from '../methods.ts'
import { PendingBodies } from '../pending-bodies.ts'
import { endCookie, hasCookie, Sessions } from '../session.ts'

export interface SessionRoutesOptions {
  /** SYNC_OPERATOR_TOKEN */
  readonly token: string
}

/** Bytes: a token and its name. */
const BODY_LIMIT = 4 * 1024
/** People who sign in within the same milliseconds. */
const MOST_PENDING = 20

/** Signing in to the status page, and out. Whoever has the token gets a cookie that stands for it, for 12 hours. */
export const sessionRoutes: FastifyPluginAsyncTypebox<SessionRoutesOptions> = async (app, { token }) => {
  const sessions = new Sessions(token)
  const pending = new PendingBodies(MOST_PENDING)

  app.post(
    '/session',
    {
      bodyLimit: BODY_LIMIT,
      schema: { body: SessionRequest },
      onRequest: [allowPageOnly, async (request) => pending.add(request)],
      preValidation: async (request) => pending.done(request),
      errorHandler: async (error, request, reply) => {
        // A wrong token is counted already.
        if (error.statusCode !== 400 && error.statusCode !== 413) throw error
        const retryAfter = await countRefusal(request, 'no token to sign in with')
        if (retryAfter !== null) return tooMany(reply, retryAfter)
        throw error
      },
    },
    async (request, reply) => {
      if (!isSecret(request.body.token, token)) {
        const says = 'That is not the token: it is SYNC_OPERATOR_TOKEN, as the ingress was started with it.'
        return refuse(request, reply, { why: 'a wrong token to sign in with', says })
      }
      request.log.info({ from: request.ip }, 'somebody has signed in to the status page')
      return reply.header('set-cookie', sessions.open(request)).code(204).send()
    },
  )

  app.get(
    '/session',
    {
      schema: { response: { 200: Session } },
      onRequest: [
        async (request, reply) => {
          // The page asks whether it has one: that it has none yet is no attack.
          if (hasCookie(request)) return
          return (await limitOpen(request, reply)) ?? reply.unauthorized('Nobody has signed in here.')
        },
        requireSession(token),
      ],
    },
    async (request) => ({ expiresAt: sessionOf(request)?.expiresAt.toISOString() ?? '' }),
  )

  app.delete('/session', { onRequest: requireSession(token) }, async (request, reply) =>
    reply.header('set-cookie', endCookie(request)).code(204).send(),
  )
  allowOnly(app, '/session', ['GET', 'HEAD', 'POST', 'DELETE'])
}
