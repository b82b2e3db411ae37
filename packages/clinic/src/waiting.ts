import type { Patience, Ring } from '@clinic-sync/sync'
import sql from './driver.ts'
import type { Logger } from 'pino'
import { abortable, type Line, openLine } from './line.ts'

export interface Waiting {
  wait(signal: AbortSignal): Promise<Ring>
  close(): Promise<void>
}

/**
 * Waits for the clinic's doorbell on one connection of its own, which stays open between calls. The connection waits
 * inside SQL Server (`sync.WaitForChanges 0`): it costs no query while nothing happens. See {@link Line.wait}.
 */
export function openWaiting(url: string, log: Logger, patience: Patience): Waiting {
  let line: Line | undefined

  async function hangUp(): Promise<void> {
    const ended = line
    line = undefined
    await ended?.cut()
  }

  async function next(signal: AbortSignal): Promise<Ring> {
    if (line?.connected()) {
      await line.wait('sync.WaitForChanges', { TimeoutMs: [sql.Int, 0] })
      return 'changed'
    }
    await hangUp()
    signal.throwIfAborted()
    line = openLine(url, log, patience)
    // Hardly waits: whatever is rung from here on is kept until the next call. Its limit says that this session is a new one.
    await line.ask('sync.WaitForChanges', { TimeoutMs: [sql.Int, 1] })
    return 'connected'
  }

  return {
    wait: (signal) => abortable(signal, () => next(signal), hangUp),
    close: hangUp,
  }
}
