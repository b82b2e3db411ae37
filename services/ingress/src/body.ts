import type { FastifyInstance } from 'fastify'

/** Bytes of a request's body at most. */
export const BODY_LIMIT = 1024 * 1024

/**
 * Reads every body as JSON, whatever its content type says: SQL Server's OLE Automation sends none or text/plain. No body
 * is an empty object. The parser's own message would quote the body, so it is replaced.
 */
export function readBodies(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  app.addContentTypeParser('*', { parseAs: 'string', bodyLimit: BODY_LIMIT }, (_request, text, done) => {
    if (text.length === 0) return done(null, {})
    try {
      done(null, JSON.parse(text.toString()))
    } catch {
      done(app.httpErrors.badRequest('The body is not JSON.'))
    }
  })
  app.addHook('onRequest', async (request) => {
    // Fastify refuses a content type that it cannot parse before any parser sees it.
    delete request.headers['content-type']
  })
  app.addHook('preValidation', async (request) => {
    request.body ??= {}
  })
}
