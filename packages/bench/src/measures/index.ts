import type { Measure } from '../measure.ts'
import { backfill } from './backfill.ts'
import { backlog } from './backlog.ts'
import { burst } from './burst.ts'
import { idle } from './idle.ts'
import { latency } from './latency.ts'
import { start } from './start.ts'
import { sustained } from './sustained.ts'
import { triggerCost } from './trigger-cost.ts'

/** In this order, round by round; what is measured once, at the end. */
export const MEASURES: readonly Measure[] = [sustained, burst, backfill, latency, idle, start, triggerCost, backlog]
