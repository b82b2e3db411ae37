import type { Row } from '@clinic-sync/contracts'
import { type Column, sharedColumns } from '@clinic-sync/mapping'
import { sharedIn } from '@clinic-sync/sync'
import type { Found } from './look.ts'

/** What cannot be repaired by sending, and why: a word for the program, whose sentence the command has. */
export type Left = 'stuck' | 'portal-only'

/**
 * What is done about a record that differs.
 *
 * - `queue`: the clinic's state goes to the portal; where the clinic has no such record, the portal deletes it.
 * - `send`: the portal's row goes to the clinic as a doctor's edit. `base`: what the doctor is taken to have started from; null: nothing,
 *   it is a new record. `own`: the one that its bookkeeping has, since an edit was never ruled on.
 * - `keep`: the portal's row goes on record first.
 * - `forget`: a doctor's delete, on which nobody will ever rule, is in flight: it would keep the record away.
 */
export interface Steps {
  readonly queue: boolean
  readonly send: { readonly base: Row | 'own' | null } | null
  readonly keep: boolean
  readonly forget: boolean
  readonly left: Left | null
}

const NOTHING: Steps = { queue: false, send: null, keep: false, forget: false, left: null }

/**
 * The side that owns a column is right: the clinic, but for a shared column whose conflicts the portal wins. What failed for good would fail
 * again: its dead letter says why. What the clinic does not have is deleted, if its deletes are; but not what a doctor has made and the clinic
 * has never had, if the record that it belongs to is there (`hasParents`).
 */
export function stepsFor(found: Found, hasParents: boolean): Steps {
  if (found.stuck !== null) return { ...NOTHING, left: 'stuck' }
  switch (found.kind) {
    case 'missing':
      return { ...NOTHING, queue: true, forget: isUnruled(found) }
    case 'extra':
      return ofPortalOnly(found, hasParents)
    case 'different':
      return ofBoth(found)
  }
}

function ofPortalOnly({ table, key, states }: Found, hasParents: boolean): Steps {
  if (table.portalInserts && key < 0 && states.clinic.applied === '0' && hasParents)
    // On record all the same: nothing knows of it until it is sent, and its set may go before that.
    return { ...NOTHING, send: { base: null }, keep: true }
  if (table.deletes.clinic === 'ignore') return { ...NOTHING, left: 'portal-only' }
  return { ...NOTHING, queue: true, keep: true }
}

/**
 * Where the portal's value is to stand, the doctor is taken to have started from the clinic's, so that it is the doctor who changed it; for
 * every other shared column, from the portal's own, so that the doctor did not touch it.
 */
function ofBoth(found: Found): Steps {
  const { table, columns, clinic, portal } = found
  if (clinic === null || portal === null) return NOTHING
  const steps = { ...NOTHING, queue: true, keep: true }
  const shared = sharedIn(table, clinic)
  const isOther = ({ name }: Column) => columns.includes(name)
  if (isUnruled(found) && shared.some(isOther)) return { ...steps, send: { base: 'own' } }
  const portals = shared.filter((column) => column.policy === 'portal-wins' && isOther(column))
  if (portals.length === 0) return steps
  const base = sharedColumns(table).map((column) => {
    const from = portals.includes(column) ? clinic : portal
    return [column.name, from[column.name] ?? null] as const
  })
  return { ...steps, send: { base: Object.fromEntries(base) } }
}

/** A doctor's edit is marked as in flight, nothing of it is on its way, and the clinic has not had it. */
const isUnruled = ({ states: { clinic, portal } }: Found): boolean =>
  portal.editing && BigInt(clinic.applied) < BigInt(portal.last ?? '0')

/** The columns that the portal's row decides. */
export function portalsColumns(found: Found, { send }: Steps): string[] {
  if (send === null) return []
  if (send.base === null) return found.table.columns.map(({ name }) => name)
  const shared = found.clinic === null ? [] : sharedIn(found.table, found.clinic)
  return shared
    .filter(({ name, policy }) => found.columns.includes(name) && (send.base === 'own' || policy === 'portal-wins'))
    .map(({ name }) => name)
}
