import fastify from 'fastify'
import { isIP } from 'node:net'
import { cannotListen } from './listening.ts'
import type { Metrics } from './metrics/metrics.ts'
import type { RecentLines } from './recent-lines.ts'

/** Why the service cannot do its work now, one sentence each; none: it can. */
export type Ready = () => readonly string[]

export interface Health {
  /** Where it listens; null when it is off. */
  readonly url: string | null
  close(): Promise<void>
}

/**
 * `GET /healthz`: 200 while the process lives. `GET /readyz`: 200 when it can work, else 503 with the reasons. `GET /metrics`: for
 * Prometheus. `GET /logs`: the last lines of the log, for a support bundle. Nobody is asked for a token: it is for the own host, or a
 * network of its own.
 *
 * @param options.port 0: none
 * @throws SyncError SYNC_CONFIG where it cannot listen: the port is in use, say
 */
export async function startHealth(options: {
  port: number
  host?: string
  ready: Ready
  metrics?: Pick<Metrics, 'contentType' | 'text'> | undefined
  recent?: Pick<RecentLines, 'text'> | undefined
}): Promise<Health> {
  const { port, host = '127.0.0.1', ready, metrics, recent } = options
  if (port === 0) return { url: null, close: () => Promise.resolve() }
  const app = fastify({
    logger: false,
    forceCloseConnections: true,
    requestTimeout: 10_000,
    http: { headersTimeout: 5_000, connectionsCheckingInterval: 2_000 },
  })
  app.get('/healthz', () => ({ status: 'ok' }))
  app.get('/readyz', (_request, reply) => {
    const reasons = ready()
    return reply
      .code(reasons.length === 0 ? 200 : 503)
      .send({ status: reasons.length === 0 ? 'ready' : 'not ready', reasons })
  })
  if (metrics !== undefined) {
    app.get('/metrics', async (_request, reply) => reply.type(metrics.contentType).send(await metrics.text()))
  }
  if (recent !== undefined) {
    app.get('/logs', (request, reply) =>
      isNear(request.hostname)
        ? reply.header('cache-control', 'no-store').type('application/x-ndjson').send(recent.text())
        : reply.code(403).send({ message: 'Ask for it by an address, localhost, or a name without a dot.' }),
    )
  }
  const url = await app.listen({ port, host }).catch((cause: unknown) => {
    throw cannotListen(cause, { host, port, settings: 'HEALTH_HOST and HEALTH_PORT' })
  })
  return { url, close: () => app.close() }
}

/**
 * Whether the name that was asked for is none that somebody else's web page could have. A page can have its own name lead to 127.0.0.1
 * (DNS rebinding), and would then read, with the browser of somebody on this host, what nobody is asked a token for.
 */
const isNear = (name: string): boolean => isIP(name.replace(/^\[|\]$/g, '')) !== 0 || /^[\w-]+$/.test(name)
