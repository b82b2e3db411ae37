import type { Measure } from '../measure.ts'

/** What this machine does without us, and what the original did: in this order, after the measures of each round. */
export const REFERENCES: readonly Measure[] = []
