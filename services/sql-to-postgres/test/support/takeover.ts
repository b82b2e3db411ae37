import type { Test } from 'tap'
import { until } from '../../../../packages/broker/test/support/helpers.ts'
import { freePort, type Process, runProcess } from './service.ts'

/** A second, so that RabbitMQ lets go of a frozen process after two to three; it is ten by default. */
export const HEARTBEAT = '?heartbeat=1'

export interface Pair {
  /** The two, the active one first. */
  readonly active: Process
  readonly standby: Process
}

const applies = ({ lines }: Process) => lines().filter(({ msg }) => msg === 'batch applied').length

/** Starts a consumer twice, and waits until both consume, of which one is active: that, which `work` gives something to do. */
export async function startPair(
  t: Test,
  main: string,
  settings: Record<string, string>,
  work: () => Promise<void>,
): Promise<Pair> {
  const start = async () => {
    const port = await freePort()
    const process = runProcess(t, main, { ...settings, LOG_LEVEL: 'debug', HEALTH_PORT: String(port) })
    const isReady = () =>
      fetch(`http://127.0.0.1:${port}/readyz`).then(
        ({ ok }) => ok,
        () => false,
      )
    return { process, isReady }
  }
  const both = await Promise.all([start(), start()])
  for (const { isReady } of both) await until('both are ready', isReady)
  await work()
  const [a, b] = [both[0].process, both[1].process]
  // Each partition has an active consumer of its own, and both may have got some.
  return applies(a) >= applies(b) ? { active: a, standby: b } : { active: b, standby: a }
}

/** Milliseconds until `work` is done by whoever is left. */
export async function timed(work: () => Promise<void>): Promise<number> {
  const from = performance.now()
  await work()
  return Math.round(performance.now() - from)
}
