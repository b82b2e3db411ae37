import { createInterface } from 'node:readline'
import type mssql from 'mssql'
import type { Screen } from '../screen.ts'
import { type Arrivals } from './arrivals.ts'
import { arrivalLine, runStatement } from './sql.ts'

/** Latency is shown for what arrives this soon after a statement of the prompt; later it was somebody else's. */
const OWN_MS = 5_000

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
  let committed = Number.NEGATIVE_INFINITY
  let buffered: Parameters<Parameters<Arrivals['subscribe']>[0]>[0][] | undefined
  const show = (arrival: NonNullable<typeof buffered>[number]) => {
    const latency = arrival.at - committed
    screen.line(arrivalLine(screen, arrival, latency < OWN_MS ? Math.max(0, latency) : undefined))
  }
  const unsubscribe = arrivals.subscribe((arrival) => (buffered ? buffered.push(arrival) : show(arrival)))
  if (!process.stdin.isTTY) return unsubscribe

  const prompt = createInterface({ input: process.stdin, output: process.stdout, prompt: 'clinic> ' })
  prompt.on('line', async (line) => {
    if (line.trim() === '') return prompt.prompt()
    // What arrives before SQL Server's answer does is shown after it.
    buffered = []
    committed = (await runStatement(screen, clinic, line, ring)) ?? committed
    const early = buffered
    buffered = undefined
    early.forEach(show)
    setTimeout(() => prompt.prompt(), 300)
  })
  prompt.on('SIGINT', onEnd)
  prompt.on('close', onEnd)
  prompt.prompt()
  return () => {
    unsubscribe()
    prompt.removeListener('close', onEnd)
    prompt.close()
  }
}
