import { existsSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { readTextFile } from '@clinic-sync/runtime'
import type { Scratch } from './scratch.ts'
import { SECRET_FILE_NAMES, SECRET_FILES, SECRETS, type SecretFile } from './layout.ts'

/** What an earlier run, or a person, has left in the folder. */
export interface Previous {
  /** Whether there is a `.env`. */
  readonly exists: boolean
  /** Every name in it, as it stands there. */
  readonly lines: ReadonlyMap<string, string>
  /** As it is written there, quotes and all: Docker Compose replaces `$NAME` by rules of its own. */
  readonly written: ReadonlyMap<string, string>
  /** A secret's text, from its file or from `.env` itself; undefined: there is none. */
  secret(file: SecretFile): string | undefined
}

/** Reads what is in `folder`. What cannot be read counts as not there: it is asked for anew, and a copy is kept. */
export function readPrevious(folder: string): Previous {
  const text = contents(join(folder, '.env'))
  const lines = new Map(Object.entries(text === undefined ? {} : parseEnv(text)).map(([k, v]) => [k, v ?? '']))
  const secrets = new Map<SecretFile, string>()
  for (const file of SECRET_FILE_NAMES) {
    const setting = SECRET_FILES[file]
    const named = setting === null ? undefined : lines.get(`${setting}_FILE`)
    const direct = setting === null ? undefined : lines.get(setting)
    const found = direct || contents(named ? resolve(folder, named) : join(folder, SECRETS, file))?.trim()
    if (found) secrets.set(file, found)
  }
  return {
    exists: existsSync(join(folder, '.env')),
    lines,
    written: writtenIn(text ?? ''),
    secret: (file) => secrets.get(file),
  }
}

/** One setting with its value, which in quotes may have several lines. */
const ASSIGNMENT = /^[ \t]*(?:export[ \t]+)?([\w.-]+)[ \t]*=[ \t]*(?:'[^']*'|"[^"]*"|`[^`]*`|[^\n]*)/gm

/** The source of each setting; without those of which Node reads something else, as of a line within another's quotes. */
function writtenIn(text: string): ReadonlyMap<string, string> {
  const all = parseEnv(text)
  const found = [...text.replaceAll('\r\n', '\n').matchAll(ASSIGNMENT)].map(
    ([line, name = '']) => [name, line] as const,
  )
  return new Map(found.filter(([name, line]) => parseEnv(line)[name] === all[name]))
}

/** An address of an earlier run as it is used from here; undefined: there is none, or it cannot be read. */
export const knownUrl = (scratch: Scratch, url: string | undefined): string | undefined =>
  url !== undefined && URL.canParse(url) ? scratch.resolved(url) : undefined

function contents(path: string): string | undefined {
  try {
    return readTextFile(path) ?? undefined
  } catch {
    return undefined
  }
}
