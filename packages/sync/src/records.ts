import type { Key, Row, Value, Version } from '@clinic-sync/contracts'
import type { TableName } from '@clinic-sync/mapping'
import type { OutboxRowStatus } from './operations.ts'

/** A row of an outbox. Instants are ISO 8601 in UTC, by the clock of its database. */
export interface OutboxEntry {
  readonly queueId: Version
  readonly operation: string
  readonly status: OutboxRowStatus
  readonly capturedAt: string
  readonly attempts: number
  readonly lastAttempt: string | null
  /** LastError: our own words, no value. */
  readonly reason: string | null
}

/** What one side knows of a record beside the record itself. */
export interface RecordHistory {
  /** The latest rows first. */
  readonly outbox: readonly OutboxEntry[]
  /** How many the outbox has, those included that are not listed. */
  readonly outboxRows: number
  /** The other side's version that was applied here last; 0: none. */
  readonly applied: Version
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
  /** By the portal's names; null: the whole row. */
  readonly columns: readonly string[] | null
  /** `clinic-wins`, `portal-wins`, `deleted`, or the portal's reason in words. */
  readonly ruling: string
  readonly at: string
}

/** A ruling's values: for whoever asks for them, and nobody else. A column null: the whole row, as JSON. */
export interface RuledValues {
  readonly id: string
  readonly values: readonly {
    readonly column: string | null
    readonly clinic: Value
    readonly portal: Value
    /** Before either changed it; null where it is not known. */
    readonly base: Value
  }[]
}

/** A side that can tell one record's story. Every method rejects with a DatabaseError. */
export interface Recorded {
  /** @param max outbox rows and rulings that are listed */
  recordHistory(table: TableName, key: Key, max: number): Promise<RecordHistory>
  /** The latest first, without values. @param before an id of this side's: only older ones */
  rulings(before: string | null, max: number): Promise<readonly LoggedRuling[]>
  /** Null: there is no such ruling. */
  ruledValues(id: string): Promise<RuledValues | null>
}
