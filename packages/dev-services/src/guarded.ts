import { spawn, type ChildProcess } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import type { FromGuardian, ProcessSpec, ToGuardian, User } from './protocol.ts'

export type Ending = { code: number | null; signal: NodeJS.Signals | null }
export type GuardedProcess = {
  pid: number
  /** Settles when the process has ended, however it did. */
  exited: Promise<Ending>
  /** Ends its whole process group; `signal` replaces the stop signal of its specification. */
  end(signal?: NodeJS.Signals): Promise<void>
}

type Answer = { process?: number; pid?: number }
type Pending = { resolve(answer: Answer): void; reject(error: Error): void }

/**
 * The parent's side of a guardian: a folder and processes that are gone after `close()`, and also when this process
 * ends in any other way. It does not keep this process alive, except while it is being waited for.
 */
export class Guarded {
  /** A private folder, removed at the end. */
  folder = ''
  readonly #guardian: ChildProcess
  readonly #pending = new Map<number, Pending>()
  readonly #endings = new Map<number, (ending: Ending) => void>()
  readonly #pids = new Set<number>()
  readonly #gone: Promise<void>
  #ready: Promise<void>
  #nextId = 1
  #waiting = 0
  #closing = false

  /** Starts a guardian and waits for its folder. */
  static async open(): Promise<Guarded> {
    const guarded = new Guarded()
    await guarded.#awaited(guarded.#ready)
    return guarded
  }

  private constructor() {
    const script = fileURLToPath(
      new URL(import.meta.url.endsWith('.ts') ? 'guardian.ts' : 'guardian.js', import.meta.url),
    )
    // Run from source it needs tsx, named by its own address since the working directory may be any.
    const loader = script.endsWith('.ts') ? [`--import=${import.meta.resolve('tsx')}`] : []
    const env = { ...process.env }
    // A debugger or a test runner's hooks are not meant for it.
    delete env.NODE_OPTIONS
    this.#guardian = spawn(process.execPath, [...loader, script], {
      detached: true,
      cwd: '/',
      env,
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    this.#guardian.stdin?.on('error', () => undefined)
    this.#gone = new Promise((resolve) => {
      this.#guardian.once('exit', () => {
        this.#afterGuardian()
        resolve()
      })
      this.#guardian.once('error', () => resolve())
    })
    this.#ready = new Promise((resolve, reject) => {
      void this.#gone.then(() => reject(new Error('the guardian process ended before it was ready')))
      createInterface({ input: this.#guardian.stdout as Socket }).on('line', (line) => {
        const message = JSON.parse(line) as FromGuardian
        if ('folder' in message) {
          this.folder = message.folder
          resolve()
        } else this.#hear(message)
      })
    })
    this.#ready.catch(() => undefined)
    this.#guardian.unref()
    for (const pipe of [this.#guardian.stdin, this.#guardian.stdout]) (pipe as Socket).unref()
  }

  /** Starts a process; throws if it cannot be executed. */
  async start(spec: ProcessSpec): Promise<GuardedProcess> {
    const { process: id = 0, pid = 0 } = await this.#ask({ do: 'start', spec })
    this.#pids.add(pid)
    const exited = new Promise<Ending>((resolve) => this.#endings.set(id, resolve))
    void exited.then(() => this.#pids.delete(pid))
    return {
      pid,
      exited,
      end: async (signal) => {
        await this.#ask({ do: 'end', process: id, ...(signal ? { signal } : {}) })
      },
    }
  }

  /** Runs a command to its end; throws with the last lines of its output unless it ends with 0. */
  async run(spec: ProcessSpec): Promise<void> {
    const { exited } = await this.start(spec)
    const { code, signal } = await this.#awaited(exited)
    if (code !== 0) throw new Error(`${spec.command} ended with ${code ?? signal}: ${this.tail(spec.log)}`)
  }

  /** Gives the folder to another user, so that a process of that user can write to it. */
  async own(user: User): Promise<void> {
    await this.#ask({ do: 'own', user })
  }

  /** The last lines of a log in the folder, in one line. */
  tail(log: string, lines = 6): string {
    try {
      const text = readFileSync(join(this.folder, log), 'utf8').trim()
      return text.split('\n').slice(-lines).join(' | ')
    } catch {
      return '(no output)'
    }
  }

  /** Ends all processes and removes the folder. Can be called more than once. */
  async close(): Promise<void> {
    this.#closing = true
    this.#guardian.stdin?.end()
    await this.#awaited(this.#gone)
  }

  async #ask(message: DistributiveOmit<ToGuardian, 'id'>): Promise<Answer> {
    const id = this.#nextId++
    const answered = new Promise<Answer>((resolve, reject) => this.#pending.set(id, { resolve, reject }))
    this.#guardian.stdin?.write(`${JSON.stringify({ id, ...message })}\n`)
    return this.#awaited(answered)
  }

  /** Keeps this process alive while something of the guardian is being waited for. */
  async #awaited<T>(promise: Promise<T>): Promise<T> {
    if (this.#waiting++ === 0) this.#guardian.ref()
    try {
      return await promise
    } finally {
      if (--this.#waiting === 0) this.#guardian.unref()
    }
  }

  #hear(message: Exclude<FromGuardian, { folder: string }>): void {
    if ('exited' in message) {
      this.#endings.get(message.exited)?.({ code: message.code, signal: message.signal })
      return
    }
    const pending = this.#pending.get(message.id)
    this.#pending.delete(message.id)
    if ('error' in message) pending?.reject(new Error(message.error))
    else pending?.resolve(message.ok)
  }

  /** The guardian is gone. If somebody killed it, what it held is this process's to end. */
  #afterGuardian(): void {
    for (const { reject } of this.#pending.values()) reject(new Error('the guardian process is gone'))
    this.#pending.clear()
    if (this.#closing) return
    for (const pid of this.#pids) {
      try {
        process.kill(-pid, 'SIGKILL')
      } catch {
        // Already gone.
      }
    }
    if (this.folder) rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
  }
}

type DistributiveOmit<T, K extends PropertyKey> = T extends unknown ? Omit<T, K> : never
