import type { Value } from '@clinic-sync/contracts'
import { type ColumnDifference, differences, type Rehearsed, wouldPass } from '@clinic-sync/operations'

/**
 * What a rehearsal found: the outcome or the error, then the record column by column.
 *
 * @param values print values, which are patients' data, and not only of what kind and length they are.
 */
export function rehearsalLines({ rehearsal, reason, wanted }: Rehearsed, values: boolean): string[] {
  if (rehearsal === null) return [`It cannot be tried: ${reason}.`]
  const head = 'error' in rehearsal ? refusedLine(rehearsal.error.message) : outcomeLine(rehearsal.outcome)
  const found = differences(rehearsal, wanted)
  const row =
    rehearsal.before === null && rehearsal.after === null
      ? 'The target has no such record, before and after.'
      : rehearsal.before === null
        ? 'The record would be new in the target:'
        : rehearsal.after === null
          ? 'The record would be gone from the target:'
          : found.length === 0
            ? 'No column would change.'
            : 'The record in the target, before → after:'
  const shown = values ? literal : kind
  const note = passes({ rehearsal }) ? 'which does not count here' : 'which is not taken'
  const width = Math.max(0, ...found.map(({ column }) => column.length))
  return [head, row, ...found.map((each) => `  ${each.column.padEnd(width)}  ${change(each, shown, note)}`)]
}

function outcomeLine({ outcome, code, reason }: { outcome: string; code?: string; reason?: string }): string {
  const why = [code, reason].filter(Boolean).join(': ')
  if (outcome === 'dead') return refusedLine(why)
  if (outcome === 'retry') return `It would have to wait (${why}): rehearse it again in a moment.`
  return `It would go through now: ${outcome}${why === '' ? '' : ` (${why})`}.`
}

const refusedLine = (why: string) => `It would be refused again: ${why.replace(/[.]?$/, '.')}`

function change(
  { before, after, kept }: ColumnDifference,
  shown: (value: Value | undefined) => string,
  note: string,
): string {
  const arrow = before === after ? `${shown(before)}, stays` : `${shown(before)} → ${shown(after)}`
  return kept ? `${arrow} (the event has another value, ${note})` : arrow
}

/** What a value is, without saying it. */
function kind(value: Value | undefined): string {
  if (value === undefined) return '–'
  if (value === null) return 'NULL'
  if (typeof value === 'string') return `text of ${value.length}`
  return typeof value
}

const literal = (value: Value | undefined): string => (value === undefined ? '–' : JSON.stringify(value))

/** One line for a letter of many. */
export function shortLine(rehearsed: Rehearsed): string {
  const { letter } = rehearsed.judged
  const record = letter.about === null ? '' : ` ${letter.about.table}/${letter.about.key}`
  return `${letter.id}${record}: ${rehearsalLines(rehearsed, false)[0] ?? ''}`
}

export const passes = ({ rehearsal }: Pick<Rehearsed, 'rehearsal'>): boolean =>
  rehearsal !== null && wouldPass(rehearsal)
