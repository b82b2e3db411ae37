import { openZone } from '@clinic-sync/clinic'
import type { Outcome, Row, SyncEvent } from '@clinic-sync/contracts'
import { sharedColumns, type TableName, tableNamed } from '@clinic-sync/mapping'
import { toEvent } from '@clinic-sync/sync'
import type { Test } from 'tap'
import { type Bench, type Cells, openBench } from './bench.ts'
import type { EngineOptions } from './engine.ts'

export type Synced = Extract<TableName, 'aligner_notes' | 'aligner_batches'>

/** How an event is dated: all of it has a default. */
export interface Dated {
  readonly version?: string
  readonly since?: string | null
  readonly base?: Row | null
}

/** A bench whose clinic has a portal: doctors' edits as events, and what the clinic made of them. */
export interface Applying extends Bench {
  /** The clinic's row as it would travel; null: there is none. */
  row(table: Synced, key: number): Promise<Row | null>
  event(table: Synced, key: number, row: Row | null, dated: Required<Dated>): SyncEvent
  /** A doctor's edit of a record that the portal has as the clinic has it now. */
  edit(table: Synced, key: number, changes: Row, dated?: Dated): Promise<SyncEvent>
  /** A doctor's new note of a set, with the next key below 0. */
  born(set: number, cells?: Row, dated?: Dated & { key?: number }): SyncEvent
  apply(...events: readonly SyncEvent[]): Promise<readonly Outcome[]>
  /** Applies one event: `outcome`, or `outcome code: reason`. */
  ruling(event: SyncEvent): Promise<string>
  /** `sync.RowState`: what the clinic has seen of a record, and the shared columns as the portal reported them. */
  state(event: SyncEvent): Promise<{ seen: string; values: Row | null } | null>
  /** The record's rows of `sync.Conflicts`, in order. */
  conflicts(event: SyncEvent): Promise<readonly Cells[]>
  /** A version higher than all before. */
  nextVersion(): string
}

export const sharedOf = (table: Synced, row: Row): Row =>
  Object.fromEntries(sharedColumns(tableNamed(table)).map(({ name }) => [name, row[name] ?? null]))

/** Whether a text comes through Babelfish's OPENJSON, which leaves JSON's escapes as they are. SQL Server does not. */
export const throughBabelfish = (text: string): boolean => JSON.stringify(text).length === text.length + 2

const CREATED = '2026-01-31T08:15:30.120Z'

export async function openApplying(t: Test, options?: EngineOptions): Promise<Applying> {
  const bench = await openBench(t, options)
  // Beyond what a double holds: versions are digits.
  let version = 9_007_199_254_740_993n
  let lastKey = 0

  const applying: Applying = {
    ...bench,
    nextVersion: () => (++version).toString(),
    async row(table, key) {
      const [found] = await bench.clinic.readRows(table, key - 1, 1)
      return found?.key === key ? found.row : null
    },
    event: (table, key, row, dated) => toEvent('portal', { table, key, seen: '0', row, capturedAt: CREATED, ...dated }),
    async edit(table, key, changes, dated) {
      const row = await applying.row(table, key)
      if (row === null) throw new Error(`the clinic has no ${table} ${key}`)
      const next = applying.nextVersion()
      const given = { version: next, since: next, base: sharedOf(table, row), ...dated }
      return applying.event(table, key, { ...row, ...changes }, given)
    },
    born(set, cells, { key = --lastKey, ...dated } = {}) {
      const next = applying.nextVersion()
      const row = {
        note_id: key,
        aligner_set_id: set,
        note_type: 'Doctor',
        note_text: 'from the portal',
        created_at: CREATED,
        is_edited: false,
        edited_at: null,
        is_read: false,
        ...cells,
      }
      return applying.event('aligner_notes', key, row, { version: next, since: next, base: null, ...dated })
    },
    apply: (...events) => bench.clinic.applyChanges(events),
    async ruling(event) {
      const [found] = await bench.clinic.applyChanges([event])
      const { outcome, code, reason } = found ?? {}
      return [[outcome, code].filter(Boolean).join(' '), reason].filter(Boolean).join(': ')
    },
    async state({ data }) {
      const [found] = await bench.run(
        `SELECT CONVERT(varchar(20), SeenPortalVersion) AS seen, PortalValues FROM sync.RowState ${of(data)}`,
      )
      if (found === undefined) return null
      const values = found.PortalValues === null ? null : (JSON.parse(String(found.PortalValues)) as Row)
      return { seen: String(found.seen), values }
    },
    conflicts: ({ data }) =>
      bench.run(
        `SELECT ColumnName, ClinicValue, PortalValue, BaseValue, Ruling, CONVERT(varchar(20), PortalVersion) AS PortalVersion FROM sync.Conflicts ${of(data)} ORDER BY ConflictID`,
      ),
  }
  return applying
}

const of = ({ table, key }: SyncEvent['data']) => `WHERE TableName = N'${table}' AND RecordID = ${key}`

const zone = openZone('Asia/Baghdad')

/** Instants among a table's values as `sync.RowState` and `sync.Conflicts` have them, the clinic's wall clock, to instants. */
export function toWire(table: Synced, values: Row): Row {
  const instants = new Set(
    tableNamed(table)
      .columns.filter(({ type }) => type === 'instant')
      .map(({ name }) => name),
  )
  return Object.fromEntries(
    Object.entries(values).map(([name, value]) => [
      name,
      instants.has(name) && typeof value === 'string' ? zone.toInstant(value) : value,
    ]),
  )
}
