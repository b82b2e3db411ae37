import { ask, reasonOf } from './api.js'
import { button, byId, el, fill, say } from './dom.js'
import { clear, discardLetters, explainLetters, rehearseLetters, replayLetters } from './letter-work.js'
import { clock, counted } from './time.js'
import { DIRECTIONS, sourceOf, wayOf } from './words.js'

/** @import { DeadCause, DeadLetterFacts, DeadLetterList, SyncStatus } from './types.d.ts' */

/**
 * One cause of one direction, as it stands on the page.
 *
 * @typedef {object} Group
 * @property {HTMLElement} element
 * @property {(cause: DeadCause) => void} update
 * @property {() => void} missing nobody sees its letters now
 */

/** @type {Map<string, Group>} */
const groups = new Map()

/** @param {Pick<DeadCause, 'direction' | 'cause'>} group */
const nameOf = ({ direction, cause }) => `${direction}/${cause}`

/** As packages/operations groups them: what is no code is `other`. @param {DeadLetterFacts} letter */
const groupOf = ({ direction, cause }) => nameOf({ direction, cause: /^\w{1,64}$/.test(cause) ? cause : 'other' })

/** @param {SyncStatus} status */
export function showDeadLetters(status) {
  const { deadLetters, queues } = status
  const summary = byId('dead-summary')
  if (!deadLetters.reachable) {
    // What was seen before stays: it may be there yet.
    return fill(
      summary,
      queues.reachable
        ? `They cannot be looked at: ${deadLetters.reason}`
        : 'RabbitMQ does not answer: they are kept there.',
    )
  }
  const { letters, causes } = deadLetters
  const failed = failures(status)
  fill(summary, summaryOf(letters, failed.size))
  const names = new Set(causes.map(nameOf))
  for (const [name, { element, missing }] of groups) {
    if (names.has(name)) continue
    // Whoever works on letters has them in hand, and RabbitMQ counts none meanwhile: then this one is not over.
    if (failed.has(name) || element.querySelector('[aria-disabled="true"]') !== null) {
      missing()
      continue
    }
    if (element.contains(document.activeElement)) byId('main').focus()
    element.remove()
    groups.delete(name)
  }
  for (const cause of causes) {
    const name = nameOf(cause)
    const group = groups.get(name) ?? newGroup(cause)
    if (!groups.has(name)) byId('dead-groups').append(group.element)
    groups.set(name, group)
    group.update(cause)
  }
}

/** What the outboxes say has failed, by group. @param {SyncStatus} status */
const failures = ({ outboxes }) =>
  new Set(
    DIRECTIONS.flatMap((direction) => {
      const outbox = outboxes[sourceOf(direction)]
      const open = outbox.reachable ? outbox.failed.filter(({ discarded, rows }) => !discarded && rows > 0) : []
      return open.map(({ cause }) => nameOf({ direction, cause }))
    }),
  )

/**
 * @param {number} letters
 * @param {number} causes that the outboxes know of
 */
function summaryOf(letters, causes) {
  if (letters > 0)
    return `${counted(letters, 'change')} could not be applied, and ${letters === 1 ? 'is' : 'are'} kept.`
  return causes === 0 ? 'None: everything could be applied.' : IN_HAND
}

const IN_HAND = 'Somebody has the letters in hand at this moment, or they are gone.'

export function forgetDeadLetters() {
  for (const { element } of groups.values()) element.remove()
  groups.clear()
  say(byId('dead-result'), '')
}

/**
 * @param {DeadCause} first
 * @returns {Group}
 */
