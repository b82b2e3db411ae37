import type { OutcomeKind, Row, Value, Version } from '@clinic-sync/contracts'
import type { TableName } from '@clinic-sync/mapping'

/** What every case has. Rows of states and events are complete here; those of `expect` name what is to be compared. */
interface Common {
  /** A sentence, unique in the file. */
  readonly name: string
  readonly table: TableName
  readonly key: number
  /** What the mapping says of the portal's deletes. `propagate` needs a variant of the mapping, see `tableOf`. */
  readonly deletes: 'restore' | 'propagate'
  /** Texts here hold U+0000, which not every engine stores. */
  readonly nul?: true
}

/** `column` null: the whole row. Values are compared where they are given; those of a row as far as they name columns. */
export interface ExpectedConflict {
  readonly column: string | null
  readonly clinic?: Value | Row
  readonly portal?: Value | Row
  readonly base?: Value
  readonly ruling: 'clinic-wins' | 'portal-wins' | 'deleted'
}

/** The clinic rules on a portal's event. */
export interface ClinicCase extends Common {
  readonly side: 'clinic'
  readonly state: { readonly row: Row | null; readonly seen: Version; readonly reported: Row | null }
  readonly event: {
    readonly version: Version
    readonly since: Version | null
    readonly base: Row | null
    readonly row: Row | null
    readonly inexact?: true
  }
  readonly expect: {
    readonly outcome: OutcomeKind
    readonly code?: string
    /** Part of the outcome's reason, such as the column at fault. */
    readonly reason?: string
    readonly row: Row | null
    readonly seen: Version
    readonly reported: Row | null
    /** Whether the outbox then holds a row of this record, whoever wrote it: the rules or the capture trigger. */
    readonly queued: boolean
    readonly conflicts: readonly ExpectedConflict[]
  }
}

interface PortalState {
  readonly row: Row | null
  readonly clinicVersion: Version
  readonly localVersion: Version
  readonly since: Version | null
  readonly base: Row | null
  /** Queue ids of this record's outbox rows with the status Pending. */
  readonly pending: readonly Version[]
}

/** The portal applies a clinic's event. */
export interface PortalApplyCase extends Common {
  readonly side: 'portal'
  readonly state: PortalState
  readonly event: { readonly version: Version; readonly seen: Version; readonly row: Row | null }
  /** `lost`: whether a row of `sync.lost_edits` was written. */
  readonly expect: PortalState & { readonly outcome: OutcomeKind; readonly lost: boolean }
}

/** A doctor edits a record in the portal. */
export interface PortalEditCase extends Common {
  readonly side: 'portal'
  readonly state: PortalState
  readonly edit: { readonly set: Row } | { readonly insert: Row } | { readonly delete: true }
  readonly expect: {
    /** Whether the edit made an outbox row, and became `localVersion`. */
    readonly captured: boolean
    readonly row: Row | null
    /** `new`: the queue id that this edit got. */
    readonly since: Version | 'new' | null
    readonly base: Row | null
    /** Outbox rows that are pending then, this edit's included. */
    readonly pending: number
    /** Whether `sync.lost_edits` keeps what the doctor wrote, since it was not the doctor's to change. */
    readonly lost: boolean
  }
}

export type PortalCase = PortalApplyCase | PortalEditCase
export type MergeCase = ClinicCase | PortalCase
