/** As pino writes a level by name. */
const LEVELS: ReadonlySet<unknown> = new Set(['trace', 'debug', 'info', 'warn', 'error', 'fatal'])
/** The names that our processes log under. */
const NAMES: ReadonlySet<unknown> = new Set(['ingress', 'sql-to-postgres', 'postgres-to-sql'])
/** Ours are shorter: they hold names, keys and figures. */
const MAX_LINE = 16_000

/** What is kept of a log, and how many lines were not. */
export interface OwnLines {
  readonly lines: readonly string[]
  readonly others: number
}

/**
 * The lines of a log that are our services' own, each as the JSON that it is: what `docker compose logs` or journalctl writes before it is taken
 * away. Whatever else is in the file, another program's lines or a text that quotes a row, is left out.
 */
export function ownLines(log: string): OwnLines {
  const all = log.split(/\r?\n/).filter((line) => line.trim() !== '')
  const lines = all.flatMap((line) => ownLine(line) ?? [])
  return { lines, others: all.length - lines.length }
}

function ownLine(line: string): string | null {
  const from = line.indexOf('{')
  if (from < 0 || line.length - from > MAX_LINE) return null
  const found = parsed(line.slice(from))
  if (typeof found !== 'object' || found === null) return null
  const { level, time, name, msg } = found as Readonly<Record<string, unknown>>
  const isOurs =
    LEVELS.has(level) &&
    NAMES.has(name) &&
    typeof msg === 'string' &&
    typeof time === 'string' &&
    /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(time)
  return isOurs ? JSON.stringify(found) : null
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
