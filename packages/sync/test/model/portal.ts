import type { Table } from '@clinic-sync/mapping'
import {
  type Applied,
  type applyClinicChange,
  type captureEdit,
  type PortalRecord,
  sharedIn,
  type Values,
} from '../../src/index.ts'
import type { ToClinic, ToPortal } from './clinic.ts'
import { cellsOf, Ledger, type Snapshot } from './ledger.ts'
import { SHARED } from './table.ts'
import { must } from './violation.ts'

/** One record in the portal: the row, the outbox, the bookkeeping. */
export class PortalSide {
  record: PortalRecord = { row: null, clinicVersion: 0n, localVersion: 0n, since: null, base: null, pending: [] }
  readonly ledger = new Ledger()
  /** How many of its writes have been sent. */
  #sent = SHARED.map(() => 0)

  constructor(
    readonly table: Table,
    readonly rules: { readonly apply: typeof applyClinicChange; readonly capture: typeof captureEdit },
    readonly nextId: () => bigint,
    readonly judging: boolean,
  ) {}

  /** A doctor inserts, edits or deletes. */
  edit(row: Values | null): void {
    const before = this.record.row
    const { captured, record } = this.rules.capture(this.table, this.record, row, this.nextId())
    this.record = record
    if (captured) this.ledger.wrote(cellsOf(before), cellsOf(row))
  }

  /** `settled` false: it crashes before the outbox is told, and the event is sent once more. */
  drain(settled: boolean): ToClinic | null {
    const { record } = this
    const version = record.pending.at(-1)
    // No edit is in flight any more: it went with the row.
    if (version === undefined || record.since === null) {
      this.record = { ...record, pending: [] }
      return null
    }
    if (settled) this.record = { ...record, pending: [] }
    this.#sent = [...this.ledger.own]
    const { since, base, row } = record
    return { edit: { version, since, base, row }, ledger: this.ledger.snapshot(cellsOf(row)) }
  }

  /** Applies an event, and judges what became of the row. */
  apply({ ledger, ...change }: ToPortal): Applied {
    const applied = this.rules.apply(this.table, this.record, change)
    const old = applied.outcome === 'duplicate' || applied.outcome === 'stale'
    if (this.judging && old) must(same(applied.record, this.record), () => 'what is old changes nothing')
    else if (this.judging) this.#judge(applied, change.row, ledger)
    this.record = applied.record
    if (!old) this.#note(change.row, ledger)
    return applied
  }

  #note(row: Values | null, { own }: Snapshot): void {
    SHARED.forEach((_, i) => {
      if (row === null) this.ledger.gone[i] = this.ledger.own[i] ?? 0
      this.ledger.heard[i] = own[i] ?? 0
    })
  }

  #judge({ record, lost }: Applied, row: Values | null, { own, heard }: Snapshot): void {
    const before = this.record.row
    const shared = row !== null && sharedIn(this.table, row).length > 0
    must(row !== null || record.row === null, () => "the clinic's delete deletes")
    SHARED.forEach((name, i) => {
      const mine = this.ledger.own[i] ?? 0
      must((own[i] ?? 0) >= (this.ledger.heard[i] ?? 0), () => `${name}: an older state of the clinic came back`)
      const ruled = Math.max(heard[i] ?? 0, this.ledger.gone[i] ?? 0)
      const unsent = mine > Math.max(ruled, this.#sent[i] ?? 0)
      const gone = row === null && before !== null && unsent
      must(!gone || lost, () => `${name}: an unsent edit went with the row without record`)
      const overwritten = shared && cellsOf(before)[i] !== cellsOf(record.row)[i]
      must(!overwritten || mine <= ruled, () => `${name}: overwritten though the clinic has not ruled on the edit`)
    })
  }
}

const same = (a: PortalRecord, b: PortalRecord): boolean =>
  a.row === b.row && a.clinicVersion === b.clinicVersion && a.since === b.since && a.base === b.base
