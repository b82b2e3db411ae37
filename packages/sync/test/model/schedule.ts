import fc from 'fast-check'
import { applyClinicChange, captureEdit, ruleOnPortalEdit } from '../../src/index.ts'
import { step } from './step.ts'
import type { Setup } from './table.ts'
import { Violation } from './violation.ts'
import { type Rules, type Tell, World } from './world.ts'

export const RULES: Rules = { rule: ruleOnPortalEdit, apply: applyClinicChange, capture: captureEdit }

/** Everything that a run depends on. */
export interface Schedule {
  readonly setup: Setup
  readonly records: readonly { readonly born: 'clinic' | 'portal'; readonly kind: 'A' | 'B' }[]
  readonly steps: readonly number[]
  readonly lastFirst: boolean
}

const policy = fc.constantFrom('clinic-wins' as const, 'portal-wins' as const)

export const schedules: fc.Arbitrary<Schedule> = fc.record({
  setup: fc.record({
    policies: fc.record({ s: policy, t: policy }),
    deletes: fc.constantFrom('restore' as const, 'propagate' as const),
    kinds: fc.boolean(),
    flips: fc.constantFrom(false, false, false, false, false, false, true),
    clinicDeletes: fc.boolean(),
    portalDeletes: fc.boolean(),
    reorder: fc.boolean(),
    trims: fc.boolean(),
    refuses: fc.boolean(),
  }),
  records: fc.array(
    fc.record({
      born: fc.constantFrom('clinic' as const, 'portal' as const),
      kind: fc.constantFrom('A' as const, 'A' as const, 'A' as const, 'B' as const),
    }),
    { minLength: 1, maxLength: 3 },
  ),
  steps: fc.array(fc.nat({ max: 0x7fffffff }), { maxLength: 120, size: 'max' }),
  lastFirst: fc.boolean(),
})

export interface Options {
  readonly rules?: Rules
  readonly tell?: Tell
  /** False: only what comes out in the end is checked. */
  readonly judging?: boolean
}

/** Runs a schedule to its quiet end. @throws Violation */
export function run({ setup, records, steps, lastFirst }: Schedule, options: Options = {}): World {
  const { rules = RULES, tell, judging } = options
  const world = new World(setup, rules, records, tell, judging)
  for (const number of steps) step(world, number)
  tell?.('-- nobody edits any more')
  world.quiet(lastFirst)
  return world
}

/** As {@link run}; what is thrown tells the whole story. */
export function runTold(schedule: Schedule, options: Options = {}): void {
  try {
    run(schedule, options)
  } catch (error) {
    if (!(error instanceof Violation)) throw error
    const story: string[] = []
    try {
      run(schedule, { ...options, tell: (sentence) => story.push(sentence) })
    } catch {
      // The same again.
    }
    throw new Violation([error.message, ...story].join('\n  '))
  }
}
