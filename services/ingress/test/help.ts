import type { Candidate, Lead } from '@clinic-sync/broker'
import { pino } from 'pino'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Line extends Record<string, unknown> {
  readonly level: number
  readonly msg: string
}

/** Where an ingress listens, and what it has to be asked with. */
export const listening = (secret: string) => ({
  host: '127.0.0.1',
  port: 0,
  webhookSecret: secret,
  webhookKeys: [],
  operatorToken: secret,
})

/** A logger at trace level, and what it was given. */
export function recordingLog() {
  const lines: Line[] = []
  const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(JSON.parse(line) as Line) })
  return { log, lines, texts: (level: number) => lines.filter((line) => line.level === level).map((line) => line.msg) }
}

/** Resolves when `condition` holds; rejects with `what` after `ms`. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  const deadline = Date.now() + ms
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`)
    await sleep(2)
  }
}

/** For a broker in memory: there is no other ingress, and this one leads until `lose`. */
export function leadAlone() {
  let state: Lead['state'] = 'connecting'
  let own: Candidate | undefined
  const lead: Lead = {
    get state() {
      return state
    },
    get leads() {
      return state === 'leads'
    },
    ring: async () => undefined,
    tell: async () => undefined,
    tellKept: async () => undefined,
    ask: () => Promise.reject(new Error('there is nobody to ask')),
    close: async () => void (state = 'connecting'),
  }
  const gain = () => {
    state = 'leads'
    own?.gained()
  }
  const lose = () => {
    state = 'connecting'
    own?.lost()
  }
  const standForLead = (candidate: Candidate): Lead => {
    own = candidate
    // As with RabbitMQ, it is told later.
    queueMicrotask(gain)
    return lead
  }
  return { standForLead, lead, gain, lose }
}
