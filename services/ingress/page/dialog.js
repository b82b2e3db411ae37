import { byId, el } from './dom.js'

/**
 * @typedef {object} Question
 * @property {string} title
 * @property {string} text
 * @property {string} confirm what the button says that does it
 * @property {readonly { name: string, label: string, maxLength: number, value?: string }[]} [fields] all must be filled in
 */

/**
 * Asks a person before something is done. The browser keeps the focus in the dialog, and gives it back; Escape is no.
 *
 * @param {Question} question
 * @returns {Promise<Record<string, string> | null>} what was filled in; null: no
 */
export function question({ title, text, confirm, fields = [] }) {
  const dialog = byId('dialog', HTMLDialogElement)
  byId('dialog-title').textContent = title
  byId('dialog-text').textContent = text
  byId('dialog-confirm').textContent = confirm
  const inputs = fields.map(({ name, label, maxLength, value = '' }) => {
    const input = el('input', { id: `dialog-${name}`, name, maxlength: maxLength, required: true, pattern: '.*\\S.*' })
    input.value = value
    byId('dialog-fields').append(el('label', { for: input.id }, label), input)
    return input
  })
  return new Promise((resolve) => {
    const over = new AbortController()
    const { signal } = over
    /** @type {Record<string, string> | null} */
    let answer = null
    byId('dialog-cancel').addEventListener('click', () => dialog.close(), { signal })
    byId('dialog-form').addEventListener(
      'submit',
      () => {
        answer = Object.fromEntries(inputs.map((input) => [input.name, input.value.trim()]))
      },
      { signal },
    )
    dialog.addEventListener(
      'close',
      () => {
        over.abort()
        byId('dialog-fields').replaceChildren()
        resolve(answer)
      },
      { signal },
    )
    dialog.showModal()
    // A yes by a stray Enter is not wanted: the first field, else Cancel.
    const [first = byId('dialog-cancel')] = inputs
    first.focus()
  })
}

/** Closes it as Cancel does. */
export const dismiss = () => byId('dialog', HTMLDialogElement).close()
