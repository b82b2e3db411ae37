import type { Direction, OutcomeKind, Side, TriggerRequest } from './definitions/index.ts'

/** The direction in which a side's changes travel. */
export const directionFrom = (source: Side): Direction => (source === 'clinic' ? 'sql-to-postgres' : 'postgres-to-sql')

/** The database whose changes travel in a direction. */
export const sourceOf = (direction: Direction): Side => (direction === 'sql-to-postgres' ? 'clinic' : 'portal')

/** The directions that a trigger request asks for. */
export const directionsOf = ({ direction = 'both' }: TriggerRequest): readonly Direction[] =>
  direction === 'both' ? ['sql-to-postgres', 'postgres-to-sql'] : [direction]

/** Outcomes of a change that has arrived with its event. The rest had arrived before, or has not. */
export const ARRIVED: ReadonlySet<OutcomeKind> = new Set<OutcomeKind>(['applied', 'unchanged', 'conflict'])
