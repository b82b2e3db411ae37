import type { Key, Row } from '@clinic-sync/contracts'
import type { Table } from '@clinic-sync/mapping'
import { DatabaseError, type KeyedRow } from '@clinic-sync/sync'
import type { Readable } from '../rows.ts'
import { type Patiently } from './patiently.ts'

/** Rows a page at most. Two of a side are in memory at a time: the one that is compared and the next. */
export const PAGE = 500
/** Characters of texts without a limit that a page is to have, by what the one before had. */
const CHARACTERS = 1_000_000
/** The first page of a table that has such texts. */
const FIRST = 100

/** One side's rows of a table in key order; the next page is read while this one is compared. */
export class Pages {
  readonly #read: (after: Key | null, max: number) => Promise<readonly KeyedRow[]>
  readonly #unbounded: readonly string[]
  readonly #most: number
  #size: number
  #page: readonly KeyedRow[] = []
  #at = 0
  #next: Promise<readonly KeyedRow[]> | null
  #ended = false

  constructor(side: Readable, table: Table, patiently: Patiently, most: number) {
    this.#read = (after, max) =>
      patiently(() => side.readRows(table.name, after, max)).catch((error: unknown) => held(error, table))
    this.#unbounded = table.columns.flatMap(({ name, type, portalType }) =>
      type === 'text' && portalType === 'text' ? [name] : [],
    )
    this.#most = most
    this.#size = this.#unbounded.length === 0 ? most : Math.min(most, FIRST)
    this.#next = this.#ahead(null)
  }

  /** The row that comes next; undefined: this page is at its end. */
  get row(): KeyedRow | undefined {
    return this.#page[this.#at]
  }

  /** There is none any more, and no page behind this one. */
  get isOver(): boolean {
    return this.#ended
  }

  skip(): void {
    this.#at++
  }

  /** Goes on to the next page where this one is at its end. @throws DatabaseError */
  async ready(): Promise<void> {
    if (this.#ended || this.row !== undefined || this.#next === null) return
    const page = await this.#next
    const last = page.at(-1)
    this.#page = page
    this.#at = 0
    this.#next = null
    if (last === undefined) {
      this.#ended = true
      return
    }
    this.#size = this.#sizeAfter(page)
    this.#next = this.#ahead(last.key)
  }

  #ahead(after: Key | null): Promise<readonly KeyedRow[]> {
    const page = this.#read(after, this.#size)
    // It is told when it is waited for, which may be never.
    page.catch(() => undefined)
    return page
  }

  #sizeAfter(page: readonly KeyedRow[]): number {
    if (this.#unbounded.length === 0) return this.#most
    const characters = page.reduce((sum, { row }) => sum + lengthOf(row, this.#unbounded), 0)
    const fitting = Math.floor((page.length * CHARACTERS) / Math.max(1, characters))
    return Math.max(1, Math.min(this.#most, fitting, 4 * this.#size))
  }
}

/** It goes on failing for a reason that should pass: nobody but who works there can end it. */
function held(error: unknown, { name }: Table): never {
  if (!(error instanceof DatabaseError) || error.failure !== 'transient') throw error
  const why = `${name} cannot be read to its end, as where somebody's open transaction holds one of its rows: ${error.message}`
  throw new DatabaseError('transient', why, { code: error.code, number: error.number, cause: error })
}

const lengthOf = (row: Row, columns: readonly string[]): number =>
  columns.reduce((sum, name) => {
    const value = row[name]
    return sum + (typeof value === 'string' ? value.length : 0)
  }, 0)
