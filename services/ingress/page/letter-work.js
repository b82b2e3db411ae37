import { post, reasonOf } from './api.js'
import { question } from './dialog.js'
import { byId, el, say } from './dom.js'
import { counted, number } from './time.js'
import { sentence } from './words.js'

/** @import { DeadLetterDiscard, DeadLetterExplanations, DeadLetterFacts, DeadLetterRehearsals, DeadLetterReplay } from './types.d.ts' */

/** As many as the ingress takes at a time. */
const PORTION = 200
/** Of many that would fail, so many are named. */
const NAMED = 20

/** Who discarded last from this page. */
let whoLast = ''

/** @param {DeadLetterFacts} letter */
const recordOf = ({ id, table, key }) => (table === null ? id : `${table}/${key}`)

/**
 * Tells what a letter is, why it is dead, and what can be done. Pressed again, it takes it away.
 *
 * @param {readonly DeadLetterFacts[]} letters
 * @param {HTMLElement} place
 */
export async function explainLetters(letters, place) {
  if (place.dataset['shows'] === 'explanation') return clear(place)
  try {
    /** @type {DeadLetterExplanations} */
    const { explanations } = await post('/dead-letters/explain', { ids: letters.map(({ id }) => id) })
    place.dataset['shows'] = 'explanation'
    place.replaceChildren(
      ...explanations.map(({ parts }) =>
        el(
          'dl',
          {},
          ...parts.flatMap(({ heading, sentences }) => [el('dt', {}, heading), el('dd', {}, sentences.join(' '))]),
        ),
      ),
    )
  } catch (error) {
    failed(place, error)
  }
}

/**
 * Tries letters on the target, and takes everything back.
 *
 * @param {readonly DeadLetterFacts[]} letters
 * @param {HTMLElement} place
 */
export async function rehearseLetters(letters, place) {
  if (place.dataset['shows'] === 'rehearsal') return clear(place)
  place.dataset['shows'] = 'rehearsal'
  place.replaceChildren(el('p', {}, `Trying ${counted(letters.length, 'letter')} …`))
  try {
    const found = []
    for (const portion of portions(letters)) {
      /** @type {DeadLetterRehearsals} */
      const { rehearsed } = await post('/dead-letters/rehearse', { ids: portion.map(({ id }) => id) })
      found.push(...rehearsed)
      if (letters.length > PORTION)
        place.replaceChildren(el('p', {}, `${number(found.length)} of ${counted(letters.length, 'letter')} tried …`))
    }
    const failing = found.filter(({ passes }) => !passes)
    const by = new Map(letters.map((letter) => [letter.id, letter]))
    const named = failing.slice(0, NAMED).map(({ id, code, reason, outcome }) => {
      const letter = by.get(id)
      const why = [code, reason].filter(Boolean).join(': ') || outcome
      return el('li', {}, `${letter === undefined ? id : recordOf(letter)} would fail: ${sentence(why)}`)
    })
    const passing = found.length - failing.length
    const columns = found.length === 1 ? (found[0]?.columns ?? []) : []
    place.replaceChildren(
      el('p', {}, `${resultOf(found.length, passing)} Nothing of it has stayed.`),
      ...(columns.length > 0 ? [el('p', {}, `It would change: ${columns.join(', ')}.`)] : []),
      ...(named.length > 0 ? [el('ul', {}, ...named)] : []),
    )
  } catch (error) {
    failed(place, error)
  }
}

/**
 * @param {number} all
 * @param {number} passing
 */
function resultOf(all, passing) {
  if (all === 0) return 'It is not there any more.'
  if (all === 1) return passing === 1 ? 'It would go through now.' : 'It would not go through now.'
  return `${number(passing)} of ${counted(all, 'letter')} would go through now.`
}

/**
 * Sends letters on their way again, after asking.
 *
 * @param {readonly DeadLetterFacts[]} letters
 * @returns {Promise<boolean>} whether it was done
 */
