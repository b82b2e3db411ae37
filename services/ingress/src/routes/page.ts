import type { FastifyHelmetOptions } from '@fastify/helmet'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import { limitOpen } from '../limits.ts'
import { allowOnly } from '../methods.ts'
import { type PageFile, readPage } from '../page-files.ts'

/** Scripts, styles and requests of its own only; nothing inline, nothing from anywhere else, in no frame. */
const HEADERS = {
  contentSecurityPolicy: {
    useDefaults: false,
    directives: {
      defaultSrc: ["'none'"],
      scriptSrc: ["'self'"],
      styleSrc: ["'self'"],
      connectSrc: ["'self'"],
      imgSrc: ["'self'", 'data:'],
      formAction: ["'self'"],
      baseUri: ["'none'"],
      frameAncestors: ["'none'"],
    },
  },
} as const satisfies FastifyHelmetOptions

/** The status page: the same files for everybody. It holds no data; it asks for it with the session of whoever has signed in. */
export const pageRoutes: FastifyPluginAsync<{ readonly command: string | undefined }> = async (app, { command }) => {
  const [index, ...files] = await readPage(command)
  if (index?.name !== 'index.html') throw new Error('the status page has no index.html')
  app.addHook('onRequest', limitOpen)
  app.get('/', { helmet: HEADERS }, (request, reply) => answer(index, request, reply))
  allowOnly(app, '/', ['GET', 'HEAD'])
  for (const file of files) {
    const url = `/page/${file.name}`
    app.route({
      method: ['GET', 'HEAD'],
      url,
      helmet: HEADERS,
      handler: (request, reply) => answer(file, request, reply),
    })
    allowOnly(app, url, ['GET', 'HEAD'])
  }
}

async function answer({ type, bytes, zipped, etag }: PageFile, request: FastifyRequest, reply: FastifyReply) {
  // Kept, and asked about each time: after an upgrade nobody sees half of the old page.
  reply.header('cache-control', 'no-cache').header('etag', etag).header('vary', 'accept-encoding')
  if (request.headers['if-none-match']?.includes(etag) === true) return reply.code(304).send()
  reply.type(type)
  if (!/\bgzip\b/.test(request.headers['accept-encoding'] ?? '')) return reply.send(bytes)
  return reply.header('content-encoding', 'gzip').send(zipped)
}
