/** An element as it was found: enough to look at a chart. */
export interface Element {
  readonly name: string
  readonly attributes: Readonly<Record<string, string>>
  text: string
}

const NAME = '[A-Za-z][\\w:-]*'
const ATTRIBUTE = `\\s+(${NAME})="([^"<&]|&(?:amp|lt|gt|quot);)*"`
const TAG = new RegExp(`^<(/?)(${NAME})((?:${ATTRIBUTE})*)\\s*(/?)>`)
const TEXT = /^(?:[^<&]|&(?:amp|lt|gt|quot);)+/

/** Reads the XML that we write: elements, attributes in double quotes, text. @throws Error where it is not well-formed */
export function parse(xml: string): Element[] {
  const elements: Element[] = []
  const open: Element[] = []
  let rest = xml.trim()
  while (rest.length > 0) {
    const [text] = TEXT.exec(rest) ?? []
    if (text !== undefined) {
      const inside = open.at(-1)
      if (inside !== undefined) inside.text += text
      else if (text.trim() !== '') throw new Error(`text outside of the root: ${text}`)
      rest = rest.slice(text.length)
      continue
    }
    const [tag, closing, name = '', attributes = ''] = TAG.exec(rest) ?? []
    if (tag === undefined) throw new Error(`not well-formed: ${rest.slice(0, 60)}`)
    rest = rest.slice(tag.length)
    if (closing === '/') {
      if (open.pop()?.name !== name) throw new Error(`</${name}> closes nothing`)
      continue
    }
    if (open.length === 0 && elements.length > 0) throw new Error('a second root')
    const pairs = [...attributes.matchAll(/([\w:-]+)="([^"]*)"/g)].map(
      ([, key = '', value = '']) => [key, value] as const,
    )
    if (new Set(pairs.map(([key]) => key)).size < pairs.length) throw new Error(`an attribute twice in <${name}>`)
    const element = { name, attributes: Object.fromEntries(pairs), text: '' }
    elements.push(element)
    if (!tag.endsWith('/>')) open.push(element)
  }
  if (open.length > 0) throw new Error(`<${open.at(-1)?.name}> is not closed`)
  return elements
}
