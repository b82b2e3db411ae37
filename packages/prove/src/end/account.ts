import type { Row, Value } from '@clinic-sync/contracts'
import type { Column } from '@clinic-sync/mapping'
import type { Entry, Ledger } from '../people/ledger.ts'
import type { Side } from '../schedule/schedule.ts'
import { editorsOf, isShared, type Subject } from '../schedule/subjects.ts'
import { agreed, columnsOf } from '../schedule/values.ts'
import type { Lost, Ruled } from './books.ts'

/** Something that must hold and does not. Names only: values are patients' data, even where they are invented. */
export interface Complaint {
  readonly record: string
  readonly column: string | null
  readonly what: string
}

export interface Evidence {
  readonly seed: number
  readonly ledger: Ledger
  /** The rows that both sides have now, by record. */
  readonly rows: ReadonlyMap<string, Row>
  readonly conflicts: readonly Ruled[]
  readonly lost: readonly Lost[]
  /** Records with a dead letter: it holds what was in the event. */
  readonly dead: ReadonlySet<string>
}

/**
 * Accounts for every committed edit.
 *
 * Where one side edits a column, its last value stands. Where both do, the last value of one of them stands, and every value that
 * gave way without the other side having seen it is on record. What staff deleted stays deleted; what doctors deleted is back.
 */
export function account(evidence: Evidence): Complaint[] {
  return evidence.ledger.records().flatMap((record) => {
    const subject = evidence.ledger.subjectOf(record)
    return subject === undefined ? [] : accountFor(record, subject, evidence)
  })
}

function accountFor(record: string, subject: Subject, evidence: Evidence): Complaint[] {
  const entries = evidence.ledger.entriesOf(record)
  const row = evidence.rows.get(record) ?? null
  const about: About = { ...evidence, record, subject, entries, row }
  const presence = wrongPresence(about)
  if (presence !== null) return [{ record, column: null, what: presence }]
  return [
    ...columnsOf(subject.table).flatMap((column) => {
      const what = row === null ? null : wrongValue(about, row, column)
      return what === null ? [] : [{ record, column: column.name, what }]
    }),
    ...trespasses(about),
    ...(row === null ? unseenByTheDelete(about) : []),
  ]
}

interface About extends Evidence {
  readonly record: string
  readonly subject: Subject
  readonly entries: readonly Entry[]
  readonly row: Row | null
}

/** Whether the record is there, or gone, as it should be. */
function wrongPresence({ subject, entries, row, ledger }: About): string | null {
  const bornInPortal = entries[0]?.side === 'doctors' && entries[0].kind === 'insert'
  const byStaff = entries.filter(({ side, kind }) => side === 'staff' && kind !== 'update')
  const last = byStaff.at(-1)
  if (last?.kind === 'delete') return row === null ? null : 'staff deleted it, and it is there again'
  if (row !== null) return null
  // The clinic may never have heard of it: deleted before it got there, by the doctor or with the set.
  const deletedByDoctor = entries.some(({ side, kind }) => side === 'doctors' && kind === 'delete')
  if (bornInPortal && (deletedByDoctor || setWasDeleted(subject, ledger))) return null
  return entries.length === 0 ? null : 'nobody in the clinic deleted it, and it is gone'
}

/** Whether the record's set was ever deleted: what doctors wrote in it meanwhile may have come too late. */
export function setWasDeleted({ set }: Subject, ledger: Ledger): boolean {
  const key = set === null ? undefined : ledger.keyOf(set)
  if (key === undefined) return false
  return ledger.entriesOf(`aligner_sets/${key}`).some(({ kind }) => kind === 'delete')
}

function wrongValue(about: About, row: Row, column: Column): string | null {
  const { seed, subject, conflicts, record } = about
  const editors = editorsOf(seed, subject, column)
  const final = agreed(column, row[column.name] ?? null)
  const values = since(about).filter(({ after }) => after !== null && column.name in after)
  if (values.length === 0) return null
  const is = (entry: Entry) => agreed(column, entry.after?.[column.name] ?? null) === final
  if (editors !== 'both') {
    const strict = editors === 'staff' || subject.fate === 'steady' || subject.fate === 'spoiled'
    const theirs = values.filter(({ side, kind }) => side === editors || kind === 'insert')
    const last = theirs.at(-1)
    // What a doctor changes in a record of their own before the clinic has heard of it is a part of its birth.
    const growing = editors === 'staff' && last?.side === 'doctors' && values.some(is)
    if (strict && last !== undefined && !is(last) && !growing) return `the last edit is lost: only ${editors} edit it`
    const ruled = conflicts.some((conflict) => conflict.record === record && conflict.column === column.name)
    if (subject.fate === 'steady' && ruled) return `a conflict is reported: only ${editors} edit it`
  }
  // Deletes and revivals let older values come back; but never one that nobody has written.
  if (!about.entries.some((entry) => entry.after !== null && column.name in entry.after && is(entry)))
    return 'nobody has written this value'
  if (editors !== 'both' || subject.fate !== 'steady') return null
  const lasts = (['staff', 'doctors'] as const).map((side) => values.findLast((entry) => entry.side === side))
  if (!lasts.some((last) => last !== undefined && is(last)))
    return 'neither the last value of staff nor that of doctors'
  return unrecorded(about, values, column, final)
}

