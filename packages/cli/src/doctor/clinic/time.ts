import { openZone } from '@clinic-sync/clinic'
import { type Check, checksOf } from '../check.ts'
import { skew } from '../skew.ts'
import type { ClinicFacts } from './facts.ts'

const { ok, warn, fail } = checksOf('clinic')

/** The clinic's wall clock and ours. */
export function timeChecks(facts: ClinicFacts, timeZone: string): Check[] {
  return [...zone(facts, timeZone), ...clock(facts)]
}

function zone(facts: ClinicFacts, timeZone: string): Check[] {
  const actual = facts.number('UtcOffsetMinutes')
  if (actual === null) return []
  const title = "CLINIC_TIME_ZONE is the server's time zone"
  const expected = offsetMinutes(timeZone, facts.received)
  if (actual === expected) return [ok('time-zone', title, `${timeZone}, ${utc(actual)} now`)]
  return [
    fail(
      'time-zone',
      title,
      `the server's clock is at ${utc(actual)}, ${timeZone} at ${utc(expected)}: times that the server writes would arrive shifted by ${Math.abs(actual - expected)} minutes`,
      `Set CLINIC_TIME_ZONE in .env to the server's zone (or the server's zone to ${timeZone}), restart the services, then: npm run sync -- backfill --restart`,
    ),
  ]
}

/** Minutes that the zone's wall clock is ahead of UTC at an instant (milliseconds since 1970). */
export function offsetMinutes(timeZone: string, at: number): number {
  const wall = openZone(timeZone).toWall(new Date(at).toISOString())
  return Math.round((Date.parse(`${wall}Z`) - at) / 60_000)
}

function utc(minutes: number): string {
  const [hours, rest] = [Math.floor(Math.abs(minutes) / 60), Math.abs(minutes) % 60]
  return `UTC${minutes < 0 ? '-' : '+'}${hours}${rest === 0 ? '' : `:${String(rest).padStart(2, '0')}`}`
}

function clock(facts: ClinicFacts): Check[] {
  const told = facts.get('UtcNow')
  const server = told === null || told === undefined ? Number.NaN : Date.parse(`${told.trim()}Z`)
  if (Number.isNaN(server)) return []
  const seconds = skew({ sent: facts.sent, server, received: facts.received }) / 1000
  const title = "The clinic's clock agrees with this machine's"
  if (Math.abs(seconds) <= 2) return [ok('clock', title, 'within 2 s')]
  return [
    warn(
      'clock',
      title,
      `it is ${Math.abs(seconds).toFixed(0)} s ${seconds > 0 ? 'ahead' : 'behind'}; the sync compares no clocks, but logs will be hard to read`,
      'Set both clocks by the same time server: w32tm /resync on Windows, timedatectl set-ntp true on Linux.',
    ),
  ]
}
