import type { Key, Row, Side, Value, Version } from '@clinic-sync/contracts'
import type { TableName } from '@clinic-sync/mapping'
import type { Hold } from './bookkeeping.ts'
import { DatabaseError } from './errors.ts'
import type { OutboxRowStatus } from './operations.ts'

/** A row of an outbox. Instants are ISO 8601 in UTC, by the clock of its database. */
export interface OutboxEntry {
  readonly queueId: Version
  readonly operation: string
  readonly status: OutboxRowStatus
  readonly capturedAt: string
  readonly attempts: number
  readonly lastAttempt: string | null
  /** LastError: our own words, no value; null too where it is the original system's, which may hold anything. */
  readonly reason: string | null
  /** The clinic's: somebody's transaction that has made it is still open, so nobody can send it yet. */
  readonly uncommitted: boolean
}

/**
 * Whether a side has the record. `unsynced`: it has the row, and the mapping leaves it out (the clinic's: a patient without an aligner
 * set, a set without a cost).
 */
export type Presence = 'synced' | 'unsynced' | 'absent'

/** What one side knows of a record beside the record itself. */
export interface RecordHistory {
  /** Null, the clinic's: somebody's open transaction holds the row, so that whoever reads it waits. The portal's readers never do. */
  readonly presence: Presence | null
  /** The version of this side's latest change of it; 0: none that is known (the clinic forgets them with its outbox rows). */
  readonly latest: Version
  /** The other side's version that was applied here last; 0: none. */
  readonly applied: Version
  /** Why nothing of the other side's is applied here now, to this record or any; null: it is. */
  readonly hold: Hold | null
  /** The latest rows first. */
  readonly outbox: readonly OutboxEntry[]
  /** How many the outbox has, those included that are not listed. */
  readonly outboxRows: number
  /** The portal's: a doctor's edits that the clinic has not ruled on. `base` holds values; null: there was no row before them. */
  readonly editing: { readonly since: Version; readonly local: Version; readonly base: Row | null } | null
  /** The clinic's: the shared columns as the portal has reported them last, which are values; null: it never has. */
  readonly reported: Row | null
  /** The latest first. */
  readonly rulings: readonly LoggedRuling[]
}

/** Where the two sides did not agree and one of them lost a value: a conflict in the clinic's log, or a lost edit in the portal's. */
export interface LoggedRuling {
  /** `clinic/17` in sync.Conflicts, `portal/3` in sync.lost_edits. */
  readonly id: string
  readonly table: string
  readonly key: Key
  /** By the portal's names; null: the whole row. The clinic's log has a line for each column. */
  readonly columns: readonly string[] | null
  /** `clinic-wins`, `portal-wins`, `deleted`, or the portal's reason in words. */
  readonly ruling: string
  /** Of the portal's change that was ruled on; 0: it was none, such as a repair. Lines of one ruling have the same. */
  readonly version: Version
  readonly at: string
}

/** A ruling's values: for whoever asks for them, and nobody else. */
export interface RuledValues {
  readonly id: string
  /** In the table's order; of a whole row each of its columns. */
  readonly values: readonly {
    /** By the portal's name. */
    readonly column: string
    /** Null too where the clinic had deleted the record. */
    readonly clinic: Value
    readonly portal: Value
    /** Before either changed it; null where it is not known. */
    readonly base: Value
  }[]
}

/** A side that can tell one record's story. Waits for nobody's locks. Every method rejects with a DatabaseError. */
export interface Recorded {
  /** @param max outbox rows and rulings that are listed, of each */
  recordHistory(table: TableName, key: Key, max: number): Promise<RecordHistory>
  /** The latest first, without values. @param before an id of this side's: only older ones */
  rulings(before: string | null, max: number): Promise<readonly LoggedRuling[]>
  /** Null: there is no such ruling on this side. */
  ruledValues(id: string): Promise<RuledValues | null>
}

export const rulingId = (side: Side, number: string): string => `${side}/${number}`

/** The number of a ruling of that side's; null: this is no such id. */
export function rulingNumber(side: Side, id: string): string | null {
  const [, of, number] = /^(clinic|portal)\/(\d{1,18})$/.exec(id) ?? []
  return of === side && number !== undefined ? number : null
}

/** @throws DatabaseError where it is no id of that side's */
export function rulingBefore(side: Side, before: string | null): string | null {
  if (before === null) return null
  const number = rulingNumber(side, before)
  if (number === null) throw new DatabaseError('permanent', `That is no id of a ruling of the ${side}'s.`)
  return number
}
