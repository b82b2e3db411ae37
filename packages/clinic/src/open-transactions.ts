import { DatabaseError, type OpenTransaction, type Patience } from '@clinic-sync/sync'
import sql from './driver.ts'
import type { Logger } from 'pino'
import { abortable, type Line, openLine } from './line.ts'

export interface Awaiting {
  /** @throws `signal.reason` once `signal` is aborted; DatabaseError */
  wait(transaction: OpenTransaction, signal: AbortSignal): Promise<void>
  /** Ends all waits. */
  close(): Promise<void>
}

/**
 * Waits for the end of other people's transactions, inside SQL Server (`sync.AwaitTransaction`), each on a connection of its
 * own: one may take an hour. A connection that has waited is used for the next wait; the driver drops it after a minute idle.
 */
export function openAwaiting(url: string, log: Logger, patience: Patience): Awaiting {
  const lines = new Set<Line>()
  let idle: Line[] = []
  let closed = false

  return {
    async wait({ queueId }, signal) {
      if (closed) throw new DatabaseError('down', 'There is no connection to SQL Server: it was closed.')
      signal.throwIfAborted()
      const line = idle.pop() ?? openLine(url, log, patience)
      lines.add(line)
      const ended = () => line.wait('sync.AwaitTransaction', { QueueID: [sql.BigInt, queueId] })
      await abortable(signal, ended, async () => {
        lines.delete(line)
        await line.cut()
      })
      if (!closed) idle.push(line)
    },
    async close() {
      closed = true
      idle = []
      await Promise.all([...lines].map((line) => line.cut()))
      lines.clear()
    },
  }
}
