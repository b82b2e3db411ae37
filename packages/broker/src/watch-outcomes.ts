import type { Direction, Outcome } from '@clinic-sync/contracts'
import { SyncError } from '@clinic-sync/sync'
import { decodeOutcomes, MAX_MESSAGE_BYTES } from './message.ts'
import { OUTCOMES } from './topology.ts'
import { type Watch, watch, type WatchOptions } from './watching.ts'

export interface WatchOutcomesOptions extends WatchOptions {
  readonly direction: Direction
  /** Gets each batch as it is published. Must not throw. */
  readonly onOutcomes: (outcomes: readonly Outcome[]) => void
}

/** Watches the outcomes of a direction: see `watch`, also for what it throws. */
export function watchOutcomes({ direction, onOutcomes, ...options }: WatchOutcomesOptions): Promise<Watch> {
  return watch({
    ...options,
    what: "the consumers' outcomes",
    bindings: [{ exchange: OUTCOMES, key: `${direction}.#` }],
    onMessage(message) {
      try {
        onOutcomes(decodeOutcomes(message, direction, MAX_MESSAGE_BYTES).outcomes)
      } catch (error) {
        if (!(error instanceof SyncError)) throw error
        options.log.warn({ code: error.code }, 'an outcome message that is not valid was passed over')
      }
    },
  })
}