function newGroup(first) {
  const name = nameOf(first)
  const id = `group-${name.replaceAll(/\W/g, '-')}`
  const figures = el('p', {})
  const list = el('ul', { class: 'letters' })
  const detail = el('div', { role: 'status' })
  let seen = 0
  let isOpen = false

  /** @returns {Promise<DeadLetterFacts[] | null>} those of this group; null: they could not be had, which is said */
  const look = async () => {
    try {
      /** @type {DeadLetterList} */
      const { letters, unasked } = await ask('/dead-letters')
      if (unasked.length > 0) say(byId('dead-result'), unasked.join('\n'), 'bad')
      return letters.filter((letter) => groupOf(letter) === name)
    } catch (error) {
      say(byId('dead-result'), reasonOf(error), 'bad')
      return null
    }
  }
  const reload = async () => {
    const letters = await look()
    if (letters !== null) showLetters(list, letters, id, reload)
  }
  const show = button(
    'Show them',
    async () => {
      isOpen = !isOpen
      if (isOpen) await reload()
      else list.replaceChildren()
      show.textContent = isOpen ? 'Hide them' : 'Show them'
      show.setAttribute('aria-expanded', String(isOpen))
    },
    { 'aria-expanded': 'false', 'aria-describedby': id },
  )
  /** @param {(letters: DeadLetterFacts[]) => Promise<unknown>} work */
  const withAll = (work) => async () => {
    const letters = await look()
    if (letters === null) return
    if (letters.length === 0) return say(byId('dead-result'), 'None of these is left.')
    await work(letters)
    if (isOpen) await reload()
  }
  const described = { 'aria-describedby': id }
  const element = el(
    'article',
    { class: 'group', 'aria-labelledby': id },
    el('h3', { id }, `${first.cause}, ${wayOf(first.direction)}`),
    figures,
    el(
      'p',
      { class: 'buttons' },
      show,
      button(
        'Explain',
        withAll((letters) => explainLetters(letters.slice(0, 1), detail)),
        described,
      ),
      button(
        'Rehearse all',
        withAll((letters) => rehearseLetters(letters, detail)),
        described,
      ),
      button('Replay all', withAll(replayLetters), described),
      button('Discard all', withAll(discardLetters), described),
    ),
    detail,
    list,
  )
  return {
    element,
    missing: () => fill(figures, IN_HAND),
    update({ letters, superseded }) {
      const over = superseded === 0 ? '' : `; ${superseded} superseded by a later change that has arrived`
      fill(figures, `${counted(letters, 'letter')}${over}.`)
      if (seen !== letters) clear(detail)
      if (isOpen && seen !== letters) void reload()
      seen = letters
    },
  }
}

/**
 * @param {HTMLElement} list
 * @param {readonly DeadLetterFacts[]} letters
 * @param {string} group the id of the group's heading
 * @param {() => Promise<void>} reload
 */
function showLetters(list, letters, group, reload) {
  const known = new Map(Array.from(list.children, (child) => [child.id, child]))
  // A letter that is on the page already stays as it is, with what was asked about it and the focus.
  list.replaceChildren(
    ...letters.map((letter) => known.get(`letter-${letter.id}`) ?? letterItem(letter, group, reload)),
  )
}

/**
 * @param {DeadLetterFacts} letter
 * @param {string} group
 * @param {() => Promise<void>} reload
 */
function letterItem(letter, group, reload) {
  const { id, table, key, version, attempts, failedAt, standing, supersededBy, message } = letter
  const record = table === null ? 'a message that names no record' : `${table}/${key}, version ${version}`
  const state = standing === 'superseded' ? `superseded by ${supersededBy}` : standing
  const detail = el('div', { class: 'detail', role: 'status' })
  const title = `title-${id}`
  const described = { 'aria-describedby': `${title} ${group}` }
  return el(
    'li',
    { class: 'letter', id: `letter-${id}` },
    el('h4', { id: title, class: 'hidden-text' }, record),
    el(
      'p',
      {},
      el('strong', {}, record),
      `: ${state}. Tried ${counted(attempts, 'time')}`,
      failedAt === null ? '.' : `, last ${clock(failedAt)}.`,
      message === '' ? '' : ` ${message}`,
    ),
    el(
      'p',
      { class: 'buttons' },
      button('Explain', () => explainLetters([letter], detail), described),
      button('Rehearse', () => rehearseLetters([letter], detail), described),
      button('Replay', async () => (await replayLetters([letter])) && reload(), described),
      button('Discard', async () => (await discardLetters([letter])) && reload(), described),
    ),
    detail,
  )
}
