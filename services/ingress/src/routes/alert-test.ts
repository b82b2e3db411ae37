import { AlertTestResponse } from '@clinic-sync/contracts'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireOperator } from '../auth.ts'
import { allowOnly } from '../methods.ts'

export interface AlertTestRouteOptions {
  /** Missing: ALERT_WEBHOOK_URL is not set. */
  readonly test?: (() => Promise<AlertTestResponse>) | undefined
  /** SYNC_OPERATOR_TOKEN */
  readonly token: string
}

const NOT_SET = {
  sent: false,
  status: null,
  ms: 0,
  message: 'The ingress was started without ALERT_WEBHOOK_URL: it alerts nobody.',
} satisfies AlertTestResponse

/** Do alerts arrive? Sends a test message, once, and answers what became of it within 10 s. */
export const alertTestRoute: FastifyPluginAsyncTypebox<AlertTestRouteOptions> = async (app, { test, token }) => {
  const schema = { response: { 200: AlertTestResponse } }
  app.post('/alerts/test', { onRequest: requireOperator(token), schema }, async () => (await test?.()) ?? NOT_SET)
  allowOnly(app, '/alerts/test', ['POST'])
}
