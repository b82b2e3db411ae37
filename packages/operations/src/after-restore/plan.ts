import type { QueuedRecord } from '@clinic-sync/clinic'
import type { Key, Version } from '@clinic-sync/contracts'
import { type Table, type TableName, tables } from '@clinic-sync/mapping'
import type { KeptRow, SentRow } from '@clinic-sync/portal'
import type { Comparable, RestoredSide } from '@clinic-sync/sync'
import type { Readable } from '../rows.ts'
import { type Differing, differing } from './differing.ts'
import { judge, type Known } from './judge.ts'

export interface Planned {
  readonly restored: readonly RestoredSide[]
  /** The highest version of each side's that the other side has had. */
  readonly seen: { readonly clinic: Version; readonly portal: Version }
  readonly kept: readonly KeptRow[]
  readonly sent: readonly SentRow[]
  /** Notes of doctors that get another key; and the lowest key of theirs that the clinic has had. */
  readonly rekeyed: readonly Key[]
  readonly lowestKey: Key
  /** Parents before children, and what the clinic does not have children before parents. */
  readonly queued: readonly QueuedRecord[]
  /** Of each table what differs. */
  readonly counts: readonly TableCounts[]
}

export interface TableCounts {
  readonly table: TableName
  readonly differing: number
  readonly missing: number
  readonly extra: number
  /** Whose number the clinic has given anew, to another record. */
  readonly reused: number
}

type Comparing = Readable & Comparable

/** Records that are asked for at a time. */
const PORTION = 1_000

/**
 * Compares all synced records of both sides, and says what is to be done about those that differ; changes nothing.
 *
 * @throws DatabaseError
 */
export async function planRepair(
  clinic: Comparing,
  portal: Comparing,
  restored: readonly RestoredSide[],
): Promise<Planned> {
  const [ofClinic, ofPortal] = [await clinic.bookkeeping([], 1), await portal.bookkeeping([], 1)]
  const clinicRestored = restored.some(({ side }) => side === 'clinic')
  const portalRestored = restored.some(({ side }) => side === 'portal')
  const fence = ofPortal.lastId ?? ofClinic.seen
  const [kept, sent, there, gone]: [KeptRow[], SentRow[], QueuedRecord[], QueuedRecord[]] = [[], [], [], []]
  const rekeyed: Key[] = []
  const counts: TableCounts[] = []
  const [reused, absent] = [new Set<string>(), new Set<string>()]

  for (const table of tables) {
    const count = { table: table.name, differing: 0, missing: 0, extra: 0, reused: 0 }
    for await (const portion of portions(differing(clinic, portal, table))) {
      const known = await knownOf(clinic, portal, table, portion)
      for (const [i, found] of portion.entries()) {
        const name = `${table.name}/${found.key}`
        const about = known[i] as Known
        if (found.clinic === null) {
          absent.add(name)
          count.extra++
        } else if (found.portal === null) count.missing++
        else count.differing++
        const isReused = belongsTo(table, found, reused) || (clinicRestored && isAnother(table, found, about))
        if (isReused && found.clinic !== null && found.portal !== null) {
          reused.add(name)
          count.reused++
        }
        const isOrphan = belongsTo(table, found, absent)
        const steps = judge(table, found, about, { clinicRestored, portalRestored, isReused, isOrphan })
        const record = { table: table.name, key: found.key }
        if (steps.keep && found.portal !== null) kept.push({ ...record, row: found.portal, base: found.clinic })
        if (steps.rekey) rekeyed.push(found.key)
        if (steps.send !== null) sent.push({ ...record, base: steps.send.base })
        const queued = { ...record, ...(steps.fence && { seen: fence }) }
        if (steps.queue) (found.clinic === null ? gone : there).push(queued)
      }
    }
    counts.push(count)
  }
  return {
    restored,
    seen: { clinic: ofPortal.seen, portal: ofClinic.seen },
    kept,
    sent,
    rekeyed,
    lowestKey: Math.min(ofClinic.lowestKey ?? 0, ofPortal.lowestKey ?? 0, 0),
    queued: [...there, ...gone.toReversed()],
    counts,
  }
}

/** Which of the records that differ still do; nothing of them is judged. */
export async function stillDiffering(clinic: Readable, portal: Readable): Promise<string[]> {
  const names: string[] = []
  for (const table of tables)
    for await (const { key, clinic: ours } of differing(clinic, portal, table))
      // What only the portal has of these tables, it keeps.
      if (ours !== null || table.deletes.clinic === 'propagate') names.push(`${table.name}/${key}`)
  return names
}

/** Made anew in the clinic since the restore, under a number that the portal knows as another's. */
function isAnother(table: Table, { clinic, portal }: Differing, { clinicBorn }: Known): boolean {
  if (!clinicBorn || clinic === null || portal === null) return false
  return table.parents.length === 0 || table.parents.some(({ column }) => clinic[column] !== portal[column])
}

function belongsTo(table: Table, { portal }: Differing, names: ReadonlySet<string>): boolean {
  return (
    portal !== null && table.parents.some((parent) => names.has(`${parent.table}/${String(portal[parent.column])}`))
  )
}

async function knownOf(
  clinic: Comparable,
  portal: Comparable,
  { name: table }: Table,
  portion: readonly Differing[],
): Promise<Known[]> {
  const records = portion.map(({ key }) => ({ table, key }))
  const [ours, theirs] = await Promise.all([clinic.bookkeeping(records, 1), portal.bookkeeping(records, 1)])
  return portion.map((_, i) => ({
    hadPortals: ours.applied[i] !== '0',
    clinicOpen: ours.open[i] === true,
    clinicBorn: ours.born[i] === true,
    portalOpen: theirs.open[i] === true,
    portalBorn: theirs.born[i] === true,
  }))
}

async function* portions<T>(items: AsyncIterable<T>): AsyncGenerator<T[]> {
  let portion: T[] = []
  for await (const item of items) {
    portion.push(item)
    if (portion.length < PORTION) continue
    yield portion
    portion = []
  }
  if (portion.length > 0) yield portion
}
