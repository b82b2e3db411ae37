import { setTimeout as sleep } from 'node:timers/promises'
import { People } from '../load/people.ts'
import type { Figure, Measure } from '../measure.ts'
import { filled } from '../stage/filled.ts'
import { inMode, type Mode } from '../stage/mode.ts'
import type { Stage } from '../stage/stage.ts'
import { type Edited, type OnWritten, watchClinic, watchPortal } from '../stage/visible.ts'
import { percentile } from '../statistics.ts'
import { purge, type Side } from './outboxes.ts'

/** Changes before those that count, at the same pace: an ingress that has just been started is slower. */
const WARM_UP = 300
/** How long the last may take, milliseconds. */
const PATIENCE = 10_000
const BELLS = {
  default: { clinic: 'Service Broker', portal: 'LISTEN' },
  http: { clinic: 'OLE Automation', portal: 'webhook' },
}

/**
 * Single-row edits by schedule, whether or not earlier ones have arrived, on connections enough for all: notes and batches in
 * turn, each row once. From the commit (in the clinic by the simulator's own clock; in the portal when its answer is here) until it is
 * committed on the other side (in the clinic by the simulator's clock; in the portal when a notification of that is here). From when it
 * was due as well, so that a pause in which nothing was sent hides nothing. What pg_net or Supabase takes to call is not part of it:
 * the benchmark itself calls the webhook, at the commit.
 */
export const latency: Measure = {
  name: 'latency',
  when: 'each',
  prepare: (stage, scale) => filled(stage, scale),
  async run(stage, { latencyRate, latencySeconds }) {
    const figures: Figure[] = []
    for (const mode of ['default', 'http'] as const)
      for (const side of ['clinic', 'portal'] as const) {
        const name = `${side} → ${side === 'clinic' ? 'portal' : 'clinic'}, ${BELLS[mode][side]}`
        figures.push(...figuresOf(name, await edits(stage, mode, side, latencyRate, latencyRate * latencySeconds)))
      }
    return figures
  },
}

function figuresOf(name: string, trials: readonly Trial[]): Figure[] {
  const of = (what: string, values: readonly number[], percent: number): Figure => ({
    name: `${name}: ${what}`,
    unit: 'ms',
    better: 'less',
    value: percentile(values, percent),
  })
  // Who is told of a commit may hear of its arrival first.
  const taken = trials.map(({ committed, visible }) => Math.max(0, visible - committed))
  const sinceDue = trials.map(({ due, visible }) => visible - due)
  return [
    of('p50', taken, 50),
    of('p95', taken, 95),
    of('p99', taken, 99),
    of('p99 from when it was due', sinceDue, 99),
  ]
}

interface Trial {
  readonly due: number
  committed: number
  visible: number
}

/** @throws Error if one does not arrive */
async function edits(stage: Stage, mode: Mode, side: Side, rate: number, count: number): Promise<Trial[]> {
  await inMode(stage, mode)
  await purge(stage)
  const people = await People.of(stage, side, mode)
  const trials = new Map<string, Trial>()
  const noting =
    (what: 'committed' | 'visible'): OnWritten =>
    (of, keys, at) => {
      for (const key of keys) {
        const trial = trials.get(`${of} ${key}`)
        if (trial !== undefined && Number.isNaN(trial[what])) trial[what] = at
      }
    }
  const unwatch = [
    await watchClinic(stage, noting(side === 'clinic' ? 'committed' : 'visible')),
    ...(side === 'clinic' ? [await watchPortal(stage, noting('visible'))] : []),
  ]
  const edit = async (i: number, due: number): Promise<void> => {
    const [of, key]: [Edited, number] = [i % 2 === 0 ? 'notes' : 'batches', (i >> 1) + 1]
    const trial = { due, committed: Number.NaN, visible: Number.NaN }
    trials.set(`${of} ${key}`, trial)
    const committed = await people.edit(of, key)
    if (side === 'portal') trial.committed = committed
  }
  try {
    await bySchedule(rate, WARM_UP + count, edit)
    const all = [...trials.values()]
    const open = () => all.filter(({ committed, visible }) => Number.isNaN(committed) || Number.isNaN(visible)).length
    for (const deadline = performance.now() + PATIENCE; open() > 0; await sleep(20)) {
      stage.crew.check()
      if (performance.now() > deadline)
        throw new Error(`${open()} of ${all.length} edits of the ${side} were not seen.`)
    }
    return all.slice(WARM_UP)
  } finally {
    for (const end of [...unwatch, () => people.close()]) await end()
  }
}

/** Calls `send` so many times, `rate` times a second, without waiting for it to end; at the end for all. */
async function bySchedule(rate: number, count: number, send: (i: number, due: number) => Promise<void>): Promise<void> {
  const start = performance.now() + 100
  const sent: Promise<void>[] = []
  for (let i = 0; i < count; i++) {
    const due = start + (i * 1_000) / rate
    const early = due - performance.now()
    if (early > 0) await sleep(early)
    sent.push(send(i, due))
  }
  await Promise.all(sent)
}
