import type { Key, Row, Side } from '@clinic-sync/contracts'
import type { Table } from '@clinic-sync/mapping'
import type { RecordState, SyncDatabase, Verifiable } from '@clinic-sync/sync'
import type { Patiently } from './patiently.ts'
import { differingColumns } from './same.ts'

/** A side that is compared. */
export type Compared = Pick<SyncDatabase, 'readRows'> & Verifiable

/** A record that is not the same on both sides, and that nothing on the way would make the same. */
export interface Found {
  readonly table: Table
  readonly key: Key
  /** `missing`: in the portal; `extra`: only the portal has it. */
  readonly kind: 'different' | 'missing' | 'extra'
  /** Columns that differ, by the portal's names; none where one side lacks the record. */
  readonly columns: readonly string[]
  /** A change of it has failed for good: whose, and the code that says why. */
  readonly stuck: { readonly side: Side; readonly cause: string } | null
  /** Values: for whoever asks for them. */
  readonly clinic: Row | null
  readonly portal: Row | null
  readonly states: { readonly clinic: RecordState; readonly portal: RecordState }
}

/** `kept`: the clinic has deleted it, and the mapping lets the portal keep it. `flying`: something of it is on its way, or was just now. */
export type Seen =
  | { readonly is: 'equal' }
  | { readonly is: 'kept' }
  | { readonly is: 'flying' }
  | { readonly is: 'found'; readonly found: Found }

/**
 * Looks at records of a table once more: what is known of them, their rows, and again what is known. A record differs only if nothing of
 * it was on its way, and nothing has come meanwhile, on either side: a change that shows in one row and not yet in the other is unsettled
 * where it was made until it has been applied, and what was applied in between has left its version behind.
 *
 * @param keys in order
 * @throws DatabaseError
 */
export async function look(
  clinic: Compared,
  portal: Compared,
  table: Table,
  keys: readonly Key[],
  patiently: Patiently,
): Promise<Seen[]> {
  const records = keys.map((key) => ({ table: table.name, key }))
  const both = <T>(what: (side: Compared) => Promise<T>) =>
    Promise.all([patiently(() => what(clinic)), patiently(() => what(portal))])
  const before = await both((side) => side.recordStates(records))
  const [ours, theirs] = await both((side) => rowsOf(side, table, keys))
  const after = await both((side) => side.recordStates(records))
  return keys.map((key, i): Seen => {
    const [here, there] = [ours.get(key) ?? null, theirs.get(key) ?? null]
    if (here === null && there === null) return { is: 'equal' }
    const columns = here === null || there === null ? [] : differingColumns(table, here, there)
    if (here !== null && there !== null && columns.length === 0) return { is: 'equal' }
    const [clinics, portals] = [after[0][i], after[1][i]]
    if (clinics === undefined || portals === undefined) return { is: 'flying' }
    if (moved(before[0][i], clinics) || moved(before[1][i], portals)) return { is: 'flying' }
    if (here === null && table.deletes.clinic === 'ignore' && portals.applied !== '0') return { is: 'kept' }
    return {
      is: 'found',
      found: {
        table,
        key,
        kind: here === null ? 'extra' : there === null ? 'missing' : 'different',
        columns,
        stuck: stuckAt('clinic', clinics) ?? stuckAt('portal', portals),
        clinic: here,
        portal: there,
        states: { clinic: clinics, portal: portals },
      },
    }
  })
}

/** Something of it is unsettled, or has come in between. */
const moved = (before: RecordState | undefined, after: RecordState): boolean =>
  before === undefined ||
  before.open ||
  after.open ||
  before.applied !== after.applied ||
  before.last !== after.last ||
  before.cause !== after.cause

const stuckAt = (side: Side, { cause }: RecordState): Found['stuck'] => (cause === null ? null : { side, cause })

/** Keys so close to each other are read as one page: rows that nobody asked for cost less than a query. */
const CLOSE = 200
const MOST = 1_000

/** The rows of these records, as far as they are there. There is no verb that reads single ones: a page begins before each. */
async function rowsOf(side: Compared, { name }: Table, keys: readonly Key[]): Promise<Map<Key, Row>> {
  const rows = new Map<Key, Row>()
  for (let from = 0; from < keys.length;) {
    const first = keys[from] as Key
    let to = from
    while (to + 1 < keys.length && isNear(keys, to) && (keys[to + 1] as Key) - first < MOST) to++
    const wanted = new Set(keys.slice(from, to + 1))
    // The lowest key that there can be has none before it.
    const after = first === LOWEST ? null : first - 1
    for (const { key, row } of await side.readRows(name, after, (keys[to] as Key) - first + 1))
      if (wanted.has(key)) rows.set(key, row)
    from = to + 1
  }
  return rows
}

const LOWEST = -2_147_483_648
const isNear = (keys: readonly Key[], i: number) => (keys[i + 1] as Key) - (keys[i] as Key) < CLOSE
