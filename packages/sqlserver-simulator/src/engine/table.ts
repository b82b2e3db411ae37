import { hashKey } from '../values/compare.ts'
import type { SqlValue } from '../values/types.ts'
import type { ColumnDefinition, TableDefinition } from './definition.ts'
import { Index } from './table-index.ts'
import { Row } from './row.ts'
import type { Transaction } from './transaction.ts'
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

  keyOf(values: readonly SqlValue[]): KeyValue {
    if (this.key.length === 1)
      return hashKey(
        values[this.key[0] as number] ?? null,
        (this.columns[this.key[0] as number] as ColumnDefinition).type,
      )
    return this.key
      .map((o) => String(hashKey(values[o] ?? null, (this.columns[o] as ColumnDefinition).type)))
      .join('\u0001')
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
    tx.did(() => this.#remove(key, row))
    return row
  }

  delete(tx: Transaction, row: Row): void {
    row.deleted = true
    for (const o of this.observers) o.removed(row)
    tx.did(
      () => {
        row.deleted = false
        for (const o of this.observers) o.added(row)
      },
      () => {
        if (row.deleted && !row.gone) this.#remove(this.keyOf(row.values), row)
      },
    )
  }

  update(tx: Transaction, row: Row, values: readonly SqlValue[]): void {
    const before = row.values
    const [oldKey, newKey] = [this.keyOf(before), this.keyOf(values)]
    if (oldKey !== newKey) throw new Error('keys are not updated')
    row.values = values
    for (const index of this.indexes) index.add(row)
    for (const o of this.observers) o.changed(row, before)
    tx.did(
      () => {
        const undone = row.values
        row.values = before
        for (const index of this.indexes) index.drop(row, undone)
        for (const o of this.observers) o.changed(row, undone)
      },
      () => {
        for (const index of this.indexes) index.drop(row, before)
      },
    )
  }

  #revive(tx: Transaction, row: Row, values: readonly SqlValue[]): Row {
    const before = row.values
    row.deleted = false
    row.values = values
    for (const index of this.indexes) index.add(row)
    for (const o of this.observers) o.added(row)
    tx.did(
      () => {
        for (const o of this.observers) o.removed(row)
        const undone = row.values
        row.deleted = true
        row.values = before
        for (const index of this.indexes) index.drop(row, undone)
      },
      () => {
        for (const index of this.indexes) index.drop(row, before)
      },
    )
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
