import type { Test } from 'tap'
import { type Rule, shippedFiles, sqlFile } from './files.ts'

export interface Check {
  /** What holds. */
  readonly says: string
  readonly rule: Rule
  /** T-SQL that breaks the rule, each. */
  readonly bad: readonly string[]
  /** T-SQL that only looks like it. */
  readonly good?: readonly string[]
}

/** That every shipped file keeps the rule, and that the rule bites. */
export function check(t: Test, { says, rule, bad, good = [] }: Check): Promise<unknown> {
  return t.test(says, async (t) => {
    for (const file of shippedFiles()) t.same(rule(file), [], file.name)
    for (const sql of bad) t.not(rule(sqlFile('bad.sql', sql)).length, 0, `bites: ${sql}`)
    for (const sql of good) t.same(rule(sqlFile('good.sql', sql)), [], `lets pass: ${sql}`)
  })
}
