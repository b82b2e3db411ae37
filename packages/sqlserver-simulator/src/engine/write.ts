import { SqlError } from '../values/errors.ts'
import { nameOf, type SqlValue } from '../values/types.ts'
import { formatDecimal } from '../values/decimal.ts'
import type { ColumnDefinition, ForeignKey } from './definition.ts'
import type { RowChange } from './database.ts'
import { acquire, Blocked, isBlocked } from './locks.ts'
import type { Row } from './row.ts'
import type { Table } from './table.ts'
import type { Work } from './work.ts'

type Verb = 'INSERT' | 'UPDATE' | 'DELETE' | 'ALTER TABLE'

/** Fills in the computed columns. */
export function complete(table: Table, values: SqlValue[]): readonly SqlValue[] {
  const value = (name: string) => values[table.ordinal(name)] ?? null
  for (let i = 0; i < table.columns.length; i++) {
    const { computed } = table.columns[i] as ColumnDefinition
    values[i] = computed === null ? (values[i] ?? null) : computed(value)
  }
  return values
}

/** A new row before anything is written to it: the columns' defaults. */
export const emptyRow = (work: Work, table: Table): SqlValue[] =>
  table.columns.map((column) => column.default?.(work.session.id) ?? null)

/** A read-only check met a row that another transaction holds: wait for it. */
function settled(work: Work, row: Row): Row {
  if (isBlocked(work.tx, row, 'S')) throw new Blocked(row, 'S')
  return row
}

function checkValues(work: Work, table: Table, values: readonly SqlValue[], verb: Verb): void {
  for (let i = 0; i < table.columns.length; i++) {
    const column = table.columns[i] as ColumnDefinition
    if (values[i] === null && !column.nullable && column.computed === null)
      throw new SqlError(
        515,
        `Cannot insert the value NULL into column '${column.name}', table '${work.db.name}.${table.name}'; column does not allow nulls. ${verb} fails.`,
      )
  }
  for (const check of table.definition.checks) {
    if (!check.holds(values[table.ordinal(check.column)] ?? null))
      throw conflict(work, verb, 'CHECK', check.name, table, check.column)
  }
  for (const check of table.checks.values())
    if (!check.holds(work, values)) throw conflict(work, verb, 'CHECK', check.name, table, check.column)
}

/** Error 547; `column` null: the constraint is about several. */
export const conflict = (work: Work, verb: Verb, kind: string, name: string, table: Table, column: string | null) =>
  new SqlError(
    547,
    `The ${verb} statement conflicted with the ${kind} constraint "${name}". The conflict occurred in database "${work.db.name}", table "${table.name}"${column === null ? '' : `, column '${column}'`}.`,
  )

function checkParent(work: Work, table: Table, key: ForeignKey, values: readonly SqlValue[], verb: Verb): void {
  const value = values[table.ordinal(key.column)] ?? null
  if (value === null) return
  const [schema = '', name = ''] = key.parent.split('.')
  const parent = work.db.table(schema, name)
  const row = parent.get(value as number)
  if (row === undefined || settled(work, row).deleted)
    throw conflict(work, verb, 'FOREIGN KEY', key.name, parent, parent.definition.primaryKey.columns[0] ?? '')
}

function printed(value: SqlValue, column: ColumnDefinition): string {
  if (value === null) return '<NULL>'
  return typeof value === 'bigint' && nameOf(column.type) === 'numeric'
    ? formatDecimal(value, column.type.scale)
    : String(value)
}

function duplicate(
  table: Table,
  kind: string,
  name: string,
  ordinals: readonly number[],
  values: readonly SqlValue[],
): SqlError {
  const key = ordinals.map((o) => printed(values[o] ?? null, table.columns[o] as ColumnDefinition)).join(', ')
  return new SqlError(
    2627,
    `Violation of ${kind} constraint '${name}'. Cannot insert duplicate key in object '${table.name}'. The duplicate key value is (${key}).`,
    { severity: 14 },
  )
}

