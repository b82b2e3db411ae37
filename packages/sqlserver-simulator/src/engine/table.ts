import { hashKey } from '../values/compare.ts'
import type { SqlValue } from '../values/types.ts'
import type { ColumnDefinition, TableDefinition } from './definition.ts'
import { Index } from './table-index.ts'
import { Row } from './row.ts'
import type { Step, Transaction } from './transaction.ts'
import type { Work } from './work.ts'

export type KeyValue = string | number | bigint | boolean | null

/** Is told of every physical change, undone ones included: keeps what it derives equal to the rows. */
export interface Observer {
  added(row: Row): void
  removed(row: Row): void
  changed(row: Row, before: readonly SqlValue[]): void
}

/** A CHECK that was added to the table. `column`: the only one it is about, if it is one. */
export interface AddedCheck {
  readonly name: string
  readonly column: string | null
  /** As it was written, brackets included. */
  readonly definition: string
  readonly holds: (work: Work, values: readonly SqlValue[]) => boolean
}

const compareKeys = (a: KeyValue, b: KeyValue): number => (a === b ? 0 : (a as number) < (b as number) ? -1 : 1)

/** Rows in memory with their keys. Checks nothing: the statements do. */
export class Table {
  readonly definition: TableDefinition
  readonly name: string
  readonly columns: ColumnDefinition[]
  readonly ordinals: ReadonlyMap<string, number>
  readonly key: readonly number[]
  readonly indexes: readonly Index[]
  readonly observers: Observer[] = []
  /** By name in lower case; those of the definition are not among them. */
  readonly checks = new Map<string, AddedCheck>()
  identity = 0
  readonly #rows = new Map<KeyValue, Row>()
  #order: Row[] = []
  #sorted = true
  #gone = 0

  constructor(definition: TableDefinition) {
    this.definition = definition
    this.name = `${definition.schema}.${definition.name}`
    this.columns = [...definition.columns]
    this.ordinals = new Map(definition.columns.map((c, i) => [c.name.toLowerCase(), i]))
    this.key = definition.primaryKey.columns.map((c) => this.ordinal(c))
    const indexed = [
      ...definition.unique.map((u) => u.columns),
      ...definition.foreignKeys.map((f) => [f.column]),
      ...definition.indexes,
    ]
    this.indexes = indexed.map(
      (columns) =>
        new Index(
          columns.map((c) => this.ordinal(c)),
          this.columns,
        ),
    )
  }

  ordinal(column: string): number {
    const found = this.ordinals.get(column.toLowerCase())
    if (found === undefined) throw new Error(`${this.name} has no column ${column}`)
    return found
  }

