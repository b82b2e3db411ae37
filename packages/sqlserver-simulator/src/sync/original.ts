import { tableRelation } from '../engine/relation.ts'
import type { Work } from '../engine/work.ts'
import { SqlError } from '../values/errors.ts'
import type { Outbox } from './outbox.ts'
import { peekSetting } from './settings.ts'

/** The name under which 01 sets the original system's outbox aside. */
export const SET_ASIDE = 'SyncQueue_original'

/** The original's outbox was taken over, the two sides have not been compared yet, and nothing has been sent since. */
export function isNotTakenOver(work: Work, { table, at }: Outbox): boolean {
  if (peekSetting(work, 'OriginalQueue') !== 'copied' || peekSetting(work, 'TakenOver') !== null) return false
  return !table.scan().some(({ deleted, values }) => !deleted && values[at.EventVersion] !== null)
}

/** @throws SqlError 51231 */
export function checkTakenOver(work: Work, outbox: Outbox, procedure: 'TakeChanges' | 'ApplyPortalChanges'): void {
  if (!isNotTakenOver(work, outbox)) return
  const message = `sync.${procedure}: the original system's outbox is here, and the two sides have not been compared yet`
  throw new SqlError(51231, message, { severity: 16, abort: 'batch' })
}

/** What sync.Inspect says of it. No module of the original's is here. */
export function originalFacts(work: Work, outbox: Outbox): Record<string, string> {
  const { db, tx } = work
  const { at } = outbox
  const facts = { TakeOver: isNotTakenOver(work, outbox) ? 'missing' : '' }
  if (!db.isInstalled('dbo', SET_ASIDE)) return { ...facts, OriginalQueue: 'absent' }
  const aside = db.table('dbo', SET_ASIDE)
  const was = (id: bigint) =>
    aside.scan().some(({ values }) => values[0] === id && values[aside.ordinal('Status')] === 'Synced')
  const settled = [...tableRelation(outbox.table).scan({ tx, mode: 'S', onLocked: 'skip' })].filter(
    ({ values }) =>
      values[at.Status] === 'Synced' && values[at.EventVersion] === null && !was(values[at.QueueID] as bigint),
  )
  return { ...facts, OriginalQueue: 'present', SettledByOthers: String(settled.length) }
}