function checkUnique(work: Work, table: Table, row: Row): void {
  for (const { name, columns } of table.definition.unique) {
    const ordinals = columns.map((c) => table.ordinal(c))
    const values = ordinals.map((o) => row.values[o] ?? null)
    const index = table.index(ordinals)
    for (const other of index?.find(values) ?? []) {
      if (other !== row && !settled(work, other).deleted && index?.matches(other, values))
        throw duplicate(table, 'UNIQUE KEY', name, ordinals, row.values)
    }
  }
}

/** Inserts complete rows (see {@link complete}), all or an error, and fires the triggers. */
export function insertRows(work: Work, table: Table, rows: readonly (readonly SqlValue[])[]): void {
  const changes: RowChange[] = []
  for (const values of rows) {
    checkValues(work, table, values, 'INSERT')
    const existing = table.get(table.keyOf(values))
    if (existing !== undefined && !settled(work, existing).deleted)
      throw duplicate(table, 'PRIMARY KEY', table.definition.primaryKey.name, table.key, values)
    const row = table.insert(work.tx, values)
    acquire(work.tx, row, 'X')
    checkUnique(work, table, row)
    for (const key of table.definition.foreignKeys) checkParent(work, table, key, values, 'INSERT')
    changes.push({ before: null, after: values })
  }
  fire(work, table, changes)
}

/** Gives rows new, complete values. */
export function updateRows(
  work: Work,
  table: Table,
  updates: readonly { row: Row; values: readonly SqlValue[] }[],
): void {
  const changes: RowChange[] = []
  for (const { row, values } of updates) {
    acquire(work.tx, row, 'X')
    checkValues(work, table, values, 'UPDATE')
    const before = row.values
    table.update(work.tx, row, values)
    for (const key of table.definition.foreignKeys) {
      const ordinal = table.ordinal(key.column)
      if (before[ordinal] !== values[ordinal]) checkParent(work, table, key, values, 'UPDATE')
    }
    changes.push({ before, after: values })
  }
  // After all rows have changed, as SQL Server does: two rows may swap their values.
  for (const { row } of updates) checkUnique(work, table, row)
  fire(work, table, changes)
}

export function deleteRows(work: Work, table: Table, rows: readonly Row[]): void {
  const fired: { table: Table; changes: RowChange[] }[] = []
  remove(work, table, rows, fired)
  // Triggers fire after all cascades, in the opposite order: the leaves' first.
  for (const { table: of, changes } of fired.reverse()) fire(work, of, changes)
}

function remove(work: Work, table: Table, rows: readonly Row[], fired: { table: Table; changes: RowChange[] }[]): void {
  const changes: RowChange[] = []
  fired.push({ table, changes })
  for (const row of rows) {
    acquire(work.tx, row, 'X')
    table.delete(work.tx, row)
    changes.push({ before: row.values, after: null })
  }
  for (const child of work.db.tables) {
    for (const key of child.definition.foreignKeys) {
      if (key.parent.toLowerCase() !== table.name.toLowerCase()) continue
      const index = child.index([child.ordinal(key.column)])
      const orphans = rows.flatMap((row) => {
        const value = [row.values[table.key[0] as number] ?? null]
        return (index?.find(value) ?? []).filter(
          (orphan) => !settled(work, orphan).deleted && index?.matches(orphan, value),
        )
      })
      if (orphans.length === 0) continue
      if (!key.cascade) throw conflict(work, 'DELETE', 'REFERENCE', key.name, child, key.column)
      remove(work, child, orphans, fired)
    }
  }
}

function fire(work: Work, table: Table, changes: readonly RowChange[]): void {
  for (const trigger of work.db.triggersOn(table)) {
    try {
      trigger.fire(work, changes)
    } catch (error) {
      // XACT_ABORT is on inside triggers: what fails there ends the batch and the transaction.
      if (error instanceof SqlError)
        throw new SqlError(error.number, error.message, { severity: error.severity, abort: 'batch' })
      throw error
    }
  }
}

/** The next IDENTITY value; remembered, so that a statement that has to run again takes the same. */
export function nextIdentity(work: Work, table: Table): number {
  if (!work.identities.has(table)) work.identities.set(table, table.identity)
  table.identity++
  return table.identity
}
