import { DatabaseError } from '@clinic-sync/sync'
import sql from './driver.ts'
import { toDatabaseError } from './errors.ts'
import { type Closable, openPool, type Pool, type ServerMessage } from './pool.ts'
import { type Batch, splitBatches } from './split.ts'

/** One connection for scripts: what a batch sets (SET options, a transaction) holds for the next. */
export interface ScriptConnection {
  /** Runs one batch and gives the rows of its first result set. @throws the driver's error */
  batch(sql: string): Promise<readonly Record<string, unknown>[]>
  /** Runs a stored procedure and gives its result sets. @throws DatabaseError */
  execute: Pool['execute']
  close(): Promise<void>
}

export interface ScriptOptions {
  /** Milliseconds for one batch; building an index may take long, hence ten minutes. */
  readonly requestTimeout?: number
  /**
   * Once the connection is lost, every further batch fails. Otherwise the next one gets a new connection, without the
   * locks, the open transaction and the SET options of the one before.
   */
  readonly oneSession?: boolean
  /** Gets what the server says without it being an error: PRINT, and messages up to severity 10. */
  readonly onMessage?: (message: ServerMessage) => void
}

/** Opens a connection for scripts; it connects at the first batch. */
export function openScriptConnection(url: string, options: ScriptOptions = {}): ScriptConnection {
  const { requestTimeout = 600_000, oneSession = false, onMessage } = options
  let begun = false
  const pool = openPool({
    url,
    maxConnections: 1,
    requestTimeout,
    ...(onMessage && { onMessage }),
    onConnection(connection) {
      if (oneSession && begun) refuse(connection)
    },
  })
  return {
    async batch(text) {
      const rows = await pool.batch(text)
      begun = true
      return rows
    },
    execute: pool.execute,
    close: pool.close,
  }
}

/** Thrown while the driver makes a connection, it fails the request that needed one. */
function refuse(connection: Closable): never {
  // It is under way already. Closed before it is made, tedious would keep a timer of 15 s.
  connection.on('connect', (error) => {
    if (error === undefined) connection.close()
  })
  throw new sql.ConnectionError('The connection was lost.', 'ECONNCLOSED')
}

/** Error numbers whose texts are known to hold columns' values. */
const TELLING = new Set([232, 241, 242, 245, 295, 296, 515, 547, 1505, 2601, 2627, 2628, 8114, 8115, 8152])

/**
 * Runs a GO-separated script, batch by batch, on one connection, and stops at the first error.
 *
 * @throws DatabaseError whose message says the batch (from 1), the script's line, and what the server said first (its own
 *   texts that may hold a column's value are left out).
 */
export async function runBatches(connection: ScriptConnection, script: string): Promise<void> {
  for (const [index, batch] of splitBatches(script).entries()) {
    for (let i = 0; i < batch.repeat; i++) {
      try {
        await connection.batch(batch.sql)
      } catch (error) {
        throw located(firstOf(error), index + 1, batch)
      }
    }
  }
}

/** Where a batch fails with several errors, the driver throws the last one; the first says why ("… failed" comes last). */
function firstOf(error: unknown): unknown {
  const { precedingErrors } = error as { precedingErrors?: unknown }
  return Array.isArray(precedingErrors) && precedingErrors[0] instanceof Error ? precedingErrors[0] : error
}

function located(error: unknown, number: number, batch: Batch): DatabaseError {
  const facts = error as Partial<Record<string, unknown>>
  const known = toDatabaseError(error, 'the script')
  const { failure, code } = known instanceof DatabaseError ? known : { failure: 'permanent' as const, code: known.code }
  const said =
    typeof facts.number === 'number' && !TELLING.has(facts.number)
      ? `${facts.message} (error ${facts.number})`
      : known.message
  return new DatabaseError(failure, `batch ${number}, line ${batch.line + lineIn(batch, facts)}: ${said}`, {
    code: code === 'SYNC_NOT_MIGRATED' ? 'SYNC_DATABASE' : code,
    number: typeof facts.number === 'number' ? String(facts.number) : undefined,
    cause: error,
  })
}

/**
 * Lines of the batch before the one at fault. Inside a procedure or trigger that the batch runs, the line counts from that
 * one's own beginning, and says nothing here; where the batch makes the procedure, both begin together.
 */
function lineIn({ sql }: Batch, { lineNumber, procName }: Partial<Record<string, unknown>>): number {
  if (typeof lineNumber !== 'number' || lineNumber < 1) return 0
  if (typeof procName !== 'string' || procName === '') return lineNumber - 1
  const [, made] = /\b(?:CREATE|ALTER)\s+(?:PROC(?:EDURE)?|TRIGGER|FUNCTION|VIEW)\s+([^\s(]+)/i.exec(sql) ?? []
  return nameOf(made) === nameOf(procName) ? lineNumber - 1 : 0
}

/** The last part of an object's name, without its brackets. */
const nameOf = (full: string | undefined) => full?.split('.').at(-1)?.replaceAll(/[[\]]/g, '')
