import { styleText } from 'node:util'

type Style = Parameters<typeof styleText>[0]

/** Where the demo writes: sections, aligned pairs, and colour on a terminal only. */
export interface Screen {
  section(title: string): void
  /** `name  text`, names aligned. */
  pair(name: string, text: string): void
  line(text?: string): void
  good(text: string): string
  bad(text: string): string
  faint(text: string): string
  strong(text: string): string
}

const NAME_WIDTH = 12

export function screenOn(out: NodeJS.WriteStream): Screen {
  const coloured = out.isTTY && !process.env.NO_COLOR
  const paint = (style: Style, text: string) => (coloured ? styleText(style, text) : text)
  const line = (text = '') => void out.write(`${text}\n`)
  return {
    section: (title) => line(`\n${paint(['bold', 'cyan'], title)}`),
    pair: (name, text) => line(`  ${paint('dim', name.padEnd(NAME_WIDTH))} ${text}`),
    line,
    good: (text) => paint('green', text),
    bad: (text) => paint('red', text),
    faint: (text) => paint('dim', text),
    strong: (text) => paint('bold', text),
  }
}

const SHOWN = 48

/** `1 row`, `2 rows`. */
export const counted = (rows: number): string => (rows === 1 ? '1 row' : `${rows} rows`)

/** A value for people: quoted, so that blanks and emptiness show, control characters escaped, cut when long. */
export function shown(value: unknown): string {
  if (value === null || value === undefined) return '–'
  if (value instanceof Date) return value.toISOString().replace('T', ' ').replace('Z', '')
  if (typeof value !== 'string') return String(value)
  const characters = [...value]
  const cut = characters.length <= SHOWN ? value : `${characters.slice(0, SHOWN - 1).join('')}…`
  return `“${JSON.stringify(cut).slice(1, -1).replaceAll('\\"', '"').replaceAll('\\\\', '\\')}”`
}
