import { PageFailure, Versions } from '@clinic-sync/contracts'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireOperator } from '../auth.ts'
import { allowOnly } from '../methods.ts'
import type { PageVersions } from '../page/versions.ts'

export interface VersionsRouteOptions {
  readonly versions: Pick<PageVersions, 'read'>
  /** SYNC_OPERATOR_TOKEN */
  readonly token: string
}

/** What runs here and beside it. */
export const versionsRoute: FastifyPluginAsyncTypebox<VersionsRouteOptions> = async (app, { versions, token }) => {
  const schema = { response: { 200: Versions, '4xx': PageFailure, '5xx': PageFailure } }
  app.get('/versions', { onRequest: requireOperator(token), schema }, async () => versions.read())
  allowOnly(app, '/versions', ['GET', 'HEAD'])
}
