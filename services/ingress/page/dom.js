/** @typedef {Node | string | number | null | undefined | false} Child */
/** @typedef {Readonly<Record<string, string | number | boolean | ((event: Event) => void) | undefined>>} Attributes */

/**
 * An element. What is text is set as text: nothing that comes from elsewhere is ever read as HTML.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} name
 * @param {Attributes} [attributes] a function is a listener (`onclick`); true is an attribute without a value, false none
 * @param {...Child} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function el(name, attributes = {}, ...children) {
  const element = document.createElement(name)
  dress(element, attributes, children)
  return element
}

/**
 * The same for a drawing.
 *
 * @template {keyof SVGElementTagNameMap} T
 * @param {T} name
 * @param {Attributes} [attributes]
 * @param {...Child} children
 * @returns {SVGElementTagNameMap[T]}
 */
export function svg(name, attributes = {}, ...children) {
  const element = document.createElementNS('http://www.w3.org/2000/svg', name)
  dress(element, attributes, children)
  return element
}

/**
 * @param {Element} element
 * @param {Attributes} attributes
 * @param {readonly Child[]} children
 */
function dress(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.replace(/^on/, ''), value)
    else if (value === true) element.setAttribute(name, '')
    else if (value !== undefined && value !== false) element.setAttribute(name, String(value))
  }
  element.append(...given(children))
}

/** @param {readonly Child[]} children */
const given = (children) =>
  children.flatMap((child) =>
    child === null || child === undefined || child === false ? [] : [child instanceof Node ? child : String(child)],
  )

/**
 * An element of index.html.
 *
 * @template {HTMLElement} [T=HTMLElement]
 * @param {string} id
 * @param {new () => T} [kind]
 * @returns {T}
 */
export function byId(id, kind) {
  const found = document.getElementById(id)
  if (found === null || (kind !== undefined && !(found instanceof kind))) throw new Error(`no element ${id}`)
  return /** @type {T} */ (found)
}

/**
 * Puts children into an element, where they are others than those in it: what a screen reader is told of, and a selection, stay where
 * nothing has changed.
 *
 * @param {Element} element
 * @param {...Child} children
 */
export function fill(element, ...children) {
  const next = element.cloneNode(false)
  if (!(next instanceof Element)) return
  next.append(...given(children))
  if (!next.isEqualNode(element)) element.replaceChildren(...next.childNodes)
}

/**
 * A table with a caption that is read out, and heads that name their column or row.
 *
 * @param {string} caption
 * @param {readonly string[]} heads a leading # marks a column of numbers
 * @param {readonly (readonly Child[])[]} rows the first cell names its row
 */
export function table(caption, heads, rows) {
  const kind = heads.map((head) => (head.startsWith('#') ? 'number' : undefined))
  return el(
    'table',
    {},
    el('caption', { class: 'hidden-text' }, caption),
    el('thead', {}, el('tr', {}, ...heads.map((head, i) => headOf(head.replace(/^#/, ''), kind[i])))),
    el(
      'tbody',
      {},
      ...rows.map((row) =>
        el(
          'tr',
          {},
          ...row.map((cell, i) => (i === 0 ? el('th', { scope: 'row' }, cell) : el('td', { class: kind[i] }, cell))),
        ),
      ),
    ),
  )
}

/**
 * @param {string} text
 * @param {string | undefined} kind
 */
const headOf = (text, kind) => el('th', { scope: 'col', class: kind }, text)

/**
 * A button, once at a time: while its work is under way it keeps the focus, says that it is busy, and does nothing.
 *
 * @param {HTMLButtonElement} button
 * @param {() => Promise<unknown>} work
 */
export function onPress(button, work) {
  button.addEventListener('click', async () => {
    if (button.getAttribute('aria-disabled') === 'true') return
    button.setAttribute('aria-disabled', 'true')
    try {
      await work()
    } finally {
      button.removeAttribute('aria-disabled')
    }
  })
}

/**
 * @param {string} text
 * @param {() => Promise<unknown>} work
 * @param {Attributes} [attributes]
 */
export function button(text, work, attributes = {}) {
  const element = el('button', { type: 'button', ...attributes }, text)
  onPress(element, work)
  return element
}

/**
 * Says what came of something, where the person looks and a screen reader hears it.
 *
 * @param {HTMLElement} place of role `status`
 * @param {string} text
 * @param {'good' | 'bad' | ''} [tone]
 */
export function say(place, text, tone = '') {
  place.dataset['tone'] = tone
  // The same words a second time are news as well.
  if (place.textContent === text) place.textContent = ''
  place.textContent = text
}

/**
 * A record's value, for whoever asked for it: NULL is no text.
 *
 * @param {unknown} value
 */
export const shownValue = (value) => (value === null || value === undefined ? '–' : String(value))
