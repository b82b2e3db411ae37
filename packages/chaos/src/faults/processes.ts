import { SERVICES } from '@clinic-sync/prove/parts'
import type { Fault } from '../fault.ts'

/** SIGKILL of any process at any time; it is started again as an orchestrator does. */
export const kill: Fault = {
  name: 'kill',
  about: 'SIGKILL of a service, at random; started again after up to a second',
  lastsMs: [0, 1_000],
  async inject({ crew }, random) {
    const service = random.pick(SERVICES)
    await Promise.all(crew.of(service).map((member) => crew.kill(member)))
    return () => crew.everybodyUp()
  },
}

export const PROCESS_FAULTS: readonly Fault[] = [kill]
