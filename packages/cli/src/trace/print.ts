import type { Fault, Hop, TraceResult, Untried } from '@clinic-sync/operations'
import { wrapped } from '../status/table.ts'

const WIDTH = 110
/** As wide as the longest of a hop's words. */
const WORDS = 52

const HEADINGS = {
  there: "The clinic's change goes to the portal",
  back: "The portal's change goes to the clinic",
  ruling: "The clinic's ruling goes back",
} as const

/** A hop that has come, under its leg's heading where it is the first. */
export function hopLines({ leg, what, ms }: Hop, isFirst: boolean): string[] {
  const line = `  ✓ ${what.padEnd(WORDS)} ${duration(ms).padStart(9)}`
  return isFirst ? [HEADINGS[leg], line] : [line]
}

export const faultLines = ({ what, todo }: Fault): string[] => [...marked('  ✗ ', what), ...marked('    → ', todo)]

export const untriedLines = ({ leg, why }: Untried): string[] => marked('  – ', `${HEADINGS[leg]}: not tried, ${why}.`)

/** The verdict. */
export function endLines({ ok, totalMs, faults, untried, notes }: TraceResult): string[] {
  const said = notes.flatMap((note) => wrapped(`Note: ${note}`, WIDTH, '  '))
  if (ok) return [...said, `The canary came all the way round in ${duration(totalMs)}.`]
  const arrived = untried.length === 0 && faults.every(({ kind }) => kind === 'captures' || kind === 'doorbell')
  const count = faults.length === 1 ? 'One thing is dead' : `${faults.length} things are dead`
  return [
    ...said,
    arrived
      ? `The canary came round in ${duration(totalMs)}. ${count}: see above.`
      : `The canary did not come round. ${count}: see above.`,
  ]
}

/** A text behind its mark, further lines as far in. */
const marked = (mark: string, text: string): string[] => {
  const blanks = ' '.repeat(mark.length)
  return wrapped(text, WIDTH - mark.length, '').map((line, i) => `${i === 0 ? mark : blanks}${line}`)
}

const duration = (ms: number): string =>
  ms < 10 ? `${ms.toFixed(1)} ms` : ms < 10_000 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`
