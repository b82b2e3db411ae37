/** What several measurements of the same thing say together. */
export interface Spread {
  readonly n: number
  readonly median: number
  readonly min: number
  readonly max: number
}

/** @throws RangeError of no values, or of one that is no finite number: such a figure must not be reported */
export function spread(values: readonly number[]): Spread {
  const sorted = inOrder(values)
  const middle = sorted.length >> 1
  const upper = at(sorted, middle)
  const median = sorted.length % 2 === 1 ? upper : (at(sorted, middle - 1) + upper) / 2
  return { n: sorted.length, median, min: at(sorted, 0), max: at(sorted, sorted.length - 1) }
}

/**
 * The smallest of the values that at least `percent` % of them do not exceed (nearest rank): always one that was measured. Of
 * fewer than 100 values the 99th percentile is the largest.
 *
 * @throws RangeError as `spread`, or unless 0 < percent ≤ 100
 */
export function percentile(values: readonly number[], percent: number): number {
  if (!(percent > 0 && percent <= 100)) throw new RangeError('A percentile is above 0 and at most 100.')
  const sorted = inOrder(values)
  return at(sorted, Math.ceil((percent * sorted.length) / 100) - 1)
}

function inOrder(values: readonly number[]): number[] {
  if (values.length === 0) throw new RangeError('Nothing was measured.')
  if (!values.every(Number.isFinite)) throw new RangeError('A measured value is not a finite number.')
  return values.toSorted((a, b) => a - b)
}

function at(values: readonly number[], index: number): number {
  const value = values[index]
  if (value === undefined) throw new RangeError('No such value.')
  return value
}
