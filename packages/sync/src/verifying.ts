import type { Verification, Version } from '@clinic-sync/contracts'
import type { TableName } from '@clinic-sync/mapping'
import type { RecordName } from './bookkeeping.ts'

/** What one side knows of a record beside its row: it tells a record that is late from one that differs. */
export interface RecordState {
  /** The other side's version that was applied here last; 0: none. */
  readonly applied: Version
  /** The queue id of this side's latest change of it; 0, or null: none that is known. */
  readonly last: Version | null
  /** A change of this side's waits to be sent, or for its outcome. */
  readonly open: boolean
  /** A change of this side's has failed for good: the code that says why, or ''. Null: none has. */
  readonly cause: string | null
  /** The portal's: a doctor's edit is marked as in flight, since nothing of the clinic's has come back for it. */
  readonly editing: boolean
}

/** A side whose records can be compared while people work. */
export interface Verifiable {
  /** One answer for each, in order. @throws DatabaseError */
  recordStates(records: readonly RecordName[]): Promise<readonly RecordState[]>
}

/** Where the results of verifications are kept: in the portal. Every method rejects with a DatabaseError. */
export interface Verifications {
  keepVerification(verification: Verification): Promise<void>
  /** The last one of all tables; null: there is none. */
  lastVerification(): Promise<Verification | null>
  /** About how many rows each table has, for a progress bar: from Postgres' statistics, so that it costs nothing. */
  rowEstimates(): Promise<ReadonlyMap<TableName, number>>
}
