import type { Measure } from '../measure.ts'
import { rawBroker } from './raw-broker.ts'
import { rawRelay } from './raw-relay.ts'
import { rawUpsert } from './raw-upsert.ts'
import { rowByRow } from './row-by-row.ts'

/** What this machine does without us, and what the original did: in this order, after the measures of each round. */
export const REFERENCES: readonly Measure[] = [rawBroker, rawUpsert, rawRelay, rowByRow]
