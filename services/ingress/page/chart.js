import { byId, el, fill, svg, table } from './dom.js'
import { buckets, summary, wordsOf } from './history.js'
import { clock, latency, now, number } from './time.js'
import { DIRECTIONS } from './words.js'

/** @import { History } from './types.d.ts' */
/** @import { Bucket } from './history.js' */

const BARS = 120
const DOTS = 120
const GAP = 34
const LEFT = 52
const BOTTOM = 22
const HEIGHT = BARS + GAP + DOTS + BOTTOM
/** Latencies are drawn between 1 ms and this at least, by their logarithm. */
const SLOWEST_MS = 10_000

/** @type {History} */
let history = { startedAt: new Date().toISOString(), minutes: [] }
/** @type {Bucket[]} */
let shown = []

/** @param {History} told */
export function showHistory(told) {
  history = told
  draw()
}

/** @param {History['minutes'][number]} minute one that has just ended */
export function addMinute(minute) {
  const others = history.minutes.filter(({ at, direction }) => at !== minute.at || direction !== minute.direction)
  history = { ...history, minutes: [...others, minute] }
  draw()
}

/** Hours that are looked at. */
export const hoursShown = () => Number(byId('chart-hours', HTMLSelectElement).value)

/** @param {() => void} onHours others are wanted */
export function startChart(onHours) {
  const slider = byId('chart-at', HTMLInputElement)
  byId('chart-hours').addEventListener('change', onHours)
  slider.addEventListener('input', () => point(Number(slider.value)))
  const chart = byId('chart')
  chart.addEventListener('pointermove', (event) => {
    const box = chart.getBoundingClientRect()
    const share = (event.clientX - box.left - LEFT) / (box.width - LEFT)
    const index = Math.floor(share * shown.length)
    if (index < 0 || index >= shown.length) return
    slider.value = String(index)
    point(index)
  })
  new ResizeObserver(() => draw()).observe(chart)
}

/** Draws it anew: the time goes on, and the page's width changes. */
export function draw() {
  const chart = byId('chart')
  const width = Math.max(200, Math.floor(chart.clientWidth))
  const slider = byId('chart-at', HTMLInputElement)
  const atEnd = slider.value === slider.max
  shown = buckets(history.minutes, hoursShown(), now())
  slider.max = String(shown.length - 1)
  if (atEnd || Number(slider.value) >= shown.length) slider.value = slider.max
  fill(byId('chart-summary'), summary(shown, hoursShown()))
  chart.replaceChildren(picture(width))
  fill(byId('chart-table'), asTable())
  point(Number(slider.value))
}

/** @param {number} index the part of the time whose values are said */
function point(index) {
  const bucket = shown[index]
  if (bucket === undefined) return
  const words = wordsOf(bucket)
  byId('chart-at').setAttribute('aria-valuetext', words)
  fill(byId('chart-value'), words)
  const cursor = byId('chart').querySelector('.cursor')
  const step = (Number(cursor?.getAttribute('data-width')) || 0) / shown.length
  cursor?.setAttribute('x', String(LEFT + index * step))
  cursor?.setAttribute('width', String(step))
}

/** @param {number} width */
function picture(width) {
  const inner = width - LEFT
  const step = inner / shown.length
  const most = Math.max(4, ...shown.flatMap((bucket) => DIRECTIONS.map((direction) => bucket[direction].changes)))
  const worst = Math.max(SLOWEST_MS, ...shown.flatMap((b) => DIRECTIONS.map((direction) => b[direction].worstMs ?? 0)))
  const middle = BARS / 2
  const high = (/** @type {number} */ ms) =>
    BARS + GAP + DOTS - (Math.log10(Math.max(1, ms)) / Math.log10(worst)) * DOTS
  const known = Math.max(
    0,
    shown.findIndex(({ to }) => to > Date.parse(history.startedAt)),
  )
  const begun = Date.parse(history.startedAt) > (shown.at(-1)?.to ?? 0) ? shown.length : known
  return svg(
    'svg',
    // What it shows is told by the summary, the slider and the table: it is a picture for those who see it.
    { viewBox: `0 0 ${width} ${HEIGHT}`, height: HEIGHT, 'aria-hidden': 'true' },
    svg('rect', { class: 'unknown', x: LEFT, y: 0, width: begun * step, height: HEIGHT - BOTTOM }),
    svg('rect', { class: 'cursor', y: 0, height: HEIGHT - BOTTOM, 'data-width': inner }),
    svg('line', { class: 'axis', x1: LEFT, x2: width, y1: middle, y2: middle }),
    ...axisText(width, most, worst, high),
    ...shown.flatMap((bucket, index) => marks(bucket, LEFT + index * step, step, { middle, most, high })),
    ...times(width),
  )
}

