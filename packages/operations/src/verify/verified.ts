import type { Verification } from '@clinic-sync/contracts'

/** What came of a comparison, in a sentence: `Verified through 2026-11-23 14:32 UTC, 0 of 1,523 rows differ.` */
export function verified({ through, rows, differences, inFlight }: Verification): string {
  const found = `${number(differences)} of ${number(rows)} ${rows === 1 ? 'row' : 'rows'} ${differences === 1 ? 'differs' : 'differ'}`
  const moving =
    inFlight === 0
      ? ''
      : `, ${number(inFlight)} ${inFlight === 1 ? 'was' : 'were'} still on ${inFlight === 1 ? 'its' : 'their'} way`
  return `Verified through ${minute(through)}, ${found}${moving}.`
}

const number = (value: number): string => value.toLocaleString('en')
/** UTC: databases, ingress and whoever reads it may be in different zones. */
const minute = (instant: string): string => `${instant.slice(0, 16).replace('T', ' ')} UTC`
