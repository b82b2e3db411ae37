import { spawn } from 'node:child_process'
import { once } from 'node:events'

/** What became of a block. */
export interface Ran {
  readonly code: number
  /** Both streams, as they came. */
  readonly output: string
}

/** No block takes longer: what does is not run. */
const PATIENCE_MS = 90_000

/**
 * Runs lines in a shell that stops at the first that fails. Nobody is there to answer what they ask.
 *
 * @returns code 124 where it took too long, and was ended with all that it had started.
 */
export async function runShell(
  code: string,
  { folder, environment }: { folder: string; environment: NodeJS.ProcessEnv },
): Promise<Ran> {
  const shell = spawn('bash', ['-euo', 'pipefail', '-c', code], {
    cwd: folder,
    env: environment,
    stdio: ['ignore', 'pipe', 'pipe'],
    // A group of its own, so that all of it can be ended.
    detached: true,
  })
  let output = ''
  for (const stream of [shell.stdout, shell.stderr])
    stream.setEncoding('utf8').on('data', (text: string) => (output += text))
  const closed = once(shell, 'close') as Promise<[number | null]>
  let late = false
  const patience = setTimeout(() => {
    late = true
    end(shell.pid)
  }, PATIENCE_MS)
  try {
    const [ended] = await closed
    return late
      ? { code: 124, output: `${output}\n(ended after ${PATIENCE_MS / 1_000} s)` }
      : { code: ended ?? 1, output }
  } finally {
    clearTimeout(patience)
  }
}

function end(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // It has ended by itself meanwhile.
  }
}
