import type { SyncError } from '@clinic-sync/sync'
import type { Outbox } from './empty-outbox.ts'
import type { RestoreWatch } from './restored.ts'

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

  /** That nothing is applied to it until a restore is repaired says nothing of its outbox. */
  const answers = () =>
    outbox.check().catch((error: SyncError) => {
      if (error.code !== 'SYNC_RESTORED') throw error
    })

  async function use<T>(work: () => Promise<T>): Promise<T> {
    try {
      checked ??= answers()
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
    takeChanges: (max, after) => use(() => outbox.takeChanges(max, after)),
    settleChanges: (settlements) => use(() => outbox.settleChanges(settlements)),
  }
}

/** The same outbox, which gives nothing to publish while a database that was restored from a backup is not repaired. */
export const guarded = (outbox: Watched, watch: Pick<RestoreWatch, 'guard' | 'note'>): Watched => ({
  ...outbox,
  async takeChanges(max, after) {
    await watch.guard(outbox.side)
    const taken = await outbox.takeChanges(max, after)
    // The connection on which it was taken may be the first to a database that was restored just now.
    await watch.guard(outbox.side)
    for (const { version } of taken.changes) watch.note(outbox.side, version)
    return taken
  },
})
