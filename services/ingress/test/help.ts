import { pino } from 'pino'
import { setTimeout as sleep } from 'node:timers/promises'

export interface Line extends Record<string, unknown> {
  readonly level: number
  readonly msg: string
}

/** A logger at trace level, and what it was given. */
export function recordingLog() {
  const lines: Line[] = []
  const log = pino({ level: 'trace' }, { write: (line: string) => void lines.push(JSON.parse(line) as Line) })
  return { log, lines, texts: (level: number) => lines.filter((line) => line.level === level).map((line) => line.msg) }
}

/** Resolves when `condition` holds; rejects with `what` after `ms`. */
export async function until(what: string, condition: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  const deadline = Date.now() + ms
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`)
    await sleep(2)
  }
}