  /** The key of a row with these values. */
  keyOf(values: readonly SqlValue[]): KeyValue {
    if (this.key.length === 1) return this.#hash(values[this.key[0] as number] ?? null, this.key[0] as number)
    let key = ''
    for (let i = 0; i < this.key.length; i++) {
      const o = this.key[i] as number
      key += `${i === 0 ? '' : '\u0001'}${String(this.#hash(values[o] ?? null, o))}`
    }
    return key
  }
  /** The same, from the values of the key's columns alone. */
  keyFor(values: readonly SqlValue[]): KeyValue {
    if (this.key.length === 1) return this.#hash(values[0] ?? null, this.key[0] as number)
    return values.map((value, i) => String(this.#hash(value, this.key[i] as number))).join('\u0001')
  }
  #hash(value: SqlValue, ordinal: number): KeyValue {
    return hashKey(value, (this.columns[ordinal] as ColumnDefinition).type)
  }

  /** The row with that key, deleted ones included. */
  get(key: KeyValue): Row | undefined {
    return this.#rows.get(key)
  }

  /** All rows in key order, those deleted but not committed included. Not to be changed meanwhile: copy first. */
  scan(): readonly Row[] {
    if (this.#gone > 0 && this.#gone * 2 > this.#order.length) {
      this.#order = this.#order.filter((row) => !row.gone)
      this.#gone = 0
    }
    if (!this.#sorted) {
      this.#order = this.#order
        .filter((row) => !row.gone)
        .sort((a, b) => compareKeys(this.keyOf(a.values), this.keyOf(b.values)))
      this.#gone = 0
      this.#sorted = true
    }
    return this.#order
  }

  index(columns: readonly number[]): Index | undefined {
    return this.indexes.find(
      (i) => i.ordinals.length === columns.length && i.ordinals.every((o, n) => o === columns[n]),
    )
  }

  insert(tx: Transaction, values: readonly SqlValue[]): Row {
    const key = this.keyOf(values)
    const ghost = this.#rows.get(key)
    if (ghost !== undefined) return this.#revive(tx, ghost, values)
    const row = new Row(values)
    this.#add(key, row)
    tx.note(new Inserted(this, row, values))
    return row
  }
  /** For a change's undoing, and for its commit. */
  forget(row: Row): void {
    this.#remove(this.keyOf(row.values), row)
  }

  delete(tx: Transaction, row: Row): void {
    row.deleted = true
    for (const o of this.observers) o.removed(row)
    tx.note(new Deleted(this, row, row.values))
  }

  update(tx: Transaction, row: Row, values: readonly SqlValue[]): void {
    const before = row.values
    if (!this.key.every((o) => before[o] === values[o]) && this.keyOf(before) !== this.keyOf(values))
      throw new Error('keys are not updated')
    row.values = values
    for (const index of this.indexes) if (!index.isSame(before, values)) index.add(row)
    for (const o of this.observers) o.changed(row, before)
    tx.note(new Updated(this, row, before))
  }

  #revive(tx: Transaction, row: Row, values: readonly SqlValue[]): Row {
    const before = row.values
    row.deleted = false
    row.values = values
    for (const index of this.indexes) index.add(row)
    for (const o of this.observers) o.added(row)
    tx.note(new Revived(this, row, before))
    return row
  }

  #add(key: KeyValue, row: Row): void {
    this.#rows.set(key, row)
    const last = this.#order.at(-1)
    if (last !== undefined && compareKeys(this.keyOf(last.values), key) > 0) this.#sorted = false
    this.#order.push(row)
    for (const index of this.indexes) index.add(row)
    for (const o of this.observers) o.added(row)
  }

  #remove(key: KeyValue, row: Row): void {
    this.#rows.delete(key)
    row.gone = true
    this.#gone++
    for (const index of this.indexes) index.remove(row)
    if (!row.deleted) for (const o of this.observers) o.removed(row)
  }
}

/** What was done to a row, to be taken back or finished. A row is findable by its former values until the change is committed. */
abstract class Change implements Step {
  readonly table: Table
  readonly row: Row
  readonly before: readonly SqlValue[]
  constructor(table: Table, row: Row, before: readonly SqlValue[]) {
    this.table = table
    this.row = row
    this.before = before
  }
  abstract undo(): void
  abstract commit(): void

  protected forget(former: readonly SqlValue[]): void {
    for (const index of this.table.indexes) if (!index.isSame(former, this.row.values)) index.drop(this.row, former)
  }
}
class Inserted extends Change {
  undo(): void {
    this.table.forget(this.row)
  }
  commit(): void {}
}
class Deleted extends Change {
  undo(): void {
    this.row.deleted = false
    for (const o of this.table.observers) o.added(this.row)
  }
  commit(): void {
    if (this.row.deleted && !this.row.gone) this.table.forget(this.row)
  }
}
class Updated extends Change {
  undo(): void {
    const undone = this.row.values
    this.row.values = this.before
    this.forget(undone)
    for (const o of this.table.observers) o.changed(this.row, undone)
  }
  commit(): void {
    this.forget(this.before)
  }
}
class Revived extends Change {
  undo(): void {
    for (const o of this.table.observers) o.removed(this.row)
    const undone = this.row.values
    this.row.deleted = true
    this.row.values = this.before
    this.forget(undone)
  }
  commit(): void {
    this.forget(this.before)
  }
}
