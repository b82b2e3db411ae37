import type mssql from 'mssql'
import type { Arrivals } from './arrivals.ts'

/** One change that a person makes in the clinic, and where it shows in the portal. */
export interface LiveEdit {
  readonly title: string
  /** T-SQL, run in order in one transaction. */
  readonly statements: readonly string[]
  /** What to look at in the portal, for people. */
  readonly where: string
  /** A query on the portal with one row and one column `value` (text). */
  readonly look: string
  /** The value that says the change has arrived. */
  readonly expected: string | null
}

export interface EditResult {
  readonly edit: LiveEdit
  readonly before: string | null
  readonly now: string | null
  /** From the clinic's commit to the notification of the portal's commit, in ms; undefined if it did not come in time. */
  readonly latency: number | undefined
}

/** A live edit takes tens of milliseconds; ten seconds without it is a failure to report, not a reason to hang. */
const PATIENCE = 10_000

/**
 * Makes the edit in the clinic and waits until the portal's value is the expected one.
 *
 * @param ring called after the commit, for a clinic whose server cannot ring by itself.
 */
export async function makeEdit(
  clinic: mssql.ConnectionPool,
  arrivals: Arrivals,
  edit: LiveEdit,
  ring: () => Promise<void>,
): Promise<EditResult> {
  const look = async (): Promise<string | null> => {
    const value = (await arrivals.query(edit.look))[0]?.value
    return value === undefined || value === null ? null : String(value)
  }
  const before = await look()
  let committed = Number.POSITIVE_INFINITY
  let lastArrival: number | undefined
  let wake: () => void = () => undefined
  const unsubscribe = arrivals.subscribe((arrival) => {
    lastArrival = arrival.at
    wake()
  })
  try {
    await inTransaction(clinic, edit.statements)
    committed = performance.now()
    await ring()
    const deadline = committed + PATIENCE
    while (true) {
      const seen = lastArrival
      const now = await look()
      // The arrival may reach this process before the clinic's own answer to COMMIT does.
      if (now === edit.expected && seen !== undefined)
        return { edit, before, now, latency: Math.max(0, seen - committed) }
      const left = deadline - performance.now()
      if (left <= 0) return { edit, before, now, latency: undefined }
      if (lastArrival === seen) await woken(left, (done) => (wake = done))
    }
  } finally {
    unsubscribe()
  }
}

function woken(ms: number, register: (done: () => void) => void): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    register(() => {
      clearTimeout(timer)
      resolve()
    })
  })
}

async function inTransaction(clinic: mssql.ConnectionPool, statements: readonly string[]): Promise<void> {
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
