import { DatabaseError, type Taken } from '@clinic-sync/sync'
import sql from './driver.ts'
import type { Inputs, Pool } from './pool.ts'
import { taken } from './taken.ts'
import type { Zone } from './zone.ts'

/** SQL Server's errors for a parameter that a procedure does not have. */
const NO_SUCH_PARAMETER = new Set(['8144', '8145'])

/**
 * `sync.TakeChanges`, the rows of the canary included where the database knows of it: it gives them only to who asks, since services of
 * 1.0 would stop at a record that they do not know. One of the version before has no such parameter.
 */
export function taking(pool: Pool, zone: Zone) {
  let knowsCanary = true

  async function take(inputs: Inputs, withCanary: boolean): Promise<Taken> {
    const asked = withCanary ? { ...inputs, Canary: [sql.Bit, true] as const } : inputs
    const [rows = [], totals = []] = await pool.execute('sync.TakeChanges', asked)
    // It may be migrated while this service runs.
    if (totals[0]?.TakesCanary !== undefined) knowsCanary = true
    return taken(rows, totals[0], zone)
  }

  return async (max: number, after: string | null = null): Promise<Taken> => {
    // A database of the version before takes from the start only, and says so by giving no `last`.
    const from: Inputs = after === null ? {} : { After: [sql.BigInt, after] }
    const inputs: Inputs = { Max: [sql.Int, max], ...from }
    if (!knowsCanary) return take(inputs, false)
    try {
      return await take(inputs, true)
    } catch (error) {
      if (!(error instanceof DatabaseError) || !NO_SUCH_PARAMETER.has(error.number ?? '')) throw error
      knowsCanary = false
      return take(inputs, false)
    }
  }
}
