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
  /** The highest outbox id among the rows looked at: the next take may begin after it. Null: there were none. */
  readonly last?: string | null
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
  /**
   * Reads up to `max` pending outbox rows with their records' current state. Marks nothing as sent: a drain that takes ahead, while
   * what it took before is still on its way, says after which outbox id to begin.
   */
  takeChanges(max: number, after?: string | null): Promise<Taken>
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

/**
 * Why a wait for a doorbell ended. `connected`: a connection was made, so changes may have come unheard: look into the
 * outbox then too. `changed`: it rang.
 */
export type Ring = 'connected' | 'changed'

/** A side whose doorbell can be listened for. */
export interface Doorbell {
  /**
   * Waits for the doorbell on one connection of its own, which stays open between calls and costs no query while nothing
   * happens. A rejection means that the connection is lost; call again, after a delay of your choosing. One wait at a time.
   *
   * @throws `signal.reason` once `signal` is aborted; DatabaseError, SYNC_NOT_MIGRATED where the database has no doorbell.
   */
  waitForChanges(signal: AbortSignal): Promise<Ring>
}

/** What became of a ring that was asked for. */
export interface Rung {
  readonly rang: boolean
  /** What the receiver answered, or why nothing rang, in words without values; null where a ring has no answer. */
  readonly answer: string | null
  /** Which doorbell the database is set to ring, where it is the database that knows. */
  readonly doorbell?: string
}

/** A side whose database can be asked to ring its doorbell as a change would, without one: for the doctor command. */
export interface Ringer {
  /** @throws DatabaseError */
  ringDoorbell(): Promise<Rung>
}

/** A transaction that has put something into an outbox and is not ended. */
export interface OpenTransaction {
  /** The database session that it is in: one has at most one. */
  readonly session: number
  /** Its first row in the outbox. */
  readonly queueId: string
}

/**
 * For doorbells that ring before the commit (HTTP from a trigger): which transactions the outbox waits for, and when they end.
 * Ask before a drain, not after it: what is not open any more by then, the drain sees.
 */
export interface OpenTransactions {
  openTransactions(): Promise<readonly OpenTransaction[]>
  /**
   * Resolves once the transaction is committed or rolled back, on a connection of its own, in one query that waits.
   *
   * @throws `signal.reason` once `signal` is aborted; DatabaseError when the connection is lost.
   */
  awaitTransaction(transaction: OpenTransaction, signal: AbortSignal): Promise<void>
}
