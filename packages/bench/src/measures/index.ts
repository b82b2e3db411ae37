import type { Measure } from '../measure.ts'
import { sustained } from './sustained.ts'

/** In this order, round by round. */
export const MEASURES: readonly Measure[] = [sustained]
