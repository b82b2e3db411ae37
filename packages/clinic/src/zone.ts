import { Temporal } from 'temporal-polyfill'

const DAY = 86_400_000
/** Days remembered per zone and direction; a batch seldom spans more. */
const REMEMBERED_DAYS = 20_000
const WALL = /^(\d{4})-(\d\d)-(\d\d)[T ](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?$/
const INSTANT = /^([+-]\d{6}|\d{4})-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:Z|[+-]\d\d:\d\d)$/

/** Converts between the clinic's wall clock and instants. */
export interface Zone {
  /**
   * Wall-clock text (`YYYY-MM-DD HH:MM:SS.mmm`, any number of fractional digits, blank or T between) to an ISO 8601 instant
   * in UTC with milliseconds. Digits past the millisecond are cut off. In the hour that a clock change skips or repeats,
   * the earlier reading is taken for a repeated time, and a skipped one moves forward (Temporal's `compatible`).
   *
   * @throws RangeError that does not repeat the text.
   */
  toInstant(wall: string): string
  /** An ISO 8601 instant to wall-clock text `YYYY-MM-DDTHH:MM:SS.mmm`. @throws RangeError outside the years 0001–9999. */
  toWall(instant: string): string
}

/**
 * @param name an IANA zone, such as `Asia/Baghdad`.
 * @throws RangeError if there is no such zone.
 */
export function openZone(name: string): Zone {
  // Rejects a wrong name now rather than at the first row.
  Temporal.Instant.fromEpochMilliseconds(0).toZonedDateTimeISO(name)
  const steady = new Map<number, number | null>()

  /** The zone's offset (ms) if it is the same from the day before `day` to the day after it (UTC), else null. */
  function steadyOffset(day: number): number | null {
    let offset = steady.get(day)
    if (offset === undefined) {
      const from = Temporal.Instant.fromEpochMilliseconds((day - 1) * DAY).toZonedDateTimeISO(name)
      const change = from.getTimeZoneTransition('next')
      offset = change === null || change.epochMilliseconds > (day + 2) * DAY ? from.offsetNanoseconds / 1e6 : null
      if (steady.size >= REMEMBERED_DAYS) steady.clear()
      steady.set(day, offset)
    }
    return offset
  }

  return {
    toInstant(wall) {
      const at = wallMilliseconds(wall)
      const offset = steadyOffset(Math.floor(at / DAY))
      if (offset !== null) return new Date(at - offset).toISOString()
      const plain = Temporal.PlainDateTime.from(new Date(at).toISOString().slice(0, -1))
      return new Date(plain.toZonedDateTime(name, { disambiguation: 'compatible' }).epochMilliseconds).toISOString()
    },
    toWall(instant) {
      const at = INSTANT.test(instant) ? Date.parse(instant) : Number.NaN
      if (Number.isNaN(at)) throw new RangeError('not an ISO 8601 instant')
      const offset =
        steadyOffset(Math.floor(at / DAY)) ??
        Temporal.Instant.fromEpochMilliseconds(at).toZonedDateTimeISO(name).offsetNanoseconds / 1e6
      const wall = new Date(at + offset).toISOString()
      if (wall.length !== 24 || wall.startsWith('0000')) throw new RangeError('outside the years 0001 to 9999')
      return wall.slice(0, -1)
    },
  }
}

/** The wall clock's reading as if it were UTC. */
function wallMilliseconds(wall: string): number {
  const parts = WALL.exec(wall)
  if (parts === null) throw new RangeError('not a wall-clock time')
  const [, year, month, day, hour, minute, second, fraction = ''] = parts
  const at = Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}.${fraction.slice(0, 3).padEnd(3, '0')}Z`)
  // Date.parse takes 30 February for 2 March.
  const real = !Number.isNaN(at) && new Date(at).toISOString().startsWith(`${year}-${month}-${day}`)
  if (!real || year === '0000') throw new RangeError('not a wall-clock time')
  return at
}
