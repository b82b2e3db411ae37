import { VerificationRequest, VerificationStarted } from '@clinic-sync/contracts'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireOperator } from '../auth.ts'
import { allowOnly } from '../methods.ts'
import type { Verifying } from '../status/verifying.ts'

export interface VerificationsRouteOptions {
  readonly verifying: Pick<Verifying, 'start' | 'kept' | 'stop'>
  /** SYNC_OPERATOR_TOKEN */
  readonly token: string
}

/** Compares both databases; how far it is, and what came of it, is in the status. `{"kept": true}`: a command has kept a result. */
export const verificationsRoute: FastifyPluginAsyncTypebox<VerificationsRouteOptions> = async (app, options) => {
  const { verifying, token } = options
  app.addHook('preClose', () => verifying.stop())
  const schema = { body: VerificationRequest, response: { 202: VerificationStarted, 204: { type: 'null' } } } as const
  app.post('/verifications', { onRequest: requireOperator(token), schema }, async (request, reply) => {
    if (request.body.kept === true) {
      verifying.kept()
      return reply.code(204).send(null)
    }
    const startedAt = verifying.start()
    if (startedAt === null) return reply.conflict('A verification runs already: see the status.')
    return reply.code(202).send({ startedAt })
  })
  allowOnly(app, '/verifications', ['POST'])
}
