import { recordOf } from '@clinic-sync/prove/parts'
import type { Screen } from '@clinic-sync/demo'
import type { Chaos, Turn } from '../chaos.ts'

/** So many lines of each kind of failure are shown. */
const MOST_SHOWN = 25
const MOST_HISTORIES = 4

/** Whether everything holds. */
export const holds = ({ turns, complaints }: Chaos): boolean => complaints.length === 0 && turns.every(isFine)

function isFine({ recovery, findings: { lost, twice, differences, troubles } }: Turn): boolean {
  return 'ms' in recovery && lost.length + twice.length + differences.length + troubles.length === 0
}

/**
 * Prints, for each fault and pair, how often it happened, how long recovery took, and what was lost, doubled or different; then what
 * failed, by keys and columns.
 *
 * @param again the command that repeats this run
 */
export function report(screen: Screen, chaos: Chaos, again: string, seconds: number): void {
  const { turns, leftOut, complaints, memory } = chaos
  const groups = new Map<string, Turn[]>()
  for (const turn of turns) {
    const name = turn.faults.length === 0 ? 'at the end' : turn.faults.toSorted().join(' + ')
    groups.set(name, [...(groups.get(name) ?? []), turn])
  }
  const width = Math.max(...[...groups.keys()].map((name) => name.length))
  screen.section('Fault by fault')
  const head = `${'times'.padStart(5)} ${'median'.padStart(8)} ${'worst'.padStart(8)} ${'lost'.padStart(5)} ${'twice'.padStart(6)} ${'differ'.padStart(7)}`
  screen.line(`  ${screen.faint(`${' '.repeat(width)} ${head}`)}`)
  for (const [name, group] of groups) screen.line(`  ${rowOf(screen, name.padEnd(width), group)}`)

  screen.section('In all')
  const number = (n: number) => n.toLocaleString('en')
  const pair = (name: string, text: string) => screen.line(`  ${screen.faint(name.padEnd(16))} ${text}`)
  pair(
    'transactions',
    `${number(chaos.committed)} by people; ${number(chaos.events)} events, ${chaos.deadLetters} of them dead, as provoked`,
  )
  pair(
    'memory at most',
    Object.entries(memory)
      .map(([service, bytes]) => `${service} ${Math.round(bytes / 2 ** 20)} MB`)
      .join(', '),
  )
  pair('edits lost', count(screen, complaints.length))
  for (const { fault, why } of leftOut) pair('left out', `${fault}: ${why}`)

  const lines = [
    ...turns.flatMap(({ faults, recovery, findings }) => {
      const name = faults.join(' + ') || 'at the end'
      return [
        ...('stuck' in recovery ? [`${name}: not recovered ${recovery.stuck}`] : []),
        ...findings.lost.map((line) => `${name}: lost: ${line}`),
        ...findings.twice.map((line) => `${name}: ${line}`),
        ...findings.differences.map((difference) => {
          const columns = difference.kind === 'different' ? `: ${difference.columns.join(', ')}` : ''
          return `${name}: ${recordOf(difference)} ${difference.kind}${columns}`
        }),
        ...findings.troubles.map((line) => `${name}: ${line}`),
      ]
    }),
    ...complaints.map(({ record, column, what }) => `${record}${column === null ? '' : ` ${column}`}: ${what}`),
  ]
  if (lines.length > 0) screen.section('What failed')
  for (const line of lines.slice(0, MOST_SHOWN)) screen.line(`  ${screen.bad(line)}`)
  if (lines.length > MOST_SHOWN) screen.line(`  … and ${lines.length - MOST_SHOWN} more`)
  const failed = new Set([
    ...turns.flatMap(({ findings }) => [
      ...findings.differences.map(recordOf),
      ...[...findings.lost, ...findings.twice].map((line) => line.split(' ')[1] ?? ''),
    ]),
    ...complaints.map(({ record }) => record),
  ])
  for (const record of [...failed].slice(0, MOST_HISTORIES)) {
    screen.line(`\n  What happened to ${record}:`)
    for (const line of chaos.history(record)) screen.line(`    ${line}`)
  }
  const fine = holds(chaos)
  screen.line(
    `\n  ${fine ? screen.good('Everything survived') : screen.bad('Not well')} after ${seconds.toFixed(0)} s.`,
  )
  if (!fine) screen.line(`  The same again: ${screen.strong(again)}`)
}

function rowOf(screen: Screen, name: string, turns: readonly Turn[]): string {
  const times = turns.flatMap(({ recovery }) => ('ms' in recovery ? [recovery.ms] : [])).toSorted((a, b) => a - b)
  const stuck = turns.length - times.length
  const seconds = (ms: number | undefined) => (ms === undefined ? '–' : `${(ms / 1_000).toFixed(1)} s`).padStart(8)
  const sum = (of: (turn: Turn) => number) => turns.reduce((total, turn) => total + of(turn), 0)
  const counts = [
    count(
      screen,
      sum(({ findings }) => findings.lost.length),
      5,
    ),
    count(
      screen,
      sum(({ findings }) => findings.twice.length),
      6,
    ),
    count(
      screen,
      sum(({ findings }) => findings.differences.length),
      7,
    ),
  ]
  const worst = stuck > 0 ? screen.bad('never'.padStart(8)) : seconds(times.at(-1))
  const troubles = sum(({ findings }) => findings.troubles.length)
  const more = troubles > 0 ? screen.bad(`  and ${troubles} more`) : ''
  const median = times[Math.floor((times.length - 1) / 2)]
  return `${name} ${String(turns.length).padStart(5)} ${seconds(median)} ${worst} ${counts.join(' ')}${more}`
}

const count = (screen: Screen, n: number, width = 0) => (n === 0 ? screen.good : screen.bad)(String(n).padStart(width))
