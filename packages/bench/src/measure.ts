import type { Stage } from './stage/stage.ts'

/** One number that was measured. Those of the same name, of several rounds, make a median and a spread. */
export interface Figure {
  /** Such as `clinic → portal, sustained`. */
  readonly name: string
  /** Such as `changes/s`, `ms`, `MB`, `%`. */
  readonly unit: string
  readonly value: number
  readonly better: 'more' | 'less'
}

/** How much is measured. */
export interface Scale {
  /** Changes of a sustained drain, each way. */
  readonly clinicChanges: number
  readonly portalEdits: number
  /** Changes a second, and for how many seconds of each round. */
  readonly latencyRate: number
  readonly latencySeconds: number
  readonly burstRows: number
  readonly backlogs: readonly number[]
  readonly idleSeconds: number
  readonly rounds: number
}

export const FULL: Scale = {
  clinicChanges: 50_000,
  portalEdits: 20_000,
  latencyRate: 100,
  latencySeconds: 10,
  burstRows: 2_000,
  backlogs: [10_000, 100_000, 500_000],
  idleSeconds: 60,
  rounds: 5,
}

/** Shows that everything works, and about where the figures are; not for documents. */
export const QUICK: Scale = {
  clinicChanges: 10_000,
  portalEdits: 4_000,
  latencyRate: 100,
  latencySeconds: 5,
  burstRows: 2_000,
  backlogs: [2_000, 10_000],
  idleSeconds: 10,
  rounds: 2,
}

/** Something that is measured: a part of the system, or a reference to hold it against. */
export interface Measure {
  /** For `--only`, such as `sustained`. */
  readonly name: string
  /** `each`: once a round, interleaved with the others, so that what the machine does meanwhile meets all alike. `once`: at the end. */
  readonly when: 'each' | 'once'
  /** Loads what it needs, and warms up. Not measured. */
  prepare?(stage: Stage, scale: Scale): Promise<void>
  /** @param round from 1 */
  run(stage: Stage, scale: Scale, round: number): Promise<readonly Figure[]>
}
