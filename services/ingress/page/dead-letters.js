import { ask, reasonOf } from './api.js'
import { button, byId, el, fill, say } from './dom.js'
import { discardLetters, explainLetters, rehearseLetters, replayLetters } from './letter-work.js'
import { clock, counted } from './time.js'
import { wayOf } from './words.js'

/** @import { DeadCause, DeadLetterFacts, DeadLetterList, SyncStatus } from './types.d.ts' */

/**
 * One cause of one direction, as it stands on the page.
 *
 * @typedef {object} Group
 * @property {HTMLElement} element
 * @property {(cause: DeadCause) => void} update
 */

/** @type {Map<string, Group>} */
const groups = new Map()

/** @param {Pick<DeadCause, 'direction' | 'cause'>} group */
const nameOf = ({ direction, cause }) => `${direction}/${cause}`

/** As packages/operations groups them: what is no code is `other`. @param {DeadLetterFacts} letter */
const groupOf = ({ direction, cause }) => nameOf({ direction, cause: /^\w{1,64}$/.test(cause) ? cause : 'other' })

/** @param {SyncStatus} status */
export function showDeadLetters({ deadLetters, queues }) {
  const summary = byId('dead-summary')
  if (!deadLetters.reachable) {
    // What was seen before may be gone by now: it stays, and the sentence says from when the page is.
    return fill(
      summary,
      queues.reachable
        ? `They cannot be looked at: ${deadLetters.reason}`
        : 'RabbitMQ does not answer: they are kept there.',
    )
  }
  const { letters, causes } = deadLetters
  fill(
    summary,
    letters === 0
      ? 'None: everything could be applied.'
      : `${counted(letters, 'change')} could not be applied, and ${letters === 1 ? 'is' : 'are'} kept.`,
  )
  const names = new Set(causes.map(nameOf))
  for (const [name, { element }] of groups) {
    if (names.has(name)) continue
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
    update({ letters, superseded }) {
      const over = superseded === 0 ? '' : `; ${superseded} superseded by a later change that has arrived`
      fill(figures, `${counted(letters, 'letter')}${over}.`)
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
