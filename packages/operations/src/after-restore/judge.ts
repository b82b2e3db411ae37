import { sharedColumns, syncsBack, type Table } from '@clinic-sync/mapping'
import type { Row } from '@clinic-sync/contracts'
import { same } from '../verify/same.ts'
import type { Differing } from './differing.ts'

/** What both sides' bookkeeping knows of a record. */
export interface Known {
  /** The clinic has had versions of the portal's. */
  readonly hadPortals: boolean
  /** The clinic has a change that is not settled; and it was made by one. */
  readonly clinicOpen: boolean
  readonly clinicBorn: boolean
  /** A doctor's edit is in flight; and it made the record. */
  readonly portalOpen: boolean
  readonly portalBorn: boolean
}

export interface Situation {
  readonly clinicRestored: boolean
  readonly portalRestored: boolean
  /** The record, or one that it belongs to, is another one in the clinic, which has given the number anew since the restore. */
  readonly isReused: boolean
  /** A record that it belongs to is not in the clinic. */
  readonly isOrphan: boolean
}

/**
 * What is to be done about a record that differs.
 *
 * - `queue`: the clinic's state goes to the portal; where the clinic has no such record, the portal deletes it.
 * - `keep`: the portal's row goes on record in sync.lost_edits first.
 * - `send`: the portal's row goes to the clinic as a doctor's edit. `base`, what the clinic is taken to have had: its own shared columns,
 *   or nothing, so that the columns' policies decide.
 * - `fence`: what the portal has sent of it before is not to be applied any more.
 * - `rekey`: the portal's row is another record than the clinic's of the same key: it gets another key, and is sent as new.
 */
export interface Steps {
  readonly queue: boolean
  readonly keep: boolean
  readonly send: { readonly base: Row | null } | null
  readonly fence: boolean
  readonly rekey: boolean
}

const NOTHING: Steps = { queue: false, keep: false, send: null, fence: false, rekey: false }

/**
 * The rules. Where the clinic went back, what the portal has is newer, unless staff have changed the record since: so the doctor's
 * columns go to the clinic, over what it had then; and what staff had written, which the portal has no say in, goes on record. Where
 * staff have changed it since, nobody knows what the doctor started from: the columns' policies decide, as in any conflict, and both
 * values are on record. Where the portal went back, the clinic has all that had arrived, and the edits since are in flight: they are
 * sent anew by themselves, with what the doctor started from.
 */
export function judge(table: Table, found: Differing, known: Known, situation: Situation): Steps {
  const { clinic, portal } = found
  if (portal === null) return { ...NOTHING, queue: true }
  return clinic === null
    ? ofPortalOnly(table, found.key, portal, known, situation)
    : ofBoth(table, clinic, portal, known, situation)
}

function ofBoth(table: Table, clinic: Row, portal: Row, known: Known, situation: Situation): Steps {
  const { clinicRestored, portalRestored, isReused } = situation
  if (portalRestored && isBornAnew(table, known) && !areOne(table, clinic, portal))
    return { ...NOTHING, queue: true, rekey: true }
  if (!clinicRestored) return { ...NOTHING, queue: true }
  const shared = sharedColumns(table)
  const isEdited = isShared(table, clinic) && isShared(table, portal) && !same(shared, clinic, portal)
  const sends = isEdited && !isReused
  const own = table.columns.filter(({ owner }) => owner === 'clinic')
  const isUnknown = known.clinicOpen || portalRestored
  return {
    queue: true,
    keep: !sends || !same(own, clinic, portal) || isUnknown,
    send: sends
      ? { base: isUnknown ? null : Object.fromEntries(shared.map(({ name }) => [name, clinic[name] ?? null])) }
      : null,
    fence: syncsBack(table) && (sends || isReused),
    rekey: false,
  }
}

function ofPortalOnly(table: Table, key: number, portal: Row, known: Known, situation: Situation): Steps {
  const { clinicRestored, portalRestored, isReused, isOrphan } = situation
  const mayBeBorn = table.portalInserts && key < 0 && !known.hadPortals && isShared(table, portal)
  if (mayBeBorn && !isReused && !isOrphan) {
    // In flight it is sent by itself.
    if (known.portalOpen && (portalRestored || known.portalBorn)) return NOTHING
    return { ...NOTHING, send: { base: null } }
  }
  // The clinic has deleted one with this key; whether it was this one nobody can tell. In doubt they are two: one that is there twice is
  // seen, one that is gone is not.
  if (portalRestored && key < 0 && isBornAnew(table, known) && !isReused && !isOrphan)
    return { ...NOTHING, rekey: true }
  if (known.portalBorn && !isReused && !isOrphan) return NOTHING
  // Nothing deletes such records in the portal; another one may come by this number.
  if (table.deletes.clinic === 'ignore') return { ...NOTHING, keep: clinicRestored }
  return { ...NOTHING, queue: true, keep: clinicRestored, fence: clinicRestored && syncsBack(table) }
}

/** Whether the shared columns are shared in this row. */
const isShared = ({ sharedWhen }: Table, row: Row): boolean =>
  sharedWhen === null || row[sharedWhen.column] === sharedWhen.equals

/** The portal's keys went back, too: a record that doctors have made since may have the key of one that the clinic has had. */
const isBornAnew = ({ portalInserts }: Table, { portalBorn, hadPortals }: Known): boolean =>
  portalInserts && portalBorn && hadPortals

/** What `datetime` rounds to, and more. Milliseconds. */
const CLOSE_MS = 10

/** Whether they were made in one place at one time. */
const areOne = (table: Table, clinic: Row, portal: Row): boolean =>
  table.columns
    .filter(({ owner }) => owner === 'clinic')
    .every(({ name, type }) => {
      const [a, b] = [clinic[name] ?? null, portal[name] ?? null]
      if (type !== 'instant' || a === null || b === null) return a === b
      return Math.abs(Date.parse(String(a)) - Date.parse(String(b))) <= CLOSE_MS
    })
