import type { Ratio } from '../bench.ts'
import type { Target } from '../results.ts'
import { numeral } from './numeral.ts'

/** What must be reached, on two cores with every server and service on them. */
interface Limit {
  readonly name: string | RegExp
  readonly atLeast?: number
  /** And not this itself. */
  readonly below?: number
  readonly exactly?: number
}

const SUSTAINED = 'clinic → portal, sustained'
export const PUBLISHING = 'raw confirmed publishing'
export const CONSUMING = 'raw consuming'
export const UPSERT = 'raw batched upsert'
export const RELAY = 'raw relay'
export const ROW_BY_ROW = 'one row at a time'

const ratio = (to: string): Ratio => ({ name: `${SUSTAINED} ÷ ${to}`, of: SUSTAINED, to })

/** The pipeline beside what the same machine does in the same round. */
export const RATIOS: readonly Ratio[] = [PUBLISHING, CONSUMING, UPSERT, RELAY, ROW_BY_ROW].map(ratio)

const LIMITS: readonly Limit[] = [
  { name: SUSTAINED, atLeast: 8_000 },
  { name: ratio(PUBLISHING).name, atLeast: 0.6 },
  { name: ratio(ROW_BY_ROW).name, atLeast: 10 },
  { name: /, (?:Service Broker|LISTEN): p50$/, below: 10 },
  { name: /, (?:Service Broker|LISTEN): p99$/, below: 50 },
  { name: /, burst$/, below: 500 },
  { name: /, backlog of [\d,]+: rate beside the smallest$/, atLeast: 0.9 },
  { name: /, backlog of [\d,]+: memory of /, below: 150 },
  { name: /^idle: (?:queries|transactions) /, exactly: 0 },
  { name: /^idle: processor time of /, below: 0.5 },
  { name: /^capture in .*, UPDATE of 1 row /, below: 25 },
  { name: /^capture in .*, UPDATE of 1,000 rows /, below: 60 },
  { name: /^start: /, below: 1_000 },
]

/** @returns null where nothing was promised */
export function targetFor(name: string, median: number): Target | null {
  const limit = LIMITS.find((each) => (typeof each.name === 'string' ? each.name === name : each.name.test(name)))
  if (limit === undefined) return null
  const { atLeast, below, exactly } = limit
  if (atLeast !== undefined) return { text: `≥ ${numeral(atLeast)}`, reached: median >= atLeast }
  if (below !== undefined) return { text: `< ${numeral(below)}`, reached: median < below }
  return exactly === undefined ? null : { text: `= ${numeral(exactly)}`, reached: median === exactly }
}
