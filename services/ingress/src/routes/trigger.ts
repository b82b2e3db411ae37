import {
  type Direction,
  directionsOf,
  type DrainFailure,
  type DrainReport,
  type Side,
  sourceOf,
  TriggerFailure,
  TriggerRequest,
  TriggerResponse,
} from '@clinic-sync/contracts'
import { type Observer, SyncError } from '@clinic-sync/sync'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireOperator } from '../auth.ts'
import { sentence } from '../describe.ts'
import type { Drainer } from '../ingress.ts'
import { allowOnly } from '../methods.ts'

export interface TriggerRouteOptions {
  readonly drains: Readonly<Record<Side, Drainer>>
  readonly observer?: Observer | undefined
  /** SYNC_OPERATOR_TOKEN */
  readonly token: string
}

/** The operator's doorbell: waits for the drains that start after the call, and answers what they published. */
export const triggerRoute: FastifyPluginAsyncTypebox<TriggerRouteOptions> = async (
  app,
  { drains, observer, token },
) => {
  async function drain(direction: Direction): Promise<DrainReport | DrainFailure> {
    const side = sourceOf(direction)
    observer?.rang?.(side, 'operator')
    try {
      const { published } = await drains[side].request()
      return { published }
    } catch (error) {
      return { code: error instanceof SyncError ? error.code : 'SYNC_UNEXPECTED', side, message: sentence(error) }
    }
  }

  const schema = { body: TriggerRequest, response: { 200: TriggerResponse, 503: TriggerFailure } }
  app.post('/trigger', { onRequest: requireOperator(token), schema }, async (request, reply) => {
    const directions = directionsOf(request.body)
    const results = await Promise.all(directions.map(drain))
    const answer = Object.fromEntries(directions.map((direction, i) => [direction, results[i]]))
    const failures = results.filter((result) => 'code' in result)
    if (failures.length === 0) return answer as TriggerResponse
    const message = failures.map((failure) => `The ${failure.side}'s outbox: ${failure.message}`).join(' ')
    return reply.code(503).send({ ...answer, statusCode: 503, error: 'Service Unavailable', message } as TriggerFailure)
  })
  allowOnly(app, '/trigger', ['POST'])
}
