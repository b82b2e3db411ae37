import { type AlertMessage, type Direction, type Side, sourceOf } from '@clinic-sync/contracts'
import { duration } from '../status/problems.ts'
import type { AlertEvent } from './book.ts'
import type { Subject } from './facts.ts'

/** Who sends it. */
export interface AlertSender {
  readonly version: string
  readonly host: string
  /** A text with the commands as they are started there. */
  readonly spoken?: (text: string) => string
}

const MOST_TEXT = 3_000

/** @param id of the message @param now milliseconds since 1970 */
export function alertMessage(event: AlertEvent, sender: AlertSender, id: string, now: number): AlertMessage {
  const { state, finding, since, until } = event
  const { condition, side, direction } = finding
  const { spoken = (text) => text } = sender
  const problems = finding.problems.map(spoken)
  const lastedSeconds = until === null ? null : Math.max(0, Math.round((until - since) / 1000))
  const words = wordsOf(finding)
  const said =
    lastedSeconds === null
      ? `PROBLEM: ${words.problem}, since ${clock(since)}. ${problems.join(' ')}`
      : `RECOVERED: ${words.recovered}. It had lasted ${duration(lastedSeconds)}, since ${clock(since)}.`
  return {
    id,
    text: asText(`clinic-sync on ${sender.host}: ${said}`),
    state,
    condition,
    side,
    direction,
    since: iso(since),
    until: until === null ? null : iso(until),
    lastedSeconds,
    problems,
    at: iso(now),
    version: sender.version,
    host: sender.host,
  }
}

/** What an operator has asked for, to see that it arrives. */
export function testMessage(sender: AlertSender, id: string, now: number): AlertMessage {
  return {
    id,
    text: asText(`clinic-sync on ${sender.host}: TEST: alerts arrive here. Nothing is wrong; an operator has asked.`),
    state: 'test',
    condition: 'test',
    side: null,
    direction: null,
    since: iso(now),
    until: null,
    lastedSeconds: null,
    problems: [],
    at: iso(now),
    version: sender.version,
    host: sender.host,
  }
}

function wordsOf({ condition, side, direction }: Subject): { readonly problem: string; readonly recovered: string } {
  switch (condition) {
    case 'rabbitmq':
      return { problem: 'RabbitMQ cannot be used', recovered: 'RabbitMQ can be used again' }
    case 'clinic':
    case 'portal':
      return {
        problem: `the ${condition}'s database cannot be reached`,
        recovered: `the ${condition}'s database is reached again`,
      }
    case 'restored':
      return { problem: 'a database was restored from a backup', recovered: 'the restored database is repaired' }
    case 'doorbell':
      return {
        problem: `the ${sideOf(side)}'s doorbell is not heard`,
        recovered: `the ${sideOf(side)}'s doorbell is heard again`,
      }
    case 'stalled':
      return {
        problem: `changes do not move ${way(direction)}`,
        recovered: `changes move ${way(direction)} again`,
      }
    case 'dead-letters':
      return {
        problem: `changes ${way(direction)} have failed for good`,
        recovered: `no change ${way(direction)} is failed for good any more`,
      }
    case 'verification':
      return { problem: 'both databases differ', recovered: 'both databases are equal' }
  }
}

const sideOf = (side: Side | null) => side ?? 'database'

function way(direction: Direction | null): string {
  if (direction === null) return ''
  return sourceOf(direction) === 'clinic' ? 'from the clinic to the portal' : 'from the portal to the clinic'
}

const iso = (ms: number) => new Date(ms).toISOString()
/** With its day: whoever reads it later, in another zone, must not guess. */
const clock = (ms: number) => `${iso(ms).slice(0, 16).replace('T', ' ')} UTC`

/** Slack would take these for markup of its own: https://docs.slack.dev/messaging/formatting-message-text#escaping */
function asText(text: string): string {
  const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
  return escaped.length <= MOST_TEXT ? escaped : `${escaped.slice(0, MOST_TEXT - 1)}…`
}
