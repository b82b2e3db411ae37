import { Readiness } from '@clinic-sync/contracts'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import type { KnownState } from '../known-state.ts'
import { limitOpen } from '../limits.ts'
import { allowOnly } from '../methods.ts'

/** `/healthz`: the process answers. `/readyz`: what it needs was there when last used; 503 names what was not. No query. */
export const healthRoutes: FastifyPluginAsyncTypebox<{ readonly state: Pick<KnownState, 'read'> }> = async (
  app,
  { state },
) => {
  app.addHook('onRequest', limitOpen)
  app.get('/healthz', async () => ({ status: 'ok' }))
  app.get('/readyz', { schema: { response: { 200: Readiness, 503: Readiness } } }, async (_request, reply) => {
    const { ready, checks } = state.read()
    return reply.code(ready ? 200 : 503).send({ status: ready ? 'ready' : 'not ready', checks })
  })
  for (const url of ['/healthz', '/readyz']) allowOnly(app, url, ['GET', 'HEAD'])
}
