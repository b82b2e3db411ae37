import {
  DeadLetterDiscard,
  DeadLetterDiscardRequest,
  DeadLetterExplanations,
  DeadLetterList,
  DeadLetterRehearsals,
  DeadLetterReplay,
  DeadLetterRequest,
  PageFailure,
} from '@clinic-sync/contracts'
import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import { requireOperator } from '../auth.ts'
import { allowOnly } from '../methods.ts'
import type { PageDeadLetters } from '../page/dead-letters.ts'
import { leaves } from '../page/leaves.ts'

export interface DeadLetterRoutesOptions {
  readonly deadLetters: Pick<PageDeadLetters, 'list' | 'explain' | 'rehearse' | 'replay' | 'discard'>
  /** SYNC_OPERATOR_TOKEN */
  readonly token: string
}

/** Bytes: 200 ids of 200 characters, and a reason. */
const BODY_LIMIT = 64 * 1024
const FAILURES = { '4xx': PageFailure, '5xx': PageFailure }

/**
 * What could not be applied: listed, explained, tried, sent again, given up. All letters are in one hand at a time: whoever comes second
 * waits some seconds, and gets 409. What is closed in between is ended between two steps, and the log says how far it came.
 */
export const deadLetterRoutes: FastifyPluginAsyncTypebox<DeadLetterRoutesOptions> = async (app, options) => {
  const { deadLetters, token } = options
  const onRequest = requireOperator(token)
  const closing = new AbortController()
  app.addHook('preClose', async () => closing.abort())
  const route = <B, A>(body: B, answer: A) => ({
    onRequest,
    bodyLimit: BODY_LIMIT,
    schema: { body, response: { 200: answer, ...FAILURES } },
  })

  const listed = { 200: DeadLetterList, ...FAILURES }
  app.get('/dead-letters', { onRequest, schema: { response: listed } }, async () => deadLetters.list())

  app.post('/dead-letters/explain', route(DeadLetterRequest, DeadLetterExplanations), async ({ body }) =>
    deadLetters.explain(body.ids),
  )

  app.post('/dead-letters/rehearse', route(DeadLetterRequest, DeadLetterRehearsals), async ({ body }, reply) =>
    deadLetters.rehearse(body.ids, AbortSignal.any([closing.signal, leaves(reply)])),
  )

  app.post('/dead-letters/replay', route(DeadLetterRequest, DeadLetterReplay), async ({ body, log }, reply) => {
    const signal = AbortSignal.any([closing.signal, leaves(reply)])
    const result = await deadLetters.replay(body.ids, signal)
    const { sent, left, outcomes, stopped } = result
    const line = { sent, left, outcomes, stopped: stopped?.what ?? null }
    if (signal.aborted)
      log.warn(line, 'a replay of dead letters was ended: who asked for it has gone, or the service stops')
    else log.info(line, 'dead letters were replayed from the status page')
    return result
  })

  app.post('/dead-letters/discard', route(DeadLetterDiscardRequest, DeadLetterDiscard), async ({ body, log }) => {
    const result = await deadLetters.discard(body.ids, body.who.trim(), body.why.trim())
    log.info({ discarded: result.discarded }, 'dead letters were discarded from the status page')
    return result
  })

  allowOnly(app, '/dead-letters', ['GET', 'HEAD'])
  for (const what of ['explain', 'rehearse', 'replay', 'discard']) allowOnly(app, `/dead-letters/${what}`, ['POST'])
}
