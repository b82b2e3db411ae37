import { hashKey } from '../values/compare.ts'
import type { SqlValue } from '../values/types.ts'
import type { ColumnDefinition } from './definition.ts'
import type { Row } from './row.ts'

export type IndexKey = string | number | bigint | boolean | null
const NONE: readonly Row[] = []

/**
 * Finds rows by the values of some columns. A row stays findable by its former values until the change is committed,
 * since whoever looks for these must wait for the outcome: so check what is found against `matches`.
 */
export class Index {
  readonly ordinals: readonly number[]
  readonly #columns: readonly ColumnDefinition[]
  /** One row where there is one, which is nearly always so: a Set each would be most of a large table's memory. */
  readonly #rows = new Map<IndexKey, Row | Set<Row>>()

  constructor(ordinals: readonly number[], columns: readonly ColumnDefinition[]) {
    this.ordinals = ordinals
    this.#columns = ordinals.map((o) => columns[o] as ColumnDefinition)
  }

  /** The key of values in the order of the index's columns. */
  keyFor(values: readonly SqlValue[]): IndexKey {
    if (values.length === 1) return this.#hash(values[0] ?? null, 0)
    let key = ''
    for (let i = 0; i < values.length; i++) key += this.#part(values[i] ?? null, i)
    return key
  }
  keyOf(row: readonly SqlValue[]): IndexKey {
    if (this.ordinals.length === 1) return this.#hash(row[this.ordinals[0] as number] ?? null, 0)
    let key = ''
    for (let i = 0; i < this.ordinals.length; i++) key += this.#part(row[this.ordinals[i] as number] ?? null, i)
    return key
  }
  #part(value: SqlValue, at: number): string {
    const hash = this.#hash(value, at)
    return hash === null ? '\u0002' : `${String(hash)}\u0001`
  }
  #hash(value: SqlValue, at: number): IndexKey {
    return hashKey(value, (this.#columns[at] as ColumnDefinition).type)
  }

  /** Rows that have, or had, these values. */
  at(key: IndexKey): readonly Row[] {
    const rows = this.#rows.get(key)
    return rows === undefined ? NONE : rows instanceof Set ? [...rows] : [rows]
  }
  find(values: readonly SqlValue[]): readonly Row[] {
    return this.at(this.keyFor(values))
  }
  /** Whether the row has these values now. */
  matches(row: Row, values: readonly SqlValue[]): boolean {
    return this.keyOf(row.values) === this.keyFor(values)
  }
  /** Whether a row with the one values stands where one with the others does, to the byte. */
  isSame(before: readonly SqlValue[], after: readonly SqlValue[]): boolean {
    for (const o of this.ordinals) if (before[o] !== after[o]) return false
    return true
  }

  add(row: Row): void {
    const key = this.keyOf(row.values)
    const rows = this.#rows.get(key)
    if (rows === undefined) this.#rows.set(key, row)
    else if (rows instanceof Set) rows.add(row)
    else if (rows !== row) this.#rows.set(key, new Set([rows, row]))
  }
  /** Forgets former values of a row, unless it has them again. */
  drop(row: Row, former: readonly SqlValue[]): void {
    const key = this.keyOf(former)
    if (key !== this.keyOf(row.values)) this.#delete(key, row)
  }
  remove(row: Row): void {
    this.#delete(this.keyOf(row.values), row)
  }
  #delete(key: IndexKey, row: Row): void {
    const rows = this.#rows.get(key)
    if (rows instanceof Set) {
      rows.delete(row)
      if (rows.size === 0) this.#rows.delete(key)
    } else if (rows === row) this.#rows.delete(key)
  }
}