/**
 * Bars upwards and dots for the clinic's changes, downwards and diamonds for the portal's: not by colour alone.
 *
 * @param {Bucket} bucket
 * @param {number} x
 * @param {number} step
 * @param {{ middle: number, most: number, high: (ms: number) => number }} scale
 */
function marks(bucket, x, step, { middle, most, high }) {
  const gap = step > 4 ? 1 : 0
  return DIRECTIONS.flatMap((direction, i) => {
    const { changes, medianMs, worstMs } = bucket[direction]
    if (changes === 0) return []
    const kind = i === 0 ? 'out' : 'back'
    const tall = Math.max(1.5, (changes / most) * (middle - 2))
    const at = x + (step * (i + 1)) / 3
    return [
      svg('rect', {
        class: kind,
        x: x + gap / 2,
        y: i === 0 ? middle - tall : middle,
        width: step - gap,
        height: tall,
      }),
      ...(medianMs === null || worstMs === null
        ? []
        : [
            svg('rect', {
              class: `${kind} worst`,
              x: at - 0.75,
              y: high(worstMs),
              width: 1.5,
              height: high(medianMs) - high(worstMs),
            }),
            i === 0
              ? svg('circle', { class: kind, cx: at, cy: high(medianMs), r: 3 })
              : svg('path', { class: kind, d: `M${at} ${high(medianMs) - 4}l4 4l-4 4l-4 -4z` }),
          ]),
    ]
  })
}

/**
 * @param {number} width
 * @param {number} most
 * @param {number} worst
 * @param {(ms: number) => number} high
 */
function axisText(width, most, worst, high) {
  const lines = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000].filter((ms) => ms <= worst)
  return [
    svg('text', { x: LEFT - 6, y: 11, 'text-anchor': 'end' }, number(most)),
    svg('text', { x: LEFT - 6, y: BARS, 'text-anchor': 'end' }, number(most)),
    svg(
      'text',
      { x: LEFT + 4, y: 11 },
      `↑ clinic to portal, changes in ${Math.round(((shown[0]?.to ?? 0) - (shown[0]?.from ?? 0)) / 60_000)} min`,
    ),
    svg('text', { x: LEFT + 4, y: BARS }, '↓ portal to clinic'),
    svg('text', { x: LEFT + 4, y: BARS + GAP - 12 }, 'took: ● clinic to portal, ◆ portal to clinic'),
    ...lines.flatMap((ms) => [
      svg('line', { class: 'grid', x1: LEFT, x2: width, y1: high(ms), y2: high(ms) }),
      svg('text', { x: LEFT - 6, y: high(ms) + 4, 'text-anchor': 'end' }, ms < 1_000 ? `${ms} ms` : `${ms / 1_000} s`),
    ]),
  ]
}

/** @param {number} width */
function times(width) {
  const count = width > 520 ? 4 : 2
  return Array.from({ length: count + 1 }, (_, i) => {
    const bucket = shown[Math.min(shown.length - 1, Math.round((i * shown.length) / count))]
    const anchor = i === 0 ? 'start' : i === count ? 'end' : 'middle'
    const x = LEFT + ((width - LEFT) * i) / count
    const at = bucket === undefined ? '' : clock(i === count ? bucket.to : bucket.from)
    return svg('text', { x, y: HEIGHT - 6, 'text-anchor': anchor }, at)
  })
}

function asTable() {
  const rows = shown.filter((bucket) => DIRECTIONS.some((direction) => bucket[direction].changes > 0)).toReversed()
  if (rows.length === 0) return el('p', {}, 'No change in this time.')
  const took = (/** @type {number | null} */ ms) => (ms === null ? '–' : latency(ms))
  return table(
    'Changes and latency, the latest first',
    ['Time', '#Clinic to portal', '#typical', '#slowest', '#Portal to clinic', '#typical', '#slowest'],
    rows.map((bucket) => [
      `${clock(bucket.from)}–${clock(bucket.to)}`,
      ...DIRECTIONS.flatMap((direction) => {
        const { changes, medianMs, worstMs } = bucket[direction]
        return [number(changes), took(medianMs), took(worstMs)]
      }),
    ]),
  )
}
