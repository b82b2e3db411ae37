import type { Ring } from '@clinic-sync/sync'
import sql from 'mssql'
import type { Logger } from 'pino'
import { type Closable, openPool, type Pool } from './pool.ts'

export interface Waiting {
  wait(signal: AbortSignal): Promise<Ring>
  close(): Promise<void>
}

/**
 * Waits for the clinic's doorbell on one connection of its own, which stays open between calls. The connection waits
 * inside SQL Server (`sync.WaitForChanges 0`): it costs no query while nothing happens.
 */
export function openWaiting(url: string, log: Logger): Waiting {
  let line: Line | undefined

  async function hangUp(): Promise<void> {
    const ended = line
    line = undefined
    await ended?.cut()
  }

  async function next(signal: AbortSignal): Promise<Ring> {
    if (line?.connected()) {
      await line.pool.execute('sync.WaitForChanges', { TimeoutMs: [sql.Int, 0] })
      return 'changed'
    }
    await hangUp()
    signal.throwIfAborted()
    line = openLine(url, log)
    // Hardly waits: whatever is rung from here on is kept until the next call.
    await line.pool.execute('sync.WaitForChanges', { TimeoutMs: [sql.Int, 1] })
    return 'connected'
  }

  return {
    async wait(signal) {
      signal.throwIfAborted()
      let abort = () => {}
      const aborted = new Promise<never>((_, reject) => {
        abort = () => reject(signal.reason)
      })
      signal.addEventListener('abort', abort, { once: true })
      try {
        return await Promise.race([next(signal), aborted])
      } catch (error) {
        await hangUp()
        signal.throwIfAborted()
        throw error
      } finally {
        signal.removeEventListener('abort', abort)
      }
    },
    close: hangUp,
  }
}

interface Line {
  readonly pool: Pool
  connected(): boolean
  /** Ends the request in flight, which may wait for ever (a pool's own close waits for it), and lets no other begin. */
  cut(): Promise<void>
}

function openLine(url: string, log: Logger): Line {
  let connection: Closable | undefined
  let isCut = false
  const pool = openPool({
    url,
    log,
    maxConnections: 1,
    requestTimeout: 0,
    onConnection(made) {
      // Closed while it connects, tedious keeps a timer of 15 s; so a connection is closed once it is made.
      made.on('connect', (error) => {
        if (error !== undefined) return
        if (isCut) made.close()
        else connection = made
      })
      made.on('end', () => {
        if (connection === made) connection = undefined
      })
    },
  })
  return {
    pool,
    connected: () => connection !== undefined,
    async cut() {
      isCut = true
      const closed = pool.close().catch(() => undefined)
      if (connection === undefined) return
      connection.close()
      await closed
    },
  }
}
