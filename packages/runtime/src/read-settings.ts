import { dirname, isAbsolute, resolve } from 'node:path'
import { parseEnv } from 'node:util'
import { SyncError } from '@clinic-sync/sync'
import { SETTINGS, type Setting, type SettingName, type Settings } from './settings.ts'
import { NOT_UTF8, readTextFile } from './text-file.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/**
 * Reads and checks the settings that a service needs, once. Files that a URL names (a certificate) count from the folder of the
 * file that the URL is in, where `<NAME>_FILE` gave it, else from the current folder: so the same file of secrets is right on
 * the host and in a container.
 *
 * @param names the settings wanted; the others may be missing or wrong
 * @throws SyncError SYNC_CONFIG: one sentence that names the setting, never its value
 */
export function readSettings<N extends SettingName>(
  names: readonly N[],
  environment: Environment = process.env,
): Pick<Settings, N> {
  const entries = names.map((name) => [name, readSetting(name, environment)] as const)
  return Object.fromEntries(entries) as Pick<Settings, N>
}

/** Environments for which `.env` was looked for in vain: worth a word where a setting is missing. */
const withoutFile = new WeakSet<Environment>()

/**
 * Adds the settings of a `.env` file, if there is one, to the environment; what is set already wins.
 *
 * @throws SyncError SYNC_CONFIG if it is not UTF-8
 */
export function withEnvFile(environment: Environment, path = '.env'): Environment {
  let text: string | null
  try {
    text = readTextFile(path)
  } catch (error) {
    const copy = { ...environment }
    if (path === '.env' && error instanceof Error && 'code' in error && error.code === 'ENOENT') withoutFile.add(copy)
    return copy
  }
  if (text === null) throw new SyncError('SYNC_CONFIG', `${path} ${NOT_UTF8}.`)
  const file = Object.entries(parseEnv(text)).filter(([name]) => !isGiven(environment, name))
  return { ...Object.fromEntries(file), ...environment }
}

/** Whether the environment has that setting, itself or as a file: either wins over both in `.env`. */
function isGiven(environment: Environment, name: string): boolean {
  const bare = name.replace(/_FILE$/, '')
  return [bare, `${bare}_FILE`].some((each) => environment[each] !== undefined)
}

function readSetting(name: SettingName, environment: Environment): unknown {
  const setting: Setting = SETTINGS[name]
  const { read, expected, fallback, url } = setting
  const text = textOf(name, setting, environment)
  if (text === undefined) {
    if (fallback !== undefined) return fallback
    const file = withoutFile.has(environment) ? '; there is no .env in the current folder' : ''
    throw wrong(name, `${name} is missing: it must be ${expected}${file}`)
  }
  const value = read(text)
  if (value === undefined || (url && !URL.canParse(text))) throw wrong(name, `${name} must be ${expected}`)
  return value
}

/** The setting's text, from the variable or, for a secret, from the file it names. Empty means not set. */
function textOf(name: SettingName, { secret, files }: Setting, environment: Environment): string | undefined {
  const direct = environment[name]?.trim() || undefined
  const path = secret ? environment[`${name}_FILE`]?.trim() || undefined : undefined
  if (path === undefined) return direct
  if (direct !== undefined) throw wrong(name, `${name} and ${name}_FILE are both set: keep one`)
  let read: string | null
  try {
    read = readTextFile(path)
  } catch (cause) {
    throw wrong(name, `the file that ${name}_FILE names cannot be read`, cause)
  }
  if (read === null) throw wrong(name, `the file that ${name}_FILE names ${NOT_UTF8}`)
  const text = read.trim() || undefined
  return text && countedFrom(dirname(path), text, files ?? [])
}

/** The URL with its files' paths made absolute. What is no URL stays as it is: its check says so. */
function countedFrom(folder: string, text: string, files: readonly string[]): string {
  if (files.length === 0 || !URL.canParse(text)) return text
  const url = new URL(text)
  const relative = files.flatMap((name) => {
    const path = url.searchParams.get(name)
    return path === null || path === '' || isAbsolute(path) ? [] : [[name, resolve(folder, path)] as const]
  })
  for (const [name, path] of relative) url.searchParams.set(name, path)
  return relative.length === 0 ? text : url.href
}

const wrong = (name: SettingName, sentence: string, cause?: unknown) =>
  new SyncError('SYNC_CONFIG', `${sentence} (see ${name} in .env.example).`, { cause })
