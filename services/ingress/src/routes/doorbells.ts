import { DoorbellResponse, QueueNotify, type Side, SupabaseWebhook } from '@clinic-sync/contracts'
import { isTableName, syncsBack, tableNamed, tables } from '@clinic-sync/mapping'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { carriesSecret, requireSecret } from '../auth.ts'
import { allowOnly } from '../methods.ts'
import { requireProof, type WebhookProofOptions } from '../webhook-proof.ts'

/** What is told of HTTP doorbells. */
export interface HttpBells {
  rang(side: Side): void
  /** It was answered with this status, of 400 or more. */
  refused(side: Side, status: number): void
}

/** `secret`: for both doorbells. `keys`: what Supabase's side may sign with instead. */
export interface DoorbellRoutesOptions extends WebhookProofOptions {
  readonly bells: HttpBells
}

const BACK = tables.filter(syncsBack).map(({ name }) => name)

/**
 * The HTTP doorbells. They answer 202 before a drain reads anything: a call from a trigger still holds its transaction's
 * locks. What they carry is checked, so that a misconfigured webhook gets a clear answer, and then ignored.
 */
export const doorbellRoutes: FastifyPluginAsyncTypebox<DoorbellRoutesOptions> = async (app, options) => {
  const { bells, secret, keys } = options
  const schema = { response: { 202: DoorbellResponse } }
  const tellRefusals = (guarded: typeof app, side: Side) =>
    guarded.addHook('onResponse', async (_request, { statusCode }) => {
      if (statusCode >= 400) bells.refused(side, statusCode)
    })

  app.register(async (guarded: typeof app) => {
    tellRefusals(guarded, 'clinic')
    guarded.addHook('onRequest', requireSecret(secret))
    guarded.post('/queue-notify', { schema: { ...schema, body: QueueNotify } }, async (_request, reply) => {
      setImmediate(() => bells.rang('clinic'))
      return reply.code(202).send({ rang: 'clinic' })
    })
  })

  app.register(async (guarded: typeof app) => {
    tellRefusals(guarded, 'portal')
    const useOnce = requireProof(guarded, { secret, keys })
    // Supabase's payload holds the row twice: for a note of half a megabyte each would be refused, and nothing else might ring.
    guarded.addHook('onError', async ({ headers }, _reply, { code }) => {
      if (code === 'FST_ERR_CTP_BODY_TOO_LARGE' && carriesSecret(headers, secret)) bells.rang('portal')
    })
    guarded.post('/webhook', { schema: { ...schema, body: SupabaseWebhook } }, async (request, reply) => {
      const { table, schema = 'public' } = request.body
      const problem = schema === 'public' ? problemWith(table) : 'schema is not public'
      if (problem !== null)
        throw app.httpErrors.unprocessableEntity(`${problem}: webhooks belong on ${BACK.join(' and ')}`)
      await useOnce(request)
      setImmediate(() => bells.rang('portal'))
      return reply.code(202).send({ rang: 'portal' })
    })
  })
  allowOnly(app, '/queue-notify', ['POST'])
  allowOnly(app, '/webhook', ['POST'])
}

/** Why a webhook of this table is set up wrongly. Only a name of our own is repeated. */
function problemWith(table: string): string | null {
  if (!isTableName(table)) return 'table is none of those synced'
  return syncsBack(tableNamed(table)) ? null : `${table} does not sync back, only the clinic edits it`
}
