import type { SyncError } from '@clinic-sync/sync'
import type { Outbox } from './empty-outbox.ts'

/** Told of each use of the database: null when it answered. */
export type Observer = (error: unknown) => void

export interface Watched extends Outbox {
  /** Any other use of the same database. */
  use<T>(work: () => Promise<T>): Promise<T>
}

/**
 * The outbox, checked before its first use, with every answer and failure reported: readiness is known from the
 * work itself, and costs no query of its own.
 *
 * @throws SyncError SYNC_NOT_MIGRATED from whatever is called first, where the schema `sync` is missing.
 */
export function watchOutbox(outbox: Outbox, observe: Observer): Watched {
  let checked: Promise<void> | undefined

  async function use<T>(work: () => Promise<T>): Promise<T> {
    try {
      checked ??= outbox.check()
      await checked.catch((error: SyncError) => {
        checked = undefined
        throw error
      })
      const answer = await work()
      observe(null)
      return answer
    } catch (error) {
      observe(error)
      throw error
    }
  }

  return {
    side: outbox.side,
    use,
    check() {
      // Whoever asks wants to know now, not what was found at the first use.
      checked = undefined
      return use(async () => undefined)
    },
    takeChanges: (max) => use(() => outbox.takeChanges(max)),
    settleChanges: (settlements) => use(() => outbox.settleChanges(settlements)),
  }
}
