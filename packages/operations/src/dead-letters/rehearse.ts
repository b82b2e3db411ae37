import { contentOf, type DeadLetterBox } from '@clinic-sync/broker'
import { directionFrom, type Direction, type Row, type SyncEvent, type Value } from '@clinic-sync/contracts'
import { type Operable, type Rehearsal, SyncError } from '@clinic-sync/sync'
import type { JudgedLetter } from './letter.ts'
import { portions } from './steps.ts'

export interface RehearsePorts {
  readonly box: Pick<DeadLetterBox, 'take'>
  /** What an event of this direction would do to its target. */
  readonly rehearse: (direction: Direction, event: SyncEvent) => ReturnType<Operable['rehearse']>
}

export interface Rehearsed {
  readonly judged: JudgedLetter
  /** Null: it is no event of ours; `reason` says why. */
  readonly rehearsal: Rehearsal | null
  readonly reason: string | null
  /** What its source wanted the record to be; null: gone. */
  readonly wanted: Row | null
}

/**
 * Tries letters on their targets, one after the other, each in a transaction that is rolled back. None is changed or removed.
 *
 * @throws DatabaseError where a target cannot be used at all; SyncError SYNC_BROKER_DOWN.
 */
export async function* rehearseLetters(
  ports: RehearsePorts,
  letters: readonly JudgedLetter[],
): AsyncGenerator<Rehearsed> {
  for (const portion of portions(letters)) {
    const judged = new Map(portion.map((each) => [each.letter, each]))
    for (const opened of await ports.box.take(portion.map(({ letter }) => letter))) {
      const its = judged.get(opened.letter)
      if (its === undefined) continue
      try {
        const content = contentOf(opened)
        if (!('event' in content)) throw new SyncError('SYNC_BAD_MESSAGE', 'it holds outcomes, no event')
        const { event } = content
        const rehearsal = await ports.rehearse(directionFrom(event.source), event)
        yield { judged: its, rehearsal, reason: null, wanted: event.data.row }
      } catch (error) {
        if (!(error instanceof SyncError) || error.code !== 'SYNC_BAD_MESSAGE') throw error
        yield { judged: its, rehearsal: null, reason: error.message, wanted: null }
      }
    }
  }
}

/** Whether a rehearsal says that the event would go through. */
export const wouldPass = (rehearsal: Rehearsal): boolean =>
  'outcome' in rehearsal && rehearsal.outcome.outcome !== 'dead' && rehearsal.outcome.outcome !== 'retry'

/** A column as it would change. Values are patients' data: for the operator's eyes only, where they ask for them. */
export interface ColumnDifference {
  readonly column: string
  readonly before: Value | undefined
  readonly after: Value | undefined
  /** The event has another value than the target would have afterwards. */
  readonly kept: boolean
}

/** Columns that the event would change, or that the target would keep although the event has another value. */
export function differences({ before, after }: Rehearsal, wanted: Row | null): ColumnDifference[] {
  const columns = new Set([before, after, wanted].flatMap((row) => Object.keys(row ?? {})))
  return Array.from(columns, (column) => ({
    column,
    before: before?.[column],
    after: after?.[column],
    kept: after !== null && wanted !== null && wanted[column] !== after[column],
  })).filter(({ before: was, after: is, kept }) => was !== is || kept)
}
