import type { Side } from '@clinic-sync/contracts'
import type mssql from 'mssql'
import type { Arrivals } from './arrivals.ts'

/** The two databases as the demo's people use them. */
export interface People {
  /** As the clinic's staff. */
  readonly clinic: mssql.ConnectionPool
  /** As a doctor in the portal; also tells what arrives there. */
  readonly portal: Arrivals
  /** Rings for a clinic whose server cannot; called after each of its commits. */
  ring(): Promise<void>
}

/** Runs the statements in one transaction of one side. @returns when COMMIT was answered (`performance.now()`) */
export async function commit(people: People, side: Side, statements: readonly string[]): Promise<number> {
  if (side === 'portal') await people.portal.transaction(statements)
  else await inClinic(people.clinic, statements)
  const committed = performance.now()
  if (side === 'clinic') await people.ring()
  return committed
}

/** The column `value` of a query's only row, as text; null if there is no row. */
export async function look(people: People, side: Side, query: string): Promise<string | null> {
  const [row] =
    side === 'portal'
      ? await people.portal.query(query)
      : (await people.clinic.request().query<{ value: unknown }>(query)).recordset
  const value = row?.value
  return value === undefined || value === null ? null : String(value)
}

async function inClinic(clinic: mssql.ConnectionPool, statements: readonly string[]): Promise<void> {
  const [only] = statements
  if (statements.length === 1 && only !== undefined) {
    await clinic.request().batch(only)
    return
  }
  const transaction = clinic.transaction()
  await transaction.begin()
  try {
    for (const statement of statements) await transaction.request().batch(statement)
    await transaction.commit()
  } catch (error) {
    await transaction.rollback().catch(() => undefined)
    throw error
  }
}
