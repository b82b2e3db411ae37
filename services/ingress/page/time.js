import { el } from './dom.js'

/** The ingress's clock minus this one's, in milliseconds: a tablet's clock may be minutes off. */
let ahead = 0

/** @param {string} at the ingress's time, now */
export function tellTime(at) {
  ahead = Date.parse(at) - Date.now()
}

/** By the ingress's clock. */
export const now = () => Date.now() + ahead

/**
 * A length of time for people.
 *
 * @param {number} ms
 */
export function duration(ms) {
  const seconds = Math.max(0, Math.floor(ms / 1_000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3_600)} h ${Math.floor((seconds % 3_600) / 60)} min`
  return `${Math.floor(seconds / 86_400)} d ${Math.floor((seconds % 86_400) / 3_600)} h`
}

/**
 * How long something took.
 *
 * @param {number} ms
 */
export const latency = (ms) =>
  ms < 1_000 ? `${ms} ms` : ms < 10_000 ? `${(ms / 1_000).toFixed(1)} s` : duration(Math.round(ms))

/** @param {number} value */
export const number = (value) => value.toLocaleString('en')

/**
 * @param {number} count
 * @param {string} what
 */
export const counted = (count, what) => `${number(count)} ${what}${count === 1 ? '' : 's'}`

/**
 * The time of day here; with the day, where it is another one.
 *
 * @param {string | number} instant
 */
export function clock(instant) {
  const date = new Date(instant)
  const time = date.toLocaleTimeString('en-GB', { hour: '2-digit', minute: '2-digit' })
  if (date.toDateString() === new Date(now()).toDateString()) return time
  return `${date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })}, ${time}`
}

/**
 * `3 s ago`, which `tick` keeps true.
 *
 * @param {string} instant
 */
export const ago = (instant) =>
  moving('ago', instant, { datetime: instant, title: new Date(instant).toLocaleString('en-GB') })

/**
 * How long something has lasted: `3 s`, kept true as well.
 *
 * @param {string} instant
 */
export const since = (instant) => moving('since', instant, { datetime: instant })

/**
 * @param {'ago' | 'since'} kind
 * @param {string} instant
 * @param {Record<string, string>} attributes
 */
const moving = (kind, instant, attributes) => el('time', { ...attributes, 'data-moving': kind }, worded(kind, instant))

/**
 * @param {string} kind
 * @param {string} instant
 */
const worded = (kind, instant) => `${duration(now() - Date.parse(instant))}${kind === 'ago' ? ' ago' : ''}`

/** Every relative time of the page, as it is now. No request. */
export function tick() {
  for (const time of document.querySelectorAll('time[data-moving]')) {
    const text = worded(time.getAttribute('data-moving') ?? '', time.getAttribute('datetime') ?? '')
    if (time.textContent !== text) time.textContent = text
  }
}
