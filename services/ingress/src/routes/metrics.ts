import type { Metrics } from '@clinic-sync/runtime'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireSecret } from '../auth.ts'
import { allowOnly } from '../methods.ts'

export interface MetricsRouteOptions {
  readonly metrics: Pick<Metrics, 'contentType' | 'text'>
  /** SYNC_OPERATOR_TOKEN: this port may be public, and figures tell of a clinic's day. */
  readonly token: string
}

/** Prometheus' text. No query to a database. */
export const metricsRoute: FastifyPluginAsyncTypebox<MetricsRouteOptions> = async (app, { metrics, token }) => {
  app.get('/metrics', { onRequest: requireSecret(token) }, async (_request, reply) =>
    reply.type(metrics.contentType).send(await metrics.text()),
  )
  allowOnly(app, '/metrics', ['GET', 'HEAD'])
}
