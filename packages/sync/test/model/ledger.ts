import type { Value } from '@clinic-sync/contracts'
import type { Values } from '../../src/index.ts'
import { SHARED } from './table.ts'

/** A shared column's value in a record, or undefined where there is no row. */
export type Cell = Value | undefined

export const cellsOf = (row: Values | null): Cell[] => SHARED.map((name) => (row === null ? undefined : row[name]))

/**
 * Who wrote what, and who knew of it, per shared column of one record on one side. The rules never see this: it is what
 * they are judged by. People's writes are numbered, a delete is one of every column; so "has heard of the other side's
 * writes" is one number a column.
 */
export class Ledger {
  /** How many writes of its own people there were. */
  readonly own = SHARED.map(() => 0)
  /** How many of the other side's are accounted for in what stands here. */
  readonly heard = SHARED.map(() => 0)
  /** How many of its own went with a row that the other side deleted. */
  readonly gone = SHARED.map(() => 0)
  /** Before write n (from 1) there was `before[column][n]`. */
  readonly before: Cell[][] = SHARED.map(() => [undefined])

  /** Somebody on this side wrote (or deleted, or inserted) a row. */
  wrote(from: readonly Cell[], to: readonly Cell[]): void {
    SHARED.forEach((_, i) => {
      if (from[i] === to[i]) return
      this.own[i] = (this.own[i] ?? 0) + 1
      this.before[i]?.push(from[i])
    })
  }

  /** What an event takes along. */
  snapshot(cells: readonly Cell[]): Snapshot {
    return { cells, own: [...this.own], heard: [...this.heard], gone: [...this.gone], before: this.before }
  }
}

export interface Snapshot {
  readonly cells: readonly Cell[]
  readonly own: readonly number[]
  readonly heard: readonly number[]
  readonly gone: readonly number[]
  readonly before: readonly (readonly Cell[])[]
}

const at = (numbers: readonly number[], i: number) => numbers[i] ?? 0

/** Whether the sender wrote to column `i` what a reader who has `heard` so many writes does not know. */
export const isNews = (sent: Snapshot, i: number, heard: number): boolean =>
  at(sent.own, i) > Math.max(heard, at(sent.gone, i))

/** What the sender had in column `i` before the first write that is news to such a reader. */
export const startOf = (sent: Snapshot, i: number, heard: number): Cell =>
  isNews(sent, i, heard) ? sent.before[i]?.[Math.max(heard, at(sent.gone, i)) + 1] : sent.cells[i]
