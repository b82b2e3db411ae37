import type { FastifyInstance, HTTPMethods } from 'fastify'
import { limitOpen } from './limits.ts'

/** Answers 405 with `Allow` for every method of `url` but these. Nothing of the request is read. */
export function allowOnly(app: FastifyInstance, url: string, methods: readonly HTTPMethods[]): void {
  const allow = methods.join(', ')
  app.route({
    method: app.supportedMethods.filter((method) => !methods.includes(method)),
    url,
    onRequest: async (request, reply) => {
      if ((await limitOpen(request, reply)) !== undefined) return reply
      reply.header('allow', allow).header('connection', 'close')
      return reply.methodNotAllowed(`Only ${allow} here.`)
    },
    // Never reached: onRequest answers. Fastify wants a handler.
    handler: async (_request, reply) => reply.methodNotAllowed(),
  })
}
