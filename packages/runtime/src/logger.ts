import { SyncError } from '@clinic-sync/sync'
import { pino, stdTimeFunctions, type DestinationStream, type LogFn, type Logger } from 'pino'

import type { RecentLines } from './recent-lines.ts'
import { spoken } from './spoken.ts'

export type { Logger } from 'pino'

/** Wherever a row, an event or a secret might be logged by mistake, its contents are cut out. */
const REDACTED = [
  'row',
  'base',
  'data',
  'content',
  'body',
  'password',
  'url',
  'authorization',
  'detail',
  'parameters',
].flatMap((name) => [name, `*.${name}`])

/**
 * A logger of JSON lines on standard output, with ISO times and levels by name. Errors are logged by
 * {@link safeError}: patients' values never reach a line.
 *
 * @param recent keeps the last lines, as they are written
 */
export function createLogger(
  options: { name: string; level: string },
  destination: DestinationStream = pino.destination({ fd: 1, sync: true }),
  recent?: Pick<RecentLines, 'add'>,
): Logger {
  // Our image sets it: its logs advise the commands that there are.
  const { SYNC_COMMAND: command } = process.env
  const streamWrite = (line: string) => {
    const said = spoken(line, command)
    recent?.add(said)
    return said
  }
  return pino(
    {
      name: options.name,
      level: options.level,
      base: { name: options.name },
      timestamp: stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      hooks: {
        logMethod: withoutErrorsMessage,
        ...((command || recent) && { streamWrite }),
      },
      serializers: { err: safeError, error: safeError },
      redact: { paths: [...REDACTED, 'req.headers', 'headers'], censor: '[cut]' },
    },
    destination,
  )
}

/** Logged without a text of its own, an error would lend its message to the line. */
function withoutErrorsMessage(this: Logger, args: Parameters<LogFn>, method: LogFn): void {
  const [first, second] = args as unknown[]
  if (second === undefined && first instanceof Error) return method.call(this, { err: first }, 'an error')
  if (second === undefined && typeof first === 'object' && first !== null && 'err' in first) {
    return method.call(this, first, 'an error')
  }
  return method.apply(this, args)
}

/** The engine's own complaints name code, not data. SyntaxError is not among them: JSON.parse quotes its input. */
const WITHOUT_DATA = new Set(['TypeError', 'RangeError', 'ReferenceError', 'AbortError', 'TimeoutError'])

/**
 * What of an error may be logged. Drivers quote rows in their messages (`Key (name)=(…) already exists`), so a message
 * is shown only where its class is known to hold none.
 */
export function safeError(error: unknown): unknown {
  if (!(error instanceof Error)) return typeof error === 'string' ? error : typeof error
  const { code, number, syscall } = error as { code?: unknown; number?: unknown; syscall?: unknown }
  const known = error instanceof SyncError || syscall !== undefined || WITHOUT_DATA.has(error.name)
  return {
    type: error.name,
    ...(isShort(code) && { code }),
    ...(isShort(number) && { number }),
    ...(known && { message: error.message }),
    ...(error instanceof SyncError && { advice: error.advice }),
    ...(!(error instanceof SyncError) && { at: framesOf(error) }),
    ...(error.cause !== undefined && { cause: safeError(error.cause) }),
  }
}

const isShort = (value: unknown) => typeof value === 'number' || (typeof value === 'string' && value.length <= 64)

/** The stack without its first lines, which repeat the message. */
const framesOf = (error: Error): string[] =>
  (error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 6)
    .map((line) => line.trim())
