import { setTimeout as delay } from 'node:timers/promises'
import pg from 'pg'
import { EVERYTHING, type Happening } from '../end/history.ts'
import { type Fault, faults } from '../schedule/faults.ts'
import type { Crew } from './crew.ts'

/** How often each kind of fault has happened, and when each did. */
export interface Damage {
  readonly counts: Readonly<Record<Fault['kind'], number>>
  readonly happenings: readonly Happening[]
}

/**
 * Does what the seed has planned, one fault after the other, until `signal` is aborted; then waits until the faults that have
 * begun are over. What is stopped by then is not started again.
 *
 * @param portalUrl as a superuser
 */
export async function wreak(
  { seed, crew, portalUrl }: { readonly seed: number; readonly crew: Crew; readonly portalUrl: string },
  signal: AbortSignal,
): Promise<Damage> {
  const counts = { kill: 0, replace: 0, freeze: 0, cut: 0, stall: 0, deafen: 0 }
  const happenings: Happening[] = []
  const underWay = new Set<Promise<void>>()
  const failures: unknown[] = []
  /** Services that are being killed or replaced: one thing at a time. */
  const busy = new Set<string>()
  const postgres = new pg.Client({ connectionString: portalUrl })
  postgres.on('error', () => undefined)
  await postgres.connect()

  async function happen(fault: Fault): Promise<void> {
    switch (fault.kind) {
      case 'kill':
        await crew.kill(fault.service)
        await delay(fault.downMs)
        if (!crew.isUp(fault.service)) await crew.start(fault.service)
        return
      case 'replace':
        return crew.replace(fault.service)
      case 'freeze':
        return crew.freeze(fault.service, fault.ms)
      case 'cut':
        crew.way(fault.service, fault.server)?.cut(fault.which)
        return
      case 'stall': {
        const way = crew.way(fault.service, fault.server)
        way?.stall()
        await delay(fault.ms)
        way?.resume()
        return
      }
      case 'deafen':
        await postgres.query(
          `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND query ILIKE 'LISTEN %'`,
        )
    }
  }

  function begin(fault: Fault): void {
    const service = 'service' in fault ? fault.service : ''
    const alone = fault.kind === 'kill' || fault.kind === 'replace'
    if (alone && busy.has(service)) return
    if (alone) busy.add(service)
    counts[fault.kind]++
    happenings.push({ record: EVERYTHING, at: performance.now(), what: Object.values(fault).join(' ') })
    const happening = happen(fault)
      .catch((error: unknown) => void failures.push(error))
      .finally(() => alone && busy.delete(service))
    underWay.add(happening)
    void happening.then(() => underWay.delete(happening))
  }

  try {
    for (const { afterMs, fault } of faults(seed)) {
      await delay(afterMs, undefined, { signal }).catch(() => undefined)
      if (signal.aborted) break
      begin(fault)
    }
    await Promise.all(underWay)
    if (failures.length > 0) throw failures[0]
  } finally {
    await postgres.end()
  }
  return { counts, happenings }
}
