import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { SETTINGS, type Setting } from '@clinic-sync/runtime'
import { type Fault, filesUnder, lineOf, nodesOf, type Page, ROOT } from '../pages.ts'

const known: Readonly<Record<string, Setting>> = SETTINGS

/** The first line of the table of settings, on whatever page it is. */
const HEAD = /^\| setting \| default \|/

interface Row {
  readonly name: string
  readonly fallback: string | undefined
  readonly at: Omit<Fault, 'message'>
}

/**
 * The table of settings, on one page, and `.env.example`, against what the services read: each of these is in both, nothing else
 * is but what the compose files read, and the defaults are the same.
 */
export function checkSettings(pages: readonly Page[], root = ROOT): Fault[] {
  const compose = namesInCompose(root)
  const rows = pages.flatMap(rowsOf)
  const example = rowsOfExample(readFileSync(join(root, '.env.example'), 'utf8'))
  return [...missing(rows, 'the table of settings'), ...missing(example, '.env.example')].concat(
    [...rows, ...example].flatMap(({ name, fallback, at }) => {
      const setting = known[name] ?? known[name.replace(/_FILE$/, '')]
      if (setting === undefined) return compose.has(name) ? [] : [{ ...at, message: `nothing reads a setting ${name}` }]
      // Without a value of its own it takes another's, which the page says in words.
      if (fallback === undefined || setting.fallback === '' || setting.secret || name !== name.replace(/_FILE$/, ''))
        return []
      const meant = setting.fallback === undefined ? 'required' : String(setting.fallback)
      return fallback === meant ? [] : [{ ...at, message: `the default of ${name} is ${meant}, not ${fallback}` }]
    }),
  )
}

function missing(rows: readonly Row[], where: string): Fault[] {
  const named = new Set(rows.map(({ name }) => name.replace(/_FILE$/, '')))
  const at = rows[0]?.at ?? { path: 'README.md', line: 1 }
  return Object.keys(known)
    .filter((name) => !named.has(name))
    .map((name) => ({ ...at, message: `${where} lacks ${name}` }))
}

/** `` | `A`, `B` | `1`, `2` | … `` gives two rows. */
function rowsOf({ path, text }: Page): Row[] {
  const lines = text.split('\n')
  const head = lines.findIndex((line) => HEAD.test(line))
  if (head < 0) return []
  const end = lines.findIndex((line, index) => index > head && !line.startsWith('|'))
  return lines.slice(head + 2, end < 0 ? undefined : end).flatMap((line, index) => {
    const [, names = '', defaults = ''] = line.split('|')
    const values = codesIn(defaults)
    return codesIn(names).map((name, n) => ({
      name,
      fallback: /required/.test(defaults) ? 'required' : values[n],
      at: { path, line: head + 3 + index },
    }))
  })
}

const codesIn = (cell: string): string[] => [...cell.matchAll(/`([^`]*)`/g)].map(([, code = '']) => code)

/** `NAME=value`, also where it stands behind a # because it is seldom set. */
function rowsOfExample(text: string): Row[] {
  return text.split('\n').flatMap((line, index) => {
    const [, name, value = ''] = /^(?:# ?)?([A-Z][A-Z0-9_]+)=(\S*)$/.exec(line) ?? []
    return name === undefined
      ? []
      : [{ name, fallback: value === '' ? undefined : value, at: { path: '.env.example', line: index + 1 } }]
  })
}

/** What the compose files and the image read: not the services' own. */
function namesInCompose(root: string): Set<string> {
  const text = filesUnder('', /^((docker-)?compose.*\.ya?ml|Dockerfile)$/, root)
    .map((path) => readFileSync(join(root, path), 'utf8'))
    .join('\n')
  return new Set(
    [...text.matchAll(/\$\{?([A-Z][A-Z0-9_]+)/g), ...text.matchAll(/^\s*(?:ENV )?([A-Z][A-Z0-9_]+)[=:]/gm)].map(
      ([, name = '']) => name,
    ),
  )
}

/** Names that look like settings or codes of ours and that nothing in the project knows. */
export function checkNames(pages: readonly Page[], root = ROOT): Fault[] {
  const all = filesUnder('', /(^|\.)(ts|sql|ya?ml|json|conf|example|sh|Dockerfile)$|^Dockerfile$/, root)
    .filter((path) => !path.startsWith('packages/docs-check/'))
    .map((path) => readFileSync(join(root, path), 'utf8'))
    .join('\n')
  const exists = (name: string) => name in known || name.replace(/_FILE$/, '') in known || all.includes(name)
  return pages.flatMap((page) => {
    const faults: Fault[] = []
    for (const { node } of nodesOf(page.tree)) {
      if (node.type !== 'inlineCode' && node.type !== 'code') continue
      for (const [name] of node.value.matchAll(
        /\b(?:SQLSERVER|POSTGRES|RABBITMQ|SYNC|INGRESS|HEALTH|CLINIC|PORTAL|LOG|SECRETS)_[A-Z][A-Z_]*[A-Z]\b/g,
      ))
        if (!exists(name))
          faults.push({ path: page.path, line: lineOf(node), message: `nothing in the project knows ${name}` })
    }
    return faults
  })
}

/** Files and folders that pages name in full, and that are not there. */
export function checkPaths(pages: readonly Page[], exists: (path: string) => boolean): Fault[] {
  return pages.flatMap((page) => {
    const faults: Fault[] = []
    for (const { node } of nodesOf(page.tree)) {
      if (node.type !== 'inlineCode') continue
      const path = /^((?:packages|services|docs|migrations|deploy|\.github)\/[\w./-]+?)[./]?$/.exec(node.value)?.[1]
      if (path !== undefined && !/(^|\/)dist\//.test(path) && !exists(path))
        faults.push({ path: page.path, line: lineOf(node), message: `there is no ${path}` })
    }
    return faults
  })
}
