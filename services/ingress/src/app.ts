import type { Server } from 'node:http'
import type { WebhookKey } from '@clinic-sync/contracts'
import helmet, { type FastifyHelmetOptions } from '@fastify/helmet'
import sensible from '@fastify/sensible'
import { type Metrics, type RecentLines, spoken } from '@clinic-sync/runtime'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { type FastifyHttpOptions, LogController } from 'fastify'
import { BODY_LIMIT, readBodies } from './body.ts'
import { answerErrors } from './errors.ts'
import { type Limits, limitSources } from './limits.ts'
import { type AlertTestRouteOptions, alertTestRoute } from './routes/alert-test.ts'
import { type DoorbellTestRouteOptions, doorbellTestRoute } from './routes/doorbell-test.ts'
import { type DoorbellRoutesOptions, doorbellRoutes } from './routes/doorbells.ts'
import { type ConflictRoutesOptions, conflictRoutes } from './routes/conflicts.ts'
import { type RecordRoutesOptions, recordRoutes } from './routes/records.ts'
import { type VersionsRouteOptions, versionsRoute } from './routes/versions.ts'
import { type DeadLetterRoutesOptions, deadLetterRoutes } from './routes/dead-letters.ts'
import { healthRoutes } from './routes/health.ts'
import { logsRoute } from './routes/logs.ts'
import { metricsRoute } from './routes/metrics.ts'
import { pageRoutes } from './routes/page.ts'
import { sessionRoutes } from './routes/session.ts'
import { statusRoutes } from './routes/status.ts'
import { describeApi } from './openapi/describe.ts'
import type { MinuteHistory } from './page/history.ts'
import type { StatusBoard } from './status/board.ts'
import { type TriggerRouteOptions, triggerRoute } from './routes/trigger.ts'
import { type VerificationsRouteOptions, verificationsRoute } from './routes/verifications.ts'
import type { KnownState } from './known-state.ts'

export interface AppOptions {
  readonly drains: TriggerRouteOptions['drains']
  readonly bells: DoorbellRoutesOptions['bells']
  readonly testDoorbell: DoorbellTestRouteOptions['testDoorbell']
  /** Missing: ALERT_WEBHOOK_URL is not set. */
  readonly testAlert?: AlertTestRouteOptions['test']
  readonly state: Pick<KnownState, 'read'>
  /** Missing: no status is told. */
  readonly board?: Pick<StatusBoard, 'read' | 'watch'> | undefined
  readonly history?: Pick<MinuteHistory, 'read' | 'listen'> | undefined
  /** Missing: nothing is compared here. */
  readonly verifying?: VerificationsRouteOptions['verifying'] | undefined
  /** What the status page asks for beyond the status; missing: its routes are not there. */
  readonly page?: PageParts | undefined
  /** SYNC_WEBHOOK_SECRET, for the doorbells. */
  readonly webhookSecret: string
  /** SYNC_WEBHOOK_KEYS, for signed webhooks. */
  readonly webhookKeys: readonly WebhookKey[]
  /** SYNC_OPERATOR_TOKEN, for the trigger, the test of the doorbells and the metrics. */
  readonly operatorToken: string
  readonly metrics?: Metrics | undefined
  readonly recent?: Pick<RecentLines, 'text'> | undefined
  readonly limits?: Limits | undefined
  /** SYNC_COMMAND, which our image sets: how the commands are started here. */
  readonly command?: string | undefined
}

export interface PageParts {
  readonly deadLetters: DeadLetterRoutesOptions['deadLetters']
  readonly databases: ConflictRoutesOptions['databases']
  readonly versions: VersionsRouteOptions['versions']
  /** Missing: no record's story is told. */
  readonly records?: RecordRoutesOptions['records'] | undefined
}

/** The status page allows itself what it needs: `helmet` of its routes. */
const HEADERS = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: { defaultSrc: ["'none'"], baseUri: ["'none'"], formAction: ["'none'"], frameAncestors: ["'none'"] },
  },
  frameguard: { action: 'deny' },
  // A browser would then refuse plain HTTP to every port of that name, RabbitMQ's UI among them. It is the proxy's to say, which has the certificate.
  strictTransportSecurity: false,
  referrerPolicy: { policy: 'no-referrer' },
} as const satisfies FastifyHelmetOptions

