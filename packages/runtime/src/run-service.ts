import closeWithGrace from 'close-with-grace'
import { SyncError } from '@clinic-sync/sync'
import { createLogger, type Logger } from './logger.ts'
import { readSettings, withEnvFile, type Environment } from './read-settings.ts'
import { RecentLines } from './recent-lines.ts'
import { keepHeapSmall } from './small-heap.ts'

/** Longer than a batch takes; an orchestrator that kills after 30 s never gets to. */
const CLOSE_MS = 25_000

export interface ServiceContext {
  readonly environment: Environment
  readonly log: Logger
  /** What it has logged last; missing: not kept. */
  readonly recent?: Pick<RecentLines, 'text'>
  /** Aborts when the process is to end; `start` may still be waiting for a database then. */
  readonly signal: AbortSignal
  /** Ends the process: it cannot work until somebody does what the error's advice says. */
  readonly fail: (error: unknown) => void
}

export interface Running {
  /** Finishes what is in flight. */
  close(): Promise<void>
}

export interface ServiceOptions {
  readonly name: string
  readonly start: (context: ServiceContext) => Promise<Running>
}

/**
 * Runs a service as a process: `.env` and the environment, a logger, signals. SIGTERM and SIGINT close it, and it ends
 * with 0 once what is in flight is finished (25 s at most). An error at the start, an uncaught one or `fail` is one clear line with
 * advice, and the process ends with 1.
 */
export function runService({ name, start }: ServiceOptions): void {
  keepHeapSmall()
  const environment = withEnvFile(process.env)
  const stopping = new AbortController()
  const recent = new RecentLines()
  let log: Logger = createLogger({ name, level: 'info' }, undefined, recent)
  const fail = (error: unknown) => {
    log.fatal(...lineOf(error))
    void finish(1)
  }
  let starting: Promise<Running> | null = null
  let finishing: Promise<void> | null = null

  const close = async () => {
    stopping.abort()
    // A start that has failed has nothing to close.
    const running = await starting?.catch(() => null)
    await running?.close()
  }
  const finish = (code: number): Promise<void> => {
    finishing ??= (async () => {
      const timer = setTimeout(() => process.exit(1), CLOSE_MS)
      await close().catch((error: unknown) => log.error({ err: error }, 'closing failed'))
      clearTimeout(timer)
      process.exit(code)
    })()
    return finishing
  }

  closeWithGrace(
    {
      delay: CLOSE_MS,
      // It would end with 0.
      skip: ['beforeExit'],
      logger: false,
      onTimeout: (delay) =>
        log.error({ delay }, 'what is in flight did not finish in time; it will be delivered again'),
    },
    async ({ signal, err }) => {
      if (err !== undefined) log.fatal(...lineOf(err))
      else log.info({ signal }, 'stopping: finishing what is in flight')
      await close()
      if (err === undefined) log.info({}, 'stopped')
    },
  )

  // Nothing left that could ever happen, without having been asked to stop: as good as a crash.
  process.once('beforeExit', () => fail(new RangeError('the service has nothing left to wait for')))
  try {
    log = createLogger({ name, level: readSettings(['LOG_LEVEL'], environment).LOG_LEVEL }, undefined, recent)
  } catch (error) {
    return fail(error)
  }
  starting = start({ environment, log, recent, signal: stopping.signal, fail })
  starting.catch((error: unknown) => {
    if (!stopping.signal.aborted) fail(error)
  })
}

/** What went wrong and what to do, for people; the rest as fields. */
function lineOf(error: unknown): [object, string] {
  if (error instanceof SyncError) {
    const { code, message, advice } = error
    return [{ code }, `${message.replace(/\.$/, '')}. ${advice}`]
  }
  return [{ err: error }, 'an unforeseen error']
}
