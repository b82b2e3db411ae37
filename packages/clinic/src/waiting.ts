import sql from 'mssql'
import type { Logger } from 'pino'
import { type Closable, openPool, type Pool } from './pool.ts'

/** Why a wait ended: a connection was made (look into the outbox: rings may have been missed), or the bell rang. */
export type Ring = 'connected' | 'changed'

export interface Waiting {
  wait(signal: AbortSignal): Promise<Ring>
  close(): Promise<void>
}

/**
 * Waits for the clinic's doorbell on one connection of its own, which stays open between calls. The connection waits
 * inside SQL Server (`sync.WaitForChanges 0`): it costs no query while nothing happens.
 */
export function openWaiting(url: string, log: Logger): Waiting {
  let connection: Closable | undefined
  let pool: Pool | undefined

  async function disconnect(): Promise<void> {
    // A pool's own close waits for the request in flight, which may wait for ever: the connection goes first.
    connection?.close()
    connection = undefined
    const open = pool
    pool = undefined
    await open?.close()
  }

  return {
    async wait(signal) {
      signal.throwIfAborted()
      const abort = () => connection?.close()
      signal.addEventListener('abort', abort, { once: true })
      try {
        if (connection === undefined) {
          await disconnect()
          pool = openPool({
            url,
            log,
            maxConnections: 1,
            requestTimeout: 0,
            onConnection(made) {
              connection = made
              made.on('end', () => {
                if (connection === made) connection = undefined
              })
            },
          })
          // Subscribes without waiting: whatever is rung from here on is kept until the next call.
          await pool.execute('sync.WaitForChanges', { TimeoutMs: [sql.Int, 1] })
          return 'connected'
        }
        await pool?.execute('sync.WaitForChanges', { TimeoutMs: [sql.Int, 0] })
        return 'changed'
      } catch (error) {
        await disconnect()
        signal.throwIfAborted()
        throw error
      } finally {
        signal.removeEventListener('abort', abort)
      }
    },
    close: disconnect,
  }
}
