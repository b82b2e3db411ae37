import type { Key, Side, Version } from '@clinic-sync/contracts'
import { isTableName, type TableName, tableNamed } from '@clinic-sync/mapping'
import type { Ring } from './database.ts'

export interface RecordName {
  readonly table: TableName
  readonly key: Key
}

/** `restored`: this side was restored from a backup. `repair`: the other side was, and is being repaired. */
export type Hold = 'restored' | 'repair'

/** What one side knows of both: its outbox' ids, and what of the other side it has applied. */
export interface Bookkeeping {
  /** The latest queue id that it has handed out; null: it could not be seen. */
  readonly lastId: Version | null
  /** The highest version of the other side's that it has applied, of all records. */
  readonly seen: Version
  /** Why the other side's changes are not applied here; null: they are. */
  readonly held: Hold | null
  /** The lowest key of the records that the other side has sent, deleted ones included; null: none. */
  readonly lowestKey: Key | null
  /** Of the rows that were settled last: what the other side must have had of these records, at the least. */
  readonly latest: readonly (RecordName & { readonly version: Version })[]
  /** For each record that was asked for, in order: the other side's version that it has applied; 0: none. */
  readonly applied: readonly Version[]
  /** For each of them: a change of this side's is not settled; and it was made by such a change. */
  readonly open: readonly boolean[]
  readonly born: readonly boolean[]
}

export interface ConnectionCounts {
  /** Made while no other one was known to hold: whoever restores a database ends all that there are. */
  readonly anew: number
  /** Made beside the one that listens, which has held: only who fills a database anew without ending its sessions is behind these. */
  readonly beside: number
}

/** Counts a database's connections, by whether the one that listens to its doorbell has held meanwhile. */
export class Connections {
  #anew = 0
  #beside = 0
  #listens = false

  get counts(): ConnectionCounts {
    return { anew: this.#anew, beside: this.#beside }
  }

  made(): void {
    if (this.#listens) this.#beside++
    else this.#anew++
  }

  /** Passes on what the doorbell says; between two calls its connection counts as holding. */
  async listening(wait: () => Promise<Ring>): Promise<Ring> {
    try {
      const ring = await wait()
      if (ring === 'connected') {
        this.#anew++
        this.#listens = true
      }
      return ring
    } catch (error) {
      this.#listens = false
      throw error
    }
  }
}

/** A side whose bookkeeping can be compared with the other side's. Every method rejects with a DatabaseError. */
export interface Comparable {
  /** What tells that another database may answer now: see {@link Connections}. */
  readonly connections: () => ConnectionCounts
  /** @param newest how many settled rows to look at */
  bookkeeping(records: readonly RecordName[], newest: number): Promise<Bookkeeping>
  /** Applies nothing of the other side's until it is let go (null). */
  hold(why: Hold | null): Promise<void>
}

/** What tells that a side went back in time. */
export interface RestoredSide {
  readonly side: Side
  /** Words for an operator, which follow "the clinic's database". */
  readonly why: string
}

export interface Comparison {
  readonly restored: readonly RestoredSide[]
  /** A side that is held up while the other one is repaired. */
  readonly repairing: boolean
  /** The latest queue id of each side; null: it could not be seen. */
  readonly lastIds: Readonly<Record<Side, Version | null>>
}

/** Rows of each outbox that are compared: what was settled between a backup and now, where that is not more. */
const NEWEST = 1_000

/**
 * Compares what both sides know of each other: who knows less than the other has told was restored from an older backup. Four
 * queries; each side is asked for what it must know after the other has said it, so that people may work meanwhile.
 *
 * Whoever is found is looked at a second time: the clinic is read past its locks, so that nobody waits, and a row that moves meanwhile
 * may be missed.
 *
 * @throws DatabaseError
 */
export async function findRestored(sides: Readonly<Record<Side, Comparable>>): Promise<Comparison> {
  const first = await compare(sides)
  if (first.restored.length === 0) return first
  const second = await compare(sides)
  return {
    ...second,
    restored: second.restored.filter(({ side }) => first.restored.some((each) => each.side === side)),
  }
}

async function compare(sides: Readonly<Record<Side, Comparable>>): Promise<Comparison> {
  const first = {
    clinic: await sides.clinic.bookkeeping([], NEWEST),
    portal: await sides.portal.bookkeeping([], NEWEST),
  }
  const [clinic, portal] = await Promise.all([
    judge('clinic', sides.clinic, first.portal),
    judge('portal', sides.portal, first.clinic),
  ])
  return {
    restored: [clinic.found, portal.found].filter((found) => found !== null),
    repairing: [first.clinic, first.portal].some(({ held }) => held === 'repair'),
    lastIds: { clinic: clinic.lastId, portal: portal.lastId },
  }
}

/** @param told what the other side knows */
async function judge(side: Side, database: Comparable, told: Bookkeeping) {
  // A delete that does not travel settles a row without any event.
  const latest = told.latest.filter(({ table }) => side === 'clinic' || settledByEvents(table))
  const { lastId, applied, held } = await database.bookkeeping(latest, 1)
  const found = (why: string): { readonly found: RestoredSide; readonly lastId: Version | null } => ({
    found: { side, why },
    lastId,
  })
  if (lastId !== null && BigInt(lastId) < BigInt(told.seen))
    return found(`has handed out queue ids up to ${lastId}, and the other side has had ${told.seen}`)
  const lacking = latest.filter(({ version }, i) => BigInt(applied[i] ?? '0') < BigInt(version))
  const [one] = lacking
  if (one !== undefined) {
    const what = lacking.length === 1 ? 'a change' : `${lacking.length} changes`
    return found(`lacks ${what} that it had applied, such as version ${one.version} of ${one.table}/${one.key}`)
  }
  if (held === 'restored') return found('was found to be older before, and is not repaired yet')
  return { found: null, lastId }
}

const settledByEvents = (table: string): boolean =>
  isTableName(table) && tableNamed(table).deletes.clinic === 'propagate'
