import type { Side, WebhookKey } from '@clinic-sync/contracts'
import Fastify from 'fastify'
import { cannotListen, type Metrics, type Running } from '@clinic-sync/runtime'
import { app, options } from './app.ts'
import { Ingress, type IngressOptions } from './ingress.ts'
import { startLines } from './start-lines.ts'

/** How long a client may take to send a request, in milliseconds. */
const REQUEST_MS = 30_000

export interface ServeOptions extends IngressOptions {
  readonly host: string
  /** 0: any free port. */
  readonly port: number
  readonly webhookSecret: string
  /** None: signed webhooks are refused. */
  readonly webhookKeys: readonly WebhookKey[]
  readonly operatorToken: string
  readonly metrics?: Metrics | undefined
}

export interface Served extends Running {
  readonly ingress: Ingress
  /** Where it listens, such as `http://127.0.0.1:3000`. */
  readonly url: string
}

/**
 * Listens, then rings both drains. Databases and broker may be down: it answers, retries, and says so in /readyz.
 *
 * @throws SyncError SYNC_CONFIG where it cannot listen
 */
export async function serve(settings: ServeOptions): Promise<Served> {
  const { host, port, log, webhookSecret, webhookKeys, operatorToken } = settings
  const { metrics } = settings
  const ingress = new Ingress({ observer: metrics?.observer, ...settings })
  const server = Fastify({ ...options, loggerInstance: log, requestTimeout: REQUEST_MS })
  const { drainers: drains, bells, state } = ingress
  const testDoorbell = (side: Side) => ingress.testDoorbell(side)
  await server.register(app, { drains, bells, testDoorbell, state, webhookSecret, webhookKeys, operatorToken, metrics })
  const url = await server
    .listen({ host, port, listenTextResolver: (address) => `listening at ${address}` })
    .catch((cause: unknown) => {
      throw cannotListen(cause, { host, port, settings: 'INGRESS_HOST and INGRESS_PORT' })
    })
  for (const line of startLines(settings)) log.info(line)
  ingress.start()
  return {
    ingress,
    url,
    /** Answers the requests in flight, finishes the batches in flight. */
    async close() {
      const closed = server.close()
      await Promise.all([closed, ingress.stop(closed)])
    },
  }
}
