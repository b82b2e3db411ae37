import type { Key, OutcomeKind, Value } from '@clinic-sync/contracts'
import { allColumns, type Column, syncsBack, type Table } from '@clinic-sync/mapping'
import type { ErrorCode } from '../errors.ts'
import { type ClinicTypes, clinicTypes } from './clinic-types.ts'
import { sameRow, sharedIn, sharedOf, valueOf, type Values } from './values.ts'

/** What the clinic knows of a record: its row, and `sync.RowState`. */
export interface ClinicRecord {
  readonly row: Values | null
  /** The highest version of the portal that was processed; 0 if none was. */
  readonly seen: bigint
  /** The shared columns as the portal last reported them, whatever the ruling was. */
  readonly reported: Values | null
}

/** A portal's event. */
export interface PortalEdit {
  readonly version: bigint
  /** The first queue id of the edits in flight. */
  readonly since: bigint | null
  /** The shared columns before the edits in flight; null: there was no row. */
  readonly base: Values | null
  /** All mapped columns as the portal has them now; null: the portal has deleted it. */
  readonly row: Values | null
  /** A value lost something on its way into the clinic's types (an instant's microseconds, say). */
  readonly inexact?: boolean
}

export interface Conflict {
  /** Null: the row as a whole. */
  readonly column: string | null
  readonly clinic: Value | Values
  readonly portal: Value | Values
  readonly base: Value
  readonly ruling: 'clinic-wins' | 'portal-wins' | 'deleted'
}

export interface Ruling {
  readonly outcome: OutcomeKind
  readonly code?: ErrorCode
  /** Names table, key, columns and limits; never a value. */
  readonly reason?: string
  /** The record afterwards, but for what the clinic's own triggers and computed columns make of it. */
  readonly record: ClinicRecord
  readonly write: 'insert' | 'update' | 'delete' | null
  /** The columns to write. */
  readonly written: readonly string[]
  /** Whether the rules queue the record themselves. Where they write, the capture trigger does. */
  readonly queue: 'UPDATE' | 'DELETE' | null
  /** For the conflict log. */
  readonly conflicts: readonly Conflict[]
}

const NOTHING = { write: null, written: [], queue: null, conflicts: [] } as const
const TYPES = clinicTypes()

/**
 * The clinic's ruling on one event of the portal: design.md, "Applying", portal → clinic. Decides only; the caller writes
 * what it says, in one transaction with the record's bookkeeping. A locked row (`retry`) is the caller's business too.
 *
 * @param types how the clinic's columns compare and what they can take; by default as the mapping declares them.
 */
export function ruleOnPortalEdit(
  table: Table,
  key: Key,
  record: ClinicRecord,
  edit: PortalEdit,
  types: ClinicTypes = TYPES,
): Ruling {
  if (!syncsBack(table)) {
    return dead(record, 'SYNC_NOT_PORTALS', `${table.name}: nothing of this table comes from the portal`)
  }
  if (edit.version <= record.seen) {
    return { ...NOTHING, outcome: edit.version === record.seen ? 'duplicate' : 'stale', record }
  }
  // What the doctor started from: the state before the edits in flight or, if the clinic has already had a part of these,
  // the portal's state as reported then.
  const base = edit.since !== null && edit.since <= record.seen ? record.reported : edit.base
  const known = { row: record.row, seen: edit.version, reported: sharedOf(table, edit.row) }
  const at = { table, key, record, known, edit, types }
  if (edit.row === null) return ruleOnDelete(at, base)
  if (record.row === null) return ruleOnMissing(at, edit.row)
  return ruleOnColumns(at, record.row, edit.row, base)
}

interface At {
  readonly table: Table
  readonly key: Key
  /** Before the event. */
  readonly record: ClinicRecord
  /** The event is seen; the row is still as it was. */
  readonly known: ClinicRecord
  readonly edit: PortalEdit
  readonly types: ClinicTypes
}

/** Nothing is recorded, so that a replay after the cause is cured can still apply. */
const dead = (record: ClinicRecord, code: ErrorCode, reason: string): Ruling => ({
  ...NOTHING,
  outcome: 'dead',
  code,
  reason,
  record,
})

const badValue = ({ table, key, record }: At, { name }: Column, why: string) =>
  dead(record, 'SYNC_BAD_VALUE', `${table.name}/${key}: ${name}${why.startsWith('must ') ? '' : ':'} ${why}`)

