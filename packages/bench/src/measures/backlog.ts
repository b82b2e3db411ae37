import { changeNotes, editNotes, growNotes } from '../load/notes.ts'
import { extentOf } from '../load/clinic.ts'
import type { Figure, Measure } from '../measure.ts'
import { filled } from '../stage/filled.ts'
import { inMode } from '../stage/mode.ts'
import { peakMemory } from '../stage/process.ts'
import type { Stage } from '../stage/stage.ts'
import { percentile } from '../statistics.ts'
import { purge, type Side } from './outboxes.ts'
import { drained, queued } from './sustained.ts'

/** The small ones last a second or two: several times, so that there is a median. Changes that are enough for one figure. */
const ENOUGH = 50_000
const MOST = 5
/** Changes before those that count, whatever the size: a service that has just been started takes twice as long for each. */
const WARM_UP = 20_000

/**
 * So many notes changed, each once, and none of it sent yet; then as `sustained`, and the memory of each service at its highest. The
 * services are started anew for each size, and warmed up. The portal's outbox with the smallest and the largest.
 */
export const backlog: Measure = {
  name: 'backlog',
  when: 'once',
  prepare: (stage, scale) => filled(stage, scale),
  async run(stage, scale): Promise<Figure[]> {
    const sizes = scale.backlogs
    const after = extentOf(scale.clinicChanges).notes
    await growNotes(stage, after + Math.max(...sizes))
    const figures: Figure[] = []
    for (const side of ['clinic', 'portal'] as const) {
      const rates: number[][] = []
      for (const size of side === 'clinic' ? sizes : [...new Set([sizes[0], sizes.at(-1)])]) {
        if (size === undefined) continue
        const found = await ofSize(stage, side, after, size, Math.min(WARM_UP, Math.max(...sizes)))
        rates.push(found.filter(({ unit }) => unit === 'changes/s').map(({ value }) => value))
        figures.push(...found, besideTheSmallest(side, size, rates))
      }
    }
    await inMode(stage, 'default')
    return figures
  },
}

const nameOf = (side: Side, size: number) =>
  `${side} → ${side === 'clinic' ? 'portal' : 'clinic'}, backlog of ${size.toLocaleString('en')}`

function besideTheSmallest(side: Side, size: number, rates: readonly (readonly number[])[]): Figure {
  const [smallest, this_] = [rates[0], rates.at(-1)].map((values) => percentile(values ?? [], 50))
  return {
    name: `${nameOf(side, size)}: rate beside the smallest`,
    unit: '×',
    better: 'more',
    value: (this_ ?? Number.NaN) / (smallest ?? Number.NaN),
  }
}

async function ofSize(stage: Stage, side: Side, after: number, size: number, warmUp: number): Promise<Figure[]> {
  const { crew } = stage
  await crew.stopAll()
  await inMode(stage, 'by hand')
  await drainedNotes(stage, side, after, warmUp)
  const figures: Figure[] = []
  for (let i = 0; i < Math.min(MOST, Math.max(1, Math.floor(ENOUGH / size))); i++) {
    const { result, peaks } = await drainedNotes(stage, side, after, size)
    const name = nameOf(side, size)
    figures.push({ name, unit: 'changes/s', better: 'more', value: result })
    for (const [service, value] of peaks)
      figures.push({ name: `${name}: memory of ${service}`, unit: 'MB', better: 'less', value })
  }
  return figures
}

async function drainedNotes(stage: Stage, side: Side, after: number, size: number) {
  await purge(stage)
  await queued(stage, side, size, () =>
    side === 'clinic' ? changeNotes(stage.clinic, after, size) : editNotes(stage, after, size),
  )
  const found = await peakMemory(stage.crew, () => drained(stage, side, size))
  await purge(stage)
  return found
}
