import { type DoorbellTest, DoorbellTestRequest, DoorbellTestResponse, type Side } from '@clinic-sync/contracts'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireOperator } from '../auth.ts'
import { allowOnly } from '../methods.ts'

export interface DoorbellTestRouteOptions {
  readonly testDoorbell: (side: Side) => Promise<DoorbellTest>
  /** SYNC_OPERATOR_TOKEN */
  readonly token: string
}

/** Is each doorbell heard? Asks the databases to ring, and answers when they were heard, or after 5 s. Changes nothing. */
export const doorbellTestRoute: FastifyPluginAsyncTypebox<DoorbellTestRouteOptions> = async (app, options) => {
  const schema = { body: DoorbellTestRequest, response: { 200: DoorbellTestResponse } }
  app.post('/doorbells/test', { onRequest: requireOperator(options.token), schema }, async ({ body: { side } }) => {
    const sides: readonly Side[] = side === undefined ? ['clinic', 'portal'] : [side]
    const results = await Promise.all(sides.map(async (name) => [name, await options.testDoorbell(name)] as const))
    return Object.fromEntries(results) as DoorbellTestResponse
  })
  allowOnly(app, '/doorbells/test', ['POST'])
}
