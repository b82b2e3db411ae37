import { setTimeout as delay } from 'node:timers/promises'
import { type Service, SERVICES } from '@clinic-sync/prove/parts'
import type { Fault } from '../fault.ts'
import type { Ground } from '../ground/ground.ts'

/** SIGKILL of any process at any time; it is started again as an orchestrator does. */
const kill: Fault = {
  name: 'kill',
  about: 'SIGKILL of a service, at random; started again after up to a second',
  lastsMs: [0, 1_000],
  async inject({ crew }, random) {
    const service = random.pick(SERVICES)
    await Promise.all(crew.of(service).map((member) => crew.kill(member)))
    return () => crew.startMissing()
  },
}

const killAll: Fault = {
  name: 'kill-all',
  about: 'SIGKILL of all services at once, as a machine without power',
  lastsMs: [0, 2_000],
  async inject({ crew }) {
    await Promise.all(crew.all.map((member) => crew.kill(member)))
    return () => crew.startMissing()
  },
}

const freeze: Fault = {
  name: 'freeze',
  about: 'SIGSTOP of a service for 20 s, as on a machine that swaps',
  lastsMs: [20_000, 20_000],
  async inject({ crew }, random) {
    const frozen = crew.of(random.pick(SERVICES))
    for (const { child } of frozen) child.signal('SIGSTOP')
    return async () => {
      for (const { child } of frozen) child.signal('SIGCONT')
    }
  },
}

const fullLoop: Fault = {
  name: 'full-loop',
  about: 'the event loop of every service stands still for 5 s: no heartbeat, no answer',
  lastsMs: [5_000, 5_500],
  async inject({ crew }) {
    for (const { child } of crew.all) child.signal('SIGWINCH')
    return async () => undefined
  },
}

/** How long a step is waited for; a canary flies meanwhile, so that there is something to do. */
const STEP_MS = 45_000

/** A service that kills itself at a step, with something in its hands. */
const killAt = (step: string, services: readonly Service[], about: string): Fault => ({
  name: `kill-${step}`,
  about: `SIGKILL of ${services.length > 1 ? 'a consumer' : 'the ingress'} ${about}`,
  lastsMs: [0, 500],
  async inject(ground, random) {
    const { crew } = ground
    const service = random.pick(services)
    await Promise.all(crew.of(service).map((member) => crew.kill(member)))
    const { child } = await crew.start(service, { step })
    void ground.canaries.fly(STEP_MS)
    const over = new AbortController()
    const reached = await Promise.race([
      child.ended.then(() => true),
      delay(STEP_MS, false, { signal: over.signal }).catch(() => false),
    ])
    over.abort()
    if (!reached) {
      ground.troubles.push(`${service} never came to the step ${step}`)
      await child.stop()
    }
    return () => crew.startMissing()
  },
})

const CONSUMERS: readonly Service[] = ['sql-to-postgres', 'postgres-to-sql']
const INGRESS: readonly Service[] = ['ingress']

const steps: readonly Fault[] = [
  killAt('received', CONSUMERS, 'with a batch received, and not applied'),
  killAt('applied', CONSUMERS, 'with a batch applied, and not reported'),
  killAt('outcomes-published', CONSUMERS, 'with a batch reported, and not acknowledged'),
  killAt('acked', CONSUMERS, 'just after an acknowledgement'),
  killAt('taken', INGRESS, 'with changes taken, and not published'),
  killAt('published', INGRESS, 'with events confirmed, and not marked as sent'),
  killAt('settled', INGRESS, 'just after events were marked as sent'),
  killAt('outcome-received', INGRESS, 'with outcomes received, and not settled'),
  killAt('outcome-settled', INGRESS, 'with outcomes settled, and not acknowledged'),
]

/** A second one of each beside the first. */
async function secondOfEach({ crew }: Ground): Promise<() => Promise<void>> {
  const first = crew.all
  const young = await Promise.all(SERVICES.map((service) => crew.start(service)))
  await Promise.all(young.map((member) => crew.ready(member)))
  return async () => {
    await Promise.all(first.map((member) => crew.kill(member)))
  }
}

const takeOver: Fault = {
  name: 'take-over',
  about: 'with two of everything, the first of each dies by SIGKILL; nobody starts it again',
  lastsMs: [0, 0],
  async inject(ground) {
    const killFirst = await secondOfEach(ground)
    await delay(2_000)
    await killFirst()
    return async () => undefined
  },
}

/** How long things may stand still until whoever stands by has taken over from one that hangs. */
const HANGS_MS = 60_000

const standBy: Fault = {
  name: 'stand-by',
  about:
    'with two of everything, the first of each hangs (SIGSTOP) for 60 s: the second takes over meanwhile, and the return does no harm',
  lastsMs: [0, 0],
  alone: true,
  async inject(ground) {
    const { crew, canaries, troubles } = ground
    const first = crew.all
    await secondOfEach(ground)
    for (const { child } of first) child.signal('SIGSTOP')
    const started = performance.now()
    const flight = await canaries.fly(HANGS_MS)
    for (const [way, ms] of Object.entries(flight))
      if (ms === null)
        troubles.push(`with the first of each hanging, nobody took over ${way} within ${HANGS_MS / 1_000} s`)
    await delay(Math.max(0, HANGS_MS - (performance.now() - started)))
    return async () => {
      for (const { child } of first) child.signal('SIGCONT')
      await delay(3_000)
      await crew.oneOfEach()
    }
  },
}

export const PROCESS_FAULTS: readonly Fault[] = [kill, killAll, ...steps, fullLoop, freeze, takeOver, standBy]
