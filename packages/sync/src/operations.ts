import type { Key, Outcome, Row, SyncEvent, Version } from '@clinic-sync/contracts'
import type { TableName } from '@clinic-sync/mapping'

/** An outbox row's status; see "Outboxes" in docs/protocol.md. */
export type OutboxRowStatus = 'Pending' | 'Queued' | 'Synced' | 'Failed'

/** One outbox in figures. Instants are ISO 8601 in UTC, by the clock of its database. */
export interface OutboxStatus {
  readonly now: string
  readonly rows: Readonly<Record<OutboxRowStatus, number>>
  /** When the oldest row that is Pending, or Queued, was captured; null: there is none. */
  readonly oldestPending: string | null
  readonly oldestQueued: string | null
  /** Queued rows whose event has failed at least once and waits in a retry queue. */
  readonly retrying: number
  /** Failed rows by cause: the code that LastError begins with. `discarded`: an operator has given these up. */
  readonly failed: readonly { readonly cause: string; readonly rows: number; readonly discarded: boolean }[]
  /** The row that was settled as Synced last, and how long after its capture; null: none within the retention time. */
  readonly last: {
    readonly table: string
    readonly key: Key
    readonly capturedAt: string
    readonly settledAt: string
  } | null
}

/** Which outbox rows to send anew. What is left out restricts nothing. */
export interface RequeueFilter {
  readonly status: readonly Exclude<OutboxRowStatus, 'Pending'>[]
  readonly table?: TableName
  readonly key?: Key
  /** Only rows captured at least so many seconds ago. */
  readonly olderThanSeconds?: number
  readonly dryRun: boolean
}

/** A version of a record, as an event or a dead letter names it. */
export interface RecordVersion {
  readonly table: TableName
  readonly key: Key
  readonly version: Version
}

/** The outbox row that carried that version: null once it is purged, or if it never was there. */
export interface RecordVersionStatus extends RecordVersion {
  readonly status: OutboxRowStatus | null
  readonly reason: string | null
  /** The record's highest version that the outbox knows of as settled, if it is above this one. */
  readonly supersededBy: Version | null
}

/** What an event would do to its target; nothing of it has stayed. */
export type Rehearsal = {
  /** The record in the target before and after; null: there is no such row, or it is not synced. */
  readonly before: Row | null
  readonly after: Row | null
} & ({ readonly outcome: Outcome } | { readonly error: Error })

/** What an operator may ask of a side beyond the sync's own work. Every method rejects with a DatabaseError. */
export interface Operable {
  outboxStatus(): Promise<OutboxStatus>
  /** Sets rows back to Pending; with `dryRun` only counts them. Rings nothing. @returns how many */
  requeue(filter: RequeueFilter): Promise<number>
  /** One answer for each, in order. */
  recordVersions(records: readonly RecordVersion[]): Promise<readonly RecordVersionStatus[]>
  /** Applies one event of the other side in a transaction that is rolled back. */
  rehearse(event: SyncEvent): Promise<Rehearsal>
}
