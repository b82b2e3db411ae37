import { setTimeout } from 'node:timers/promises'
import type { Outcome, OutcomeKind, SyncEvent } from '@clinic-sync/contracts'
import { DatabaseError } from '@clinic-sync/sync'
import sql from './driver.ts'
import type { Pool } from './pool.ts'
import { type PortalChange, toPortalChange, Unfit } from './portal-changes.ts'
import type { Zone } from './zone.ts'

const PROCEDURE = 'sync.ApplyPortalChanges'
/** A deadlock; a key or a parent that came or went between a look and a write. The next look sees it. */
const CROSSED = new Set(['1205', '2601', '2627', '547'])
const TRIES = 4

/**
 * Applies the portal's events to the clinic in one call, which is one transaction: an outcome for each event, in their
 * order. An event with a value that no wall clock or column can hold is `dead` by itself; the others are applied.
 *
 * @throws DatabaseError; TypeError where a record is in `events` twice.
 */
export async function applyChanges(pool: Pool, zone: Zone, events: readonly SyncEvent[]): Promise<Outcome[]> {
  const outcomes: (Outcome | undefined)[] = []
  const sent: { readonly change: PortalChange; readonly index: number }[] = []
  const records = new Set<string>()
  for (const [index, event] of events.entries()) {
    const { table, key, version } = event.data
    if (records.size === records.add(`${table}/${key}`).size)
      throw new TypeError(`${table}/${key} is in the batch twice`)
    try {
      sent.push({ change: toPortalChange(event, zone), index })
    } catch (error) {
      if (!(error instanceof Unfit)) throw error
      outcomes[index] = { table, key, version, outcome: 'dead', code: error.code, reason: error.message }
    }
  }
  if (sent.length > 0) {
    const rows = await call(pool, JSON.stringify(sent.map(({ change }) => change)))
    const byOrdinal = new Map(rows.map((row) => [Number(row.Ordinal), row]))
    for (const [at, { change, index }] of sent.entries()) outcomes[index] = toOutcome(change, byOrdinal.get(at + 1))
  }
  return outcomes as Outcome[]
}

/** @throws DatabaseError SYNC_NOT_MIGRATED where the database cannot apply the portal's changes. */
export async function checkApply(pool: Pool): Promise<void> {
  await call(pool, '[]')
}

async function call(pool: Pool, changes: string): Promise<readonly Record<string, unknown>[]> {
  for (let attempt = 1; ; attempt++) {
    try {
      const sets = await pool.execute(PROCEDURE, { Changes: [sql.NVarChar(sql.MAX), changes] })
      // The last one: a trigger of the clinic's own may give rows too.
      return sets.at(-1) ?? []
    } catch (error) {
      const crossed = error instanceof DatabaseError && error.failure === 'transient' && CROSSED.has(error.number ?? '')
      if (!crossed || attempt === TRIES) throw error
      // Far enough apart that two batches which crossed do not cross again.
      await setTimeout(Math.random() * 20 * 2 ** attempt)
    }
  }
}

const OUTCOMES: ReadonlySet<unknown> = new Set<OutcomeKind>([
  'applied',
  'duplicate',
  'stale',
  'unchanged',
  'conflict',
  'retry',
  'dead',
])

export function toOutcome({ table, key, version }: PortalChange, row: Record<string, unknown> | undefined): Outcome {
  if (row === undefined || !OUTCOMES.has(row.Outcome)) {
    throw new DatabaseError('down', `${PROCEDURE} of the clinic's database is of another version.`, {
      code: 'SYNC_NOT_MIGRATED',
    })
  }
  return {
    table,
    key,
    version,
    outcome: row.Outcome as OutcomeKind,
    ...(typeof row.Code === 'string' && { code: row.Code }),
    ...(typeof row.Reason === 'string' && { reason: row.Reason }),
  }
}
