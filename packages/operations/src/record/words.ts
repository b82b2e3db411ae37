import { duration } from '../status/problems.ts'

export const sentence = (text: string): string => (/[.!?]$/.test(text) ? text : `${text}.`)

/** `3 min ago`. @param at by whose clock it is now; a clock that is behind makes no future. */
export const ago = (instant: string, at: string): string => `${duration(secondsBetween(instant, at))} ago`

export const secondsBetween = (from: string, to: string): number =>
  Math.max(0, Math.floor((Date.parse(to) - Date.parse(from)) / 1_000))

/** `14:32:05 UTC`, for an instant of today or tomorrow. */
export const clock = (instant: Date): string => `${instant.toISOString().slice(11, 19)} UTC`

export const listed = (names: readonly string[]): string =>
  names.length < 2 ? names.join('') : `${names.slice(0, -1).join(', ')} and ${names.at(-1) ?? ''}`

export const plural = (count: number, what: string): string =>
  `${count.toLocaleString('en')} ${what}${count === 1 ? '' : 's'}`
