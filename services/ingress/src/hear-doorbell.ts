import type { Side } from '@clinic-sync/contracts'
import { Backoff, type Delays, type Doorbell } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe } from './describe.ts'

const RETRY: Delays = { min: 200, max: 30_000 }

export interface HearDoorbellOptions {
  readonly side: Side
  readonly doorbell: Doorbell
  /** `urgent`: the side has just been reached again, so what waits for a retry need not wait longer. */
  readonly ring: (urgent: boolean) => void
  /** Told of each wait's end: null when it was connected or rang, else why the doorbell is not heard. */
  readonly onHeard?: (error: unknown) => void
  readonly log: FastifyBaseLogger
  readonly retry?: Delays
}

/**
 * Hears a side's doorbell on one connection, at no cost while nothing happens: Service Broker in the clinic, LISTEN in the
 * portal. Rings at every connection too, once it listens, since what changed while there was none was not heard. Ends when
 * `signal` is aborted.
 */
export async function hearDoorbell(options: HearDoorbellOptions, signal: AbortSignal): Promise<void> {
  const { side, doorbell, ring, onHeard, log } = options
  const backoff = new Backoff(options.retry ?? RETRY)
  /** Code of the failure that keeps it from being heard. */
  let lost: string | undefined
  while (!signal.aborted) {
    try {
      const why = await doorbell.waitForChanges(signal)
      // Service Broker has given the ring to this connection: nobody else will hear it.
      if (signal.aborted && why === 'changed') ring(false)
      if (signal.aborted) return
      if (lost !== undefined) log.info(`the ${side}'s doorbell is heard again`)
      lost = undefined
      backoff.reset()
      onHeard?.(null)
      ring(why === 'connected')
    } catch (error) {
      if (signal.aborted) return
      const what = describe(error)
      const code = String(what['number'] ?? what['code'])
      if (lost !== code) log.warn(what, `the ${side}'s doorbell is not heard: connecting again`)
      else log.debug(what, `the ${side}'s doorbell is still not heard`)
      lost = code
      onHeard?.(error)
      await sleep(backoff.next(), undefined, { signal }).catch(() => undefined)
    }
  }
}
