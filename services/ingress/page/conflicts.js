import { ask, reasonOf } from './api.js'
import { button, byId, el, onPress, say, shownValue, table } from './dom.js'
import { clock, counted } from './time.js'

/** @import { Ruling, RulingValues, Rulings } from './types.d.ts' */

const PAGE = 50

/** @type {string | null} */
let next = null

export function startConflicts() {
  onPress(byId('conflicts-show', HTMLButtonElement), () => load(null))
  onPress(byId('conflicts-older', HTMLButtonElement), () => load(next))
}

/** Takes what was shown away: nothing of it stays on a screen that somebody has signed out of. */
export function forgetConflicts() {
  byId('conflicts').replaceChildren()
  byId('conflicts').hidden = true
  byId('conflicts-older').hidden = true
  say(byId('conflicts-result'), '')
}

/** @param {string | null} before */
async function load(before) {
  const result = byId('conflicts-result')
  const place = byId('conflicts')
  try {
    /** @type {Rulings} */
    const told = await ask(`/conflicts?max=${PAGE}${before === null ? '' : `&before=${encodeURIComponent(before)}`}`)
    next = told.next
    const { rulings, unasked } = told
    const rows = rulings.flatMap(rowsOf)
    const body = before === null ? null : place.querySelector('tbody')
    if (body !== null) body.append(...rows)
    else {
      const fresh = table('Conflicts, the latest first', ['When', 'Record', 'Columns', 'Ruling', 'Values'], [])
      fresh.querySelector('tbody')?.append(...rows)
      place.replaceChildren(...(rows.length === 0 ? [] : [fresh]))
    }
    place.hidden = place.childElementCount === 0
    byId('conflicts-older').hidden = next === null
    const found =
      rulings.length === 0
        ? before === null
          ? 'No conflict is on record.'
          : 'There are no older ones.'
        : `${counted(rulings.length, 'conflict')} shown.`
    say(result, [found, ...unasked].join('\n'), unasked.length > 0 ? 'bad' : '')
  } catch (error) {
    say(result, reasonOf(error), 'bad')
  }
}

/** @param {string} ruling */
function rulingWords(ruling) {
  if (ruling === 'clinic-wins') return 'the clinic’s value stands'
  if (ruling === 'portal-wins') return 'the doctor’s value stands'
  if (ruling === 'deleted') return 'the record was deleted'
  return ruling
}

/** @param {Ruling} ruling */
function rowsOf({ id, table: name, key, columns, ruling, at }) {
  const record = `${name}/${key}`
  const values = el('td', { colspan: 5, id: `values-${id.replace('/', '-')}` })
  const below = el('tr', { hidden: true }, values)
  const show = button(
    'Show values',
    async () => {
      if (below.hidden) {
        try {
          values.replaceChildren(valuesOf(await ask(`/conflicts/${id}/values`), record))
        } catch (error) {
          values.replaceChildren(el('p', { role: 'status' }, reasonOf(error)))
        }
        below.hidden = false
      } else {
        below.hidden = true
        values.replaceChildren()
      }
      show.textContent = below.hidden ? 'Show values' : 'Hide values'
      show.setAttribute('aria-expanded', String(!below.hidden))
    },
    { 'aria-expanded': 'false', 'aria-controls': values.id, 'aria-describedby': `record-${values.id}` },
  )
  const cells = [
    el('th', { scope: 'row' }, el('time', { datetime: at }, clock(at))),
    el('td', { id: `record-${values.id}` }, record),
    el('td', {}, columns === null ? 'the whole row' : columns.join(', ')),
    el('td', {}, rulingWords(ruling)),
    el('td', {}, show),
  ]
  return [el('tr', {}, ...cells), below]
}

/**
 * @param {RulingValues | null} told
 * @param {string} record
 */
function valuesOf(told, record) {
  if (told === null) return el('p', {}, 'It is not on record any more.')
  const rows = told.values.map(({ column, clinic, portal, base }) => [
    column ?? 'the whole row',
    ...[clinic, portal, base].map((value) => el('span', { class: 'values' }, shownValue(value))),
  ])
  return table(`Values of ${record}`, ['Column', 'Clinic', 'Portal', 'Before either changed it'], rows)
}
