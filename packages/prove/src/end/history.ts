import type { Ledger } from '../people/ledger.ts'

/** When something happened to a record, and what: names and numbers only. `at` is of `performance.now()`. */
export interface Happening {
  readonly record: string
  readonly at: number
  readonly what: string
}

/** So many of a record's happenings are shown: the last ones. */
const MOST = 40

/** What happened to a record, in order of time: for whoever looks for the cause of a failure. */
export function historyOf(record: string, ledger: Ledger, messages: readonly Happening[], start: number): string[] {
  const edits = ledger.entriesOf(record).map(({ at, side, kind, after }) => ({
    at,
    what: `${side} ${kind} ${kind === 'update' ? Object.keys(after ?? {}).join(', ') : ''}`,
  }))
  return [...edits, ...messages.filter((message) => message.record === record)]
    .sort((a, b) => a.at - b.at)
    .slice(-MOST)
    .map(({ at, what }) => `${((at - start) / 1_000).toFixed(3).padStart(9)} s  ${what}`)
}
