import type { Random } from '@clinic-sync/demo'
import type { Side } from '@clinic-sync/prove/parts'
import type { Ground } from './ground/ground.ts'

/** Ends a fault. Resolves when nothing of it is left but what the system has to repair. */
export type Heal = () => Promise<void>

/** Something that goes wrong. */
export interface Fault {
  /** Short, and what `--only` takes. */
  readonly name: string
  /** One line for people. */
  readonly about: string
  /** How long it lasts, from and to, in milliseconds; the seed decides. */
  readonly lastsMs: readonly [number, number]
  /** Whose edits may fail meanwhile, since their own database is hit. */
  readonly hurts?: readonly Side[]
  /** It has the stage to itself: never one of a pair. */
  readonly alone?: boolean
  /** It comes last of all, since what it leaves behind slows down everything after it. */
  readonly finale?: boolean
  /** Recovery may take no longer than this, in milliseconds. Default: as long as `patienceMs`. */
  readonly withinMs?: number
  /** After so long everything must flow again; milliseconds. Default: `PATIENCE_MS`. */
  readonly patienceMs?: number
  /** Why it cannot happen on this ground; null: it can. */
  unfit?(ground: Ground): string | null
  inject(ground: Ground, random: Random): Promise<Heal>
}

/** The two cores that this is made for have other things to do as well; a retry after 60 s is no fault. */
export const PATIENCE_MS = 150_000
