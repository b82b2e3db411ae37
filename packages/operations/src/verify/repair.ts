import type { Clinic, QueuedRecord } from '@clinic-sync/clinic'
import type { Key, Row } from '@clinic-sync/contracts'
import { type Table, tables } from '@clinic-sync/mapping'
import type { KeptRow, Portal, SentRow } from '@clinic-sync/portal'
import type { RecordName } from '@clinic-sync/sync'
import { setTimeout as sleep } from 'node:timers/promises'
import { dependents } from './dependents.ts'
import { type Compared, type Found, look, type Seen } from './look.ts'
import { type Patiently, patiently } from './patiently.ts'
import { type Left, type Steps, stepsFor } from './steps.ts'

export interface VerifyRepairPorts {
  readonly clinic: Compared & Pick<Clinic, 'queueRecords'>
  readonly portal: Compared & Pick<Portal, 'keepRows' | 'sendRows' | 'forgetDeletes' | 'recordHistory'>
  /** Has both outboxes drained. @throws SyncError SYNC_INGRESS */
  readonly ring: () => Promise<void>
  /** How long the records are waited for afterwards. Milliseconds. */
  readonly patienceMs?: number
  readonly signal?: AbortSignal
  /** Called after each portion of records. */
  readonly progress?: (progress: VerifyRepairProgress) => void
}

export interface VerifyRepairProgress {
  readonly stage: 'queued' | 'arrived'
  /** Records that the stage is done with, and has altogether. */
  readonly rows: number
  readonly of: number
}

export interface RemainingRecord extends RecordName {
  /** `late`: still on its way; `different`: it has arrived, and is not equal. */
  readonly why: Left | 'late' | 'different'
  readonly stuck: Found['stuck']
}

export interface VerifyRepaired {
  /** Records queued in the clinic, sent by the portal, and put on record before. */
  readonly queued: number
  readonly sent: number
  readonly kept: number
  /** Those that are equal now, those included that were by the time that it was their turn. */
  readonly equal: number
  /** What is left, and why. */
  readonly remaining: readonly RemainingRecord[]
}

/** Why what the portal had was put on record. */
export const REPAIR_WHY = "verify: it was not the clinic's, and nothing was on its way"

const PORTION = 500
const ARRIVE_MS = 60_000
const LOOK_MS = 250

/**
 * Sends what differs from the side that owns it, and compares these records again. Each is looked at once more before: what has become equal,
 * or is on its way, is left alone. It may be interrupted anywhere and run again: what was queued arrives, and what still differs is sent.
 *
 * @param keys records that were found to differ
 * @throws DatabaseError, SyncError, `signal.reason`
 */
