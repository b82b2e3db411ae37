import { DatabaseError, type Patience, watchSilence } from '@clinic-sync/sync'
import sql from './driver.ts'
import type { Logger } from 'pino'
import { type Closable, type Inputs, openPool, type Pool, silent } from './pool.ts'

type Sets = Awaited<ReturnType<Pool['execute']>>

/** One connection for waits inside SQL Server, which may last for ever. Made at the first use, and again after a loss. */
export interface Line {
  connected(): boolean
  /** Calls a procedure that answers soon. @throws DatabaseError */
  ask(procedure: string, inputs: Inputs): Promise<Sets>
  /**
   * Calls a procedure that may wait for ever, and has it say every `beatMs` that it still does: it sends a message from within the
   * one request, so nothing is asked. A database of an older version cannot (its procedure has no `@BeatMs`), and is waited for
   * without.
   *
   * @throws DatabaseError also when nothing has come for too long.
   */
  wait(procedure: string, inputs: Inputs): Promise<Sets>
  /** Ends the request in flight, which may wait for ever (a pool's own close waits for it), and lets no other begin. */
  cut(): Promise<void>
}

export function openLine(url: string, log: Logger, patience: Patience): Line {
  let connection: Closable | undefined
  let isCut = false
  let beats = true
  const pool = openPool({
    url,
    log,
    patience,
    maxConnections: 1,
    requestTimeout: 0,
    onConnection(made) {
      // Closed while it connects, tedious keeps a timer until its time is up; so a connection is closed once it is made.
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

  async function watched(procedure: string, inputs: Inputs): Promise<Sets> {
    const { beatMs } = patience
    let lost = false
    const unwatch = watchSilence({
      beatMs,
      bytes: () => connection?.socket?.bytesRead ?? 0,
      onSilence() {
        lost = true
        connection?.close()
      },
    })
    try {
      return await pool.execute(procedure, { ...inputs, BeatMs: [sql.Int, beatMs] })
    } catch (error) {
      throw lost ? silent(procedure, beatMs * 2.25, error) : error
    } finally {
      unwatch()
    }
  }

  return {
    connected: () => connection !== undefined,
    ask: (procedure, inputs) => pool.execute(procedure, inputs, patience.statementMs),
    async wait(procedure, inputs) {
      if (beats) {
        try {
          return await watched(procedure, inputs)
        } catch (error) {
          if (!(error instanceof DatabaseError) || error.number !== NO_SUCH_PARAMETER) throw error
          beats = false
        }
      }
      return pool.execute(procedure, inputs)
    },
    async cut() {
      isCut = true
      const closed = pool.close().catch(() => undefined)
      if (connection === undefined) return
      connection.close()
      await closed
    },
  }
}

const NO_SUCH_PARAMETER = '8145'

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