/**
 * How long a client may take, and how much it may open. A request must be there in 20 s, its headers in 10 s, also where nothing
 * at all comes on a connection; Node looks every 2 s. A connection that idles between requests is kept for a proxy's next one.
 * The answer may take as long as it takes: a trigger waits for a drain, and the status is streamed.
 */
const PATIENCE = {
  requestTimeout: 20_000,
  keepAliveTimeout: 72_000,
  http: { headersTimeout: 10_000, connectionsCheckingInterval: 2_000, maxHeaderSize: 16 * 1024 },
} satisfies FastifyHttpOptions<Server>

/**
 * What the Fastify instance must be made with: nothing in a request is converted or dropped before it is checked, and
 * Fastify's own request lines, which hold the whole URL, are replaced by one with the route only.
 */
export const options = {
  bodyLimit: BODY_LIMIT,
  ...PATIENCE,
  logController: new LogController({ disableRequestLogging: true }),
  ajv: { customOptions: { coerceTypes: false, removeAdditional: false } },
} satisfies FastifyHttpOptions<Server>

/** The HTTP face of the ingress. Register it on the root instance. */
export const app: FastifyPluginAsyncTypebox<AppOptions> = async (fastify, options) => {
  const { drains, bells, testDoorbell, state, webhookSecret, webhookKeys, operatorToken, metrics } = options
  await fastify.register(sensible)
  await fastify.register(helmet, HEADERS)
  // Nothing here is to be kept by a proxy or a browser.
  fastify.addHook('onRequest', async (_request, reply) => void reply.header('cache-control', 'no-store'))
  await limitSources(fastify, options.limits)
  answerErrors(fastify)
  readBodies(fastify)
  fastify.addHook('onResponse', async (request, reply) => {
    const { method, routeOptions } = request
    const line = { method, route: routeOptions.url, status: reply.statusCode, ms: Math.round(reply.elapsedTime) }
    request.log.debug(line, 'answered')
  })
  const { command } = options
  if (command) fastify.addHook('onSend', async (_request, _reply, payload) => spokenHere(payload, command))
  await describeApi(fastify)
  const prefix = '/api/sync'
  await fastify.register(doorbellRoutes, { prefix, bells, secret: webhookSecret, keys: webhookKeys })
  await fastify.register(sessionRoutes, { prefix, token: operatorToken })
  await fastify.register(triggerRoute, { prefix, drains, observer: metrics?.observer, token: operatorToken })
  await fastify.register(doorbellTestRoute, { prefix, testDoorbell, token: operatorToken })
  await fastify.register(alertTestRoute, { prefix, test: options.testAlert, token: operatorToken })
  const { board, history } = options
  if (board) await fastify.register(statusRoutes, { prefix, board, history, command, token: operatorToken })
  const { recent, verifying } = options
  if (verifying !== undefined) await fastify.register(verificationsRoute, { prefix, verifying, token: operatorToken })
  if (recent !== undefined) await fastify.register(logsRoute, { prefix, recent, token: operatorToken })
  await fastify.register(pageRoutes, { command })
  if (options.page) {
    const own = { prefix, ...options.page, token: operatorToken }
    await fastify.register(deadLetterRoutes, own)
    await fastify.register(conflictRoutes, own)
    await fastify.register(versionsRoute, own)
    const { records } = options.page
    if (records !== undefined) await fastify.register(recordRoutes, { ...own, records })
  }
  await fastify.register(healthRoutes, { state })
  if (metrics !== undefined) await fastify.register(metricsRoute, { metrics, token: operatorToken })
}

/** Every answer's advice names the commands as they are started here. Streams see to it themselves. */
const spokenHere = (payload: unknown, command: string): unknown =>
  typeof payload === 'string' ? spoken(payload, command) : payload
