import { tokenize } from '../sql/tokenizer.ts'

const VALUES = new Set(['string', 'nstring', 'number', 'float', 'binary'])

/** A statement's text with `?` for every value in it, on one line. */
export function withoutValues(text: string): string {
  try {
    const tokens = tokenize(text)
    let result = ''
    let end = 0
    for (const token of tokens) {
      if (token.kind === 'end') break
      if (result !== '' && token.start > end) result += ' '
      result += VALUES.has(token.kind) ? '?' : text.slice(token.start, token.end)
      end = token.end
    }
    return result.slice(0, 2000)
  } catch {
    return '(unreadable)'
  }
}
