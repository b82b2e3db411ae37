import { History, HistoryQuery, SyncStatus } from '@clinic-sync/contracts'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { spoken } from '@clinic-sync/runtime'
import { Readable } from 'node:stream'
import { requireOperator, sessionOf } from '../auth.ts'
import { allowOnly } from '../methods.ts'
import type { MinuteHistory } from '../page/history.ts'
import type { StatusBoard } from '../status/board.ts'

/** A comment so often, so that who listens and what is in between know that the line is alive. */
const HEARTBEAT_MS = 15_000

export interface StatusRoutesOptions {
  readonly board: Pick<StatusBoard, 'read' | 'watch'>
  /** SYNC_OPERATOR_TOKEN */
  readonly token: string
  readonly heartbeatMs?: number
  /** How the commands are started here: see `spoken`. */
  readonly command?: string | undefined
  /** Missing: nothing is counted. */
  readonly history?: Pick<MinuteHistory, 'read' | 'listen'> | undefined
}

/**
 * How the sync does: once, or as server-sent events whenever something changes (`event: status`, the same JSON). Always 200. And what has
 * arrived, by the minute: of the last hours, or in the same stream (`event: minute`) when one has ended.
 */
export const statusRoutes: FastifyPluginAsyncTypebox<StatusRoutesOptions> = async (app, options) => {
  const { board, token, heartbeatMs = HEARTBEAT_MS, history, command } = options
  const onRequest = requireOperator(token)
  const closing = new AbortController()
  app.addHook('preClose', async () => closing.abort())

  app.get('/status', { onRequest, schema: { response: { 200: SyncStatus } } }, async (_request, reply) => {
    reply.header('cache-control', 'no-store')
    return board.read()
  })

  app.get('/status/stream', { onRequest, exposeHeadRoute: false }, async (request, reply) => {
    const gone = new AbortController()
    const signal = AbortSignal.any([closing.signal, gone.signal])
    const latest = new Latest()
    latest.on('close', () => gone.abort())
    request.raw.on('close', () => gone.abort())
    const session = sessionOf(request)
    const over = session && setTimeout(() => gone.abort(), session.expiresAt.getTime() - Date.now())
    const forget = history?.listen((minute) => latest.add(`event: minute\ndata: ${JSON.stringify(minute)}\n\n`))
    const heartbeat = setInterval(() => latest.say(': here\n\n'), heartbeatMs)
    void (async () => {
      try {
        for await (const status of board.watch(signal))
          latest.say(`event: status\ndata: ${spoken(JSON.stringify(status), command)}\n\n`)
      } finally {
        clearInterval(heartbeat)
        clearTimeout(over)
        forget?.()
        latest.push(null)
      }
    })()
    reply.header('cache-control', 'no-store')
    // Otherwise a proxy in front would keep it back until it is complete, and a stop wait for the connection's next request.
    reply.header('x-accel-buffering', 'no').header('connection', 'close')
    return reply.type('text/event-stream').send(latest)
  })
  if (history !== undefined) {
    const schema = { querystring: HistoryQuery, response: { 200: History } }
    app.get('/history', { onRequest, schema }, async ({ query: { hours = '6' } }) => history.read(Number(hours)))
    allowOnly(app, '/history', ['GET', 'HEAD'])
  }
  allowOnly(app, '/status', ['GET', 'HEAD'])
  allowOnly(app, '/status/stream', ['GET'])
}

/** Minutes that wait for who reads too slowly. What is older the page asks for when it comes back. */
const MOST_MINUTES = 20

/** Who reads too slowly gets the latest, when the line is free again: nothing piles up. */
class Latest extends Readable {
  #minutes: string[] = []
  #wanted = false
  #text: string | null = null

  say(text: string): void {
    // A heartbeat says nothing that is worth a status.
    if (this.#text === null || !text.startsWith(':')) this.#text = text
    this.#flush()
  }

  /** Something that a later one does not replace. */
  add(text: string): void {
    this.#minutes = [...this.#minutes, text].slice(-MOST_MINUTES)
    this.#flush()
  }

  override _read(): void {
    this.#wanted = true
    this.#flush()
  }

  #flush(): void {
    const text = [...this.#minutes, this.#text ?? ''].join('')
    if (!this.#wanted || text === '' || this.destroyed) return
    this.#minutes = []
    this.#text = null
    this.#wanted = false
    this.push(text)
  }
}
