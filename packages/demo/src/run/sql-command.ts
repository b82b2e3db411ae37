import { setTimeout as delay } from 'node:timers/promises'
import { ringIngress } from '@clinic-sync/cli'
import { listenForArrivals } from '../live/arrivals.ts'
import { arrivalLine, NOTHING_ARRIVED, runStatement } from '../live/sql.ts'
import type { Screen } from '../screen.ts'
import { connectClinic } from './clinic-pool.ts'
import { findRunning } from './running.ts'

/** How long to wait for a first arrival, and how long it must be quiet after one. Milliseconds. */
const FIRST = 2_000
const QUIET = 300

/** `npm run demo -- sql "UPDATE …"`: edits the running demo's clinic and shows what arrives. Returns the exit code. */
export async function sqlCommand(screen: Screen, statement: string): Promise<number> {
  const running = await findRunning()
  if (running === undefined) {
    screen.line('No demo is running: start it with `npm run demo` in another terminal.')
    return 1
  }
  const clinic = await connectClinic(running.clinic)
  const arrivals = await listenForArrivals(running.portal, false)
  try {
    let last = performance.now() + FIRST - QUIET
    let seen = 0
    const early: (() => void)[] = []
    let committed: number | undefined
    arrivals.subscribe((arrival) => {
      seen++
      last = arrival.at
      const show = () => screen.line(arrivalLine(screen, arrival, Math.max(0, arrival.at - (committed ?? arrival.at))))
      if (committed === undefined) early.push(show)
      else show()
    })
    committed = await runStatement(screen, clinic, statement, () =>
      ringIngress(running.ingressUrl, running.operatorToken),
    )
    for (const show of early) show()
    if (committed === undefined) return 1
    if (!/^\s*(select|exec)\b/i.test(statement)) {
      while (performance.now() < last + QUIET) await delay(20)
      if (seen === 0) screen.line(screen.faint(NOTHING_ARRIVED))
    }
    return 0
  } finally {
    await Promise.all([clinic.close(), arrivals.close()])
  }
}
