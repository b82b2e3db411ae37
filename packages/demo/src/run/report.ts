import type { TableComparison } from '../compare.ts'
import type { ConflictResult } from '../live/conflict.ts'
import type { EditResult } from '../live/edit.ts'
import { type Screen, shown } from '../screen.ts'

/** One edit: what was sent, and what each place shows now. */
export function reportEdit(screen: Screen, { edit, arrived }: EditResult): void {
  screen.line(`\n  ${screen.strong(edit.title)}`)
  for (const statement of edit.statements) screen.line(`    ${screen.faint(edit.side)}  ${statement}`)
  for (const { expectation, before, now, latency } of arrived) {
    const change = `${shown(before)} → ${screen.strong(shown(now))}`
    screen.line(`    ${screen.faint(expectation.side)}  ${expectation.where}: ${change}  ${took(screen, latency)}`)
  }
}

/** One conflict: the two edits, the ruling, and where the value that lost is kept. */
export function reportConflict(screen: Screen, { conflict, entry, clinic, portal, latency }: ConflictResult): void {
  screen.line(`\n  ${screen.strong(conflict.title)}`)
  screen.line(`    ${screen.faint('clinic')}  ${conflict.clinicStatement}`)
  screen.line(`    ${screen.faint('portal')}  ${conflict.portalStatement}`)
  const both =
    clinic === portal ? `both sides hold ${screen.strong(shown(clinic))}` : `${shown(clinic)} and ${shown(portal)}`
  screen.line(
    `    ${screen.faint('ruling')}  ${entry?.ruling ?? screen.bad('none')}: ${both}  ${took(screen, latency)}`,
  )
  if (entry === undefined) return
  const values = `clinic ${shown(entry.clinic)}, portal ${shown(entry.portal)}`
  screen.line(
    `    ${screen.faint('log   ')}  sync.Conflicts: ${conflict.table}/${conflict.key} ${conflict.column}: ${values}`,
  )
}

function took(screen: Screen, latency: number | undefined): string {
  return latency === undefined ? screen.bad('did not arrive') : screen.good(`${latency.toFixed(0)} ms`)
}

/** The latencies at a glance, each way. */
export function reportLatencies(screen: Screen, results: readonly EditResult[]): void {
  screen.line()
  for (const side of ['clinic', 'portal'] as const) {
    const edits = results.filter(({ edit }) => edit.side === side)
    const arrived = edits.filter(({ arrived }) => arrived.every(({ latency }) => latency !== undefined))
    const latencies = arrived
      .map(({ arrived }) => Math.max(...arrived.map(({ latency = Number.NaN }) => latency)))
      .sort((a, b) => a - b)
    const median = latencies[Math.floor(latencies.length / 2)] ?? Number.NaN
    const slowest = latencies.at(-1) ?? Number.NaN
    screen.line(
      `  ${edits.length} live edits in the ${side}, ${arrived.length} arrived: median ${median.toFixed(0)} ms, slowest ${slowest.toFixed(0)} ms`,
    )
  }
}

/** Rows and values compared, and every difference by name. Returns the number of differences. */
export function reportComparison(screen: Screen, comparisons: readonly TableComparison[]): number {
  const cell = (text: string | number, width: number) => text.toLocaleString('en').padStart(width)
  screen.line(
    `  ${'table'.padEnd(22)}${cell('clinic', 8)}${cell('portal', 8)}${cell('values', 9)}${cell('different', 11)}`,
  )
  let differences = 0
  for (const { table, clinicRows, portalRows, values, differences: found } of comparisons) {
    differences += found.length
    const count = found.length === 0 ? screen.good(cell(0, 11)) : screen.bad(cell(found.length, 11))
    screen.line(`  ${table.padEnd(22)}${cell(clinicRows, 8)}${cell(portalRows, 8)}${cell(values, 9)}${count}`)
  }
  for (const difference of comparisons.flatMap((comparison) => comparison.differences).slice(0, 20)) {
    const columns = difference.kind === 'different' ? `: ${difference.columns.join(', ')}` : ''
    screen.line(`  ${screen.bad(`${difference.table}/${difference.key} ${difference.kind}${columns}`)}`)
  }
  const rows = comparisons.reduce((sum, comparison) => sum + comparison.clinicRows, 0)
  const values = comparisons.reduce((sum, comparison) => sum + comparison.values, 0)
  screen.line(
    `\n  ${rows.toLocaleString('en')} rows, ${values.toLocaleString('en')} values compared: ${differences === 0 ? screen.good('no difference') : screen.bad(`${differences} differences`)}`,
  )
  return differences
}
