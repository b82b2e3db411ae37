import type { FastifyInstance, FastifyRequest } from 'fastify'

/** Bytes of a request's body at most. */
export const BODY_LIMIT = 1024 * 1024

/**
 * Reads every body as JSON, whatever its content type says: SQL Server's OLE Automation sends none or text/plain. No body
 * is an empty object.
 */
export function readBodies(app: FastifyInstance): void {
  parseBodies(app, () => undefined)
  app.addHook('onRequest', async (request) => {
    // Fastify refuses a content type that it cannot parse before any parser sees it.
    delete request.headers['content-type']
  })
  app.addHook('preValidation', async (request) => {
    request.body ??= {}
  })
}

/** What a request's content type said, before it was taken away. */
export function contentTypeOf({ raw: { rawHeaders } }: FastifyRequest): string {
  const at = rawHeaders.findIndex((name, index) => index % 2 === 0 && name.toLowerCase() === 'content-type')
  return at === -1 ? '' : (rawHeaders[at + 1] ?? '')
}

/**
 * Parses the bodies of these routes, after `inspect` has seen the bytes as they came: what it throws is the answer. The
 * parser's own message would quote the body, so it is replaced.
 */
export function parseBodies(
  app: FastifyInstance,
  inspect: (request: FastifyRequest, bytes: Buffer) => Promise<void> | void,
): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser(
    '*',
    { parseAs: 'buffer', bodyLimit: BODY_LIMIT },
    async (request: FastifyRequest, bytes: Buffer) => {
      await inspect(request, bytes)
      if (bytes.length === 0) return {}
      try {
        return JSON.parse(bytes.toString()) as unknown
      } catch {
        throw app.httpErrors.badRequest('The body is not JSON.')
      }
    },
  )
}
