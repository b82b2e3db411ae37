import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { SETTINGS } from '@clinic-sync/runtime'

/** One of our services, run as in production; from source, unless its script is one that was built. */
export interface Child {
  readonly name: string
  /** Undefined: it could not be started. */
  readonly pid: number | undefined
  readonly logFile: string
  /** Resolves when the process has ended; `asked` is false if nobody had asked it to. */
  readonly ended: Promise<{ readonly asked: boolean }>
  /** The last lines of its log. */
  tail(lines?: number): string
  /** SIGTERM, and SIGKILL if it takes longer than ten seconds. */
  stop(): Promise<void>
  /**
   * Sends a signal: SIGKILL as a crash, SIGSTOP and SIGCONT as a machine that stands still; what SIGWINCH does is the child's own
   * matter. Nothing happens once it has ended.
   */
  signal(name: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGWINCH'): void
}

export interface ChildOptions {
  readonly name: string
  /** Path from the repository's root. */
  readonly script: string
  readonly args?: readonly string[]
  readonly settings: Readonly<Record<string, string>>
  /** Holds the log; also the working directory, so that a `.env` of the checkout is not read. */
  readonly folder: string
}

const ROOT = new URL('../../../../', import.meta.url)

/** Arguments for node that run one of the repository's files from any working directory: TypeScript, or JavaScript that was built. */
export const nodeArguments = (script: string): string[] => [
  // As in docker-compose.yml.
  '--max-semi-space-size=8',
  ...(script.endsWith('.ts') ? [`--import=${import.meta.resolve('tsx')}`, '--conditions=@clinic-sync/source'] : []),
  fileURLToPath(new URL(script, ROOT)),
]

/**
 * Ends a child when this process is gone, even by SIGKILL: the pipe to its standard input closes then. Only for the demo:
 * a service in production has no such pipe.
 */
export const DIES_WITH_US =
  '--import=data:text/javascript,' +
  encodeURIComponent("process.stdin.on('end', () => process.kill(process.pid, 'SIGTERM')).resume().unref?.()")

/** The environment without any of our own settings, then the given ones. */
export function childEnvironment(settings: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const environment: NodeJS.ProcessEnv = { ...process.env }
  for (const name of Object.keys(SETTINGS)) {
    delete environment[name]
    delete environment[`${name}_FILE`]
  }
  return { ...environment, ...settings }
}

export function startChild({ name, script, args = [], settings, folder }: ChildOptions): Child {
  const logFile = `${folder}/${name}.log`
  const log = openSync(logFile, 'a')
  // A group of its own: Ctrl-C reaches the demo alone, which then stops everything in order.
  const child = spawn(process.execPath, [DIES_WITH_US, ...nodeArguments(script), ...args], {
    cwd: folder,
    env: childEnvironment(settings),
    stdio: ['pipe', log, log],
    detached: true,
  })
  closeSync(log)
  let asked = false
  const ended = new Promise<{ asked: boolean }>((resolve) => {
    child.once('exit', () => resolve({ asked }))
    child.once('error', () => resolve({ asked }))
  })
  return {
    name,
    pid: child.pid,
    logFile,
    ended,
    tail: (lines = 12) => readFileSync(logFile, 'utf8').trimEnd().split('\n').slice(-lines).join('\n'),
    async stop() {
      asked = true
      // A process that stands still would not hear it.
      child.kill('SIGCONT')
      await stopChild(child, ended)
    },
    signal(name) {
      if (name === 'SIGKILL') asked = true
      child.kill(name)
    },
  }
}

async function stopChild(child: ChildProcess, ended: Promise<unknown>): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGTERM')
  const patience = new AbortController()
  await Promise.race([ended, delay(10_000, undefined, { signal: patience.signal }).catch(() => undefined)])
  patience.abort()
  if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL')
  await ended
}

/**
 * Waits until a service says at `/readyz` that it has all it needs.
 *
 * @throws Error with the service's last log lines if it ends or is not ready in time.
 */
export async function untilReady(child: Child, port: number, patienceMs = 30_000): Promise<void> {
  const deadline = performance.now() + patienceMs
  let died = false
  void child.ended.then(() => {
    died = true
  })
  while (!died && performance.now() < deadline) {
    const answer = await fetch(`http://127.0.0.1:${port}/readyz`).catch(() => undefined)
    await answer?.body?.cancel()
    if (answer?.ok) return
    await delay(50)
  }
  throw new Error(`${child.name} ${died ? 'ended' : 'is not ready'}. Its last log lines:\n${child.tail()}`)
}

/** A port of 127.0.0.1 that is free now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        typeof address === 'object' && address ? resolve(address.port) : reject(new Error('no port')),
      )
    })
  })
}
