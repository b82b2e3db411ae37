import swagger, { type FastifyDynamicSwaggerOptions } from '@fastify/swagger'
import type { FastifyInstance } from 'fastify'
import { limitOpen } from '../limits.ts'
import { allowOnly } from '../methods.ts'
import { Failure, isFailure } from './answers.ts'
import { ROUTES } from './routes.ts'

export const OPENAPI_ROUTE = '/api/sync/openapi.json'

const DESCRIPTION = `The HTTP face of clinic-sync's ingress.

Doorbells carry no data that is written: each means "look in your outbox", and is answered before anything is read. They ask for
\`SYNC_WEBHOOK_SECRET\` (or a signature), the operator's routes for \`SYNC_OPERATOR_TOKEN\`; neither opens the other's. The status page has
a cookie instead of the token. Whoever sends
neither too often gets 429; a request with the right one never does. Bodies are JSON whatever their content type says, of 1 MiB at
most. Errors never repeat what was sent.`

const OPENAPI = {
  openapi: '3.1.0',
  info: {
    title: 'clinic-sync ingress',
    version: '1.0.0',
    description: DESCRIPTION,
    license: { name: 'MIT', identifier: 'MIT' },
  },
  servers: [{ url: 'http://127.0.0.1:3000', description: 'INGRESS_HOST and INGRESS_PORT' }],
  tags: [
    { name: 'doorbells', description: 'A database, or Supabase, says that something changed.' },
    { name: 'operator', description: 'By hand, and for the commands.' },
    { name: 'page', description: 'For the status page; the commands may ask them as well.' },
    { name: 'open', description: 'No secret is asked for.' },
  ],
  components: {
    schemas: { Failure },
    securitySchemes: {
      webhookSecret: { type: 'apiKey', in: 'header', name: 'x-sync-secret', description: 'SYNC_WEBHOOK_SECRET' },
      webhookBearer: { type: 'http', scheme: 'bearer', description: 'SYNC_WEBHOOK_SECRET, the other way to send it' },
      webhookSignature: {
        type: 'apiKey',
        in: 'header',
        name: 'webhook-signature',
        description:
          'Standard Webhooks: webhook-id, webhook-timestamp (at most 5 minutes off) and webhook-signature, v1, HMAC-SHA256 over id.timestamp.body with a key of SYNC_WEBHOOK_KEYS. An id counts once.',
      },
      operatorToken: { type: 'http', scheme: 'bearer', description: 'SYNC_OPERATOR_TOKEN' },
      operatorHeader: {
        type: 'apiKey',
        in: 'header',
        name: 'x-sync-secret',
        description: 'SYNC_OPERATOR_TOKEN, the other way to send it',
      },
      pageSession: {
        type: 'apiKey',
        in: 'cookie',
        name: 'clinic-sync',
        description:
          "The status page's session; where the browser speaks https it is __Host-clinic-sync. What is not GET or HEAD must be of the page's own origin (Sec-Fetch-Site, or else Origin), carry the header x-clinic-sync: page, and say that its body is application/json.",
      },
    },
  },
} satisfies FastifyDynamicSwaggerOptions['openapi']

/**
 * Describes the routes that are registered on `app` from now on, and serves the description. To be called before them. A route of which
 * `ROUTES` says nothing (the answers 405) is left out.
 */
export async function describeApi(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: OPENAPI,
    convertConstToEnum: false,
    transform: ({ schema, url, route }) => {
      const known = typeof route.method === 'string' ? ROUTES[`${route.method} ${url}`] : undefined
      if (known === undefined) return { schema: { ...schema, hide: true }, url }
      const own = { ...(schema?.response as Record<string, object> | undefined) }
      const response = Object.fromEntries(
        Object.entries(known.answers).map(([status, answer]) => [status, { ...own[status], ...answer }]),
      )
      const { answers: _, bodyless: _optional, ...rest } = known
      return { schema: { ...schema, ...rest, response }, url }
    },
    transformObject: (all) => {
      if ('swaggerObject' in all) return all.swaggerObject
      tidy(all.openapiObject as Document)
      return all.openapiObject
    },
  })
  let text: string | undefined
  app.get(OPENAPI_ROUTE, { onRequest: limitOpen }, async (_request, reply) => {
    text ??= JSON.stringify(app.swagger())
    return reply.type('application/json').send(text)
  })
  allowOnly(app, OPENAPI_ROUTE, ['GET', 'HEAD'])
}

interface Document {
  readonly paths?: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}
interface Operation {
  readonly requestBody?: { required?: boolean }
  readonly responses?: Readonly<Record<string, { readonly content?: Readonly<Record<string, { schema?: unknown }>> }>>
}

/** Puts one `Failure` in place of dozens; and where a route wants no body, none is required. */
function tidy(document: Document): void {
  for (const [path, methods] of Object.entries(document.paths ?? {}))
    for (const [method, { requestBody, responses = {} }] of Object.entries(methods)) {
      if (requestBody && ROUTES[`${method.toUpperCase()} ${path}`]?.bodyless) requestBody.required = false
      for (const { content = {} } of Object.values(responses))
        for (const media of Object.values(content))
          if (isFailure(media.schema)) media.schema = { $ref: '#/components/schemas/Failure' }
    }
}
