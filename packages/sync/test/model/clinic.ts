import type { Column, Table } from '@clinic-sync/mapping'
import {
  type ClinicRecord,
  type ClinicTypes,
  clinicTypes,
  type PortalEdit,
  type ruleOnPortalEdit,
  type Ruling,
  sameRow,
  sharedIn,
  type Values,
} from '../../src/index.ts'
import { type Cell, cellsOf, isNews, Ledger, type Snapshot, startOf } from './ledger.ts'
import { isRefused, type Setup, SHARED, stored } from './table.ts'
import { must } from './violation.ts'

export interface ToClinic {
  readonly edit: PortalEdit
  readonly ledger: Snapshot
}
export interface ToPortal {
  readonly version: bigint
  readonly seen: bigint
  readonly row: Values | null
  readonly ledger: Snapshot
}

/** One record in the clinic: the row with its triggers, the outbox, the bookkeeping. */
export class ClinicSide {
  record: ClinicRecord = { row: null, seen: 0n, reported: null }
  pending: bigint[] = []
  readonly ledger = new Ledger()
  /** A drain that has read what it needs but for the row. */
  reading: { version: bigint; seen: bigint } | null = null
  cured = false
  /** Whether it ever was here. */
  hadRow = false
  readonly #types: ClinicTypes
  readonly #columns: readonly Column[]

  constructor(
    readonly key: number,
    readonly table: Table,
    readonly setup: Setup,
    readonly rule: typeof ruleOnPortalEdit,
    readonly nextId: () => bigint,
    /** Whether each ruling is judged; if not, only what comes out in the end is. */
    readonly judging: boolean,
  ) {
    this.#types = { ...clinicTypes(), refuse: (_table, _column, value) => (this.#refuses(value) ? 'not yet' : null) }
    this.#columns = table.columns.filter(({ owner }) => owner === 'shared')
  }

