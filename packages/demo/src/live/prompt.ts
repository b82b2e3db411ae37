import { createInterface } from 'node:readline'
import { setTimeout as delay } from 'node:timers/promises'
import type mssql from 'mssql'
import type { Screen } from '../screen.ts'
import { type Arrivals } from './arrivals.ts'
import { arrivalLine, NOTHING_ARRIVED, runStatement } from './sql.ts'

/** Latency is shown for what arrives this soon after a statement of the prompt; later it was somebody else's. */
const OWN_MS = 5_000
/** A change arrives within this time, or it reaches nothing. */
const QUIET_MS = 700

/**
 * Shows every change that reaches the portal, whoever made it; on a terminal also takes T-SQL statements, a line each.
 * Returns a function that ends it.
 */
export function follow(
  screen: Screen,
  clinic: mssql.ConnectionPool,
  arrivals: Arrivals,
  ring: () => Promise<void>,
  onEnd: () => void,
): () => void {
  let shown = 0
  let committed = Number.NEGATIVE_INFINITY
  let buffered: Parameters<Parameters<Arrivals['subscribe']>[0]>[0][] | undefined
  const show = (arrival: NonNullable<typeof buffered>[number]) => {
    shown++
    const latency = arrival.at - committed
    screen.line(arrivalLine(screen, arrival, latency < OWN_MS ? Math.max(0, latency) : undefined))
  }
  const unsubscribe = arrivals.subscribe((arrival) => (buffered ? buffered.push(arrival) : show(arrival)))
  if (!process.stdin.isTTY) return unsubscribe

  const prompt = createInterface({ input: process.stdin, output: process.stdout, prompt: 'clinic> ' })
  const run = async (line: string): Promise<void> => {
    // What arrives before SQL Server's answer does is shown after it.
    buffered = []
    shown = 0
    const answered = await runStatement(screen, clinic, line, ring)
    committed = answered ?? committed
    const early = buffered
    buffered = undefined
    early.forEach(show)
    if (answered === undefined || /^\s*(select|exec)\b/i.test(line)) return
    await delay(QUIET_MS)
    if (shown === 0) screen.line(screen.faint(NOTHING_ARRIVED))
  }
  // One statement after the other: several lines may be pasted at once.
  let turn = Promise.resolve()
  let closed = false
  prompt.on('line', (line) => {
    turn = turn
      .then(() => (closed || line.trim() === '' ? undefined : run(line)))
      .then(() => (closed ? undefined : prompt.prompt()))
  })
  prompt.on('SIGINT', onEnd)
  prompt.on('close', () => {
    closed = true
  })
  prompt.on('close', onEnd)
  prompt.prompt()
  return () => {
    unsubscribe()
    prompt.removeListener('close', onEnd)
    prompt.close()
  }
}
