import { DoorbellResponse, QueueNotify, SupabaseWebhook } from '@clinic-sync/contracts'
import { isTableName, TABLE_NAMES } from '@clinic-sync/mapping'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireSecret } from '../auth.ts'
import type { Drain } from '../drain.ts'
import { allowOnly } from '../methods.ts'

export interface DoorbellRoutesOptions {
  readonly drains: { readonly clinic: Pick<Drain, 'ring'>; readonly portal: Pick<Drain, 'ring'> }
  /** SYNC_WEBHOOK_SECRET */
  readonly secret: string
}

/**
 * The HTTP doorbells. They answer 202 before a drain reads anything: a call from a trigger still holds its transaction's
 * locks. What they carry is checked, so that a misconfigured webhook gets a clear answer, and then ignored.
 */
export const doorbellRoutes: FastifyPluginAsyncTypebox<DoorbellRoutesOptions> = async (app, { drains, secret }) => {
  const schema = { response: { 202: DoorbellResponse } }

  app.register(async (guarded: typeof app) => {
    guarded.addHook('onRequest', requireSecret(secret))

    guarded.post('/queue-notify', { schema: { ...schema, body: QueueNotify } }, async (_request, reply) => {
      setImmediate(() => drains.clinic.ring())
      return reply.code(202).send({ rang: 'clinic' })
    })

    guarded.post('/webhook', { schema: { ...schema, body: SupabaseWebhook } }, async (request, reply) => {
      const { table, schema = 'public' } = request.body
      if (schema !== 'public' || !isTableName(table))
        throw app.httpErrors.unprocessableEntity(`table is none of those synced: ${TABLE_NAMES.join(', ')}`)
      setImmediate(() => drains.portal.ring())
      return reply.code(202).send({ rang: 'portal' })
    })
  })
  allowOnly(app, '/queue-notify', ['POST'])
  allowOnly(app, '/webhook', ['POST'])
}
