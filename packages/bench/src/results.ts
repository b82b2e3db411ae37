import type { Figure, Scale } from './measure.ts'

/** One figure over all rounds. */
export interface Series extends Pick<Figure, 'name' | 'unit' | 'better'> {
  /** By round, from the first; of what is measured once, one. */
  readonly values: readonly number[]
  readonly median: number
  readonly min: number
  readonly max: number
  readonly n: number
}

/** What a series should reach, and whether its median does. */
export interface Target {
  /** Such as `≥ 8,000`. */
  readonly text: string
  readonly reached: boolean
}

export interface Reported extends Series {
  readonly measure: string
  readonly target: Target | null
}

/** Something that makes the run worth nothing, or a part of it. */
export interface Problem {
  /** Of a measure: its name; else what was looked at. */
  readonly where: string
  /** From 1; 0: before the first round, or after the last. */
  readonly round: number
  readonly what: string
}

/** What it ran on, without names of machines, people or folders. */
export interface Machine {
  readonly cpu: string
  readonly cores: number
  readonly memoryGiB: number
  readonly os: string
  readonly kernel: string
  readonly arch: string
}

/** What `--json` writes. */
export interface Results {
  readonly format: 1
  readonly command: string
  readonly startedAt: string
  readonly seconds: number
  /** Of the sources; `+` after it: with changes that are not committed. Null: not in a git checkout. */
  readonly commit: string | null
  readonly machine: Machine
  /** Such as `{ Node: '22.1.0', PostgreSQL: '18.1', … }`. */
  readonly versions: Readonly<Record<string, string>>
  readonly scale: Scale
  readonly rounds: number
  readonly figures: readonly Reported[]
  /** Of one figure to another, of the same round. */
  readonly ratios: readonly Reported[]
  readonly problems: readonly Problem[]
}
