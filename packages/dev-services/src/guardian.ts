/**
 * The guardian: a small process of its own that starts a service for its parent, holds the service's folder, and ends
 * and removes both when the parent is gone. It learns that from its standard input: the parent holds the other
 * end of the pipe, and the kernel closes it however the parent ends (return, throw, process.exit, Ctrl-C, SIGKILL).
 * So no signal handlers are needed in the parent, where they would meddle with the application's own.
 *
 * It is started in a session of its own, out of reach of the terminal's signals. JSON lines in, JSON lines out.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { chownSync, closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type { FromGuardian, ProcessSpec, ToGuardian } from './protocol.ts'

type Held = { spec: ProcessSpec; child: ChildProcess; pid: number; exited: Promise<void>; gone: boolean }

const folder = mkdtempSync(join(tmpdir(), 'clinic-sync-dev-'))
const held = new Map<number, Held>()
let nextProcess = 1
let ending: Promise<void> | undefined

const answer = (message: FromGuardian): void => {
  process.stdout.write(`${JSON.stringify(message)}\n`)
}

/** Signals the whole process group; false when nobody is left in it. */
function signalGroup(pid: number, signal: NodeJS.Signals | 0): boolean {
  try {
    process.kill(-pid, signal)
    return true
  } catch {
    return false
  }
}

/**
 * Whether anybody in the group still runs. A signal reaches zombies too, and in a container whose first process does not
 * collect them an orphan stays one for ever; so where there is a /proc, it is asked.
 */
function groupLives(group: number): boolean {
  if (process.platform !== 'linux') return true
  return readdirSync('/proc').some((name) => {
    if (!/^\d+$/.test(name)) return false
    try {
      // `pid (command) state ppid pgrp …`, and the command may contain anything.
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8')
      const [state = '', , pgrp] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
      if (Number(pgrp) !== group) return false
      // The first thread of a killed process can be a zombie while others still hold its sockets (Erlang has dozens).
      return !'ZX'.includes(state) || readdirSync(`/proc/${name}/task`).length > 1
    } catch {
      return false
    }
  })
}

async function start(spec: ProcessSpec): Promise<{ process: number; pid: number }> {
  const log = openSync(join(folder, spec.log), 'a', 0o600)
  const child = spawn(spec.command, spec.args, {
    cwd: spec.cwd ?? folder,
    env: spec.env,
    detached: true,
    stdio: ['ignore', log, log],
    ...spec.user,
  })
  const exited = new Promise<void>((resolve) => {
    child.once('close', () => resolve())
    child.once('error', () => resolve())
  })
  closeSync(log)
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', () => resolve())
    child.once('error', reject)
  })
  const id = nextProcess++
  const entry: Held = { spec, child, pid: child.pid ?? 0, exited, gone: false }
  held.set(id, entry)
  child.once('close', (code, signal) => {
    entry.gone = true
    answer({ exited: id, code, signal })
  })
  return { process: id, pid: entry.pid }
}

/** Ends one process and its group: the wanted signal, a bounded wait, SIGKILL; then its own clean-up commands. */
async function end(id: number, signal?: NodeJS.Signals): Promise<void> {
  const entry = held.get(id)
  if (!entry) return
  held.delete(id)
  const { spec, pid } = entry
  if (spec.finish) await entry.exited
  if (!entry.gone) {
    signalGroup(pid, signal ?? spec.stopSignal)
    await Promise.race([entry.exited, delay(spec.graceMs, undefined, { ref: false })])
  }
  // What the leader left behind in its group goes too, also when the leader ended by itself.
  const deadline = Date.now() + 2_000
  while (signalGroup(pid, 'SIGKILL') && groupLives(pid) && Date.now() < deadline) await delay(10)
  for (const [command, ...args] of spec.after ?? []) {
    if (!command) continue
    const child = spawn(command, args, { stdio: 'ignore', env: spec.env })
    await new Promise<void>((resolve) => {
      child.once('close', () => resolve())
      child.once('error', () => resolve())
    })
  }
}

/** Ends everything, last started first, removes the folder, and ends the guardian itself. */
function endAll(): Promise<void> {
  ending ??= (async () => {
    for (const id of [...held.keys()].sort((a, b) => b - a)) await end(id)
    rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 })
    process.exit(0)
  })()
  return ending
}

async function obey(message: ToGuardian): Promise<void> {
  try {
    if (message.do === 'own') {
      chownSync(folder, message.user.uid, message.user.gid)
      answer({ id: message.id, ok: {} })
    } else if (message.do === 'start') {
      if (ending) return
      answer({ id: message.id, ok: await start(message.spec) })
      // The parent went while the process was starting: endAll() did not see it.
      if (ending) await end(nextProcess - 1, 'SIGKILL')
    } else {
      await end(message.process, message.signal)
      answer({ id: message.id, ok: {} })
    }
  } catch (error) {
    answer({ id: message.id, error: error instanceof Error ? error.message : String(error) })
  }
}

process.stdout.on('error', () => undefined)
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void endAll())
const lines = createInterface({ input: process.stdin })
lines.on('line', (line) => void obey(JSON.parse(line) as ToGuardian))
lines.on('close', () => void endAll())
answer({ folder })
