import type { Change, Side } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'

/** How often an event may be taken in a row: an operator who requeues meanwhile makes rows pending again, once. */
const AGAIN = 2

/**
 * Notices an outbox in which what was queued is pending again, over and over: a run would go on for ever. Told of the takes from the
 * start alone: by the next of these, all that was taken before is settled. Of a page taken ahead that is not so, and what stands in one
 * and does not move on comes in the next take from the start.
 */
export class Repeats {
  readonly #side: Side
  #times = new Map<string, number>()

  constructor(side: Side) {
    this.#side = side
  }

  /** @throws SyncError SYNC_DATABASE */
  note(changes: readonly Pick<Change, 'table' | 'key' | 'version'>[]): void {
    const times = new Map<string, number>()
    for (const { table, key, version } of changes) {
      const event = `${table}/${key}/${version}`
      const before = this.#times.get(event) ?? 0
      if (before >= AGAIN)
        throw new SyncError(
          'SYNC_DATABASE',
          `The ${this.#side}'s outbox does not move on: what was queued is pending again.`,
        )
      times.set(event, before + 1)
    }
    this.#times = times
  }
}
