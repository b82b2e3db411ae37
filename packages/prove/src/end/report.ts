import type { Screen } from '@clinic-sync/demo'
import { recordOf } from '../people/ledger.ts'
import type { Proof } from '../prove.ts'

/** So many lines of each kind of fault are shown. */
const MOST_SHOWN = 25
const MOST_HISTORIES = 4

/** Whether everything holds. */
export const holds = ({ differences, complaints, troubles }: Proof): boolean =>
  differences.length + complaints.length + troubles.length === 0

/**
 * Prints what was done and what was found; of what differs, keys and columns only.
 *
 * @param again the command that repeats this run
 */
export function report(screen: Screen, proof: Proof, again: string, seconds: number): void {
  const { endings, edits, damage, rings } = proof
  const number = (n: number) => n.toLocaleString('en')
  const pair = (name: string, text: string) => screen.line(`  ${screen.faint(name.padEnd(16))} ${text}`)
  const transactions = (side: 'staff' | 'doctors') =>
    `${number(edits[side])} by ${side} (${number(endings[side].committed)} transactions, ${endings[side]['rolled back']} more rolled back, ${endings[side].refused} refused)`

  screen.section('What was done')
  pair('edits made', transactions('staff'))
  pair('', transactions('doctors'))
  pair(
    'events',
    `${number(proof.events)}, and ${number(proof.copies)} duplicates delivered at once, late, or at the end`,
  )
  pair('kills', `${damage.kill}, and ${damage.replace} replaced, ${damage.freeze} frozen`)
  pair(
    'connections',
    `cut ${damage.cut} times, stalled ${damage.stall} times, the LISTEN session ended ${damage.deafen} times`,
  )
  pair('HTTP doorbells', `${rings.rung} rung, ${rings.dropped} dropped`)
  pair(
    'conflicts',
    `${number(proof.conflicts)} in the clinic's log, ${number(proof.lostEdits)} edits kept by the portal, ${proof.deadLetters} dead letters`,
  )

  screen.section('What was found')
  pair('compared', `${number(proof.rows)} rows, ${number(proof.values)} values`)
  pair('differences', count(screen, proof.differences.length))
  pair('edits lost', count(screen, proof.complaints.length))
  pair('troubles', count(screen, proof.troubles.length))
  for (const difference of proof.differences.slice(0, MOST_SHOWN)) {
    const columns = difference.kind === 'different' ? `: ${difference.columns.join(', ')}` : ''
    screen.line(`  ${screen.bad(`${difference.table}/${difference.key} ${difference.kind}${columns}`)}`)
  }
  for (const { record, column, what } of proof.complaints.slice(0, MOST_SHOWN))
    screen.line(`  ${screen.bad(`${record}${column === null ? '' : ` ${column}`}: ${what}`)}`)
  const failed = new Set([
    ...proof.differences.map(recordOf),
    ...proof.complaints.map(({ record }) => record),
    ...proof.stuck,
  ])
  for (const record of [...failed].slice(0, MOST_HISTORIES)) {
    screen.line(`\n  What happened to ${record}:`)
    for (const line of proof.history(record)) screen.line(`    ${line}`)
  }
  for (const trouble of proof.troubles.slice(0, MOST_SHOWN)) screen.line(`  ${screen.bad(trouble)}`)

  const fine = holds(proof)
  screen.line(`\n  ${fine ? screen.good('Converged') : screen.bad('Not well')} after ${seconds.toFixed(1)} s.`)
  if (!fine) screen.line(`  The same again: ${screen.strong(again)}`)
}

const count = (screen: Screen, n: number) => (n === 0 ? screen.good('0') : screen.bad(String(n)))
