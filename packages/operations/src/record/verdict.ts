import { tableNamed } from '@clinic-sync/mapping'
import type { ColumnStory } from './columns.ts'
import type { RecordFacts, SideFacts } from './gather.ts'

/**
 * How the record stands. `same`: every column is equal. `apart`: columns differ. `clinic-only`, `portal-only`: one side has it, and the other one should
 * too, or neither should. `kept`: only the portal has it, and the mapping lets it keep it. `unsynced`: the clinic has it, and it is not to
 * be synced. `gone`: it was deleted on both sides. `never`: neither side knows of any such record. `unknown`: a side could not be read.
 */
export type Verdict =
  | 'same'
  | 'apart'
  | 'clinic-only'
  | 'portal-only'
  | 'kept'
  | 'unsynced'
  | 'gone'
  | 'never'
  | 'unknown'

/** Verdicts that say that both sides have what they should. */
export const isEqual = (verdict: Verdict): boolean | null =>
  ({
    same: true,
    kept: true,
    unsynced: true,
    gone: true,
    apart: false,
    'clinic-only': false,
    'portal-only': false,
    never: null,
    unknown: null,
  })[verdict]

export function verdictOf({ table, clinic, portal }: RecordFacts, columns: readonly ColumnStory[]): Verdict {
  if (!clinic.reachable || !portal.reachable || clinic.locked || portal.locked) return 'unknown'
  const [ours, theirs] = [clinic.row !== null, portal.row !== null]
  if (ours && theirs) return columns.every(({ equal }) => equal === true) ? 'same' : 'apart'
  if (ours) return 'clinic-only'
  if (theirs) return tableNamed(table).deletes.clinic === 'ignore' ? 'kept' : 'portal-only'
  if (clinic.history.presence === 'unsynced') return 'unsynced'
  return isKnown(clinic) || isKnown(portal) ? 'gone' : 'never'
}

/** Whether a side has ever had anything to do with the record, as far as it remembers. */
const isKnown = ({ history }: SideFacts) =>
  history.outboxRows > 0 || history.latest !== '0' || history.applied !== '0' || history.rulings.length > 0
