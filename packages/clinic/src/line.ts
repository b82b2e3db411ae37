import type { Logger } from 'pino'
import { type Closable, openPool, type Pool } from './pool.ts'

/** One connection for waits inside SQL Server, which may last for ever. Made at the first use, and again after a loss. */
export interface Line {
  readonly pool: Pool
  connected(): boolean
  /** Ends the request in flight, which may wait for ever (a pool's own close waits for it), and lets no other begin. */
  cut(): Promise<void>
}

export function openLine(url: string, log: Logger): Line {
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

/**
 * Waits for `work`, or until `signal` is aborted. Where it ends in any way but well, `hangUp` ends what is in flight.
 *
 * @throws `signal.reason` once `signal` is aborted; else what `work` throws.
 */
export async function abortable<T>(
  signal: AbortSignal,
  work: () => Promise<T>,
  hangUp: () => Promise<void>,
): Promise<T> {
  signal.throwIfAborted()
  let abort = () => {}
  const aborted = new Promise<never>((_, reject) => {
    abort = () => reject(signal.reason)
  })
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([work(), aborted])
  } catch (error) {
    await hangUp()
    signal.throwIfAborted()
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
