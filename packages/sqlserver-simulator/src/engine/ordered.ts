import type { Row } from './row.ts'

/**
 * Rows in the order of an id that never changes. Adding at the end, and removing anywhere, cost the same however many there are; a row
 * that is gone leaves a hole, and the holes are swept before they outnumber the rows.
 */
export class Ordered {
  readonly #idOf: (row: Row) => bigint
  #ids: bigint[] = []
  #rows: (Row | null)[] = []
  /** Nothing but holes is before this. */
  #head = 0
  #holes = 0

  constructor(idOf: (row: Row) => bigint) {
    this.#idOf = idOf
  }

  get size(): number {
    return this.#rows.length - this.#holes
  }

  /** Those whose id is above `after` (null: all). They may be added and removed meanwhile; what is added may not be met. */
  *above(after: bigint | null): Iterable<Row> {
    this.#sweep()
    const rows = this.#rows
    for (let i = after === null ? this.#head : Math.max(this.#head, this.#place(after + 1n)); i < rows.length; i++) {
      const row = rows[i]
      if (row) yield row
    }
  }

  add(row: Row): void {
    const id = this.#idOf(row)
    const last = this.#ids.at(-1)
    if (last === undefined || last < id) {
      this.#ids.push(id)
      this.#rows.push(row)
      return
    }
    const place = this.#place(id)
    if (this.#ids[place] === id) {
      // Back where it was.
      if (this.#rows[place] === null) this.#holes--
      this.#rows[place] = row
    } else {
      // Whoever is reading goes on with what it has.
      this.#ids = this.#ids.toSpliced(place, 0, id)
      this.#rows = this.#rows.toSpliced(place, 0, row)
    }
    if (place < this.#head) this.#head = place
  }

  remove(row: Row): void {
    const place = this.#place(this.#idOf(row))
    if (this.#rows[place] !== row) return
    this.#rows[place] = null
    this.#holes++
    while (this.#head < this.#rows.length && this.#rows[this.#head] === null) this.#head++
    if (this.#holes === this.#rows.length) this.#clear()
  }

  #clear(): void {
    this.#ids = []
    this.#rows = []
    this.#head = 0
    this.#holes = 0
  }

  #sweep(): void {
    if (this.#holes * 2 <= this.#rows.length) return
    const kept = this.#rows.map((row) => row !== null)
    this.#ids = this.#ids.filter((_, i) => kept[i])
    this.#rows = this.#rows.filter((row) => row !== null)
    this.#head = 0
    this.#holes = 0
  }

  /** The first whose id is not below. */
  #place(id: bigint): number {
    let [low, high] = [0, this.#ids.length]
    while (low < high) {
      const middle = (low + high) >> 1
      if ((this.#ids[middle] as bigint) < id) low = middle + 1
      else high = middle
    }
    return low
  }
}
