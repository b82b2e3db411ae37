import { openZone } from '@clinic-sync/clinic'
import { refusal, type Session } from './session.ts'

const DEFAULT = 'Asia/Baghdad'

/** Minutes by which the zone is ahead of UTC at that moment; null: there is no such zone. */
export function offsetOf(zone: string, at = Date.now()): number | null {
  try {
    const wall = openZone(zone).toWall(new Date(at).toISOString())
    return Math.round((Date.parse(`${wall}Z`) - at) / 60_000)
  } catch {
    return null
  }
}

/**
 * The zone of the clinic's wall clock. Guessed by the server's own clock: the default, this machine's, or the one before, whichever
 * agrees with it.
 *
 * @param offset of the server's clock, minutes; null: not known.
 */
export async function chooseTimeZone({ options, previous, ask, say }: Session, offset: number | null): Promise<string> {
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone
  const before = previous.lines.get('CLINIC_TIME_ZONE')
  if (options.timeZone !== undefined && offsetOf(options.timeZone) === null)
    throw refusal(`--time-zone ${options.timeZone} is no time zone; one is Asia/Baghdad`)
  const guesses = [before, DEFAULT, own].filter((zone): zone is string => zone !== undefined && offsetOf(zone) !== null)
  const guess =
    (offset === null ? undefined : guesses.find((zone) => offsetOf(zone) === offset)) ?? guesses[0] ?? DEFAULT
  const zone =
    options.timeZone ??
    (ask === null
      ? guess
      : await ask.text('The zone of the clinic’s clock', guess, (answer) =>
          offsetOf(answer) === null ? 'That is no time zone; one is Asia/Baghdad.' : null,
        ))
  const its = offsetOf(zone)
  if (offset !== null && its !== null && its !== offset)
    say(
      `  ! SQL Server's clock is ${hours(offset)} from UTC now, and ${zone} is ${hours(its)}: times would be off by the difference.`,
    )
  return zone
}

const hours = (minutes: number): string =>
  `${minutes < 0 ? '-' : '+'}${String(Math.floor(Math.abs(minutes) / 60)).padStart(2, '0')}:${String(Math.abs(minutes) % 60).padStart(2, '0')}`
