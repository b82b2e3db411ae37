import type { Random } from '@clinic-sync/demo'
import { stream, weighted } from './streams.ts'

export const SERVICES = ['ingress', 'sql-to-postgres', 'postgres-to-sql'] as const
export type Service = (typeof SERVICES)[number]

export type Server = 'clinic' | 'portal' | 'rabbit'

/** The servers that each service talks to. */
export const SERVERS: Readonly<Record<Service, readonly Server[]>> = {
  ingress: ['clinic', 'portal', 'rabbit'],
  'sql-to-postgres': ['portal', 'rabbit'],
  'postgres-to-sql': ['clinic', 'rabbit'],
}

/** What happens to the services. Times in milliseconds. */
export type Fault =
  /** SIGKILL; started again after a while. */
  | { readonly kind: 'kill'; readonly service: Service; readonly downMs: number }
  /** A second one is started beside the first, which is then told to end: as in a deployment. */
  | { readonly kind: 'replace'; readonly service: Service }
  /** Everything stands still for a while, as on a machine that swaps. */
  | { readonly kind: 'freeze'; readonly service: Service; readonly ms: number }
  /** Connections to a server are reset: all, or one of them. */
  | { readonly kind: 'cut'; readonly service: Service; readonly server: Server; readonly which: 'all' | number }
  /** Nothing passes to or from a server for a while. */
  | { readonly kind: 'stall'; readonly service: Service; readonly server: Server; readonly ms: number }
  /** The session that listens for the portal's doorbell is ended by the server. */
  | { readonly kind: 'deafen' }

export interface PlannedFault {
  /** After the fault before it has begun. */
  readonly afterMs: number
  readonly fault: Fault
}

/** All that will ever go wrong, in order, decided by the seed alone. */
export function* faults(seed: number): Generator<PlannedFault, never> {
  const random = stream(seed, 'faults')
  for (;;) yield { afterMs: random.int(150, 2_200), fault: nextFault(random) }
}

function nextFault(random: Random): Fault {
  const service = random.pick(SERVICES)
  const server = random.pick(SERVERS[service])
  return weighted<() => Fault>(random, [
    [6, () => ({ kind: 'kill', service, downMs: random.chance(0.2) ? random.int(1_500, 4_000) : random.int(0, 600) })],
    [2, () => ({ kind: 'replace', service })],
    [2, () => ({ kind: 'freeze', service, ms: random.int(100, 2_500) })],
    [5, () => ({ kind: 'cut', service, server, which: random.chance(0.5) ? 'all' : random.int(0, 9) })],
    [2, () => ({ kind: 'stall', service, server, ms: random.int(100, 2_000) })],
    [3, () => ({ kind: 'deafen' })],
  ])()
}

/** How an ingress hears of changes: each one that is started may have other doorbells. */
export interface Doorbells {
  readonly clinic: 'service-broker' | 'http'
  readonly portal: 'listen' | 'webhook'
}

/** The doorbells of the `n`th ingress. `serviceBroker`: whether the clinic's engine has that doorbell. */
export function doorbellsOf(seed: number, n: number, serviceBroker: boolean): Doorbells {
  const random = stream(seed, 'doorbells', n)
  const [clinic, portal] = [random.chance(0.6), random.chance(0.6)]
  return { clinic: clinic && serviceBroker ? 'service-broker' : 'http', portal: portal ? 'listen' : 'webhook' }
}

/** Whether the `n`th HTTP doorbell is lost on its way. */
export const isDropped = (seed: number, n: number): boolean => stream(seed, 'ring', n).chance(0.25)

/** When the `n`th message is delivered again: after so many milliseconds; `last`: when all else is quiet. */
export function copiesOf(seed: number, n: number): readonly (number | 'last')[] {
  const random = stream(seed, 'copies', n)
  const copy = () =>
    weighted<number | 'last'>(random, [
      [10, 0],
      [10, random.int(1, 300)],
      [8, random.int(300, 8_000)],
      [4, 'last'],
    ])
  return random.chance(0.25) ? Array.from({ length: random.int(1, 3) }, copy) : []
}
