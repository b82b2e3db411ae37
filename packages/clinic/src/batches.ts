import { DatabaseError } from '@clinic-sync/sync'
import { toDatabaseError } from './errors.ts'
import { openPool } from './pool.ts'
import { splitBatches } from './split.ts'

/** One connection for scripts: what a batch sets (SET options, a transaction) holds for the next. */
export interface ScriptConnection {
  /** Runs one batch and gives the rows of its first result set. @throws the driver's error */
  batch(sql: string): Promise<readonly Record<string, unknown>[]>
  close(): Promise<void>
}

/**
 * Opens a connection for migrations; it connects at the first batch.
 *
 * @param requestTimeout milliseconds for one batch; building an index may take long, hence ten minutes.
 */
export function openScriptConnection(url: string, requestTimeout = 600_000): ScriptConnection {
  return openPool({ url, maxConnections: 1, requestTimeout })
}

/** Error numbers whose texts are known to hold columns' values. */
const TELLING = new Set([232, 241, 242, 245, 295, 296, 515, 547, 1505, 2601, 2627, 2628, 8114, 8115, 8152])

/**
 * Runs a GO-separated script, batch by batch, on one connection, and stops at the first error.
 *
 * @throws DatabaseError whose message says the script's line and what the server said (its own texts that may hold a
 *   column's value are left out).
 */
export async function runBatches(connection: ScriptConnection, script: string): Promise<void> {
  for (const { sql, line, repeat } of splitBatches(script)) {
    for (let i = 0; i < repeat; i++) {
      try {
        await connection.batch(sql)
      } catch (error) {
        throw located(error, line)
      }
    }
  }
}

function located(error: unknown, firstLine: number): DatabaseError {
  const { lineNumber, procName, number, message } = error as Partial<Record<string, unknown>>
  // Within a procedure or trigger the line counts from its own beginning, not from the batch's.
  const inside = typeof lineNumber === 'number' && lineNumber > 0 && !procName ? lineNumber - 1 : 0
  const known = toDatabaseError(error, 'the script')
  const { failure, code } = known instanceof DatabaseError ? known : { failure: 'permanent' as const, code: known.code }
  const said = typeof number === 'number' && !TELLING.has(number) ? `${message} (error ${number})` : known.message
  return new DatabaseError(failure, `line ${firstLine + inside}: ${said}`, {
    code: code === 'SYNC_NOT_MIGRATED' ? 'SYNC_DATABASE' : code,
    number: typeof number === 'number' ? String(number) : undefined,
    cause: error,
  })
}
