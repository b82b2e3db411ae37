import { type Found, RepairPlan, verify, type VerifyOptions } from '../../src/index.ts'
import type { TwoSides } from './two-sides.ts'

/** Compares both sides. `names`: `table/key kind columns` of each difference, sorted; `plan`: what a repair would do about them. */
export async function compareSides(both: Pick<TwoSides, 'clinic' | 'portal'>, options: VerifyOptions = {}) {
  const found: Found[] = []
  const plan = new RepairPlan()
  const result = await verify(both, {
    patienceMs: 300,
    ...options,
    found(each) {
      found.push(each)
      plan.add(each)
    },
  })
  const names = found
    .map(({ table, key, kind, columns }) => `${table.name}/${key} ${kind} ${columns.join(',')}`.trim())
    .toSorted()
  return { result, found, names, plan }
}
