import type { BoxedLetter } from '@clinic-sync/broker'
import { TABLE_NAMES } from '@clinic-sync/mapping'

/** How many go in each step; then always as many as in the last. A first failure is met with few on their way. */
const LADDER = [1, 2, 5, 10, 20, 50, 100, 200]
/** Bodies in the memory at a time. */
const MAX_BYTES = 32 * 1024 * 1024

/** Cuts letters into steps. */
export function* steps<T extends { readonly letter: BoxedLetter }>(
  letters: readonly T[],
  ladder: readonly number[] = LADDER,
): Generator<readonly T[]> {
  for (let at = 0, step = 0; at < letters.length; step++) {
    const count = ladder[Math.min(step, ladder.length - 1)] ?? 1
    let end = at
    for (let bytes = 0; end < letters.length && end - at < count; end++) {
      bytes += letters[end]?.letter.bytes ?? 0
      if (end > at && bytes > MAX_BYTES) break
    }
    yield letters.slice(at, end)
    at = end
  }
}

/** Many at a time, for what needs no answer. */
export const portions = <T extends { readonly letter: BoxedLetter }>(letters: readonly T[]) => steps(letters, [200])

const rank = new Map<string, number>(TABLE_NAMES.map((name, index) => [name, index]))

/** Parents before what refers to them; what is of one table stays in its order, and so do a record's versions. */
export const parentsFirst = <T extends { readonly letter: BoxedLetter }>(letters: readonly T[]): readonly T[] =>
  letters.toSorted(
    (a, b) => (rank.get(a.letter.about?.table ?? '') ?? -1) - (rank.get(b.letter.about?.table ?? '') ?? -1),
  )
