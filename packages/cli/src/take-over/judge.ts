import type { Key, Row, Value } from '@clinic-sync/contracts'
import { sharedColumns, syncsBack, type Table } from '@clinic-sync/mapping'

/** What the original's outbox knows of a record: a change that it has not brought over, and whether it was ever deleted. */
export interface Known {
  readonly unsent: boolean
  readonly deleted: boolean
}

/**
 * What is to be done about a record that the two sides do not agree on:
 *
 * - `new`: a doctor's record that the clinic never got. It gets a key of the portal's own, and goes there.
 * - `two`: one key, two records, since the original let both sides count up from 1. So does the portal's.
 * - `edit`: what a doctor changed never arrived, and the clinic's outbox knows of no change there: it goes to the clinic.
 * - `behind`: the clinic's change or delete is still in the outbox, so it stands; the portal's values are put on record.
 * - `gone`: the clinic has no such record, and nothing in its outbox says so: it was deleted while nothing captured deletes.
 */
export type Verdict = 'new' | 'two' | 'edit' | 'behind' | 'gone'

/** Clocks of two systems, and `datetime`, which counts 1/300 s. Milliseconds. */
const CLOSE_MS = 2_000
const HOUR_MS = 3_600_000
/** The original stored wall-clock time where an instant belongs: whole hours off, as a time zone is. */
const ZONES = 14

const trimmed = (value: Value | undefined) =>
  typeof value === 'string' ? value.replaceAll('\u0000', '').replace(/ +$/, '') : (value ?? null)

function close(a: Value | undefined, b: Value | undefined): boolean {
  if (typeof a !== 'string' || typeof b !== 'string') return false
  const apart = Math.abs(Date.parse(a) - Date.parse(b))
  const off = Math.min(apart % HOUR_MS, HOUR_MS - (apart % HOUR_MS))
  return apart <= ZONES * HOUR_MS + CLOSE_MS && off <= CLOSE_MS
}

/** Whether a portal's row is one that doctors may write: in some tables only those of a kind. */
const isDoctors = ({ sharedWhen }: Table, row: Row) =>
  sharedWhen === null || row[sharedWhen.column] === sharedWhen.equals

/**
 * Whether two rows with the same key are one record. They belong to the same parent and are of the same kind, and either their texts
 * agree, or they were written at the same time. In doubt they are two: a record that is there twice is seen, one that is gone is not.
 */
function areOne(table: Table, clinic: Row, portal: Row): boolean {
  const own = table.columns.filter(({ owner }) => owner === 'clinic')
  if (own.some(({ name, type }) => type !== 'instant' && trimmed(clinic[name]) !== trimmed(portal[name]))) return false
  const texts = sharedColumns(table).filter(({ type }) => type === 'text')
  return (
    texts.every(({ name }) => trimmed(clinic[name]) === trimmed(portal[name])) ||
    own.some(({ name, type }) => type === 'instant' && close(clinic[name], portal[name]))
  )
}

/** The shared columns whose values differ. U+0000 and trailing blanks, which one side cannot tell or store, are no difference. */
export const differing = (table: Table, clinic: Row, portal: Row): string[] =>
  sharedColumns(table)
    .filter(({ name, type }) =>
      type === 'instant'
        ? clinic[name] !== portal[name] && !close(clinic[name], portal[name])
        : trimmed(clinic[name]) !== trimmed(portal[name]),
    )
    .map(({ name }) => name)

/**
 * Judges a row of the portal that the sync has not dealt with yet, against the clinic's of the same key.
 *
 * @param clinic null: there is none.
 * @returns null: there is nothing to do; what else differs is the clinic's, and a backfill brings it.
 */
export function judge(table: Table, key: Key, clinic: Row | null, portal: Row, known: Known): Verdict | null {
  // The portal's own, of after the migration: it is in the portal's outbox, or was.
  if (key < 0) return null
  if (clinic === null) {
    const isOwn = table.portalInserts && isDoctors(table, portal)
    // What the clinic deleted may have been another record with the same key: nobody can tell any more.
    if (known.unsent) return isOwn ? 'behind' : null
    if (isOwn && !known.deleted) return 'new'
    return table.deletes.clinic === 'propagate' ? 'gone' : null
  }
  if (!syncsBack(table) || !isDoctors(table, portal)) return null
  if (table.portalInserts && !areOne(table, clinic, portal)) return 'two'
  if (!isDoctors(table, clinic) || differing(table, clinic, portal).length === 0) return null
  return known.unsent ? 'behind' : 'edit'
}
