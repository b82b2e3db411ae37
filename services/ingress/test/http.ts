import type { WebhookKey } from '@clinic-sync/contracts'
import Fastify, { type InjectOptions } from 'fastify'
import type { Test } from 'tap'
import { app, type AppOptions, options } from '../src/app.ts'
import { KnownState } from '../src/known-state.ts'
import type { Limits } from '../src/limits.ts'

export const SECRET = 'webhook-secret-0123456789'
export const TOKEN = 'operator-token-0123456789'
export const PLANTED = 'مريم PLANTED-VALUE'

type Answer = { published: number; locked: number } | Error

interface Hardening {
  limits?: Limits
  server?: object
  board?: AppOptions['board']
  verifying?: AppOptions['verifying']
  page?: AppOptions['page']
  history?: AppOptions['history']
  command?: string
  level?: string
}

/** The app with drains that count their rings; `lines` is everything that was logged. */
export async function start(
  t: Test,
  answers: { clinic?: Answer; portal?: Answer } = {},
  webhookKeys: readonly WebhookKey[] = [],
  { limits, server = {}, board, verifying, page, history, command, level = 'trace' }: Hardening = {},
) {
  const rings: string[] = []
  const lines: string[] = []
  const drain = (side: 'clinic' | 'portal') => ({
    request: async () => {
      rings.push(`${side}!`)
      const answer = answers[side] ?? { published: 0, locked: 0 }
      if (answer instanceof Error) throw answer
      return answer
    },
  })
  const state = new KnownState()
  const stream = { write: (line: string) => void lines.push(line) }
  const fastify = Fastify({ ...options, logger: { level, stream }, ...server })
  t.teardown(() => fastify.close())
  const drains = { clinic: drain('clinic'), portal: drain('portal') }
  const refusals: string[] = []
  const bells = {
    rang: (side: 'clinic' | 'portal') => void rings.push(side),
    refused: (side: 'clinic' | 'portal', status: number) => void refusals.push(`${side} ${status}`),
  }
  const testDoorbell = async (side: 'clinic' | 'portal') => {
    rings.push(`${side}?`)
    return { doorbell: 'listen', heard: true, ms: 4, message: null }
  }
  await fastify.register(app, {
    drains,
    bells,
    testDoorbell,
    state,
    webhookSecret: SECRET,
    webhookKeys,
    operatorToken: TOKEN,
    recent: { text: () => lines.join('') },
    limits,
    board,
    verifying,
    page,
    history,
    command,
  })

  async function send(url: string, request: InjectOptions = {}) {
    const response = await fastify.inject({ method: 'POST', url, ...request })
    // The ring follows the answer.
    await new Promise((resolve) => setImmediate(resolve))
    t.notOk(response.body.includes('PLANTED'), 'an answer repeats nothing that was sent')
    const body = response.body.startsWith('{') ? response.json() : response.body
    return { status: response.statusCode, body, headers: response.headers }
  }
  return { fastify, send, rings, refusals, lines, state }
}

export const withSecret = (
  payload?: InjectOptions['payload'],
  headers: Record<string, string> = {},
): InjectOptions => ({
  headers: { 'x-sync-secret': SECRET, ...headers },
  ...(payload === undefined ? {} : { payload }),
})
export const json = { 'content-type': 'application/json' }
export const asOperator = (payload?: InjectOptions['payload']): InjectOptions => ({
  headers: { authorization: `Bearer ${TOKEN}` },
  ...(payload === undefined ? {} : { payload }),
})
export const hook = {
  type: 'UPDATE',
  table: 'aligner_notes',
  schema: 'public',
  record: { note_text: PLANTED },
  old_record: {},
}
