import { Backoff, type Delays } from '@clinic-sync/sync'
import type { FastifyBaseLogger } from 'fastify'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe } from './describe.ts'

const RETRY: Delays = { min: 200, max: 30_000 }

export interface ClinicBell {
  /** Resolves when it rang (`changed`) or a connection was made (`connected`); rejects when the connection is lost. */
  waitForChanges(signal: AbortSignal): Promise<'connected' | 'changed'>
}

export interface ClinicDoorbellOptions {
  readonly clinic: ClinicBell
  /** `urgent`: the clinic has just been reached again, so what waits for a retry need not wait longer. */
  readonly ring: (urgent: boolean) => void
  readonly log: FastifyBaseLogger
  readonly retry?: Delays
}

/**
 * Hears the Service Broker doorbell: one connection waits inside SQL Server, at no cost while nothing happens. Rings at
 * every connection too, since what changed while there was none was not heard. Ends when `signal` is aborted.
 */
export async function hearClinic(options: ClinicDoorbellOptions, signal: AbortSignal): Promise<void> {
  const { clinic, ring, log } = options
  const backoff = new Backoff(options.retry ?? RETRY)
  let lost = false
  while (!signal.aborted) {
    try {
      const why = await clinic.waitForChanges(signal)
      if (signal.aborted) return
      if (lost) log.info("the clinic's doorbell is heard again")
      lost = false
      backoff.reset()
      ring(why === 'connected')
    } catch (error) {
      if (signal.aborted) return
      if (!lost) log.warn(describe(error), "the clinic's doorbell is not heard: connecting again")
      else log.debug(describe(error), "the clinic's doorbell is still not heard")
      lost = true
      await sleep(backoff.next(), undefined, { signal }).catch(() => undefined)
    }
  }
}
