import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { SampleTable, SampleValue } from '../../src/index.ts'
import { ARABIC_FIRST, ARABIC_LAST, LATIN_FIRST, LATIN_LAST } from '../../src/sample/names.ts'

const ROOT = fileURLToPath(new URL('../../../../', import.meta.url))
const NAMES = [...ARABIC_FIRST, ...ARABIC_LAST, ...LATIN_FIRST, ...LATIN_LAST]

/**
 * What of an invented clinic must be in no file that leaves the house: texts to look for with {@link found}.
 *
 * - Every text value as a whole that has four letters or five digits in a row, and of a long one the beginning; every first and last name,
 *   from three letters on; every word of four letters and more; every number of seven digits and more; days and times of past years.
 * - Short values are ordinary words and counts (`7`, `19`, `Lab`): nobody could say where one comes from. They are left out.
 * - So is a word that the product's own sources have (`patient`, `aligner`, `admin`), unless it is part of a name; and a number that is
 *   round (`1000000` is also a limit of a queue's).
 */
export function needlesOf(tables: readonly SampleTable[]): readonly string[] {
  const ours = ownWords()
  const needles = new Set(NAMES.flatMap((name) => [name, ...name.split(' ')]).filter((name) => name.length >= 3))
  const names = new Set(needles)
  for (const { rows } of tables)
    for (const row of rows)
      for (const value of Object.values(row))
        for (const needle of ofValue(value)) if (!ours.has(needle) || names.has(needle)) needles.add(needle)
  return [...needles]
}

function ofValue(value: SampleValue): string[] {
  if (typeof value === 'number') return Math.abs(value) >= 1e6 && value % 1_000 !== 0 ? [String(value)] : []
  if (typeof value !== 'string') return []
  if (/^\d{4}-\d\d-\d\d/.test(value))
    return Number(value.slice(0, 4)) < new Date().getFullYear() ? [value, value.slice(0, 10)] : []
  const words = value.match(/\p{L}[\p{L}\p{M}'’.@-]*\p{L}/gu)?.filter((word) => /[\p{L}\p{M}]{4}/u.test(word)) ?? []
  // A telephone number, however it is written.
  const compact = /^[+\d][\d\s/()-]{6,}$/.test(value) ? [value.replaceAll(/[\s/()-]/g, '')] : []
  const digits = value.match(/\d{7,}/g)?.filter((each) => !each.endsWith('000')) ?? []
  const isShort = !/\p{L}{4}|\p{Nd}{5}|\p{Extended_Pictographic}{4}/u.test(value) && compact.length === 0
  if (isShort || /^\d+\.00$/.test(value)) return words
  return [...compact, value, value.trim(), ...(value.length > 40 ? [value.slice(0, 40)] : []), ...words, ...digits]
}

/** Every word of what the product itself is made of. */
function ownWords(): ReadonlySet<string> {
  const folders = ['broker', 'cli', 'clinic', 'contracts', 'mapping', 'operations', 'portal', 'runtime', 'sync']
    .map((name) => `packages/${name}/src`)
    .concat(
      ['ingress', 'sql-to-postgres', 'postgres-to-sql'].map((name) => `services/${name}/src`),
      'migrations',
    )
  const words = new Set<string>()
  for (const folder of folders)
    for (const name of readdirSync(join(ROOT, folder), { recursive: true, encoding: 'utf8' }))
      if (/\.(ts|sql)$/.test(name))
        for (const [word] of readFileSync(join(ROOT, folder, name), 'utf8').matchAll(
          /[A-Za-z][\w.-]*[A-Za-z]|[A-Za-z]+/g,
        ))
          for (const each of [word, ...word.split(/[._-]/)]) words.add(each)
  return words
}

/**
 * How a text may stand in a file: as it is; as JSON writes it; with every character that is not ASCII as \uXXXX, in either case;
 * percent-encoded; in base64, from whichever of three bytes it begins.
 */
export function formsOf(text: string): string[] {
  const quoted = JSON.stringify(text).slice(1, -1)
  const escaped = quoted.replaceAll(
    /[\u007f-\uffff]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
  const upper = escaped.replaceAll(/\\u[0-9a-f]{4}/g, (code) => `\\u${code.slice(2).toUpperCase()}`)
  const forms = [text, quoted, escaped, upper, JSON.stringify(quoted).slice(1, -1)]
  // Half a pair has no such form.
  if (!/\p{Surrogate}/u.test(text)) forms.push(encodeURIComponent(text), encodeURI(text))
  for (const shift of [0, 1, 2]) {
    const base64 = Buffer.concat([Buffer.alloc(shift), Buffer.from(text)]).toString('base64')
    // What of it does not depend on its neighbours.
    const middle = base64.slice(shift === 0 ? 0 : 4, base64.length - 4)
    if (middle.length >= 8) forms.push(middle, middle.replaceAll('+', '-').replaceAll('/', '_'))
  }
  return [...new Set(forms)]
}

/** Which of them a text holds, in whatever form. What is short counts as a whole word only: `Salih`, not `Salihi`. */
export function found(text: string, needles: readonly string[]): string[] {
  const grams = new Set<string>()
  for (let at = 0; at + GRAM <= text.length; at++) grams.add(text.slice(at, at + GRAM))
  return needles.filter((needle) =>
    formsOf(needle).some((form) => (form.length < GRAM || grams.has(form.slice(0, GRAM))) && holds(text, form)),
  )
}

/** Most forms are ruled out by their first characters. */
const GRAM = 5
const WORD = /[\p{L}\p{M}\p{N}_]/u

function holds(text: string, form: string): boolean {
  for (let at = text.indexOf(form); at >= 0; at = text.indexOf(form, at + 1))
    if (form.length >= 12 || !(WORD.test(text[at - 1] ?? ' ') || WORD.test(text[at + form.length] ?? ' '))) return true
  return false
}