  #refuses(value: unknown): boolean {
    return this.setup.refuses && !this.cured && typeof value === 'string' && isRefused(value)
  }

  /** Somebody in the clinic writes. */
  write(row: Values | null): void {
    const before = this.record.row
    const after = row && stored(row, this.setup)
    if (sameRow(this.table, before, after)) return
    this.ledger.wrote(cellsOf(before), cellsOf(after))
    this.hadRow ||= after !== null
    this.record = { ...this.record, row: after }
    this.pending.push(this.nextId())
  }

  /** The first half of a drain: everything but the row. */
  beginDrain(): void {
    const version = this.pending.at(-1)
    if (version !== undefined && this.reading === null) this.reading = { version, seen: this.record.seen }
  }

  /** The second half. `settled` false: it crashes before the outbox is told, and the event is sent once more. */
  endDrain(settled: boolean): ToPortal | null {
    const { reading } = this
    if (reading === null) return null
    this.reading = null
    if (settled) this.pending = this.pending.filter((id) => id > reading.version)
    return { ...reading, row: this.record.row, ledger: this.ledger.snapshot(cellsOf(this.record.row)) }
  }

  /** Processes an event, and judges the ruling. */
  process({ edit, ledger }: ToClinic): Ruling {
    const before = this.record
    const ruling = this.rule(this.table, this.key, before, edit, this.#types)
    const put = ['dead', 'duplicate', 'stale'].includes(ruling.outcome)
    if (this.judging && put) this.#judgePutAside(ruling, ledger)
    else if (this.judging) this.#judge(ruling, edit.row, ledger)
    if (!put) this.#keep(ruling, ledger)
    else this.record = ruling.record
    return ruling
  }

  #judgePutAside({ outcome, record, queue }: Ruling, { own }: Snapshot): void {
    const { row, seen, reported } = this.record
    const same = record.row === row && record.seen === seen && record.reported === reported
    must(same && queue === null, () => `what is ${outcome} changes nothing`)
    must(outcome !== 'dead' || !this.cured, () => 'nothing is dead after the cure')
    const known = own.every((writes, i) => writes <= this.#heard(i))
    must(outcome === 'dead' || known, () => `what is ${outcome} holds a write that the clinic never processed`)
  }

  /** What became of the row must follow from who knew what; see README.md, "What the suite checks". */
  #judge(ruling: Ruling, sent: Values | null, ledger: Snapshot): void {
    const { row } = this.record
    const after = ruling.record.row
    const whole = ruling.conflicts.some(({ column }) => column === null)
    if (sent === null) {
      const touched = this.#columns.some((_, i) => !this.#same(i, cellsOf(row)[i], startOf(ledger, i, this.#heard(i))))
      const through = row !== null && this.setup.deletes === 'propagate' && this.#shares(row) && !touched
      must((after === null) === (row === null || through), () => "a portal's delete went through, or did not, wrongly")
      const against = row !== null && !through
      must(whole === (against && this.setup.deletes === 'propagate'), () => 'a delete ruled against is on record')
    } else if (row === null) {
      const born = this.key < 0 && this.record.seen === 0n && !this.hadRow
      must((after === null) === !born, () => (born ? 'a new record is inserted' : 'deleted stays deleted'))
      must(whole === !born, () => 'an edit of a deleted record is on record')
    } else {
      must(after !== null && !whole, () => 'the row is still there')
      for (const [i, column] of this.#columns.entries()) this.#judgeColumn(i, column, ruling, ledger)
    }
  }

  #judgeColumn(i: number, { name, policy }: Column, ruling: Ruling, ledger: Snapshot): void {
    const clinic = cellsOf(this.record.row)[i]
    const portal = ledger.cells[i]
    const start = startOf(ledger, i, this.#heard(i))
    const after = cellsOf(ruling.record.row)[i]
    const entry = ruling.conflicts.find(({ column }) => column === name)
    const shared = this.record.row !== null && this.#shares(this.record.row)
    const doctors = shared && isNews(ledger, i, this.#heard(i)) && !this.#same(i, portal, start)
    const both = doctors && !this.#same(i, clinic, portal) && !this.#same(i, clinic, start)
    const winner = doctors && !(both && policy === 'clinic-wins') ? portal : clinic
    must(this.#same(i, after, winner), () => {
      return `${name}: the clinic had ${show(clinic)}, the doctor went from ${show(start)} to ${show(portal)}; now it is ${show(after)}`
    })
    must((entry !== undefined) === both, () => {
      const values = `clinic ${show(clinic)}, doctor from ${show(start)} to ${show(portal)}`
      return both ? `${name}: overwritten without record: ${values}` : `${name}: no conflict, but on record: ${values}`
    })
    const recorded = entry === undefined || (entry.clinic === clinic && entry.portal === portal)
    must(recorded, () => `${name}: both values are on record`)
  }

  /** The row is written, triggers fire, the outbox is filled. */
  #keep(ruling: Ruling, ledger: Snapshot): void {
    const { row } = ruling.record
    const after = row && stored(row, this.setup)
    const changed = !sameRow(this.table, this.record.row, after)
    must(!this.judging || !changed || ruling.write !== null, () => 'what is written is said to be written')
    // What a trigger does to a shared column is the clinic's own doing; that a column rounds is nobody's.
    const trimmed = after && row && { ...row, t: after.t ?? null }
    if (trimmed) this.ledger.wrote(cellsOf(row), cellsOf(trimmed))
    this.hadRow ||= after !== null
    this.record = { ...ruling.record, row: after }
    SHARED.forEach((_, i) => (this.ledger.heard[i] = Math.max(this.#heard(i), ledger.own[i] ?? 0)))
    if (ruling.write !== null || ruling.queue !== null) this.pending.push(this.nextId())
  }

  #heard = (i: number): number => this.ledger.heard[i] ?? 0
  #shares = (row: Values): boolean => sharedIn(this.table, row).length > 0

  #same(i: number, a: Cell, b: Cell): boolean {
    const column = this.#columns[i]
    if (a === undefined || b === undefined || column === undefined) return a === b
    return this.#types.equal(column, a, b)
  }
}

const show = (cell: Cell): string => (cell === undefined ? 'nothing' : JSON.stringify(cell))
