import type { RecentLines } from '@clinic-sync/runtime'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireSecret } from '../auth.ts'
import { allowOnly } from '../methods.ts'

export interface LogsRouteOptions {
  readonly recent: Pick<RecentLines, 'text'>
  /** SYNC_OPERATOR_TOKEN: keys and names are in them. */
  readonly token: string
}

/** The last lines of this ingress's log, for a support bundle: a JSON object each, as on its standard output. */
export const logsRoute: FastifyPluginAsyncTypebox<LogsRouteOptions> = async (app, { recent, token }) => {
  app.get('/logs', { onRequest: requireSecret(token) }, async (_request, reply) =>
    reply.type('application/x-ndjson').send(recent.text()),
  )
  allowOnly(app, '/logs', ['GET', 'HEAD'])
}
