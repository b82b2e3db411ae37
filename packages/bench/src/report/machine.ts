import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { arch, cpus, platform, release, totalmem } from 'node:os'
import { promisify } from 'node:util'
import { connect } from 'amqplib'
import type { Machine } from '../results.ts'
import type { Stage } from '../stage/stage.ts'

/** What this runs on. No host's name, and of the kernel's only the numbers: the rest of it may name who hosts it. */
export async function machineOf(): Promise<Machine> {
  const processors = cpus()
  const [kernel = release()] = /^[\d.]+/.exec(release()) ?? []
  return {
    cpu: processors[0]?.model.trim() || 'unknown',
    cores: processors.length,
    memoryGiB: Math.round(totalmem() / 2 ** 30),
    os: await distribution(),
    kernel: `${platform()} ${kernel}`,
    arch: arch(),
  }
}

async function distribution(): Promise<string> {
  const text = await readFile('/etc/os-release', 'utf8').catch(() => '')
  return /^PRETTY_NAME="?([^"\n]*)/m.exec(text)?.[1] ?? platform()
}

/** What the servers say that they are. */
export async function versionsOf({ portal, addresses }: Stage): Promise<Record<string, string>> {
  const { rows } = await portal.query<{ server_version: string }>('SHOW server_version')
  const model = await connect(addresses.rabbit)
  const { version, platform: erlang } = model.connection.serverProperties
  await model.close()
  return {
    Node: process.versions.node,
    PostgreSQL: rows[0]?.server_version ?? 'unknown',
    RabbitMQ: `${version}, ${erlang}`,
    'SQL Server': 'none: the development simulator stands in for it',
  }
}

/** The sources' commit; `+` after it where they have changes. Null: not a git checkout. */
export async function commitOf(): Promise<string | null> {
  const git = (...args: string[]) => promisify(execFile)('git', args, { cwd: new URL('.', import.meta.url) })
  try {
    const { stdout: commit } = await git('rev-parse', '--short=10', 'HEAD')
    // What --write itself changes is no change of what was measured.
    const { stdout: changed } = await git('status', '--porcelain', '--', ':/', ':!/docs/benchmarks.*')
    return `${commit.trim()}${changed.trim() === '' ? '' : '+'}`
  } catch {
    return null
  }
}
