import { ask, reasonOf } from './api.js'
import { byId, el, say } from './dom.js'
import { withCode } from './overview.js'

/** @import { ExplanationPart, SyncStatus } from './types.d.ts' */

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
    /** @type {{ parts: ExplanationPart[] }} */
    const { parts } = await ask(`${path}${values ? '?values=true' : ''}`)
    place.replaceChildren(
      el(
        'dl',
        {},
        ...parts.flatMap(({ heading, sentences }) => [
          el('dt', {}, heading),
          ...sentences.map((text) => el('dd', {}, ...withCode(text))),
        ]),
      ),
    )
    say(result, `${record}:`)
  } catch (error) {
    place.replaceChildren()
    say(result, reasonOf(error), 'bad')
  }
}
