import { DAYS_TO_1900, daysFromCivil, roundTicks, THIRDS_A_DAY, TICKS_A_DAY } from '../values/calendar.ts'

const EPOCH_DAYS = daysFromCivil(1970, 1, 1)

/** The server's local wall clock, in ms since 1970 as if it were UTC: SQL Server's GETDATE() is local time. */
function localMs(): number {
  const now = new Date()
  return now.getTime() - now.getTimezoneOffset() * 60_000
}

export const today = (): number => Math.floor(localMs() / 86_400_000) + EPOCH_DAYS

/** SYSDATETIME(), to `scale` digits. */
export const nowDatetime2 = (scale: number, ms = localMs()): bigint =>
  roundTicks(BigInt(ms) * 10_000n + BigInt(EPOCH_DAYS) * TICKS_A_DAY, scale)

/** GETDATE(). */
export function nowDatetime(ms = localMs()): number {
  const day = Math.floor(ms / 86_400_000)
  return (day + EPOCH_DAYS - DAYS_TO_1900) * THIRDS_A_DAY + Math.round(((ms - day * 86_400_000) * 3) / 10)
}

export const nowUtcMs = (): number => Date.now()
