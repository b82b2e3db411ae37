import type { Value } from '@clinic-sync/contracts'
import type { Column } from '@clinic-sync/mapping'
import { duration } from '../status/problems.ts'

/** How two values that differ do so, without saying them: kinds, lengths and distances. */
export function howDiffers({ type }: Pick<Column, 'type'>, clinic: Value, portal: Value): string {
  if (clinic === null || portal === null)
    return `the clinic's is ${kindOf(type, clinic)}, the portal's ${kindOf(type, portal)}`
  switch (type) {
    case 'text':
      return ofTexts(String(clinic), String(portal))
    case 'instant':
    case 'date':
      return ofTimes(String(clinic), String(portal))
    case 'boolean':
      return 'one is yes, the other no'
    default:
      return 'the numbers differ'
  }
}

/** What a value is, without saying it. */
function kindOf(type: Column['type'], value: Value): string {
  if (value === null) return 'NULL'
  if (value === '') return 'empty'
  return type === 'text' && typeof value === 'string' ? `a text of ${counted(value)}` : 'a value'
}

/** Ways in which texts may differ that nobody sees, from the slightest on: what both are alike without. */
const UNSEEN: readonly (readonly [how: string, without: (text: string) => string])[] = [
  ['differ in trailing blanks only', (text) => text.trimEnd()],
  ['differ in blanks before and behind only', (text) => text.trim()],
  ['differ in line ends only', (text) => text.replaceAll('\r\n', '\n')],
  ['differ only in how Unicode writes the same characters', (text) => text.normalize('NFC')],
  ['differ in invisible characters only', (text) => text.replaceAll(/[\p{Cf}\p{Cc}]/gu, '')],
  ['differ in blanks and line ends only', (text) => text.replaceAll(/\s+/gu, ' ').trim()],
  ['differ in small and capital letters only', (text) => text.toLowerCase()],
]

function ofTexts(clinic: string, portal: string): string {
  const lengths = `the clinic's has ${counted(clinic)}, the portal's ${portal.length}`
  if (clinic === '' || portal === '') return `the ${clinic === '' ? "clinic's" : "portal's"} is empty: ${lengths}`
  const unseen = UNSEEN.find(([, without]) => without(clinic) === without(portal))
  if (unseen !== undefined) return `they ${unseen[0]}: ${lengths}`
  if (clinic.startsWith(portal)) return `the portal's is the beginning of the clinic's: ${lengths}`
  if (portal.startsWith(clinic)) return `the clinic's is the beginning of the portal's: ${lengths}`
  return `the texts differ: ${lengths}`
}

const counted = (text: string) => `${text.length} character${text.length === 1 ? '' : 's'}`

const HOUR_MS = 3_600_000

function ofTimes(clinic: string, portal: string): string {
  const ms = Date.parse(portal) - Date.parse(clinic)
  if (Number.isNaN(ms)) return 'the times differ'
  const apart = Math.abs(ms) < 1_000 ? `${Math.abs(ms)} ms` : duration(Math.round(Math.abs(ms) / 1_000))
  const isZone = ms !== 0 && ms % (HOUR_MS / 2) === 0 && Math.abs(ms) <= 14 * HOUR_MS
  return `the portal's is ${apart} ${ms < 0 ? 'earlier' : 'later'}${isZone ? ', as a wrong CLINIC_TIME_ZONE would make it' : ''}`
}
