import { SERVERS, SERVICES } from '@clinic-sync/prove/parts'
import type { Random } from '@clinic-sync/demo'
import type { Fault } from '../fault.ts'
import type { Ground } from '../ground/ground.ts'

function anyWay({ crew }: Ground, random: Random) {
  const service = random.pick(SERVICES)
  return crew.way(service, random.pick(SERVERS[service]))
}

export const cut: Fault = {
  name: 'cut',
  about: 'all connections of a service to a server are reset, three times',
  lastsMs: [0, 0],
  async inject(ground, random) {
    const way = anyWay(ground, random)
    for (let i = 0; i < 3; i++) {
      way.cut('all')
      await new Promise((resolve) => setTimeout(resolve, random.int(50, 400)))
    }
    return async () => undefined
  },
}

export const NETWORK_FAULTS: readonly Fault[] = [cut]
