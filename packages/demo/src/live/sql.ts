import type mssql from 'mssql'
import { counted, type Screen, shown } from '../screen.ts'
import type { Arrival } from './arrivals.ts'

/** Said when a statement changed nothing in the portal, so that it does not look like a lost change. */
export const NOTHING_ARRIVED =
  '  Nothing reached the portal: no synced column of a patient with an aligner set changed, or it waits or is refused (see status).'

/**
 * Sends one T-SQL statement to the clinic as a person would, and shows what SQL Server answers.
 *
 * @param ring called after it, for a clinic whose server cannot ring by itself.
 * @returns when SQL Server answered (`performance.now()`), or undefined if it refused.
 */
export async function runStatement(
  screen: Screen,
  clinic: mssql.ConnectionPool,
  statement: string,
  ring: () => Promise<void>,
): Promise<number | undefined> {
  try {
    const result = await clinic.request().batch<Record<string, unknown>>(statement)
    const committed = performance.now()
    await ring()
    const rows = result.recordsets[0] ?? []
    for (const row of rows.slice(0, 20))
      screen.line(
        `  ${Object.entries(row)
          .map(([name, value]) => `${name} ${shown(value)}`)
          .join('  ')}`,
      )
    const affected = result.rowsAffected.reduce((sum, rows) => sum + rows, 0)
    screen.line(screen.faint(`  ${rows.length > 0 ? counted(rows.length) : `${counted(affected)} affected`}`))
    return committed
  } catch (error) {
    screen.line(`  ${screen.bad(error instanceof Error ? error.message : 'failed')}`)
    return undefined
  }
}

/** One line for a change that has become visible in the portal. */
export function arrivalLine(screen: Screen, { table, key, operation, changed }: Arrival, latency?: number): string {
  const columns = Object.entries(changed)
  const what =
    operation === 'DELETE'
      ? 'deleted'
      : operation === 'INSERT'
        ? `new: ${columns
            .map(([name, [, now]]) => `${name} ${shown(now)}`)
            .slice(0, 4)
            .join(', ')}`
        : columns.map(([name, [before, now]]) => `${name} ${shown(before)} → ${screen.strong(shown(now))}`).join(', ')
  const took = latency === undefined ? '' : `  ${screen.good(`${latency.toFixed(0)} ms`)}`
  return `  ${screen.faint('portal')} ${table}/${key}  ${what || 'written again, nothing differs'}${took}`
}
