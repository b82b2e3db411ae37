import type { Key } from '@clinic-sync/contracts'
import { type Table, tables } from '@clinic-sync/mapping'
import { type Readable, rowsOf } from '@clinic-sync/operations'
import { type ClinicSide, childrenFirst } from './clinic-side.ts'
import { judge, type Verdict } from './judge.ts'
import type { Differing, PortalSide } from './portal-side.ts'

export interface TakeOverOptions {
  readonly clinic: Readable & ClinicSide
  readonly portal: Readable & PortalSide
  /** Look, and change nothing. */
  readonly dryRun: boolean
  /** Have the portal's rows deleted that the clinic has not. */
  readonly deleteGone: boolean
}

/** How many records of a table were found to be what. */
export interface Findings {
  readonly table: Table
  readonly counts: ReadonlyMap<Verdict, number>
  /** Those that the portal has and the clinic has not. */
  readonly gone: readonly Key[]
}

/**
 * Compares the two sides before the sync's first event, and sets right what the original system had left unequal and the sync's rules
 * would not see: see {@link Verdict}. Records that the sync has dealt with are left alone, so it may be run again.
 *
 * @throws DatabaseError, SyncError
 */
export async function takeOver({ clinic, portal, dryRun, deleteGone }: TakeOverOptions): Promise<Findings[]> {
  const findings: Findings[] = []
  // Doctors' records first, for they may belong to what is gone.
  for (const table of childrenFirst) {
    const found: Record<Verdict, Differing[]> = { new: [], two: [], edit: [], behind: [], gone: [] }
    const [known, dealtWith] = [await clinic.known(table), await portal.dealtWith(table)]
    for await (const { key, ours, theirs } of pairs(clinic, portal, table)) {
      if (dealtWith.has(key)) continue
      const verdict = judge(table, key, ours, theirs, known.get(key) ?? { unsent: false, deleted: false })
      if (verdict !== null) found[verdict].push({ key, clinic: ours, portal: theirs })
    }
    const keysOf = (...verdicts: Verdict[]) => verdicts.flatMap((verdict) => found[verdict].map(({ key }) => key))
    if (!dryRun) {
      await portal.moveKeys(table, keysOf('new', 'two'))
      await portal.sendEdits(table, found.edit)
      await portal.keepOverwritten(table, found.behind)
      if (deleteGone) await clinic.sendDeletes(table, keysOf('gone'))
    }
    const counts = Object.entries(found).map(([verdict, rows]) => [verdict as Verdict, rows.length] as const)
    findings.push({ table, counts: new Map(counts), gone: keysOf('gone') })
  }
  if (!dryRun) await clinic.done()
  return tables.flatMap((table) => findings.filter((each) => each.table === table))
}

/** The portal's rows of a table in key order, each with the clinic's of the same key. */
async function* pairs(clinic: Readable, portal: Readable, table: Table) {
  const left = rowsOf(clinic, table)
  let ours = await left.next()
  for await (const { key, row } of rowsOf(portal, table)) {
    while (!ours.done && ours.value.key < key) ours = await left.next()
    yield { key, ours: !ours.done && ours.value.key === key ? ours.value.row : null, theirs: row }
  }
}
