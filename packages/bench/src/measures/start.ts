import type { Figure, Measure } from '../measure.ts'
import { SERVICES } from '../stage/crew.ts'
import { filled } from '../stage/filled.ts'
import { MODES, inMode } from '../stage/mode.ts'
import { purge } from './outboxes.ts'

const TIMES = 5

/** Each service by itself, as built, with nothing to do: from its process's start until /readyz says that it has all it needs. */
export const start: Measure = {
  name: 'start',
  when: 'once',
  prepare: (stage, scale) => filled(stage, scale),
  async run(stage): Promise<Figure[]> {
    const { crew } = stage
    await inMode(stage, 'default')
    await purge(stage)
    await crew.stopAll()
    const figures: Figure[] = []
    for (let i = 0; i < TIMES; i++)
      for (const service of SERVICES) {
        const bells = { CLINIC_DOORBELL: MODES.default.clinic, PORTAL_DOORBELL: MODES.default.portal }
        const value = await crew.start(service, service === 'ingress' ? bells : {})
        figures.push({ name: `start: ${service}`, unit: 'ms', better: 'less', value })
        await crew.stop(service)
      }
    await inMode(stage, 'default')
    return figures
  },
}
