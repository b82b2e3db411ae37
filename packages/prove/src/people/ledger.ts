import type { Key, Row, Value } from '@clinic-sync/contracts'
import type { TableName } from '@clinic-sync/mapping'
import type { Side } from '../schedule/schedule.ts'
import type { Subject } from '../schedule/subjects.ts'

/** One record changed by one committed transaction. */
export interface Entry {
  readonly side: Side
  readonly table: TableName
  readonly key: Key
  readonly kind: 'insert' | 'update' | 'delete'
  /** The columns that were written, as they were before (null: there was no row) and as they became (null: deleted). */
  readonly before: Row | null
  readonly after: Row | null
  /**
   * When the database answered the statement, counted over all of the run. The row was held from there to the commit: so
   * for each record on each side this is the order of the commits.
   */
  readonly order: number
  /** `performance.now()` of that answer. */
  readonly at: number
}

export const recordOf = ({ table, key }: { readonly table: string; readonly key: Key }) => `${table}/${key}`

/** What people have made and changed: all that was committed, in order. */
export class Ledger {
  readonly #keys = new Map<string, Key>()
  readonly #subjects = new Map<string, Subject>()
  readonly #entries = new Map<string, Entry[]>()
  #order = 0

  /** The next place in the order of everything. */
  next(): number {
    return ++this.#order
  }

  /** A record of the schedule has been made, under that key. */
  name(subject: Subject, key: Key): void {
    this.#keys.set(subject.name, key)
    this.#subjects.set(recordOf({ table: subject.table, key }), subject)
  }

  /** The key of a record of the schedule; undefined: nobody has made it. */
  keyOf(name: string): Key | undefined {
    return this.#keys.get(name)
  }

  subjectOf(record: string): Subject | undefined {
    return this.#subjects.get(record)
  }

  /** To be called after the commit. */
  write(entries: readonly Entry[]): void {
    for (const entry of entries) {
      const record = recordOf(entry)
      const known = this.#entries.get(record)
      if (known === undefined) this.#entries.set(record, [entry])
      else known.push(entry)
    }
  }

  /** A record's entries of both sides. */
  entriesOf(record: string): readonly Entry[] {
    return (this.#entries.get(record) ?? []).toSorted((a, b) => a.order - b.order)
  }

  records(): readonly string[] {
    return [...new Set([...this.#subjects.keys(), ...this.#entries.keys()])]
  }

  /** The `n`th last value that anybody gave this column, from 1; undefined: there are not that many. */
  oldValue(record: string, column: string, n: number): Value | undefined {
    const values = this.entriesOf(record).flatMap(({ after }) =>
      after !== null && column in after ? [after[column]] : [],
    )
    return values.at(-n) ?? undefined
  }

  count(side: Side): number {
    let count = 0
    for (const entries of this.#entries.values()) for (const entry of entries) if (entry.side === side) count++
    return count
  }
}