function ruleOnDelete({ table, known, types }: At, base: Values | null): Ruling {
  const { row } = known
  if (row === null) return { ...NOTHING, outcome: 'unchanged', record: known }
  if (table.deletes.portal === 'restore') {
    const reason = 'deletes do not travel from the portal: it gets the row back'
    return { ...NOTHING, outcome: 'unchanged', reason, record: known, queue: 'UPDATE' }
  }
  // A row that is the clinic's alone is not the doctor's to delete.
  const theirs = sharedIn(table, row)
  const untouched =
    base !== null &&
    theirs.length > 0 &&
    theirs.every((column) => types.equal(column, valueOf(row, column), valueOf(base, column)))
  if (untouched) return { ...NOTHING, outcome: 'applied', record: { ...known, row: null }, write: 'delete' }
  return {
    ...NOTHING,
    outcome: 'conflict',
    reason: "the portal's delete met a row of the clinic: it gets the row back",
    record: known,
    queue: 'UPDATE',
    conflicts: [{ column: null, clinic: row, portal: null, base: null, ruling: 'clinic-wins' }],
  }
}

/** Why a new row is not one that doctors make, as far as this column says. */
function notDoctors({ name, sharedWhen }: Table, column: Column, row: Values): string | null {
  if (sharedWhen === null || column.name !== sharedWhen.column || valueOf(row, column) === sharedWhen.equals)
    return null
  return `only '${sharedWhen.equals}' ${name.slice(name.lastIndexOf('_') + 1)} come from the portal`
}

/** The clinic has no such row: it is new, or the clinic deleted it. */
function ruleOnMissing(at: At, row: Values): Ruling {
  const { table, key, record, known, edit, types } = at
  const first = record.seen === 0n
  if (first && key < 0 && table.portalInserts) {
    const columns = allColumns(table).filter((column) => !column.computed)
    for (const column of columns) {
      const why = types.refuse(table, column, valueOf(row, column)) ?? notDoctors(table, column, row)
      if (why !== null) return badValue(at, column, why)
    }
    const inserted = Object.fromEntries(
      allColumns(table).map((column) => [column.name, column.computed ? null : valueOf(row, column)]),
    )
    return {
      ...NOTHING,
      outcome: 'applied',
      record: { ...known, row: inserted },
      write: 'insert',
      written: columns.map(({ name }) => name),
    }
  }
  if (first && key > 0 && table.portalInserts && edit.base === null) {
    return badValue(at, table.key, 'a record born in the portal has a key below 0')
  }
  return {
    ...NOTHING,
    outcome: 'conflict',
    reason: 'the clinic does not have it any more',
    record: known,
    queue: 'DELETE',
    conflicts: [{ column: null, clinic: null, portal: row, base: null, ruling: 'deleted' }],
  }
}

/** Rules 1 to 4 of the design for one column. Null: the clinic's value stands, and nobody loses anything. */
function decide(column: Column, clinic: Value, portal: Value, base: Values | null, types: ClinicTypes) {
  const before = base === null ? undefined : valueOf(base, column)
  if (types.equal(column, clinic, portal)) return null
  if (before !== undefined && types.equal(column, portal, before)) return null
  if (before !== undefined && types.equal(column, clinic, before)) return 'write'
  return { column: column.name, clinic, portal, base: before ?? null, ruling: column.policy } satisfies Conflict
}

function ruleOnColumns(at: At, clinic: Values, portal: Values, base: Values | null): Ruling {
  const { table, known, edit, types } = at
  const conflicts: Conflict[] = []
  const written: string[] = []
  const row: Record<string, Value> = { ...clinic }
  for (const column of sharedIn(table, clinic)) {
    const value = valueOf(portal, column)
    const decision = decide(column, valueOf(clinic, column), value, base, types)
    if (decision === null) continue
    if (decision !== 'write') conflicts.push(decision)
    if (decision !== 'write' && decision.ruling === 'clinic-wins') continue
    const why = types.refuse(table, column, value)
    if (why !== null) return badValue(at, column, why)
    row[column.name] = value
    written.push(column.name)
  }
  const told = written.length > 0
  const differs = edit.inexact === true || !sameRow(table, clinic, portal)
  return {
    outcome: conflicts.length > 0 ? 'conflict' : told ? 'applied' : 'unchanged',
    ...(conflicts.length > 0 && { reason: conflicts.map(({ column, ruling }) => `${column}: ${ruling}`).join(', ') }),
    record: { ...known, row: told ? row : clinic },
    write: told ? 'update' : null,
    written,
    queue: !told && differs ? 'UPDATE' : null,
    conflicts,
  }
}
