import { setTimeout as delay } from 'node:timers/promises'
import type { Proxy } from '@clinic-sync/dev-services/proxy'
import type { Random } from '@clinic-sync/demo'
import type { Fault } from '../fault.ts'
import type { Ground } from '../ground/ground.ts'

/** One way between a service and a server, or all of them. */
function someWays({ crew }: Ground, random: Random): readonly Proxy[] {
  const all = crew.ways.map(([, way]) => way)
  return random.chance(0.3) ? all : [random.pick(all)]
}

const resume = (ways: readonly Proxy[]) => async () => {
  for (const way of ways) way.resume()
}

const cut: Fault = {
  name: 'cut',
  about: 'the connections between services and servers are reset, three times',
  lastsMs: [0, 0],
  async inject(ground, random) {
    const ways = someWays(ground, random)
    for (let i = 0; i < 3; i++) {
      for (const way of ways) way.cut(random.chance(0.7) ? 'all' : random.int(0, 9))
      await delay(random.int(50, 600))
    }
    return async () => undefined
  },
}

const stall: Fault = {
  name: 'stall',
  about: 'nothing passes between services and servers for a while; then all of it arrives',
  lastsMs: [2_000, 12_000],
  async inject(ground, random) {
    const ways = someWays(ground, random)
    for (const way of ways) way.stall()
    return resume(ways)
  },
}

const slow: Fault = {
  name: 'slow',
  about: 'everything between services and servers takes 200 ms to 800 ms, each way',
  lastsMs: [5_000, 10_000],
  async inject(ground, random) {
    const ways = someWays(ground, random)
    for (const way of ways) way.delay(random.int(200, 800))
    return resume(ways)
  },
}

/** 30 s to notice, and a connection to be made on a machine that is busy. */
const NOTICED_MS = 45_000

const halfOpen: Fault = {
  name: 'half-open',
  about:
    'what is sent on every connection vanishes, without a reset; the connections stay dead when the network is back',
  lastsMs: [1_000, 3_000],
  withinMs: NOTICED_MS,
  async inject({ crew }) {
    const ways = crew.ways.map(([, way]) => way)
    for (const way of ways) way.vanish()
    return resume(ways)
  },
}

const gone: Fault = {
  name: 'gone',
  about: 'one way between a service and a server swallows everything for 35 s, new connections too',
  lastsMs: [35_000, 35_000],
  withinMs: NOTICED_MS,
  async inject({ crew }, random) {
    const [, way] = random.pick(crew.ways)
    way.vanish()
    return resume([way])
  },
}

export const NETWORK_FAULTS: readonly Fault[] = [cut, slow, stall, halfOpen, gone]
