import type { Key, Verification, VerifiedTable } from '@clinic-sync/contracts'
import { type Table, type TableName, tables as allTables } from '@clinic-sync/mapping'
import { setTimeout as sleep } from 'node:timers/promises'
import { type Compared, type Found, look, type Seen } from './look.ts'
import { type Patiently, patiently } from './patiently.ts'
import { scan } from './scan.ts'

export interface VerifyPorts {
  readonly clinic: Compared
  readonly portal: Compared
}

export interface VerifyOptions {
  /** Only these; all by default. */
  readonly tables?: readonly TableName[]
  /** How long changes on their way are waited for at the end, and somebody's transaction that holds a row. Milliseconds. */
  readonly patienceMs?: number
  /** Rows a page at most, of which four are in memory at a time. */
  readonly page?: number
  readonly signal?: AbortSignal
  readonly progress?: (progress: VerifyProgress) => void
  /** Each record that differs, once, in no order. It holds values. */
  readonly found?: (found: Found) => void
}

export interface VerifyProgress {
  readonly table: TableName
  /** Records compared so far, of this table and of all. */
  readonly tableRows: number
  readonly rows: number
  /** Of these, how many are looked at again, since something of them is on its way. */
  readonly waiting: number
}

export const PATIENCE_MS = 30_000

/** Records that are looked at together. */
const PORTION = 500
/** Records on their way that are remembered, to be looked at again: each costs some 10 bytes. Those beyond are counted as in flight. */
const REMEMBERED = 100_000
/** Between two looks at what is on its way: 0.1 s, then twice as long each time, up to this. Milliseconds. */
const LONGEST_PAUSE = 5_000

/**
 * Compares every synced row and column of both sides, while people work. What is not equal is looked at again: as long as something of it
 * is on its way it is no difference. Memory does not grow with the tables, nor with what is found.
 *
 * @throws DatabaseError, `signal.reason`
 */
export async function verify({ clinic, portal }: VerifyPorts, options: VerifyOptions = {}): Promise<Verification> {
  const { patienceMs = PATIENCE_MS, signal, progress, found } = options
  const through = new Date().toISOString()
  const tables = allTables.filter(({ name }) => options.tables?.includes(name) ?? true)
  const tallies = new Map(tables.map((table) => [table, new Tally(table)]))
  const patient = patiently(patienceMs, signal)
  let rows = 0

  for (const [table, tally] of tallies) {
    let unequal: Key[] = []
    for await (const stretch of scan(clinic, portal, table, patient, options.page)) {
      signal?.throwIfAborted()
      rows += stretch.rows
      tally.count(stretch)
      for (const { key } of stretch.unequal) unequal.push(key)
      while (unequal.length >= PORTION) {
        await settle(tally, unequal.slice(0, PORTION))
        unequal = unequal.slice(PORTION)
      }
      progress?.({ table: table.name, tableRows: tally.rows, rows, waiting: waiting() })
    }
    if (unequal.length > 0) await settle(tally, unequal)
  }

  const deadline = performance.now() + patienceMs
  for (let pause = 100; waiting() > 0 && performance.now() < deadline; pause = Math.min(2 * pause, LONGEST_PAUSE)) {
    await sleep(Math.min(pause, Math.max(0, deadline - performance.now())), undefined, signal ? { signal } : {})
    for (const tally of tallies.values()) await again(tally)
  }

  const parts = [...tallies.values()].map((tally) => tally.result())
  const sum = (of: (part: VerifiedTable) => number) => parts.reduce((total, part) => total + of(part), 0)
  return {
    through,
    finishedAt: new Date().toISOString(),
    complete: tables.length === allTables.length,
    rows,
    differences: sum(({ differences }) => differences),
    inFlight: sum(({ inFlight }) => inFlight),
    tables: parts,
  }

  function waiting(): number {
    let count = 0
    for (const { flying } of tallies.values()) count += flying.length
    return count
  }

  async function again(tally: Tally): Promise<void> {
    const keys = tally.flying
    tally.flying = []
    for (let i = 0; i < keys.length; i += PORTION) {
      signal?.throwIfAborted()
      await settle(tally, keys.slice(i, i + PORTION))
      if (keys.length > 0) progress?.({ table: tally.table.name, tableRows: tally.rows, rows, waiting: waiting() })
    }
  }

  async function settle(tally: Tally, keys: readonly Key[]): Promise<void> {
    const seen = await lookAt(tally.table, keys, patient)
    let room = REMEMBERED - waiting()
    seen.forEach((each, i) => {
      const key = keys[i] as Key
      if (each.is === 'flying') {
        if (room-- > 0) tally.flying.push(key)
        else tally.lost++
      } else if (each.is === 'kept') tally.kept++
      else if (each.is === 'found') {
        tally.differences++
        if (each.found.stuck !== null) tally.stuck++
        found?.(each.found)
      }
    })
  }

  function lookAt(table: Table, keys: readonly Key[], patient: Patiently): Promise<Seen[]> {
    return look(clinic, portal, table, keys, patient)
  }
}

/** What is counted of a table. */
class Tally {
  readonly table: Table
  rows = 0
  differences = 0
  stuck = 0
  kept = 0
  /** On their way, to be looked at again; and how many more there were than are remembered. */
  flying: Key[] = []
  lost = 0
  #clinicRows = 0
  #portalRows = 0

  constructor(table: Table) {
    this.table = table
  }

  count({ rows, clinicRows, portalRows }: { rows: number; clinicRows: number; portalRows: number }): void {
    this.rows += rows
    this.#clinicRows += clinicRows
    this.#portalRows += portalRows
  }

  result(): VerifiedTable {
    return {
      table: this.table.name,
      clinicRows: this.#clinicRows,
      portalRows: this.#portalRows,
      kept: this.kept,
      differences: this.differences,
      stuck: this.stuck,
      inFlight: this.flying.length + this.lost,
    }
  }
}
