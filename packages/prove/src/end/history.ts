import type { Ledger } from '../people/ledger.ts'

/** When something happened to a record, and what: names and numbers only. `at` is of `performance.now()`. */
export interface Happening {
  readonly record: string
  readonly at: number
  readonly what: string
}

/** In place of a record: what happens to all of them. */
export const EVERYTHING = '*'

/** So many of a record's happenings are shown: the last ones. */
const MOST = 60

/** What happened to a record, in order of time: for whoever looks for the cause of a failure. */
export function historyOf(record: string, ledger: Ledger, happenings: readonly Happening[], start: number): string[] {
  const edits = ledger.entriesOf(record).map(({ at, side, kind, after }) => ({
    at,
    what: `${side} ${kind} ${kind === 'update' ? Object.keys(after ?? {}).join(', ') : ''}`,
  }))
  const own = [...edits, ...happenings.filter((happening) => happening.record === record)]
  const from = Math.min(...own.map(({ at }) => at))
  return [...own, ...happenings.filter((happening) => happening.record === EVERYTHING && happening.at >= from)]
    .sort((a, b) => a.at - b.at)
    .slice(-MOST)
    .map(({ at, what }) => `${((at - start) / 1_000).toFixed(3).padStart(9)} s  ${what}`)
}
