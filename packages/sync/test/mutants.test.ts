// The suite can fail: each wrong rule breaks a promise within a few schedules.
import fc from 'fast-check'
import t from 'tap'
import { DESIGN, OTHERS } from './model/mutants.ts'
import { type Options, run, schedules } from './model/schedule.ts'

const numRuns = 3_000

function search(options: Options) {
  const property = fc.property(schedules, (schedule) => void run(schedule, options))
  return fc.check(property, { seed: 1, numRuns, endOnFailure: true })
}

for (const [name, rules] of [...Object.entries(DESIGN), ...Object.entries(OTHERS)]) {
  t.test(`found: ${name}`, async (t) => {
    const { failed, numRuns: tried, errorInstance } = search({ rules })
    t.ok(failed, `schedule ${tried}: ${String(errorInstance)}`)
  })
}

for (const [name, rules] of Object.entries(DESIGN)) {
  t.test(`found by what comes out in the end alone: ${name}`, async (t) => {
    const { failed, numRuns: tried, errorInstance } = search({ rules, judging: false })
    t.ok(failed, `schedule ${tried}: ${String(errorInstance)}`)
  })
}
