import { byId, el, fill, table } from './dom.js'
import { ago, clock, duration, latency, number } from './time.js'
import { DIRECTIONS, directionWords, sentence, SIDES, verdict, wayOf } from './words.js'

/** @import { Direction, SyncStatus } from './types.d.ts' */
/** @import { Part } from './words.js' */

/** @param {SyncStatus} status */
export function showOverview(status) {
  const { tone, headline, meaning } = verdict(status)
  byId('verdict').dataset['tone'] = tone
  fill(byId('headline'), headline)
  fill(byId('meaning'), meaning)
  fill(byId('problems'), ...status.problems.map((problem) => el('li', {}, ...withCode(problem))))
  document.title = `${status.ok ? '✓' : '✗'} ${headline} · clinic-sync`
  for (const direction of DIRECTIONS) showDirection(status, direction)
  showOutboxes(status)
  showQueues(status)
  showBells(status)
  showRuns(status)
}

/**
 * @param {SyncStatus} status
 * @param {Direction} direction
 */
function showDirection(status, direction) {
  const card = byId(direction)
  const { tone, state, parts } = directionWords(status, direction)
  card.dataset['tone'] = tone
  const [first, second] = [card.querySelector('.state'), card.querySelector('.sentence')]
  if (first) fill(first, state)
  if (second) fill(second, ...parts.map(partNode))
}

/** @param {Part} part */
export function partNode(part) {
  if (typeof part === 'string') return part
  return 'ago' in part ? ago(part.ago) : el('time', { datetime: part.clock }, clock(part.clock))
}

/**
 * A sentence of the ingress's, in which `…` is a command.
 *
 * @param {string} text
 */
export const withCode = (text) => text.split('`').map((part, i) => (i % 2 === 1 ? el('code', {}, part) : part))

/** @param {SyncStatus} status */
function showOutboxes({ outboxes }) {
  const age = (/** @type {number | null} */ seconds) => (seconds === null ? '–' : duration(seconds * 1_000))
  const rows = SIDES.map((side) => {
    const outbox = outboxes[side]
    if (!outbox.reachable) return [side, sentence(outbox.reason)]
    const { rows, retrying, oldestPendingSeconds, oldestQueuedSeconds, last } = outbox
    return [
      side,
      number(rows.Pending),
      number(rows.Queued),
      number(retrying),
      number(rows.Failed),
      number(rows.Synced),
      age(oldestPendingSeconds),
      age(oldestQueuedSeconds),
      last === null
        ? '–'
        : el('span', {}, `${last.table}/${last.key}, `, ago(last.settledAt), `, took ${latency(last.latencyMs)}`),
    ]
  })
  const heads = [
    'Outbox',
    '#to send',
    '#sent',
    '#retrying',
    '#failed',
    '#done',
    '#oldest to send',
    '#oldest sent',
    'Last',
  ]
  fill(byId('outboxes'), table('Rows of each outbox', heads, rows))
}

/** @param {SyncStatus} status */
function showQueues({ queues }) {
  if (!queues.reachable) {
    fill(byId('retries'), `RabbitMQ cannot be asked what waits: ${sentence(queues.reason)}`)
    return fill(byId('queues'))
  }
  const found = (/** @type {RegExp} */ names) => queues.queues.filter(({ name }) => names.test(name))
  const messages = (/** @type {RegExp} */ names) => found(names).reduce((sum, each) => sum + each.messages, 0)
  const takers = (/** @type {RegExp} */ names) => {
    const counts = found(names).map(({ consumers }) => consumers)
    return counts.length === 0 ? 'missing' : number(Math.min(...counts))
  }
  const RETRIES = ['5 s', '1 min', '10 min']
  const waiting = RETRIES.map((wait, i) => `${number(messages(new RegExp(`^sync[.]retry[.]r${i + 1}$`)))} for ${wait}`)
  fill(byId('retries'), `Waiting to be tried again: ${waiting.join(', ')}.`)
  const rows = DIRECTIONS.flatMap((direction) => {
    const [events, outcomes] = [
      new RegExp(`^sync[.]${direction}[.]p\\d+$`),
      new RegExp(`^sync[.]outcomes[.]${direction}$`),
    ]
    return [
      [`events, ${wayOf(direction)}`, number(messages(events)), takers(events)],
      [`outcomes, ${wayOf(direction)}`, number(messages(outcomes)), takers(outcomes)],
      [`dead letters, ${wayOf(direction)}`, number(messages(new RegExp(`^sync[.]dead[.]${direction}$`))), '–'],
    ]
  })
  fill(
    byId('queues'),
    table('Messages in RabbitMQ', ['Queue', '#waiting', '#takers'], rows),
    queues.missing.length > 0 && el('p', {}, `Missing, or without a leader: ${queues.missing.join(', ')}.`),
  )
}

/** @param {SyncStatus} status */
function showBells({ ingress }) {
  if (!ingress.reachable) return fill(byId('bells'), el('p', {}, sentence(ingress.reason)))
  const rows = SIDES.map((side) => {
    const { doorbell, heard, reason, lastRang } = ingress.doorbells[side]
    const state =
      heard === null
        ? 'known when it rings'
        : heard
          ? 'heard'
          : `not heard: ${sentence(reason ?? 'no reason is known')}`
    return [side, doorbell, state, lastRang === null ? 'not since the start' : ago(lastRang)]
  })
  fill(byId('bells'), table('Doorbells', ['Side', 'Doorbell', 'State', 'Rang last'], rows))
}

/** @param {SyncStatus} status */
function showRuns({ ingress, outboxes, queues }) {
  const connection = (/** @type {{ reachable: true } | { reachable: false, reason: string }} */ part) =>
    part.reachable ? 'answers' : `does not answer: ${sentence(part.reason)}`
  /** @type {[string, ...import('./dom.js').Child[]][]} */
  const facts = [
    ["The clinic's SQL Server", connection(outboxes.clinic)],
    ["The portal's Postgres", connection(outboxes.portal)],
    ['RabbitMQ', connection(queues)],
  ]
  if (ingress.reachable) {
    const { lead, leader, startedAt, lacks } = ingress
    const who = leader === null ? 'no ingress answers as the one that leads' : `${leader.host}, process ${leader.pid}`
    const asked = {
      leads: 'the one that tells this page',
      standby: 'the one that tells this page stands by',
      connecting: 'the one that tells this page is connecting',
    }
    facts.push(['Leader', `${who}; ${asked[lead]}`])
    facts.push(['This ingress runs', 'since ', el('time', { datetime: startedAt }, clock(startedAt))])
    facts.push([
      'It lacks',
      lacks.length === 0 ? 'nothing' : lacks.map(({ name, reason }) => `${name}: ${sentence(reason)}`).join(' '),
    ])
  }
  fill(byId('runs'), ...facts.flatMap(([name, ...texts]) => [el('dt', {}, name), el('dd', {}, ...texts)]))
}
