import { ask, reasonOf } from './api.js'
import { byId, el, say, shownValue, table } from './dom.js'
import { withCode } from './overview.js'

/** @import { RecordTold, SyncStatus } from './types.d.ts' */

export function startRecord() {
  const form = byId('record-form', HTMLFormElement)
  form.addEventListener('submit', async (event) => {
    event.preventDefault()
    await look()
  })
}

/** Takes what was shown away. */
export function forgetRecord() {
  byId('record-story').replaceChildren()
  say(byId('record-result'), '')
}

/** Offers the tables by name. @param {SyncStatus} status */
export function offerTables({ verification }) {
  if (!verification.reachable || verification.last === null) return
  const names = verification.last.tables.map(({ table }) => table)
  const list = byId('tables')
  if (list.childElementCount === names.length) return
  list.replaceChildren(...names.map((value) => el('option', { value })))
}

async function look() {
  const value = (/** @type {string} */ id) => byId(id, HTMLInputElement).value.trim()
  const values = byId('record-values', HTMLInputElement).checked
  const record = `${value('record-table')}/${value('record-key')}`
  const result = byId('record-result')
  const place = byId('record-story')
  say(result, `Asking both databases about ${record} …`)
  try {
    const path = `/records/${encodeURIComponent(value('record-table'))}/${encodeURIComponent(value('record-key'))}`
    /** @type {RecordTold} */
    const { sections, columns } = await ask(`${path}${values ? '?values=true' : ''}`)
    const told = sections.flatMap(({ heading, sentences }) => [
      el('dt', {}, heading),
      ...sentences.map((text) => el('dd', {}, ...withCode(text))),
    ])
    place.replaceChildren(el('dl', {}, ...told), ...(columns.length > 0 ? [columnTable(columns, values)] : []))
    say(result, `${record}:`)
  } catch (error) {
    place.replaceChildren()
    say(result, reasonOf(error), 'bad')
  }
}

/**
 * @param {RecordTold['columns']} columns
 * @param {boolean} values whether they were asked for
 */
function columnTable(columns, values) {
  const heads = ['Column', 'Whose', 'Equal', ...(values ? ['Clinic', 'Portal'] : []), 'How it differs']
  const rows = columns.map(({ column, whose, equal, how, clinic, portal }) => [
    column,
    whose,
    equal === null ? 'not known' : equal ? 'yes' : 'no',
    ...(values ? [clinic, portal].map((value) => el('span', { class: 'values' }, shownValue(value))) : []),
    how,
  ])
  const attributes = { class: 'scroll', role: 'region', 'aria-label': 'Columns', tabindex: 0 }
  return el('div', attributes, table('The record, column by column', heads, rows))
}
