import { type Table as Mapped, type Source, syncedTables as mappedTables, type TableName } from '@clinic-sync/mapping'
import type { Database, RowChange, Trigger } from '../engine/database.ts'
import type { Table } from '../engine/table.ts'
import type { Work } from '../engine/work.ts'
import { complete, emptyRow, insertRows } from '../engine/write.ts'
import { identical } from '../values/compare.ts'
import type { SqlValue } from '../values/types.ts'

type Operation = 'INSERT' | 'UPDATE' | 'DELETE'
export interface Queued {
  readonly table: TableName
  readonly key: number
  readonly operation: Operation
}

/** The name of the trigger that captures a clinic table's changes. */
export const triggerName = (clinicTable: string) => `trg_sync_${clinicTable}`

/** Where in the clinic a synced table is. */
export const schemaOf = ({ isOurs }: Pick<Mapped, 'isOurs'>) => (isOurs ? 'sync' : 'dbo')

/** The capture triggers, as the migrations generate them: one for each table that a synced record is read from. */
export function captureTriggers(db: Database): Trigger[] {
  const watched = new Set<Table>()
  for (const mapped of mappedTables) {
    if (!mapped.clinicIsView) watched.add(db.table(schemaOf(mapped), mapped.clinic))
    for (const source of mapped.sources) watched.add(db.table('dbo', source.table))
  }
  return [...watched].map((table) => {
    const turns = captures(db, table)
    return {
      name: triggerName(table.definition.name),
      table,
      fire(work, changes) {
        enqueue(
          work,
          turns.flatMap((turn) => ordered(turn(work, changes))),
        )
      },
    }
  })
}

/** What one turn of a trigger queues. All of a turn comes before all of the next. */
type Turn = (work: Work, changes: readonly RowChange[]) => Queued[]

function ordered(queued: Queued[]): Queued[] {
  // A statement meets its rows in key order nearly always.
  const isOrdered = queued.every(({ key }, i) => i === 0 || (queued[i - 1] as Queued).key < key)
  return isOrdered ? queued : [...new Map(queued.map((q) => [q.key, q])).values()].sort((a, b) => a.key - b.key)
}

const at = (table: Table, column: string) => table.ordinal(column)
function changed({ before, after }: RowChange, ordinals: readonly number[]): boolean {
  for (const o of ordinals) if (!identical(before?.[o] ?? null, after?.[o] ?? null)) return true
  return false
}

/** In order: ancestors that a row may bring into scope, inserts and updates, records computed from the table, deletes. */
function captures(db: Database, table: Table): Turn[] {
  const own = mappedTables.find(
    (m) => !m.clinicIsView && m.clinic.toLowerCase() === table.definition.name.toLowerCase(),
  )
  const derived = mappedTables.flatMap((m) =>
    m.sources
      .filter((s) => s.table.toLowerCase() === table.definition.name.toLowerCase())
      .map((s) => derivedTurn(m, s, table)),
  )
  if (own === undefined) return derived
  const key = at(table, own.key.clinic)
  const columns = own.columns.map((c) => at(table, c.clinic))
  const written: Turn = (_, changes) => {
    const queued: Queued[] = []
    for (const change of changes) {
      if (change.after === null || (change.before !== null && !changed(change, columns))) continue
      const operation = change.before === null ? 'INSERT' : 'UPDATE'
      queued.push({ table: own.name, key: change.after[key] as number, operation })
    }
    return queued
  }
  const deleted: Turn = (_, changes) =>
    own.deletes.clinic === 'ignore'
      ? []
      : changes.flatMap((c): Queued[] =>
          c.after === null ? [{ table: own.name, key: c.before?.[key] as number, operation: 'DELETE' }] : [],
        )
  return [...ancestorTurns(db, own, table), written, ...derived, deleted]
}

/** The parents that are synced only while they are referred to, topmost first. */
function ancestorTurns(db: Database, mapped: Mapped, table: Table): Turn[] {
  return mapped.parents.flatMap((parent) => {
    const target = mappedTables.find((m) => m.name === parent.table)
    if (target?.scope.kind !== 'referenced' || target.scope.by !== mapped.name) return []
    const column = mapped.columns.find((c) => c.name === parent.column)?.clinic ?? ''
    const ordinal = at(table, column)
    const entering = (changes: readonly RowChange[]) =>
      changes
        .flatMap((c) =>
          c.after === null || (c.before !== null && !changed(c, [ordinal])) ? [] : [c.after[ordinal] as number | null],
        )
        .filter((k) => k !== null)
    const up = chainUp(db, target)
    const self: Turn = (_, changes) =>
      entering(changes).map((k) => ({ table: target.name, key: k, operation: 'UPDATE' as const }))
    return [
      ...up.map(
        (climb): Turn =>
          (work, changes) =>
            entering(changes).flatMap((k) => climb(work, k)),
      ),
      self,
    ]
  })
}

/** For a record: its own parents of that kind, topmost first, found through its row. */
function chainUp(db: Database, mapped: Mapped): ((work: Work, key: number) => Queued[])[] {
  const table = db.table('dbo', mapped.clinic)
  return mapped.parents.flatMap((parent) => {
    const target = mappedTables.find((m) => m.name === parent.table)
    if (target?.scope.kind !== 'referenced' || target.scope.by !== mapped.name) return []
    const ordinal = at(table, mapped.columns.find((c) => c.name === parent.column)?.clinic ?? '')
    const parentOf = (key: number) => {
      const row = table.get(key)
      return row === undefined || row.deleted ? null : (row.values[ordinal] as number | null)
    }
    const self = (_: Work, key: number): Queued[] => {
      const found = parentOf(key)
      return found === null ? [] : [{ table: target.name, key: found, operation: 'UPDATE' }]
    }
    const further = chainUp(db, target).map((climb) => (work: Work, key: number) => {
      const found = parentOf(key)
      return found === null ? [] : climb(work, found)
    })
    return [...further, self]
  })
}

/** Records computed from this table: those whose share of its rows is not the same as before. */
function derivedTurn(mapped: Mapped, source: Source, table: Table): Turn {
  const key = at(table, source.key)
  const columns = source.columns.map((c) => at(table, c.clinic))
  return (_, changes) => {
    const counts = new Map<string, { key: number; count: number }>()
    const count = (values: readonly SqlValue[] | null, by: number) => {
      const record = values?.[key] ?? null
      if (values === null || record === null) return
      const id = JSON.stringify([record, ...columns.map((c) => String(values[c] ?? null) + typeof values[c])])
      const found = counts.get(id) ?? { key: record as number, count: 0 }
      counts.set(id, { ...found, count: found.count + by })
    }
    for (const change of changes) {
      count(change.after, 1)
      count(change.before, -1)
    }
    return [...counts.values()].flatMap((c): Queued[] =>
      c.count === 0 ? [] : [{ table: mapped.name, key: c.key, operation: 'UPDATE' }],
    )
  }
}

/** Puts rows into dbo.SyncQueue. */
export function enqueue(work: Work, changes: readonly Queued[]): void {
  if (changes.length === 0) return
  const table = work.db.table('dbo', 'SyncQueue')
  const [name, record, operation] = [at(table, 'TableName'), at(table, 'RecordID'), at(table, 'Operation')]
  const [id, defaults] = [at(table, 'QueueID'), emptyRow(work, table)]
  const rows = changes.map((change, i) => {
    const values = defaults.slice()
    if (i > 0) values[id] = ++work.db.queueId
    values[name] = change.table
    values[record] = change.key
    values[operation] = change.operation
    return complete(table, values)
  })
  insertRows(work, table, rows)
}
