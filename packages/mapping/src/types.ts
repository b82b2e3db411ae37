/** How a value travels; see `Value` in @clinic-sync/contracts for its form on the wire. */
export type ColumnType = 'int' | 'bigint' | 'boolean' | 'text' | 'decimal' | 'date' | 'instant'

/** The clinic's synced records, parents before children: the order in which a batch is written and a backfill proceeds. */
export const TABLE_NAMES = [
  'aligner_doctors',
  'patients',
  'work',
  'aligner_sets',
  'aligner_batches',
  'aligner_notes',
  'aligner_set_payments',
] as const

/** A record of the sync's own that goes the way of the clinic's: `npm run sync -- trace` sends it round. No person's data is in it. */
export const CANARY = 'canary'

/** Any record that events, outboxes and bookkeeping name. */
export type TableName = (typeof TABLE_NAMES)[number] | typeof CANARY

/** Who decides when both sides have changed a shared column since they last agreed. */
export type ConflictPolicy = 'clinic-wins' | 'portal-wins'

export interface Column {
  /** Name in the portal, and in events. */
  readonly name: string
  /** Name in the clinic. */
  readonly clinic: string
  readonly type: ColumnType
  /** Declared type in the clinic. A `datetime` or `datetime2` there is wall-clock time in the clinic's zone. */
  readonly clinicType: string
  /** Declared type in the portal. */
  readonly portalType: string
  readonly notNull: boolean
  /** `clinic`: only the clinic edits it. `shared`: both do, and `policy` decides conflicts. */
  readonly owner: 'clinic' | 'shared'
  readonly policy: ConflictPolicy
  /** Computed by SQL Server: never written there. */
  readonly computed: boolean
}

/** A reference to another synced record. The parent must be in the portal before the child. */
export interface Parent {
  /** Column (portal's name) that holds the parent's key. */
  readonly column: string
  readonly table: TableName
}

/**
 * Which of the clinic's rows are synced.
 *
 * `referenced`: only those that a synced record of table `by` refers to (through `by`'s parents).
 * `except`: all but those whose `column` (portal's name) equals `value`.
 */
export type Scope =
  | { readonly kind: 'all' }
  | { readonly kind: 'referenced'; readonly by: TableName }
  | { readonly kind: 'except'; readonly column: string; readonly value: string }

/** Another clinic table whose changes alter this record; for a record that is read from a view. */
export interface Source {
  readonly table: string
  /** Column of that table that holds this record's key; may be null there. */
  readonly key: string
  /** The columns of that table that matter. */
  readonly columns: readonly SourceColumn[]
}
export interface SourceColumn {
  readonly clinic: string
  readonly clinicType: string
}

export interface Table {
  /** Name in the portal, in events and in `SyncQueue.TableName`. */
  readonly name: TableName
  /** Table or view in the clinic's schema dbo, or in schema sync where it is ours. */
  readonly clinic: string
  /** A table of the sync's own, in schema sync on both sides: not the clinic's, which is in dbo, and in the portal's public. */
  readonly isOurs: boolean
  readonly clinicIsView: boolean
  readonly key: Column
  /** All columns but the key. */
  readonly columns: readonly Column[]
  readonly parents: readonly Parent[]
  readonly scope: Scope
  /** For a view: what it is computed from. */
  readonly sources: readonly Source[]
  /**
   * What a side's delete does. Clinic: `propagate` deletes in the portal (so does leaving the scope), `ignore` leaves the
   * portal's row. Portal: `propagate` deletes in the clinic, `restore` gives the portal its row back.
   */
  readonly deletes: { readonly clinic: 'propagate' | 'ignore'; readonly portal: 'propagate' | 'restore' }
  /** Whether doctors may create such records; its portal keys then count down from -1. */
  readonly portalInserts: boolean
  /**
   * Columns (portal's names) that are unique in the portal, and not in the clinic. They may be null, and the table has no parents:
   * while a batch is applied, they are null in records whose value another record of the batch takes.
   */
  readonly uniqueInPortal: readonly string[]
  /** Shared columns are shared only in rows where this holds; in others they are the clinic's. */
  readonly sharedWhen: { readonly column: string; readonly equals: string } | null
}