export async function repairDifferences(
  ports: VerifyRepairPorts,
  keys: ReadonlyMap<Table, readonly Key[]>,
): Promise<VerifyRepaired> {
  const { clinic, portal, signal, patienceMs = ARRIVE_MS } = ports
  const patient = patiently(patienceMs, signal)
  const counts = { queued: 0, sent: 0, kept: 0, equal: 0 }
  const remaining: RemainingRecord[] = []
  const waited = new Map<Table, Key[]>()
  const doomed = new Map<Table, Key[]>()
  const present = tables.filter((table) => keys.has(table))
  let dealtWith = 0

  // Parents before children. What is deleted comes afterwards, children before parents.
  for (const table of present)
    for (const portion of portions(sorted(keys.get(table) ?? []))) await send(table, portion, false)
  await doomDependents()
  for (const table of tables.toReversed())
    for (const portion of portions(sorted(doomed.get(table) ?? []))) await send(table, portion, true)

  await ports.ring()
  await arrived()
  return { ...counts, remaining }

  async function send(table: Table, portion: readonly Key[], deletes: boolean): Promise<void> {
    signal?.throwIfAborted()
    dealtWith += portion.length
    const [kept, sent, queued, forgotten]: [KeptRow[], SentRow[], QueuedRecord[], RecordName[]] = [[], [], [], []]
    const seen = await look(clinic, portal, table, portion, patient)
    for (const [i, each] of seen.entries()) {
      const key = portion[i] as Key
      const record = { table: table.name, key }
      if (each.is === 'equal' || each.is === 'kept') counts.equal++
      else if (each.is === 'flying') remember(waited, table, key)
      else {
        const { found } = each
        const steps = stepsFor(found, await hasParents(clinic, found, patient))
        if (steps.left !== null) remaining.push({ ...record, why: steps.left, stuck: found.stuck })
        else if (found.kind === 'extra' && steps.queue && !deletes) remember(doomed, table, key)
        else {
          if (steps.keep && found.portal !== null) kept.push({ ...record, row: found.portal, base: found.clinic })
          if (steps.forget) forgotten.push(record)
          if (steps.send !== null) sent.push({ ...record, base: await baseOf(portal, record, steps.send) })
          if (steps.queue) queued.push(record)
          remember(waited, table, key)
        }
      }
    }
    // On record first. Then the portal's: while its edit is in flight the clinic's row does not overwrite what the portal is right about.
    if (kept.length > 0) counts.kept += await portal.keepRows(kept, REPAIR_WHY)
    if (forgotten.length > 0) await portal.forgetDeletes(forgotten)
    if (sent.length > 0) counts.sent += await portal.sendRows(sent)
    if (queued.length > 0) await clinic.queueRecords(queued)
    counts.queued += queued.length
    // What is to be deleted was looked at before; what goes with it was not known of.
    ports.progress?.({ stage: 'queued', rows: dealtWith, of: Math.max(size(keys) + size(doomed), dealtWith) })
  }

  /** What goes with a deleted record is looked at, and put on record, as that is: whether or not its table was compared. */
  async function doomDependents(): Promise<void> {
    const known = new Set([...keys].flatMap(([table, those]) => those.map((key) => `${table.name}/${key}`)))
    for (const table of tables) {
      const deleted = new Set(doomed.get(table))
      if (deleted.size === 0) continue
      for await (const [child, key] of dependents(portal, table, deleted, patient)) {
        signal?.throwIfAborted()
        if (!known.has(`${child.name}/${key}`)) remember(doomed, child, key)
      }
    }
  }

  /** Looks at all of them until nothing of any is on its way, or none has moved for too long. */
  async function arrived(): Promise<void> {
    let left = waited
    let since = performance.now()
    const of = size(waited)
    let rows = 0
    for (let before = size(left); ;) {
      const late = new Map<Table, Key[]>()
      const different: RemainingRecord[] = []
      for (const [table, those] of left)
        for (const portion of portions(sorted(those))) {
          const seen = await look(clinic, portal, table, portion, patient)
          seen.forEach((each, i) => tell(table, portion[i] as Key, each, late, different))
          rows += seen.filter(({ is }) => is !== 'flying').length
          ports.progress?.({ stage: 'arrived', rows, of })
        }
      remaining.push(...different)
      const now = size(late)
      if (now < before) since = performance.now()
      ;[left, before] = [late, now]
      if (now === 0) return
      if (performance.now() - since > patienceMs) break
      await sleep(LOOK_MS, undefined, signal ? { signal } : {}).catch(() => undefined)
      signal?.throwIfAborted()
    }
    for (const [table, those] of left)
      for (const key of those) remaining.push({ table: table.name, key, why: 'late', stuck: null })
  }

  function tell(table: Table, key: Key, seen: Seen, late: Map<Table, Key[]>, different: RemainingRecord[]): void {
    if (seen.is === 'flying') remember(late, table, key)
    else if (seen.is === 'found')
      different.push({
        table: table.name,
        key,
        why: seen.found.stuck === null ? 'different' : 'stuck',
        stuck: seen.found.stuck,
      })
    else counts.equal++
  }
}

/** Of a record that the clinic lacks: whether what it belongs to is there. */
async function hasParents(clinic: Compared, { table, kind, portal }: Found, patient: Patiently): Promise<boolean> {
  if (kind !== 'extra' || !table.portalInserts || portal === null) return true
  for (const parent of table.parents) {
    const key = portal[parent.column]
    if (typeof key !== 'number') return false
    const [first] = await patient(() => clinic.readRows(parent.table, key - 1, 1))
    if (first?.key !== key) return false
  }
  return true
}

/** Its own: what the portal had before the edits on which the clinic has not ruled. */
async function baseOf(
  portal: Pick<Portal, 'recordHistory'>,
  { table, key }: RecordName,
  { base }: NonNullable<Steps['send']>,
): Promise<Row | null> {
  if (base !== 'own') return base
  return (await portal.recordHistory(table, key, 1)).editing?.base ?? null
}

function remember(of: Map<Table, Key[]>, table: Table, key: Key): void {
  const keys = of.get(table) ?? []
  keys.push(key)
  of.set(table, keys)
}

const sorted = (keys: readonly Key[]): Key[] => [...keys].sort((a, b) => a - b)
const size = (of: ReadonlyMap<Table, readonly Key[]>): number =>
  [...of.values()].reduce((n, keys) => n + keys.length, 0)

function* portions(keys: readonly Key[]): Generator<readonly Key[]> {
  for (let i = 0; i < keys.length; i += PORTION) yield keys.slice(i, i + PORTION)
}
