import type { Change, Key, Outcome, Row, Settlement, Side, SyncEvent } from '@clinic-sync/contracts'
import type { TableName } from '@clinic-sync/mapping'

/** What one look into an outbox found. */
export interface Taken {
  /** Changes to publish, coalesced per record, in the outbox's order. */
  readonly changes: readonly Change[]
  /** Outbox rows looked at, those included that needed no event (out of scope) and were settled on the spot. 0: empty. */
  readonly rows: number
  /** Records left for later because somebody's open transaction holds them. */
  readonly locked: number
}

export interface KeyedRow {
  readonly key: Key
  readonly row: Row
}

export interface BackfillPage {
  readonly queued: number
  /** Rows of this table that the backfill has queued so far, and how many there are in all. */
  readonly done: number
  readonly total: number
  readonly finished: boolean
}

/**
 * One side of the sync. The clinic's and the portal's implementation differ in SQL only, so the drain, backfill and
 * verify are written once. Every method rejects with a {@link DatabaseError}.
 */
export interface SyncDatabase {
  readonly side: Side
  /** Reads up to `max` pending outbox rows with their records' current state. Marks nothing as sent. */
  takeChanges(max: number): Promise<Taken>
  /** Moves outbox rows on. Safe to repeat. */
  settleChanges(settlements: readonly Settlement[]): Promise<void>
  /** Applies the other side's events, each record at most once in `events`, in one transaction: all or an error. */
  applyChanges(events: readonly SyncEvent[]): Promise<readonly Outcome[]>
  /** A keyset page of synced rows with keys above `after` (null: from the start), in key order. */
  readRows(table: TableName, after: Key | null, max: number): Promise<readonly KeyedRow[]>
  /** Resolves if the schema `sync` is installed; rejects with SYNC_NOT_MIGRATED, SYNC_DATABASE_DOWN… if not. */
  check(): Promise<void>
  close(): Promise<void>
}
