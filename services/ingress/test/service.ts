import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'

/** The ingress as a process, as it is run for real. */
export interface Service {
  readonly lines: readonly { readonly level: string; readonly msg: string }[]
  readonly ended: Promise<number | null>
  kill(signal: NodeJS.Signals): void
  /** Where it listens, from its own start-up line. */
  url(): string | undefined
}

export function startService(t: Test, environment: Record<string, string>): Service {
  const child = spawn(
    process.execPath,
    ['--import=tsx', '--conditions=@clinic-sync/source', fileURLToPath(new URL('../src/main.ts', import.meta.url))],
    { env: { PATH: process.env['PATH'], ...environment }, stdio: ['ignore', 'pipe', 'inherit'] },
  )
  const lines: Service['lines'][number][] = []
  let rest = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    const parts = (rest + text).split('\n')
    rest = parts.pop() ?? ''
    for (const part of parts) lines.push(JSON.parse(part) as (typeof lines)[number])
  })
  const ended = once(child, 'close').then(() => child.exitCode)
  t.teardown(async () => {
    child.kill('SIGKILL')
    await ended
  })
  const url = () => lines.map((line) => /^listening at (\S+)/.exec(line.msg)?.[1]).find((found) => found !== undefined)
  return { lines, ended, url, kill: (signal) => void child.kill(signal) }
}
