import { hashKey } from '../values/compare.ts'
import type { SqlValue } from '../values/types.ts'
import type { ColumnDefinition } from './definition.ts'
import type { Row } from './row.ts'

/**
 * Finds rows by the values of some columns. A row stays findable by its former values until the change is committed,
 * since whoever looks for these must wait for the outcome: so check what is found against `matches`.
 */
export class Index {
  readonly ordinals: readonly number[]
  readonly #columns: readonly ColumnDefinition[]
  readonly #rows = new Map<string, Set<Row>>()

  constructor(ordinals: readonly number[], columns: readonly ColumnDefinition[]) {
    this.ordinals = ordinals
    this.#columns = ordinals.map((o) => columns[o] as ColumnDefinition)
  }

  #key(values: readonly SqlValue[]): string {
    let key = ''
    for (let i = 0; i < values.length; i++) {
      const hash = hashKey(values[i] ?? null, (this.#columns[i] as ColumnDefinition).type)
      key += hash === null ? '\u0002' : `${String(hash)}\u0001`
    }
    return key
  }
  keyOf(row: readonly SqlValue[]): string {
    return this.#key(this.ordinals.map((o) => row[o] ?? null))
  }

  find(values: readonly SqlValue[]): readonly Row[] {
    const rows = this.#rows.get(this.#key(values))
    return rows === undefined ? [] : [...rows]
  }
  /** Whether the row has these values now. */
  matches(row: Row, values: readonly SqlValue[]): boolean {
    return this.keyOf(row.values) === this.#key(values)
  }

  add(row: Row): void {
    const key = this.keyOf(row.values)
    const rows = this.#rows.get(key)
    if (rows === undefined) this.#rows.set(key, new Set([row]))
    else rows.add(row)
  }
  /** Forgets former values of a row, unless it has them again. */
  drop(row: Row, former: readonly SqlValue[]): void {
    const key = this.keyOf(former)
    if (key !== this.keyOf(row.values)) this.#delete(key, row)
  }
  remove(row: Row): void {
    this.#delete(this.keyOf(row.values), row)
  }
  #delete(key: string, row: Row): void {
    const rows = this.#rows.get(key)
    rows?.delete(row)
    if (rows?.size === 0) this.#rows.delete(key)
  }
}
