// Random schedules over the pure rules; what is checked stands in the package's README. A counterexample prints its story,
// and the seed that repeats it (the command is in the README, too).
import fc from 'fast-check'
import t from 'tap'
import { runTold, schedules } from './model/schedule.ts'

const seed = Number(process.env['MERGE_SEED'] ?? 1)
const numRuns = Number(process.env['MERGE_RUNS'] ?? 24_000)

// Whoever asks for more schedules has the time.
if (process.env['MERGE_RUNS'] !== undefined) t.setTimeout(0)

t.test(`both sides end up equal, and nothing is lost unrecorded: ${numRuns} schedules`, async () => {
  fc.assert(
    fc.property(schedules, (schedule) => runTold(schedule)),
    { seed, numRuns },
  )
})
