import {
  chmodSync,
  chownSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { SyncError } from '@clinic-sync/sync'
import { type Certificates, SECRET_FILE_NAMES, type SecretFile, SECRETS, type Secrets } from './layout.ts'

export interface Written {
  /** Where copies of what was there before are, from the folder; null: nothing was. */
  readonly copies: string | null
}

/**
 * Writes `.env` and the folder of secrets. Everything is written under other names first and renamed at the end, `.env` last: where
 * it is interrupted, what was there before is still there and whole. What is replaced is copied to `secrets/before-<time>`. Where one
 * cannot be replaced (Windows: another program has it open), those before it are put back.
 *
 * Synchronously, and with Ctrl-C put off meanwhile: nothing comes between two of the renames but the loss of power. After that the
 * next run makes all of them fit each other again.
 *
 * @param folder where `.env` belongs.
 * @param rename for a test of one that fails.
 * @throws SyncError SYNC_CONFIG if the folder cannot be written to; nothing is changed then.
 */
export function writeFiles(
  folder: string,
  { env, secrets, certificates }: { env: string; secrets: Secrets; certificates: Certificates },
  now = new Date(),
  rename = renameSync,
): Written {
  const target = join(folder, SECRETS)
  const deferred: NodeJS.Signals[] = []
  const defer = (signal: NodeJS.Signals) => void deferred.push(signal)
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.on(signal, defer)
  let staging: string | undefined
  try {
    mkdirSync(target, { recursive: true, mode: 0o700 })
    chmodSync(target, 0o700)
    // Of a run that was killed.
    for (const name of readdirSync(target))
      if (name.startsWith(STAGING)) rmSync(join(target, name), { recursive: true, force: true })
    staging = mkdtempSync(join(target, STAGING))
    const files: [name: string, text: string][] = [
      ...SECRET_FILE_NAMES.map((file): [string, string] => [join(SECRETS, file), ended(secrets[file])]),
      ...[...certificates].map(([name, pem]): [string, string] => [join(SECRETS, 'ca', name), ended(pem)]),
      ['.env', env],
    ]
    // Compose mounts the folder of the certificates, so it is there, if empty.
    mkdirSync(join(target, 'ca'), { recursive: true, mode: 0o755 })
    for (const [name, text] of files) {
      const staged = join(staging, name)
      mkdirSync(dirname(staged), { recursive: true })
      // 0644: a container's user reads its bind mount; the folder, 0700, keeps everybody else out.
      writeFileSync(staged, text, { mode: name === '.env' ? 0o600 : 0o644 })
      chmodSync(staged, name === '.env' ? 0o600 : 0o644)
    }
    const copies = copyBefore(folder, files, now)
    replaceAll(
      folder,
      files.map(([name]) => name),
      { staging, copies: copies?.folder ?? null, rename },
    )
    giveToOwner(folder, [SECRETS, join(SECRETS, 'ca'), ...files.map(([name]) => name), ...(copies?.files ?? [])])
    return { copies: copies?.folder ?? null }
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : 'unknown'
    throw new SyncError('SYNC_CONFIG', `The folder ${folder} cannot be written to (${code}); nothing was changed.`, {
      cause,
    })
  } finally {
    if (staging !== undefined) rmSync(staging, { recursive: true, force: true })
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.off(signal, defer)
    const [signal] = deferred
    if (signal !== undefined) process.kill(process.pid, signal)
  }
}

/** The folder in which all is written first. */
const STAGING = '.new-'
/** What the folders of copies are called, before the time. */
const COPIES = 'before-'

/** Renames all of them, or none. */
function replaceAll(
  folder: string,
  names: readonly string[],
  { staging, copies, rename }: { staging: string; copies: string | null; rename: typeof renameSync },
): void {
  const done: string[] = []
  try {
    for (const name of names) {
      rename(join(staging, name), join(folder, name))
      done.push(name)
    }
  } catch (error) {
    for (const name of done) {
      const copy = copies === null ? null : join(folder, copies, name)
      if (copy !== null && existsSync(copy)) copyFileSync(copy, join(folder, name))
      else rmSync(join(folder, name), { force: true })
    }
    throw error
  }
}

const ended = (text: string) => (text === '' || text.endsWith('\n') ? text : `${text}\n`)

function copyBefore(folder: string, files: readonly (readonly [name: string, text: string])[], now: Date) {
  const there = files.map(([name]) => name).filter((name) => existsSync(join(folder, name)))
  if (there.length === 0) return null
  const place = join(SECRETS, `${COPIES}${now.toISOString().replaceAll(/[:.]/g, '-')}`)
  const made = [place]
  for (const name of there) {
    const copy = join(place, name)
    mkdirSync(join(folder, dirname(copy)), { recursive: true, mode: 0o700 })
    copyFileSync(join(folder, name), join(folder, copy))
    made.push(dirname(copy), copy)
  }
  return { folder: place, files: [...new Set(made)] }
}

/** The copies in which one of these files holds something, or `.env` matches: their folders, from `folder`. */
export function copiesWith(folder: string, secretFiles: readonly SecretFile[], setting: RegExp): readonly string[] {
  const text = (...path: string[]) => {
    const file = join(folder, ...path)
    return existsSync(file) ? readFileSync(file, 'utf8') : ''
  }
  return readdirSync(join(folder, SECRETS))
    .filter((name) => name.startsWith(COPIES))
    .map((name) => join(SECRETS, name))
    .filter(
      (place) =>
        setting.test(text(place, '.env')) || secretFiles.some((file) => text(place, SECRETS, file).trim() !== ''),
    )
}

/** In a container this runs as root, and the folder is the host's: what is written belongs to whoever owns that. */
function giveToOwner(folder: string, names: readonly string[]): void {
  if (process.getuid?.() !== 0) return
  const { uid, gid } = statSync(folder)
  if (uid === 0) return
  for (const name of names) chownSync(join(folder, name), uid, gid)
}
