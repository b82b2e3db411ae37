import { execFile } from 'node:child_process'
import { access, constants, readFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import type { User } from './protocol.ts'

/** Output and exit code of a short command; code 127 when it cannot be executed, 124 after `timeoutMs`. */
export function capture(
  command: string,
  args: string[],
  timeoutMs = 5_000,
): Promise<{ code: number; output: string; errors: string }> {
  return new Promise((resolve) => {
    execFile(command, args, { timeout: timeoutMs, killSignal: 'SIGKILL' }, (error, output, errors) => {
      const code = !error ? 0 : error.killed ? 124 : typeof error.code === 'number' ? error.code : 127
      resolve({ code, output: output.trim(), errors: errors.trim() })
    })
  })
}

/** True when this process may execute the file. */
export async function executable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  )
}

/** Where a command is: the folders given first, then PATH and those that a plain user's PATH often lacks. */
export async function find(command: string, folders: string[] = [], env = process.env): Promise<string | undefined> {
  const path = (env.PATH ?? '').split(delimiter).filter(Boolean)
  const usual = [
    '/usr/local/sbin',
    '/usr/sbin',
    '/usr/local/bin',
    '/usr/bin',
    '/opt/homebrew/sbin',
    '/opt/homebrew/bin',
  ]
  for (const folder of [...folders, ...path, ...usual]) {
    const candidate = join(folder, command)
    if (await executable(candidate)) return candidate
  }
  return undefined
}

/** True when this process is root, as whom Postgres refuses to run. */
export const isRoot = (): boolean => process.getuid?.() === 0

/**
 * The user that Postgres runs as when this process is root: `postgres` where it exists, else `nobody`, which every
 * Unix has. So no user has to be created, which would outlive the run.
 */
export async function unprivilegedUser(): Promise<User> {
  const lines = (await readFile('/etc/passwd', 'utf8')).split('\n').map((line) => line.split(':'))
  for (const name of ['postgres', 'nobody']) {
    const [, , uid, gid] = lines.find((fields) => fields[0] === name) ?? []
    if (uid && gid) return { uid: Number(uid), gid: Number(gid) }
  }
  throw new Error('Postgres does not run as root, and there is no user postgres or nobody to run it as')
}

/** Calls `probe` until it gives a value, with a pause between; throws what it last threw after `timeoutMs`. */
export async function until<T>(timeoutMs: number, probe: () => Promise<T>, ended?: Promise<unknown>): Promise<T> {
  const deadline = Date.now() + timeoutMs
  let over = false
  void ended?.then(() => {
    over = true
  })
  for (;;) {
    try {
      return await probe()
    } catch (error) {
      if (over || Date.now() > deadline) throw error
    }
    await new Promise((resolve) => setTimeout(resolve, 25))
  }
}
