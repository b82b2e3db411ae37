import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Fault, filesUnder, type Page, ROOT } from '../pages.ts'

interface Manifest {
  readonly name?: string
  readonly version?: string
  readonly license?: string
  readonly scripts?: Readonly<Record<string, string>>
  readonly dependencies?: Readonly<Record<string, string>>
  readonly devDependencies?: Readonly<Record<string, string>>
}

export function manifests(root = ROOT): { path: string; manifest: Manifest }[] {
  return filesUnder('', /^package\.json$/, root).map((path) => ({
    path,
    manifest: JSON.parse(readFileSync(join(root, path), 'utf8')) as Manifest,
  }))
}

/** One version and one licence in all packages, and the version is the changelog's newest. */
export function checkVersions(changelog: Page | undefined, root = ROOT): Fault[] {
  const all = manifests(root)
  const version = all.find(({ path }) => path === 'package.json')?.manifest.version
  const newest = /^## \[?(\d+\.\d+\.\d+)\]?/m.exec(changelog?.text ?? '')?.[1]
  const faults = all.flatMap(({ path, manifest }) => [
    ...(manifest.version === version
      ? []
      : [{ path, line: 1, message: `version ${manifest.version}, not ${version}` }]),
    ...(manifest.license === 'MIT' ? [] : [{ path, line: 1, message: 'its licence is not MIT' }]),
  ])
  if (newest !== version)
    faults.push({
      path: 'CHANGELOG.md',
      line: 1,
      message: `the newest version is ${newest}, package.json's ${version}`,
    })
  return faults
}

/** `docs/dependencies.md` names every dependency that is not ours, in the first cell of a row, and no other. */
export function checkDependencies(page: Page | undefined, root = ROOT): Fault[] {
  const path = 'docs/dependencies.md'
  if (page === undefined) return [{ path, line: 1, message: 'there is no such page' }]
  const rows = page.text.split('\n').flatMap((line, index) => {
    const [, name] = /^\| `([^`]+)`/.exec(line) ?? []
    return name === undefined ? [] : [{ name, line: index + 1 }]
  })
  const named = new Set(rows.map(({ name }) => name))
  const used = new Set(
    manifests(root).flatMap(({ manifest: { dependencies, devDependencies } }) =>
      Object.keys({ ...dependencies, ...devDependencies }).filter((name) => !name.startsWith('@clinic-sync/')),
    ),
  )
  return [
    ...[...used].filter((name) => !named.has(name)).map((name) => ({ path, line: 1, message: `lacks ${name}` })),
    ...rows
      .filter(({ name }) => !used.has(name))
      .map(({ name, line }) => ({ path, line, message: `nothing depends on ${name}` })),
  ]
}

/** Files that people write, by how they end. */
const WRITTEN =
  /\.(ts|js|mjs|json|md|sql|ya?ml|conf|sh|example|cmd|ps1)$|^(Dockerfile|LICENSE|\.editorconfig|\.gitignore|\.dockerignore|\.taprc)$/

/** What `.editorconfig` asks of every file: UTF-8, LF, a last line that ends, no blank at the end of a line, no tab in front. */
export function checkEditorconfig(root = ROOT): Fault[] {
  return filesUnder('', WRITTEN, root).flatMap((path) => {
    const bytes = readFileSync(join(root, path))
    const text = bytes.toString('utf8')
    const fault = (line: number, message: string): Fault => ({ path, line, message })
    const faults: Fault[] = []
    if (!Buffer.from(text, 'utf8').equals(bytes)) faults.push(fault(1, 'is not UTF-8'))
    if (text.startsWith('\uFEFF')) faults.push(fault(1, 'begins with a byte order mark'))
    if (text !== '' && !text.endsWith('\n')) faults.push(fault(text.split('\n').length, 'the last line does not end'))
    text.split('\n').forEach((line, index) => {
      if (line.endsWith('\r')) faults.push(fault(index + 1, 'ends with CRLF'))
      else if (/[ \t]$/.test(line)) faults.push(fault(index + 1, 'ends with a blank'))
      if (/^ *\t/.test(line)) faults.push(fault(index + 1, 'is indented with a tab'))
    })
    return faults
  })
}

export const isThere = (path: string, root = ROOT): boolean => existsSync(join(root, path))
