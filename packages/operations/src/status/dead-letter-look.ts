import { type BoxedLetter, browseDeadLetters } from '@clinic-sync/broker'
import { SyncError } from '@clinic-sync/sync'

/** For whoever is at work on them to end. A status waits no longer, and tells what it saw last. */
const WAIT_MS = 3_000
/** A look takes every letter in hand for a moment: while their number is the same, not more often than this. */
const KEPT_MS = 60_000

/**
 * Looks at the dead letters only where it must: not where there are none, nor again and again while they stay as many. Where letters
 * stand and no row has failed any more, their marks are about to change.
 */
export function openDeadLetterLook(url: string): (there: number, failed: number) => Promise<readonly BoxedLetter[]> {
  let seen: { readonly letters: readonly BoxedLetter[]; readonly at: number } | undefined
  return async (there, failed) => {
    if (there === 0) {
      seen = undefined
      return []
    }
    const isDoubtful = failed === 0 && seen?.letters.some(({ supersededBy }) => supersededBy === null)
    if (!isDoubtful && seen?.letters.length === there && performance.now() - seen.at < KEPT_MS) return seen.letters
    try {
      const letters = await browseDeadLetters({ url, waitMs: WAIT_MS, name: 'status' })
      seen = { letters, at: performance.now() }
      return letters
    } catch (error) {
      if (error instanceof SyncError && error.code === 'SYNC_DEAD_LETTERS_BUSY' && seen !== undefined)
        return seen.letters
      throw error
    }
  }
}
