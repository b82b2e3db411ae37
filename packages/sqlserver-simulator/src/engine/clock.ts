import { DAYS_TO_1900, daysFromCivil, roundTicks, THIRDS_A_DAY, TICKS_A_DAY } from '../values/calendar.ts'

const EPOCH_DAYS = daysFromCivil(1970, 1, 1)

/** The simulated server stands in Baghdad, as the clinic does, wherever this machine is: in minutes ahead of UTC, all year (IANA, since 2008). */
export const UTC_OFFSET_MINUTES = 180

/** The server's local wall clock, in ms since 1970 as if it were UTC: SQL Server's GETDATE() is local time. */
const localMs = (): number => Date.now() + UTC_OFFSET_MINUTES * 60_000

export const today = (): number => Math.floor(localMs() / 86_400_000) + EPOCH_DAYS

/** SYSDATETIME(), to `scale` digits. */
export const nowDatetime2 = (scale: number, ms = localMs()): bigint =>
  roundTicks(BigInt(ms) * 10_000n + BigInt(EPOCH_DAYS) * TICKS_A_DAY, scale)

/** A UTC datetime2 in ms since 1970. */
export const msOfUtc = (ticks: bigint): number => Number((ticks - BigInt(EPOCH_DAYS) * TICKS_A_DAY) / 10_000n)

/** GETDATE(). */
export function nowDatetime(ms = localMs()): number {
  const day = Math.floor(ms / 86_400_000)
  return (day + EPOCH_DAYS - DAYS_TO_1900) * THIRDS_A_DAY + Math.round(((ms - day * 86_400_000) * 3) / 10)
}
