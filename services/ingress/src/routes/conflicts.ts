import { PageFailure, RulingParams, RulingsQuery, Rulings, RulingValues } from '@clinic-sync/contracts'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireOperator } from '../auth.ts'
import { allowOnly } from '../methods.ts'
import { mergedRulings, type Sides, valuesOf } from '../page/conflicts.ts'

export interface ConflictRoutesOptions {
  readonly databases: Sides
  /** SYNC_OPERATOR_TOKEN */
  readonly token: string
}

const FAILURES = { '4xx': PageFailure, '5xx': PageFailure }

/** Where the two sides did not agree: without values, or one with its values, for who asks; the log says that somebody did. */
export const conflictRoutes: FastifyPluginAsyncTypebox<ConflictRoutesOptions> = async (app, { databases, token }) => {
  const onRequest = requireOperator(token)
  app.get(
    '/conflicts',
    { onRequest, schema: { querystring: RulingsQuery, response: { 200: Rulings, ...FAILURES } } },
    async ({ query: { max = '50', before } }) => mergedRulings(databases, Number(max), before),
  )
  app.get(
    '/conflicts/:side/:id/values',
    { onRequest, schema: { params: RulingParams, response: { 200: RulingValues, ...FAILURES } } },
    async ({ params: { side, id }, ip, log }, reply) => {
      const found = await valuesOf(databases, side, id)
      if (found === null) return reply.notFound('There is no such ruling on record any more.')
      log.info({ ruling: found.id, from: ip }, 'somebody has looked at the values of a ruling')
      return { id: found.id, values: found.values.map((each) => ({ ...each })) }
    },
  )
  allowOnly(app, '/conflicts', ['GET', 'HEAD'])
  allowOnly(app, '/conflicts/:side/:id/values', ['GET', 'HEAD'])
}
