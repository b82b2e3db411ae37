import type { OutcomeKind } from '@clinic-sync/contracts'
import type { Table } from '@clinic-sync/mapping'
import { sameOnWire, sameRow, sharedIn, sharedOf, valueOf, type Values } from './values.ts'

/** What the portal knows of a record: its row, `sync.row_state`, and the record's pending rows in the outbox. */
export interface PortalRecord {
  readonly row: Values | null
  /** Version of the clinic's event applied last; 0 if none was. */
  readonly clinicVersion: bigint
  /** Queue id of the latest local edit; 0 if there was none. */
  readonly localVersion: bigint
  /** First queue id of the edits in flight; null: none is. */
  readonly since: bigint | null
  /** The shared columns before the edits in flight; null: there was no row, or no edit is in flight. */
  readonly base: Values | null
  /** Queue ids that have not been sent yet. */
  readonly pending: readonly bigint[]
}

/** A clinic's event. */
export interface ClinicChange {
  readonly version: bigint
  /** The highest version of the portal that the clinic had processed when it read the row. */
  readonly seen: bigint
  readonly row: Values | null
}

export interface Applied {
  readonly outcome: OutcomeKind
  readonly record: PortalRecord
  /** Whether edits that the clinic has not ruled on went with the deleted row, and are to be kept in `sync.lost_edits`. */
  readonly lost: boolean
}

/** Applies one event of the clinic: design.md, "Applying", clinic → portal. A missing parent is the caller's business. */
export function applyClinicChange(table: Table, record: PortalRecord, change: ClinicChange): Applied {
  if (change.version <= record.clinicVersion) {
    return { outcome: change.version === record.clinicVersion ? 'duplicate' : 'stale', record, lost: false }
  }
  const known = { ...record, clinicVersion: change.version }
  const { row } = record
  if (change.row === null) {
    // A delete wins; edits in flight go with the row, and on record: an edit that was sent may still be overtaken.
    const unruled = record.since !== null && change.seen < record.localVersion
    const lost = row !== null && (record.pending.length > 0 || unruled)
    const outcome = lost ? 'conflict' : row === null ? 'unchanged' : 'applied'
    return { outcome, record: { ...known, row: null, since: null, base: null, pending: [] }, lost }
  }
  const ruled = record.since === null || change.seen >= record.localVersion
  let next: Values | null = change.row
  if (!ruled) {
    // Deleted here, and the ruling is still to come: the row stays away.
    next = row && { ...change.row }
    if (row && next) {
      const kept = sharedIn(table, change.row).map((column) => [column.name, valueOf(row, column)])
      next = { ...next, ...Object.fromEntries(kept) }
    }
  }
  return {
    outcome: sameRow(table, row, next) ? 'unchanged' : 'applied',
    record: { ...known, row: next, ...(ruled && { since: null, base: null }) },
    lost: false,
  }
}

export interface Captured {
  /** Whether a mapped column changed, so that the edit travels. */
  readonly captured: boolean
  readonly record: PortalRecord
  /** Columns that were not the doctor's to change: the clinic will give its values back. */
  readonly overruled: readonly string[]
}

/**
 * A doctor's edit: design.md, "Applying", capture on the portal.
 *
 * @param row the row after it; null: deleted.
 * @param queueId what the edit's outbox row gets if there is one.
 */
export function captureEdit(table: Table, record: PortalRecord, row: Values | null, queueId: bigint): Captured {
  const before = record.row
  if (sameRow(table, before, row)) return { captured: false, record: { ...record, row }, overruled: [] }
  const first = record.since === null
  return {
    captured: true,
    record: {
      row,
      clinicVersion: record.clinicVersion,
      localVersion: queueId,
      since: first ? queueId : record.since,
      base: first ? sharedOf(table, before) : record.base,
      pending: [...record.pending, queueId],
    },
    overruled: before && row ? overruled(table, before, row) : [],
  }
}

function overruled(table: Table, before: Values, row: Values): string[] {
  const theirs = new Set(sharedIn(table, before))
  return table.columns
    .filter((column) => !theirs.has(column) && !sameOnWire(column, valueOf(before, column), valueOf(row, column)))
    .map(({ name }) => name)
}
