import type { WebhookKey } from '@clinic-sync/contracts'
import sensible from '@fastify/sensible'
import type { Metrics } from '@clinic-sync/runtime'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type FastifyServerOptions, LogController } from 'fastify'
import { BODY_LIMIT, readBodies } from './body.ts'
import { answerErrors } from './errors.ts'
import { type DoorbellTestRouteOptions, doorbellTestRoute } from './routes/doorbell-test.ts'
import { type DoorbellRoutesOptions, doorbellRoutes } from './routes/doorbells.ts'
import { healthRoutes } from './routes/health.ts'
import { metricsRoute } from './routes/metrics.ts'
import { statusRoutes } from './routes/status.ts'
import type { StatusBoard } from './status/board.ts'
import { type TriggerRouteOptions, triggerRoute } from './routes/trigger.ts'
import type { KnownState } from './known-state.ts'

export interface AppOptions {
  readonly drains: TriggerRouteOptions['drains']
  readonly bells: DoorbellRoutesOptions['bells']
  readonly testDoorbell: DoorbellTestRouteOptions['testDoorbell']
  readonly state: Pick<KnownState, 'read'>
  /** Missing: no status is told. */
  readonly board?: Pick<StatusBoard, 'read' | 'watch'> | undefined
  /** SYNC_WEBHOOK_SECRET, for the doorbells. */
  readonly webhookSecret: string
  /** SYNC_WEBHOOK_KEYS, for signed webhooks. */
  readonly webhookKeys: readonly WebhookKey[]
  /** SYNC_OPERATOR_TOKEN, for the trigger, the test of the doorbells and the metrics. */
  readonly operatorToken: string
  readonly metrics?: Metrics | undefined
}

/**
 * What the Fastify instance must be made with: nothing in a request is converted or dropped before it is checked, and
 * Fastify's own request lines, which hold the whole URL, are replaced by one with the route only.
 */
export const options = {
  bodyLimit: BODY_LIMIT,
  logController: new LogController({ disableRequestLogging: true }),
  ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
} satisfies FastifyServerOptions

/** The HTTP face of the ingress. Register it on the root instance. */
export const app: FastifyPluginAsyncTypebox<AppOptions> = async (fastify, options) => {
  const { drains, bells, testDoorbell, state, webhookSecret, webhookKeys, operatorToken, metrics } = options
  await fastify.register(sensible)
  answerErrors(fastify)
  readBodies(fastify)
  fastify.addHook('onResponse', async (request, reply) => {
    const { method, routeOptions } = request
    const line = { method, route: routeOptions.url, status: reply.statusCode, ms: Math.round(reply.elapsedTime) }
    request.log.debug(line, 'answered')
  })
  const prefix = '/api/sync'
  await fastify.register(doorbellRoutes, { prefix, bells, secret: webhookSecret, keys: webhookKeys })
  await fastify.register(triggerRoute, { prefix, drains, observer: metrics?.observer, token: operatorToken })
  await fastify.register(doorbellTestRoute, { prefix, testDoorbell, token: operatorToken })
  if (options.board) await fastify.register(statusRoutes, { prefix, board: options.board, token: operatorToken })
  await fastify.register(healthRoutes, { state })
  if (metrics !== undefined) await fastify.register(metricsRoute, { metrics, token: operatorToken })
}
