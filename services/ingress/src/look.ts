import { Backoff, type Delays, SyncError } from '@clinic-sync/sync'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Outbox } from './empty-outbox.ts'

const RETRY: Delays = { min: 200, max: 30_000 }

export interface LookOptions {
  readonly signal: AbortSignal
  /** Whoever leads finds out by himself. */
  readonly isEnough: () => boolean
  readonly onFatal: (error: SyncError) => void
}

/**
 * Says at once if a database is not migrated, with or without RabbitMQ. If it is down, whoever leads finds out when it is back;
 * who does not looks again, for /readyz.
 */
export async function lookUntilThere(outbox: Outbox, { signal, isEnough, onFatal }: LookOptions): Promise<void> {
  const backoff = new Backoff(RETRY)
  for (;;) {
    try {
      return await outbox.check()
    } catch (error) {
      if (error instanceof SyncError && error.code === 'SYNC_NOT_MIGRATED') return onFatal(error)
    }
    await sleep(backoff.next(), undefined, { signal }).catch(() => undefined)
    if (signal.aborted || isEnough()) return
  }
}
