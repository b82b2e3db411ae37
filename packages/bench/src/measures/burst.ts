import { setTimeout as sleep } from 'node:timers/promises'
import { People } from '../load/people.ts'
import type { Figure, Measure } from '../measure.ts'
import { filled } from '../stage/filled.ts'
import { inMode } from '../stage/mode.ts'
import type { Stage } from '../stage/stage.ts'
import { type OnWritten, watchClinic, watchPortal } from '../stage/visible.ts'
import { purge, type Side } from './outboxes.ts'

/** How often in a round. */
const TIMES = 3
/** How long the last row may take, milliseconds. */
const PATIENCE = 30_000

/** So many notes in one statement, with the doorbells as installed: from its commit until the last is visible. As `latency` has it. */
export const burst: Measure = {
  name: 'burst',
  when: 'each',
  async prepare(stage, scale) {
    await filled(stage, scale)
    await inMode(stage, 'default')
    for (const side of ['clinic', 'portal'] as const) await once(stage, side, scale.burstRows)
  },
  async run(stage, { burstRows }) {
    await inMode(stage, 'default')
    const figures: Figure[] = []
    for (let i = 0; i < TIMES; i++)
      for (const side of ['clinic', 'portal'] as const)
        figures.push({
          name: `${side} → ${side === 'clinic' ? 'portal' : 'clinic'}, burst`,
          unit: 'ms',
          better: 'less',
          value: await once(stage, side, burstRows),
        })
    return figures
  },
}

/** @returns milliseconds until the last is visible */
async function once(stage: Stage, side: Side, rows: number): Promise<number> {
  await purge(stage)
  const people = await People.of(stage, side, 'default')
  const unseen = new Set(Array.from({ length: rows }, (_, i) => i + 1))
  let [committed, visible] = [Number.NaN, Number.NaN]
  const seen: OnWritten = (_, keys, at) => {
    for (const key of keys) if (unseen.delete(key)) visible = at
  }
  const changed: OnWritten = (_, _keys, at) => (committed = at)
  const unwatch =
    side === 'clinic'
      ? [await watchClinic(stage, changed), await watchPortal(stage, seen)]
      : [await watchClinic(stage, seen)]
  try {
    const answered = await people.edit('notes', 1, rows)
    if (side === 'portal') committed = answered
    for (const deadline = performance.now() + PATIENCE; unseen.size > 0; await sleep(10)) {
      stage.crew.check()
      if (performance.now() > deadline) throw new Error(`${unseen.size} of ${rows} rows of the ${side} were not seen.`)
    }
    return visible - committed
  } finally {
    for (const end of [...unwatch, () => people.close()]) await end()
  }
}
