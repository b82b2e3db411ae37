import type { FastifyReply } from 'fastify'

/** Aborted when whoever waits for this answer has gone before it was there. */
export function leaves(reply: FastifyReply): AbortSignal {
  const gone = new AbortController()
  reply.raw.once('close', () => {
    if (!reply.raw.writableFinished) gone.abort()
  })
  return gone.signal
}