export async function replayLetters(letters) {
  const many = letters.length > 1
  const yes = await question({
    title: many ? `Replay ${counted(letters.length, 'dead letter')}?` : `Replay ${namesOf(letters)}?`,
    text: 'Each is sent on its way again, as it was. It stops at the first that fails again. Rehearse shows beforehand what would happen.',
    confirm: 'Replay',
  })
  if (yes === null) return false
  const result = byId('dead-result')
  say(result, `Replaying ${counted(letters.length, 'letter')} …`)
  const total = { sent: 0, unfit: 0, left: 0, outcomes: /** @type {Record<string, number>} */ ({}) }
  try {
    /** @type {DeadLetterReplay['stopped']} */
    let stopped = null
    for (const portion of portions(letters)) {
      if (stopped !== null) {
        total.left += portion.length
        continue
      }
      /** @type {DeadLetterReplay} */
      const answer = await post('/dead-letters/replay', { ids: portion.map(({ id }) => id) })
      total.sent += answer.sent
      total.unfit += answer.unfit.length
      total.left += answer.left
      for (const [kind, n] of Object.entries(answer.outcomes)) total.outcomes[kind] = (total.outcomes[kind] ?? 0) + n
      stopped = answer.stopped
      if (letters.length > PORTION)
        say(result, `${number(total.sent)} of ${counted(letters.length, 'letter')} replayed …`)
    }
    say(result, replayed(total, stopped, letters), stopped === null && total.unfit === 0 ? 'good' : 'bad')
  } catch (error) {
    say(result, `${total.sent > 0 ? `${number(total.sent)} replayed, then: ` : ''}${reasonOf(error)}`, 'bad')
  }
  return true
}

const STOPS = {
  dead: 'is dead again',
  retry: 'failed again, and waits to be tried again',
  unanswered: 'was sent, and no service has said what became of it',
  unsent: 'could not be sent, and lies where before',
}

/**
 * @param {{ sent: number, unfit: number, left: number, outcomes: Record<string, number> }} total
 * @param {DeadLetterReplay['stopped']} stopped
 * @param {readonly DeadLetterFacts[]} letters
 */
function replayed({ sent, unfit, left, outcomes }, stopped, letters) {
  const became = Object.entries(outcomes).map(([kind, n]) => `${number(n)} ${kind}`)
  const lines = [`${counted(sent, 'dead letter')} replayed${became.length === 0 ? '' : `: ${became.join(', ')}`}.`]
  if (unfit > 0)
    lines.push(
      `${counted(unfit, 'letter')} not replayed: no service of this version could read ${unfit === 1 ? 'it' : 'them'}.`,
    )
  if (stopped !== null) {
    const letter = letters.find(({ id }) => id === stopped.id)
    const why = [stopped.code, stopped.reason].filter(Boolean).join(': ')
    lines.push(
      `Stopped: ${letter === undefined ? stopped.id : recordOf(letter)} ${STOPS[stopped.what]}${why === '' ? '.' : `: ${sentence(why)}`}`,
    )
  }
  if (left > 0) lines.push(`${counted(left, 'letter')} not tried: ${left === 1 ? 'it lies' : 'they lie'} where before.`)
  return lines.join('\n')
}

/**
 * Gives letters up, after asking who and why.
 *
 * @param {readonly DeadLetterFacts[]} letters
 * @returns {Promise<boolean>} whether it was done
 */
export async function discardLetters(letters) {
  const many = letters.length > 1
  const told = await question({
    title: many ? `Discard ${counted(letters.length, 'dead letter')}?` : `Discard ${namesOf(letters)}?`,
    text: `${many ? 'Their changes' : 'Its change'} will not be applied. Who and why is kept, in the outbox and in RabbitMQ: write no patient’s data.`,
    confirm: 'Discard',
    fields: [
      { name: 'who', label: 'Who discards', maxLength: 100, value: whoLast },
      { name: 'why', label: 'Why', maxLength: 500 },
    ],
  })
  if (told === null) return false
  whoLast = told['who'] ?? ''
  const result = byId('dead-result')
  say(result, `Discarding ${counted(letters.length, 'letter')} …`)
  let done = 0
  const refusals = []
  try {
    for (const portion of portions(letters)) {
      /** @type {DeadLetterDiscard} */
      const { discarded, refused } = await post('/dead-letters/discard', { ids: portion.map(({ id }) => id), ...told })
      done += discarded
      refusals.push(...refused)
    }
    const lines = refusals.map(({ id, reason }) => `Left where it lies: ${id}: ${sentence(reason)}`)
    say(
      result,
      [`${counted(done, 'dead letter')} discarded.`, ...lines].join('\n'),
      refusals.length === 0 ? 'good' : 'bad',
    )
  } catch (error) {
    say(result, `${done > 0 ? `${number(done)} discarded, then: ` : ''}${reasonOf(error)}`, 'bad')
  }
  return true
}

/** @param {readonly DeadLetterFacts[]} letters */
const namesOf = (letters) => letters.map(recordOf).join(', ')

/** Takes away what was told of letters. @param {HTMLElement} place */
export function clear(place) {
  delete place.dataset['shows']
  place.replaceChildren()
}

/**
 * @param {HTMLElement} place
 * @param {unknown} error
 */
function failed(place, error) {
  place.dataset['shows'] = ''
  place.replaceChildren(el('p', {}, reasonOf(error)))
}

/**
 * @template T
 * @param {readonly T[]} all
 */
function* portions(all) {
  for (let at = 0; at < all.length; at += PORTION) yield all.slice(at, at + PORTION)
}