/** The entries of the record's present life: from when staff last brought it back. */
function since({ entries }: About): readonly Entry[] {
  const born = entries.findLastIndex(({ side, kind }) => side === 'staff' && kind === 'insert')
  return entries.slice(Math.max(0, born))
}

/**
 * Follows each side's own values: where the same side's next edit finds another value than the one it had left there (or, after the
 * last edit, the end does), the sync has put the other side's in its place. Then the other side must have seen it, or it is in
 * the log.
 */
function unrecorded(about: About, values: readonly Entry[], column: Column, final: Value): string | null {
  for (const side of ['staff', 'doctors'] as const) {
    const own = values.filter((entry) => entry.side === side)
    const others = values.filter((entry) => entry.side !== side)
    for (const [i, entry] of own.entries()) {
      const left = agreed(column, entry.after?.[column.name] ?? null)
      const next = own[i + 1]
      const found = next === undefined ? final : agreed(column, next.before?.[column.name] ?? null)
      if (found === left || seenBy(others, column, left) || logged(about, column, side, left)) continue
      return `a value of ${side} was overwritten, unseen and unrecorded`
    }
  }
  return null
}

const seenBy = (entries: readonly Entry[], column: Column, value: Value) =>
  entries.some(
    ({ before }) => before !== null && column.name in before && agreed(column, before[column.name] ?? null) === value,
  )

/** Whether the log of conflicts has that value of that side, or the lost edits have it. */
function logged({ conflicts, lost, record }: About, column: Column, side: Side, value: Value): boolean {
  const same = (text: string | null) => sameLogged(column, text, value)
  return (
    conflicts.some(
      (ruled) =>
        ruled.record === record && ruled.column === column.name && same(side === 'staff' ? ruled.clinic : ruled.portal),
    ) || lost.some((edit) => edit.record === record && side === 'doctors')
  )
}

/** The log holds text: what JSON would write without quotes; an instant as either side's clock has it. */
function sameLogged(column: Column, text: string | null, value: Value): boolean {
  if (text === null || value === null) return text === value
  if (column.type === 'boolean') return ['true', '1'].includes(text) === value
  // The clinic's wall clock is not compared: that there is an entry for this column has to do.
  if (column.type === 'instant') return true
  return agreed(column, text) === String(value)
}

/** What a doctor wrote where it is not the doctor's to write: the portal keeps it. */
function trespasses({ seed, subject, entries, lost, record }: About): Complaint[] {
  const clinics = columnsOf(subject.table).filter((column) => editorsOf(seed, subject, column) === 'staff')
  const written = clinics.filter(
    (column) =>
      !isShared(subject, column) &&
      entries.some(
        ({ side, kind, after }) => side === 'doctors' && kind === 'update' && after !== null && column.name in after,
      ),
  )
  if (written.length === 0 || lost.some((edit) => edit.record === record)) return []
  return written.map(({ name }) => ({
    record,
    column: name,
    what: "a doctor's edit of the clinic's column is nowhere on record",
  }))
}

/** The record is gone. A doctor's last edits that whoever deleted it cannot have seen must be on record. */
function unseenByTheDelete({ record, subject, entries, conflicts, lost, dead }: About): Complaint[] {
  if (dead.has(record)) return []
  if (conflicts.some((ruled) => ruled.record === record) || lost.some((edit) => edit.record === record)) return []
  const byDoctors = entries.filter(({ side, kind }) => side === 'doctors' && kind !== 'delete')
  const deletedByDoctor = entries.some(({ side, kind }) => side === 'doctors' && kind === 'delete')
  if (deletedByDoctor) return []
  return columnsOf(subject.table).flatMap((column) => {
    const last = byDoctors.findLast(({ after }) => after !== null && column.name in after)
    if (last === undefined) return []
    const value = agreed(column, last.after?.[column.name] ?? null)
    const staff = entries.filter(({ side }) => side === 'staff')
    const seen = seenBy(staff, column, value) || staff.some(({ after }) => hasValue(after, column, value))
    return seen
      ? []
      : [{ record, column: column.name, what: "a doctor's edit went with the record, unseen and unrecorded" }]
  })
}

const hasValue = (row: Row | null, column: Column, value: Value) =>
  row !== null && column.name in row && agreed(column, row[column.name] ?? null) === value
