import { clock, counted, latency } from './time.js'
import { DIRECTIONS, wayOf } from './words.js'

/** @import { Direction, Minute } from './types.d.ts' */

/** @typedef {{ changes: number, medianMs: number | null, worstMs: number | null }} Figures */
/** A part of the time that is shown, in milliseconds since 1970, and what arrived in it. */
/** @typedef {{ from: number, to: number } & Record<Direction, Figures>} Bucket */

const MINUTE = 60_000

/** Minutes that one bar stands for, so that a chart has 60 to 72 of them. @param {number} hours */
const widthOf = (hours) => (hours <= 1 ? 1 : hours <= 6 ? 5 : 20)

/**
 * Minutes, put together for as many bars as can be told apart.
 *
 * @param {readonly Minute[]} minutes
 * @param {number} hours
 * @param {number} now
 * @returns {Bucket[]} the oldest first; the last is the one that runs
 */
export function buckets(minutes, hours, now) {
  const wide = widthOf(hours) * MINUTE
  const end = Math.floor(now / wide) * wide + wide
  const count = (hours * 60 * MINUTE) / wide
  const first = end - count * wide
  return Array.from({ length: count }, (_, index) => {
    const from = first + index * wide
    const within = minutes.filter(({ at }) => Date.parse(at) >= from && Date.parse(at) < from + wide)
    const [out, back] = DIRECTIONS.map((direction) =>
      together(within.filter((minute) => minute.direction === direction)),
    )
    return { from, to: from + wide, 'sql-to-postgres': out ?? NONE, 'postgres-to-sql': back ?? NONE }
  })
}

/** @type {Figures} */
const NONE = { changes: 0, medianMs: null, worstMs: null }

/**
 * @param {readonly Pick<Minute, 'changes' | 'medianMs' | 'worstMs'>[]} minutes
 * @returns {Figures} `medianMs`: the median of the minutes' own, each counting as often as it had changes
 */
export function together(minutes) {
  const changes = minutes.reduce((sum, minute) => sum + minute.changes, 0)
  const timed = minutes
    .flatMap(({ changes: weight, medianMs }) => (medianMs === null ? [] : [{ weight, medianMs }]))
    .sort((a, b) => a.medianMs - b.medianMs)
  const half = timed.reduce((sum, { weight }) => sum + weight, 0) / 2
  let before = 0
  const median = timed.find(({ weight }) => (before += weight) >= half)
  const worst = minutes.flatMap(({ worstMs }) => (worstMs === null ? [] : [worstMs]))
  return {
    changes,
    medianMs: median?.medianMs ?? null,
    worstMs: worst.length === 0 ? null : Math.max(...worst),
  }
}

/** @param {Bucket} bucket */
export const wordsOf = (bucket) =>
  `${clock(bucket.from)} to ${clock(bucket.to)}: ${DIRECTIONS.map((direction) => `${wayOf(direction)} ${figures(bucket[direction])}`).join('; ')}.`

/**
 * The chart in a sentence for each direction.
 *
 * @param {readonly Bucket[]} shown
 * @param {number} hours
 */
export function summary(shown, hours) {
  const of = DIRECTIONS.map(
    (direction) => `${wayOf(direction)} ${figures(together(shown.map((bucket) => bucket[direction])))}`,
  )
  return `In the last ${hours === 1 ? 'hour' : `${hours} hours`}: ${of.join('; ')}.`
}

/** @param {Figures} figures */
function figures({ changes, medianMs, worstMs }) {
  if (changes === 0) return 'no change'
  const took =
    medianMs === null || worstMs === null ? '' : `, typically ${latency(medianMs)}, at worst ${latency(worstMs)}`
  return `${counted(changes, 'change')}${took}`
}
