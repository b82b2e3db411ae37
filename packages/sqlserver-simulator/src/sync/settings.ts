import { acquire } from '../engine/locks.ts'
import { tableRelation } from '../engine/relation.ts'
import type { Row } from '../engine/row.ts'
import type { Work } from '../engine/work.ts'
import { deleteRows, insertRows } from '../engine/write.ts'

export type Setting =
  | 'Doorbell'
  | 'DoorbellURL'
  | 'DoorbellSecret'
  | 'OriginalQueue'
  | 'TakenOver'
  | 'Restored'
  | 'RestoredUpTo'

/** A setting of the clinic's side, from sync.Settings. Waits for whoever is changing it. @throws Blocked */
export function readSetting(work: Work, name: Setting): string | null {
  const found = rowOf(work, name)
  if (found === null) return null
  const table = work.db.table('sync', 'Settings')
  return found.values[table.ordinal('Value')] as string | null
}

/** The same, without waiting: also what somebody has not committed. */
export function peekSetting({ db }: Work, name: Setting): string | null {
  const table = db.table('sync', 'Settings')
  const row = table.get(table.keyFor([name]))
  return row === undefined || row.deleted ? null : (row.values[table.ordinal('Value')] as string | null)
}

export function writeSetting(work: Work, name: Setting, value: string): void {
  const table = work.db.table('sync', 'Settings')
  const found = rowOf(work, name)
  if (found !== null) {
    acquire(work.tx, found, 'X')
    deleteRows(work, table, [found])
  }
  insertRows(work, table, [[name, value]])
}

function rowOf({ db, tx }: Work, name: Setting): Row | null {
  const access = { tx, mode: 'S', onLocked: 'wait' } as const
  for (const { row } of tableRelation(db.table('sync', 'Settings')).lookup(0, access)?.(name) ?? []) return row
  return null
}
